//! One configuration, checked and ready for use. A request holds on to the one it began with.

use std::ops::Deref;
use std::rc::Rc;

use crate::config::{BaseUrl, Config, Passthrough, Provider as Configured};
use crate::upstream::{History, Origin, PoolLimits, Provider, Timeouts};

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
    /// Prepares what a configuration says. Of its providers nothing was seen.
    pub fn new(config: Config) -> Rc<Settings> {
        Settings::with_histories(config, |_| Rc::default())
    }

    /// The same for one that follows these settings: the history of a provider whose name stays goes
    /// on. Of one that is configured otherwise it is not known whether it is up.
    pub fn followed_by(&self, config: Config) -> Rc<Settings> {
        Settings::with_histories(config, |new| {
            let old = self.providers.iter().find(|old| old.name() == new.name);
            let history = old.map(|old| old.history.clone()).unwrap_or_default();
            if old.is_some_and(|old| old.config != *new) {
                history.forget_health();
            }
            history
        })
    }

    fn with_histories(
        config: Config,
        history: impl Fn(&Configured) -> Rc<History>,
    ) -> Rc<Settings> {
        let prepare =
            |provider: &Configured| Provider::with_history(provider.clone(), history(provider));
        let providers: Vec<_> = config.providers.iter().map(prepare).collect();
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
            Some(Provider::with_history(config, provider.history.clone()))
        }
    }
}

impl Deref for Settings {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}
