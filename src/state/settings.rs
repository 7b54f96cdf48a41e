//! One configuration, checked and ready for use. A request holds on to the one it began with.

use std::ops::Deref;
use std::rc::Rc;

use crate::config::{BaseUrl, Config, Passthrough, Provider as Configured};
use crate::upstream::{Origin, PoolLimits, Provider, Timeouts};

/// The configuration, and what follows from it for every request.
pub struct Settings {
    config: Config,
    /// In the order of the file.
    pub providers: Vec<Rc<Provider>>,
    /// Those that are open for requests of any kind, as such requests reach them.
    pub passthrough: Vec<Rc<Provider>>,
    /// For requests that do not stream, and for those that do.
    timeouts: [Rc<Timeouts>; 2],
    /// For requests of which nothing is known.
    pub passthrough_timeouts: Rc<Timeouts>,
    /// The length of the shortest token: most values are shorter.
    token_bytes_min: usize,
}

impl Settings {
    /// Prepares what a configuration says.
    pub fn new(config: Config) -> Rc<Settings> {
        let providers: Vec<Configured> = config.providers.clone();
        let timeouts = |streams| Timeouts {
            queue: Some(config.non_stream_timeout),
            streams,
            stream: config.stream_timeout,
            whole: config.non_stream_timeout,
            comment_after: config.sse_keepalive,
            early_after: config.early_keepalive.filter(|_| streams),
        };
        let passthrough_timeouts = Timeouts {
            stream: config.stream_timeout.max(config.non_stream_timeout),
            early_after: None,
            ..timeouts(true)
        };
        let lengths = config.tokens.iter().map(|token| token.secret.expose().len());
        let providers: Vec<_> = providers.into_iter().map(Provider::new).collect();
        Rc::new(Settings {
            passthrough: providers.iter().filter_map(passthrough).collect(),
            providers,
            timeouts: [Rc::new(timeouts(false)), Rc::new(timeouts(true))],
            passthrough_timeouts: Rc::new(passthrough_timeouts),
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
        let all = self.providers.iter().chain(&self.passthrough);
        all.map(|provider| provider.origin.clone()).collect()
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

/// A provider as requests of any kind reach it, if they do.
fn passthrough(provider: &Rc<Provider>) -> Option<Rc<Provider>> {
    match &provider.config.passthrough {
        Passthrough::Off => None,
        Passthrough::Base => Some(provider.clone()),
        Passthrough::At(base) => {
            let mut config = provider.config.clone();
            let credentials = base.credentials.clone().or(config.base.credentials.take());
            config.base = BaseUrl { credentials, ..base.clone() };
            Some(Provider::new(config))
        }
    }
}

impl Deref for Settings {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}
