//! The configuration file, checked once: every value of a [`Config`] is valid. It must not know
//! sockets or HTTP.
//!
//! A new key is a field with its default here, a row of `keys` with its range and its texts, and
//! whatever uses it; `tests_documents` writes it into the schema and the tables of docs/configuration.md.

mod advice;
mod alias;
mod attempts;
mod base_url;
mod cors_origin;
mod describe;
mod diff;
mod endpoints;
mod expand;
mod filter;
mod keys;
mod language;
mod level;
mod load;
mod node;
mod odd;
mod order;
mod passthrough;
mod provider;
mod provider_key;
mod regular_file;
mod retry_on;
mod secret;
mod similar;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_aliases;
#[cfg(test)]
mod tests_documents;
#[cfg(test)]
mod tests_keys;
#[cfg(test)]
mod tests_outside;
#[cfg(test)]
mod tests_schema;
#[cfg(test)]
mod tests_secrets;
mod tokens;
mod tree;
mod value;
mod warnings;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::language::{Joined, Language, Text};

pub use self::alias::{Alias, AliasTarget, Name};
pub use self::attempts::default_retries;
pub use self::base_url::BaseUrl;
pub use self::cors_origin::CorsOrigin;
pub use self::diff::Listening;
pub use self::endpoints::ENDPOINTS;
pub use self::filter::Filter;
pub use self::level::LogLevel;
pub use self::order::{KeyOrder, TargetOrder};
pub use self::passthrough::Passthrough;
pub use self::provider::Provider;
pub use self::retry_on::RetryOn;
pub use self::secret::Secret;
pub use self::tokens::Token;

/// A struct whose fields stand beside their defaults.
macro_rules! with_defaults {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* pub $field:ident: $type:ty = $default:expr,)*
    }) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

with_defaults! {
    /// Everything that the file says, with the defaults filled in.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// Listen name or address; an IPv6 address without brackets.
        pub host: String = "localhost".to_owned(),
        /// Listen port; 0 lets the system pick a free one.
        pub port: u16 = 8080,
        /// The least severe level that is logged.
        pub log_level: LogLevel = LogLevel::Warning,
        /// What the terminal speaks, and perhaps the log and HTTP; `None`: as the environment says.
        pub language: Option<Language> = None,
        /// In the order of the file; names are unique.
        pub providers: Vec<Provider> = Vec::new(),
        /// Who may chat.
        pub tokens: Vec<Token> = Vec::new(),
        /// Filters over `provider/model`; see [`Config::allows`].
        pub supported_models: Vec<Filter> = Vec::new(),
        /// Names of our own for models of providers, in the order of the file; names are unique.
        pub aliases: Vec<Alias> = Vec::new(),
        /// Whether a model may be asked for without its provider, if only one has it.
        pub bare_models: bool = false,
        /// Additional attempts for a request, 0 to 10; `None`: by the number of keys and targets.
        pub retries: Option<u8> = None,
        /// What is tried again beside what always is.
        pub retry_on: RetryOn = RetryOn::default(),
        /// Longest wait before the same provider is asked again with the same key, up to a year.
        pub retry_wait_max: Duration = Duration::from_secs(5),
        /// Upstream connections at once, at least 1.
        pub max_connections: usize = 100,
        /// Idle upstream connections kept; 0 keeps none.
        pub max_keepalive_connections: usize = 20,
        /// Age at which an idle upstream connection is closed.
        pub keepalive_expiry: Duration = Duration::from_secs(30),
        /// Streaming: longest wait for the next bytes; at least 1 ms, at most a year.
        pub stream_timeout: Duration = Duration::from_secs(300),
        /// Non-streaming: from sending the request to the end of the response; 1 ms to a year.
        pub non_stream_timeout: Duration = Duration::from_secs(30),
        /// Non-streaming: largest body of a response, in bytes, at least 1.
        pub max_response_size: u64 = 10_485_760,
        /// Largest body of a request, in bytes, at least 1.
        pub max_request_size: u64 = 33_554_432,
        /// Connections from clients at once, 1 to 10,000.
        pub max_client_connections: usize = 1024,
        /// Silence after which a stream's client gets an SSE comment; `None`: never.
        pub sse_keepalive: Option<Duration> = None,
        /// Streaming: silence before the provider's head after which an event stream is opened all
        /// the same; `None`: never.
        pub early_keepalive: Option<Duration> = None,
        /// Pages of browsers that may use the proxy; empty: nothing is said to browsers.
        pub cors_origins: Vec<CorsOrigin> = Vec::new(),
        /// Whether responses of providers say where the time went.
        pub explain: bool = false,
        /// Whether several processes may share the port (`SO_REUSEPORT`).
        pub reuse_port: bool = false,
        /// What is odd but no error, each in one line that names file and key.
        pub warnings: Vec<Text> = Vec::new(),
    }
}

impl Config {
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

    /// Whether it is the demo: its provider alone, which the token that everybody knows opens.
    pub fn is_demo(&self) -> bool {
        let demo = Self::DEMO_TOKEN.as_bytes();
        matches!(&self.providers[..], [provider] if provider.name == "demo")
            && self.tokens.iter().any(|token| token.secret.expose().as_bytes() == demo)
    }

    /// What to run without any file: port 8001 on localhost, one provider `demo` on this machine,
    /// and the client token [`Config::DEMO_TOKEN`].
    pub fn demo(provider_port: u16) -> Self {
        let base = BaseUrl {
            host: "127.0.0.1".to_owned(),
            port: provider_port,
            path: "/v1".to_owned(),
            ..BaseUrl::default()
        };
        let name = "demo".to_owned();
        let secret = Secret::new(Self::DEMO_TOKEN);
        Self {
            port: 8001,
            providers: vec![Provider { name: name.clone(), base, ..Provider::default() }],
            tokens: vec![Token { description: name.into(), secret }],
            ..Self::default()
        }
    }
}

/// Why a configuration was refused: a line for each mistake, with file, key path and reason, free of
/// secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    lines: Vec<Text>,
    language: Option<Language>,
}

impl ConfigError {
    fn new(file: &str, path: &str, reason: &dyn fmt::Display) -> Self {
        Self { lines: vec![line(file, path, reason)], language: None }
    }

    /// A line for each mistake.
    pub fn lines(&self) -> &[Text] {
        &self.lines
    }

    /// Makes the process speak as the file wants it, as far as it could be read.
    pub fn set_language(&self) {
        language::speak(self.language);
    }
}

/// All that is wrong with one file, in its order.
#[derive(Default)]
struct Mistakes(Vec<Text>);

/// Mistakes that are told at once; whoever made more sees the others next time.
const MISTAKES_MAX: usize = 10;

impl Mistakes {
    fn add(&mut self, error: ConfigError) {
        self.0.extend(error.lines);
    }

    fn note(&mut self, result: Result<(), ConfigError>) {
        result.unwrap_or_else(|error| self.add(error));
    }

    /// Whether no further one would be told.
    fn is_full(&self) -> bool {
        self.0.len() >= MISTAKES_MAX
    }

    /// # Errors
    ///
    /// There are some.
    fn none(mut self) -> Result<(), ConfigError> {
        self.0.truncate(MISTAKES_MAX);
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(ConfigError { lines: self.0, language: None }),
        }
    }
}

/// A line about a place in the file; `path` is empty for the file as a whole.
fn line(file: &str, path: &str, reason: &dyn fmt::Display) -> Text {
    let place = match path {
        "" => format!("{file}: "),
        _ => format!("{file}: {path}: "),
    };
    Text::at(place, reason)
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Joined(&self.lines).fmt(f)
    }
}

impl Error for ConfigError {}
