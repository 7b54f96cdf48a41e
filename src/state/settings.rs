//! One configuration, checked and ready for use. A request holds on to the one it began with.

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

use crate::config::{BaseUrl, Config, KeyOrder, Passthrough, Provider as Configured, TargetOrder};
use crate::upstream::{Origin, Past, PoolLimits, Provider, Timeouts};

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
    /// Whose turn it is among the targets of each alias.
    pub turns: Vec<Cell<usize>>,
    /// Whether the conversation decides about keys or targets.
    pub by_conversation: bool,
    /// The length of the shortest token: most values are shorter.
    token_bytes_min: usize,
}

impl Settings {
    /// Prepares what a configuration says. Of its providers nothing was seen.
    pub fn new(config: Config) -> Rc<Settings> {
        Settings::with_pasts(config, |_| Past::default())
    }

    /// The same for one that follows these settings: the history of a provider whose name stays goes
    /// on, and what its keys rest from. Of one that is configured otherwise it is not known whether it is up.
    pub fn followed_by(&self, config: Config) -> Rc<Settings> {
        Settings::with_pasts(config, |new| {
            let old = self.providers.iter().find(|old| old.name() == new.name);
            let past = old.map(|old| old.past()).unwrap_or_default();
            if old.is_some_and(|old| old.config != *new) {
                past.history.forget_health();
            }
            past
        })
    }

    fn with_pasts(config: Config, past: impl Fn(&Configured) -> Past) -> Rc<Settings> {
        let mut providers: Vec<Rc<Provider>> = Vec::new();
        for configured in &config.providers {
            let mut past = past(configured);
            let base = &configured.base;
            let same = |other: &&Rc<Provider>| {
                let Origin { https, host, port } = &*other.origin;
                (*https, host, *port) == (base.https, &base.host, base.port)
            };
            past.reach = providers.iter().find(same).map(|p| p.reach.clone()).unwrap_or_default();
            providers.push(Provider::with_past(configured.clone(), past));
        }
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
            turns: vec![Cell::default(); config.aliases.len()],
            by_conversation: by_conversation(&config),
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

fn by_conversation(config: &Config) -> bool {
    let sticks = |p: &Configured| p.keys.len() > 1 && p.key_order == KeyOrder::Sticky;
    config.providers.iter().any(sticks)
        || config.aliases.iter().any(|alias| alias.order == TargetOrder::Weights)
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
            Some(Provider::with_past(config, provider.past()))
        }
    }
}

impl Deref for Settings {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}
