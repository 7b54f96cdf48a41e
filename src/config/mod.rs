//! The configuration file, checked once: whoever holds a [`Config`] may trust every value in it.
//! It knows files and keys, and must not know sockets or HTTP exchanges.

mod base_url;
pub mod diff;
mod expand;
mod json;
mod level;
mod node;
mod odd;
mod providers;
mod read;
mod secret;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_outside;
#[cfg(test)]
mod tests_schema;
#[cfg(test)]
mod tests_secrets;
pub mod warnings;

use std::error::Error;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use regex::Regex;
use rustix::fs::OFlags;

pub use self::base_url::BaseUrl;
pub use self::level::LogLevel;
use self::node::Source;
pub use self::secret::Secret;

/// The longest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Editors and `sed -i` put a new file in the place of the old one; a mount of the single file goes
/// on showing the old one.
const REPLACED: &str = "读到的是已被替换或删除的旧文件；在容器里请挂载目录，而不是单个文件，然后重新创建容器 \
    (this is an old file that was replaced or deleted: in a container mount the directory, not the file)";

/// Everything that the file says, with the defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listen name or address; an IPv6 address without brackets.
    pub host: String,
    /// Listen port; 0 lets the system pick a free one.
    pub port: u16,
    /// The least severe level that is logged.
    pub log_level: LogLevel,
    /// In the order of the file; names are unique.
    pub providers: Vec<Provider>,
    /// Who may chat.
    pub tokens: Vec<Token>,
    /// Filters over `provider/model`; see [`Config::allows`].
    pub supported_models: Vec<Regex>,
    /// Upstream connections at once, at least 1.
    pub max_connections: usize,
    /// Idle upstream connections kept; 0 keeps none.
    pub max_keepalive_connections: usize,
    /// Age at which an idle upstream connection is closed.
    pub keepalive_expiry: Duration,
    /// Streaming: longest wait for the next bytes; at least 1 ms, at most a year.
    pub stream_timeout: Duration,
    /// Non-streaming: from sending the request to the end of the answer; 1 ms to a year.
    pub non_stream_timeout: Duration,
    /// Non-streaming: largest body of an answer, in bytes, at least 1.
    pub max_response_size: u64,
    /// Largest body of a request, in bytes, at least 1.
    pub max_request_size: u64,
    /// Connections from clients at once, 1 to 10,000.
    pub max_client_connections: usize,
    /// Silence after which a stream's client gets an SSE comment; `None`: never.
    pub sse_keepalive: Option<Duration>,
    /// Streaming: silence before the provider's head after which an event stream is opened all the
    /// same; `None`: never.
    pub early_keepalive: Option<Duration>,
    /// Whether several processes may share the port (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// What is odd but no error, each in one line that names file and key.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads and checks a file, `${NAME}` references taken from the environment. A file
    /// that holds secrets and that every user may read gives a warning.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is over 16 MB or not UTF-8, or [`Config::parse`] refuses its text.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_from(path, File::open(path))
    }

    /// Like [`Config::load`], for a program that has others to serve meanwhile: only a regular file
    /// is read, for anything else could keep it waiting.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`], and for what is not a regular file.
    pub fn load_again(path: &Path) -> Result<Self, ConfigError> {
        Self::load_from(path, open_regular(path))
    }

    fn load_from(path: &Path, opened: io::Result<File>) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let (bytes, metadata) = opened.and_then(read_file).map_err(|error| {
            ConfigError::new(&file, "", &format!("无法读取: {error} (cannot be read)"))
        })?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(ConfigError::new(&file, "", "超过 16 MB (is over 16 MB)"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
            let reason = format!("第 {line} 行不是 UTF-8 (line {line} is not UTF-8)");
            ConfigError::new(&file, "", &reason)
        })?;
        let exposed = metadata.permissions().mode() & 0o004 != 0;
        let mut config = read::config(&text, &Source::new(&file, &environment, exposed))?;
        if is_replaced(&metadata) {
            config.warnings.push(ConfigError::new(&file, "", REPLACED).to_string());
        }
        Ok(config)
    }

    /// Checks the text of a file. `file` is its name for messages; a relative `token_file` is
    /// looked for in its directory.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong: syntax with line and column, all else with its key path.
    /// No message holds a token, a key, or any other value of `providers` or `tokens`.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        Self::parse_with(text, file, &environment)
    }

    fn parse_with(
        text: &str,
        file: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        read::config(text, &Source::new(file, lookup, false))
    }

    /// The provider of exactly this name.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// Whether `supported_models` lets the model id `provider/model` pass: the list is empty, or
    /// any of its regexes finds a match.
    pub fn allows(&self, id: &str) -> bool {
        let filters = &self.supported_models;
        filters.is_empty() || filters.iter().any(|filter| filter.is_match(id))
    }

    /// The entry whose secret is `candidate`; the first, should several be the same. Every entry
    /// is compared in constant time and none is skipped, so that the time tells nothing.
    pub fn token(&self, candidate: &[u8]) -> Option<&Token> {
        self.tokens.iter().fold(None, |found, token| {
            let matches = token.secret.matches(candidate);
            found.or(matches.then_some(token))
        })
    }

    /// The demo's client token, which `config.json.example` has, too.
    pub const DEMO_TOKEN: &str = "sk-test-123456";

    /// What to run without any file: port 8001 on localhost, one provider `demo` on this machine,
    /// and the client token [`Config::DEMO_TOKEN`].
    pub fn demo(provider_port: u16) -> Self {
        let base = BaseUrl {
            https: false,
            host: "127.0.0.1".to_owned(),
            port: provider_port,
            path: "/v1".to_owned(),
            query: None,
            credentials: None,
        };
        let name = "demo".to_owned();
        let secret = Secret::new(Self::DEMO_TOKEN);
        Self {
            port: 8001,
            providers: vec![Provider { name: name.clone(), base, token: None, model_list: vec![] }],
            tokens: vec![Token { description: name, secret }],
            ..Self::default()
        }
    }
}

impl Default for Config {
    /// The defaults of every key: no providers, nobody may chat.
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 8080,
            log_level: LogLevel::Warning,
            providers: Vec::new(),
            tokens: Vec::new(),
            supported_models: Vec::new(),
            max_connections: 100,
            max_keepalive_connections: 20,
            keepalive_expiry: Duration::from_secs(30),
            stream_timeout: Duration::from_secs(300),
            non_stream_timeout: Duration::from_secs(30),
            max_response_size: 10_485_760,
            max_request_size: 33_554_432,
            max_client_connections: 1024,
            sse_keepalive: None,
            early_keepalive: None,
            reuse_port: false,
            warnings: Vec::new(),
        }
    }
}

/// One upstream service. Equality includes its key, so that a reload can say what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// What stands before the first slash of a model id; not empty, without slashes.
    pub name: String,
    /// Where its endpoints are.
    pub base: BaseUrl,
    /// Its key, visible ASCII; `None`: no `Authorization` is sent.
    pub token: Option<Secret>,
    /// The only models it offers; empty: those that it lists itself.
    pub model_list: Vec<String>,
}

/// A client's token and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// For the log; may be empty.
    pub description: String,
    /// What the client sends behind `Bearer`.
    pub secret: Secret,
}

/// Why a configuration was refused: file, key path and reason in one line, free of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// `path` is empty for the file as a whole. Control characters, which keys and file names may
    /// hold, become spaces.
    fn new(file: &str, path: &str, reason: &str) -> Self {
        let line = match path {
            "" => format!("{file}: {reason}"),
            _ => format!("{file}: {path}: {reason}"),
        };
        Self(line.replace(char::is_control, " "))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ConfigError {}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The content, cut just above the limit, and what the system says of the file.
fn read_file(file: File) -> io::Result<(Vec<u8>, Metadata)> {
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes, metadata))
}

/// Whether an open file has no name any more. What is no regular file never had one.
fn is_replaced(file: &Metadata) -> bool {
    file.is_file() && file.nlink() == 0
}

/// Opens a regular file. Neither this nor a read of it waits for anybody, as it would for a FIFO.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("不是普通文件 (is not a regular file)"))
    }
}
