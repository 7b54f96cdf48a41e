//! What all tasks share: data, and nothing that waits. What is done with it stands in routes/.

mod catalogue;
mod memory;
mod probes;
mod settings;
mod stored;

#[cfg(test)]
pub(crate) mod testing;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Instant;

use smol::{LocalExecutor, Task};

use crate::config::{Config, Listening};
use crate::downstream::Admission;
use crate::report::Stats;
use crate::runtime::{Clock, Reactor, Semaphore, Shutdown, Timer};
use crate::upstream::Pool;

pub use self::catalogue::{Catalogue, Listed, Models, Shown, Visible};
pub use self::memory::Memory;
pub use self::probes::Probes;
pub use self::settings::Settings;
pub use self::stored::{Client, Owner, Stored};

/// Large request bodies read at the same time: the event loop keeps its share of a small machine.
const PARSERS_MAX: usize = 2;
/// Answers that are kept with their connections while others are asked: these are more connections than the
/// configuration allows, and descriptors beside those of clients and exchanges.
const KEPT_ANSWERS_MAX: usize = 16;

/// The state of the program.
pub struct State {
    /// Sockets and deadlines.
    pub reactor: Rc<Reactor>,
    /// Where tasks run. `program::run` owns it, and ends all tasks by dropping it.
    executor: Weak<LocalExecutor<'static>>,
    /// Upstream connections.
    pub pool: Rc<Pool>,
    /// Model lists.
    pub catalogue: Catalogue,
    /// Who gave which stored response.
    pub stored: Stored,
    /// The last round of probes.
    pub probes: Probes,
    /// Counters.
    pub stats: Rc<Stats>,
    /// Memory of bodies, in both directions, and of whatever else may be long.
    pub memory: Memory,
    /// Slots for clients' connections.
    pub admission: Rc<Admission>,
    /// Permits to read a large body off the event loop.
    pub parsers: Rc<Semaphore>,
    /// Places for answers that are kept, slow or long, while others are asked.
    pub kept_answers: Rc<Semaphore>,
    /// The permit to read the configuration file again: one reload after the other.
    pub reloading: Rc<Semaphore>,
    /// When it was last said that a request could not be sent twice.
    pub warned_of_one_attempt: Cell<Option<Instant>>,
    /// Reloads under way or waiting.
    pub reloads: Cell<usize>,
    /// Whether the program is about to end.
    pub shutdown: Shutdown,
    settings: RefCell<Rc<Settings>>,
    /// What only a restart changes, as the program was started with it.
    pub started: Listening,
    /// Client connections for which there are descriptors.
    pub clients_max: usize,
    /// Where the configuration is read again from; `None` for the demo.
    pub file: Option<PathBuf>,
}

impl State {
    /// The program's state under its first configuration.
    pub fn new(
        reactor: Rc<Reactor>,
        executor: &Rc<LocalExecutor<'static>>,
        config: Config,
        file: Option<PathBuf>,
        clients_max: usize,
    ) -> Rc<State> {
        let started = Listening::new(&config);
        let settings = Settings::new(config);
        let pool = Pool::new(&reactor, settings.pool_limits());
        pool.configure(settings.pool_limits(), &settings.origins());
        Rc::new(State {
            pool,
            reactor,
            executor: Rc::downgrade(executor),
            catalogue: Catalogue::default(),
            stored: Stored::default(),
            probes: Probes::default(),
            stats: Rc::default(),
            memory: Memory::new(&settings),
            admission: Admission::new(settings.max_client_connections.min(clients_max)),
            parsers: Semaphore::new(PARSERS_MAX),
            kept_answers: Semaphore::new(KEPT_ANSWERS_MAX),
            reloading: Semaphore::new(1),
            warned_of_one_attempt: Cell::default(),
            reloads: Cell::new(0),
            shutdown: Shutdown::default(),
            settings: RefCell::new(settings),
            started,
            clients_max,
            file,
        })
    }

    /// The configuration for a request that begins now.
    pub fn settings(&self) -> Rc<Settings> {
        self.settings.borrow().clone()
    }

    /// Puts another configuration in force. Returns the one before.
    pub fn replace_settings(&self, new: &Rc<Settings>) -> Rc<Settings> {
        self.pool.configure(new.pool_limits(), &new.origins());
        self.admission.set_limit(new.max_client_connections.min(self.clients_max));
        self.memory.configure(new);
        self.settings.replace(new.clone())
    }

    /// See [`Settings::holds_token`].
    pub fn holds_token(&self, value: &[u8]) -> bool {
        self.settings.borrow().holds_token(value)
    }

    /// What keeps the time.
    pub fn clock(&self) -> &Rc<Clock> {
        &self.reactor.clock
    }

    /// A timer for a task.
    pub fn timer(&self) -> Timer {
        Timer::new(&self.reactor.clock)
    }

    /// Begins to shut down: no new connections, no further request on those that there are.
    pub fn drain(&self) {
        self.shutdown.begin();
        self.admission.wake_waiting();
        self.reactor.clock.wake_all();
    }

    /// Runs `future` beside everything else.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        if let Some(task) = self.spawn_task(future) {
            task.detach();
        }
    }

    /// The same, until the task is dropped; `None` when the program has ended.
    pub fn spawn_task<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> Option<Task<T>> {
        Some(self.executor.upgrade()?.spawn(future))
    }
}
