//! One configuration, checked and ready for use. A request holds on to the one it began with.

use std::ops::Deref;
use std::rc::Rc;

use crate::config::{Config, Provider as Configured};
use crate::upstream::{Origin, PoolLimits, Provider, Timeouts};

/// The configuration, and what follows from it for every request.
pub struct Settings {
    config: Config,
    /// In the order of the file.
    pub providers: Vec<Rc<Provider>>,
    /// For requests that do not stream, and for those that do.
    timeouts: [Rc<Timeouts>; 2],
    /// The length of the shortest token: most values are shorter.
    token_bytes_min: usize,
}

impl Settings {
    /// Prepares what a configuration says.
    pub fn new(config: Config) -> Rc<Settings> {
        let providers: Vec<Configured> = config.providers.clone();
        let timeouts = |streams| {
            Rc::new(Timeouts {
                queue: Some(config.non_stream_timeout),
                streams,
                stream: config.stream_timeout,
                whole: config.non_stream_timeout,
                comment_after: config.sse_keepalive,
                early_after: config.early_keepalive.filter(|_| streams),
            })
        };
        let lengths = config.tokens.iter().map(|token| token.secret.expose().len());
        Rc::new(Settings {
            providers: providers.into_iter().map(Provider::new).collect(),
            timeouts: [timeouts(false), timeouts(true)],
            token_bytes_min: lengths.min().unwrap_or(usize::MAX),
            config,
        })
    }

    /// The configuration's own words.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The deadlines of a request.
    pub fn timeouts(&self, streams: bool) -> &Rc<Timeouts> {
        &self.timeouts[usize::from(streams)]
    }

    /// Whether a field's value is, or ends with, the token of a client.
    pub fn holds_token(&self, value: &[u8]) -> bool {
        value.len() >= self.token_bytes_min
            && self.config.tokens.iter().any(|token| token.secret.ends(value))
    }

    /// Where connections may lead.
    pub fn origins(&self) -> Vec<Rc<Origin>> {
        self.providers.iter().map(|provider| provider.origin.clone()).collect()
    }

    /// The limits of the connection pool.
    pub fn pool_limits(&self) -> PoolLimits {
        PoolLimits {
            leases_max: self.config.max_connections,
            idle_max: self.config.max_keepalive_connections,
            idle_age_max: self.config.keepalive_expiry,
        }
    }
}

impl Deref for Settings {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}
