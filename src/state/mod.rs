//! The state that all tasks share, and what is under the running configuration.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::path::PathBuf;
use std::rc::Rc;

use smol::LocalExecutor;

use crate::config::secret::Secret;
use crate::config::{Config, ConfigError, Listening};
use crate::downstream::admission::Admission;
use crate::report::logging;
use crate::report::stats::Stats;
use crate::routes::health::Health;
use crate::routes::models::Catalogue;
use crate::runtime::budget::Budget;
use crate::runtime::reactor::Reactor;
use crate::runtime::semaphore::Semaphore;
use crate::upstream::connect::Origin;
use crate::upstream::exchange::Patience;
use crate::upstream::pool::{Pool, PoolLimits};
use crate::upstream::provider::chat_prefix;

/// Large request bodies read at the same time: the event loop keeps its share of a small machine.
const PARSERS_MAX: usize = 2;

/// One configuration, checked and ready for use. A request holds on to the one it began with.
pub struct Settings {
    config: Config,
    origins: Vec<Rc<Origin>>,
    chat_prefixes: Vec<Secret>,
    /// The length of the shortest token: most values are shorter.
    token_bytes_min: usize,
}

impl Settings {
    fn new(config: Config) -> Rc<Settings> {
        let origin = |provider: &crate::config::Provider| {
            let base = &provider.base;
            Rc::new(Origin { https: base.https, host: base.host.clone(), port: base.port })
        };
        let origins = config.providers.iter().map(origin).collect();
        let chat_prefixes = config.providers.iter().map(chat_prefix).collect();
        let lengths = config.tokens.iter().map(|token| token.secret.expose().len());
        let token_bytes_min = lengths.min().unwrap_or(usize::MAX);
        Rc::new(Settings { config, origins, chat_prefixes, token_bytes_min })
    }

    /// The index of a provider.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.config.providers.iter().position(|provider| provider.name == name)
    }

    /// Where a provider's connections lead.
    pub fn origin(&self, index: usize) -> &Rc<Origin> {
        &self.origins[index]
    }

    /// The lines that begin every chat's head to a provider.
    pub fn chat_prefix(&self, index: usize) -> &Secret {
        &self.chat_prefixes[index]
    }

    /// How long a request may wait for a connection and for its answer.
    pub fn patience(&self, streams: bool) -> Patience {
        use crate::runtime::timer::Phase;
        let (answer, phase) = if streams {
            (self.config.stream_timeout, Phase::FirstByte)
        } else {
            (self.config.non_stream_timeout, Phase::WholeAnswer)
        };
        Patience { queue: Some(self.config.non_stream_timeout), answer, phase }
    }

    fn pool_limits(&self) -> PoolLimits {
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

/// The state of the program.
pub struct State {
    /// Sockets and deadlines.
    pub reactor: Rc<Reactor>,
    /// Where tasks run.
    pub executor: Rc<LocalExecutor<'static>>,
    /// Upstream connections.
    pub pool: Rc<Pool>,
    /// Model lists.
    pub catalogue: Catalogue,
    /// Probes.
    pub health: Health,
    /// Counters.
    pub stats: Stats,
    /// Memory of request bodies.
    pub bodies: Budget,
    /// Memory of large answers that are held back.
    pub held: Budget,
    /// Places for clients' connections.
    pub admission: Rc<Admission>,
    /// Who may read a large body off the event loop.
    pub parsers: Rc<Semaphore>,
    settings: RefCell<Rc<Settings>>,
    /// Client connections for which there are descriptors.
    clients_max: usize,
    /// Where the configuration is read again from; `None` for the demo.
    file: Option<PathBuf>,
    listening: Listening,
    draining: Cell<bool>,
}

impl State {
    /// The program's state under its first configuration.
    pub fn new(
        reactor: Rc<Reactor>,
        executor: Rc<LocalExecutor<'static>>,
        config: Config,
        file: Option<PathBuf>,
        clients_max: usize,
    ) -> Rc<State> {
        let settings = Settings::new(config);
        let state = Rc::new(State {
            pool: Pool::new(&reactor, settings.pool_limits()),
            reactor,
            executor,
            catalogue: Catalogue::default(),
            health: Health::default(),
            stats: Stats::default(),
            bodies: Budget::default(),
            held: Budget::default(),
            admission: Admission::new(settings.max_client_connections.min(clients_max)),
            clients_max,
            parsers: Semaphore::new(PARSERS_MAX),
            draining: Cell::new(false),
            listening: Listening::new(&settings),
            settings: RefCell::new(settings),
            file,
        });
        state.pool.configure(state.settings().pool_limits(), &state.settings().origins);
        state.prepare_tls();
        state.catalogue.refresh(&state);
        state
    }

    /// The configuration for a request that begins now.
    pub fn settings(&self) -> Rc<Settings> {
        self.settings.borrow().clone()
    }

    /// Whether a field's value is, or ends with, the token of a client.
    pub fn holds_token(&self, value: &[u8]) -> bool {
        let settings = self.settings.borrow();
        value.len() >= settings.token_bytes_min
            && settings.tokens.iter().any(|token| token.secret.ends(value))
    }

    /// Reads the configuration file again and puts it in force, or changes nothing.
    /// Returns what changed, one line each.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn reload(self: &Rc<Self>) -> Result<Vec<String>, ConfigError> {
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let new = Settings::new(Config::load_again(file)?);
        let old = self.settings.replace(new.clone());
        let changes = old.diff(&new, &self.listening);
        logging::set_level(new.log_level);
        self.pool.configure(new.pool_limits(), &new.origins);
        self.pool.tls.reload();
        self.prepare_tls();
        self.admission.set_limit(new.max_client_connections.min(self.clients_max));
        self.catalogue.refresh(self);
        for warning in new.warnings.iter().chain(&new.warnings(&[], self.clients_max)) {
            log::warn!("{warning}");
        }
        let summary =
            if changes.is_empty() { "无变化 (no change)" } else { &changes.join("; ") };
        log::info!("配置重新加载成功 (configuration reloaded): {summary}");
        Ok(changes)
    }

    /// Reads the CA files in the background when a provider needs them, so that no request waits for
    /// it, and while there are descriptors for it.
    pub fn prepare_tls(self: &Rc<Self>) {
        if self.settings().providers.iter().any(|provider| provider.base.https) {
            let state = self.clone();
            self.spawn(async move {
                if let Err(cause) = state.pool.tls.connector().await {
                    log::error!("TLS: {cause}");
                }
            });
        }
    }

    /// Whether the program is shutting down.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Begins to shut down: no new connections, no further request on those that are idle.
    pub fn drain(&self) {
        self.draining.set(true);
        self.admission.wake_waiting();
        self.reactor.clock.wake_all();
    }

    /// Runs `future` beside everything else.
    pub fn spawn(self: &Rc<Self>, future: impl std::future::Future<Output = ()> + 'static) {
        self.executor.spawn(future).detach();
    }
}
