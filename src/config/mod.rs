//! The configuration file, checked once: every value of a [`Config`] is valid. It must not know
//! sockets or HTTP.
//!
//! A new key is a field with its default here, a row of `keys` with its range and its texts, and
//! whatever uses it; `tests_documents` writes it into the schema and the tables of the READMEs.

mod base_url;
mod cors_origin;
mod describe;
mod diff;
mod expand;
mod filter;
mod keys;
mod level;
mod load;
mod node;
mod odd;
mod passthrough;
mod provider;
mod provider_key;
mod regular_file;
mod secret;
#[cfg(test)]
mod tests;
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

pub use self::base_url::BaseUrl;
pub use self::cors_origin::CorsOrigin;
pub use self::diff::Listening;
pub use self::filter::Filter;
pub use self::level::LogLevel;
pub use self::passthrough::Passthrough;
pub use self::provider::Provider;
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
        /// In the order of the file; names are unique.
        pub providers: Vec<Provider> = Vec::new(),
        /// Who may chat.
        pub tokens: Vec<Token> = Vec::new(),
        /// Filters over `provider/model`; see [`Config::allows`].
        pub supported_models: Vec<Filter> = Vec::new(),
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
        /// Whether several processes may share the port (`SO_REUSEPORT`).
        pub reuse_port: bool = false,
        /// What is odd but no error, each in one line that names file and key.
        pub warnings: Vec<String> = Vec::new(),
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
            tokens: vec![Token { description: name, secret }],
            ..Self::default()
        }
    }
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
