//! Upstream connections: which idle one is reused, when a new one is made, when one is closed.
//!
//! A lease is borrowed for one exchange. Releasing it says that the connection is reusable: another
//! exchange may follow. Dropping it closes the connection: an exchange is cancelled by dropping it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::runtime::{
    set_waker, Clock, Permit, Reactor, Semaphore, Socket, Timer, UNACKNOWLEDGED_MAX,
};
use crate::upstream::connect::{Connect, ConnectError, Connected, Network, Origin, Took};
use crate::upstream::tls::Tls;

use self::ending::Ending;
use self::opening::{Opening, Waiter};

pub use self::lease::Lease;
pub use self::policy::PoolLimits;

mod ending;
mod lease;
mod opening;
mod policy;
mod sweep;

/// One that nobody used for longer is not new any more: it may have died of age.
const NEW_MAX: Duration = Duration::from_secs(1);

/// A connection to a provider.
pub struct Connection {
    /// What is read from and written to.
    pub socket: Socket,
    /// How long it took to open.
    pub took: Took,
    opened_at: Instant,
    /// When it was opened or returned: then the way to the provider was open.
    last_alive_at: Instant,
    /// Whether more than [`UNACKNOWLEDGED_MAX`] is allowed for an acknowledgement.
    patient: bool,
    /// Whether an exchange has used it.
    used: bool,
}

impl Connection {
    /// One that nobody has used yet.
    fn new(Connected { socket, took }: Connected, opened_at: Instant) -> Box<Connection> {
        let (last_alive_at, patient, used) = (opened_at, false, false);
        Box::new(Connection { socket, took, opened_at, last_alive_at, patient, used })
    }

    /// Whether the way to the provider was open a moment ago.
    pub fn was_alive(&self, now: Instant) -> bool {
        self.last_alive_at + UNACKNOWLEDGED_MAX > now
    }

    /// Allows more time for acknowledgements; `None` leaves it to the kernel. The first call of a
    /// lease counts: what was left to the kernel for a long request stays so.
    pub fn be_patient(&mut self, limit: Option<Duration>) {
        if !std::mem::replace(&mut self.patient, true) {
            self.socket.end_when_unacknowledged(limit);
        }
    }
}

/// A reusable connection.
struct Idle {
    origin: Rc<Origin>,
    connection: Box<Connection>,
    /// When it is closed, unless it is used before.
    expires_at: Instant,
}

struct Inner {
    limits: PoolLimits,
    /// Where the configuration's providers are.
    origins: Vec<Rc<Origin>>,
    /// When they came into force: connections that are older are not reused.
    since: Instant,
    /// Idle for longest first.
    idle: VecDeque<Idle>,
    /// Those that are opened for nobody, to become idle.
    opening: VecDeque<Opening>,
    /// Those whose exchange is about to end, and nobody waits for that.
    endings: VecDeque<Ending>,
    /// Requests that would take one that becomes free, the first to come first.
    waiting: VecDeque<Rc<Waiter>>,
    /// Wakes [`Pool::sweep`].
    sweeper: Option<Waker>,
}

/// What was taken out, and closes when it is dropped.
type Closed = (Vec<Ending>, Vec<Opening>, Vec<Idle>);

impl Inner {
    /// Takes out so many that serve nobody: those that are idle go last, and of them those that are idle
    /// for longest first.
    fn take_out(&mut self, mut count: usize) -> Closed {
        let mut share = |length: usize| {
            let part = count.min(length);
            count -= part;
            ..part
        };
        (
            self.endings.drain(share(self.endings.len())).collect(),
            self.opening.drain(share(self.opening.len())).collect(),
            self.idle.drain(share(self.idle.len())).collect(),
        )
    }

    /// Whether a connection was opened under this configuration, to one of its origins.
    fn is_current(&self, opened_at: Instant, origin: &Rc<Origin>) -> bool {
        opened_at >= self.since && self.origins.contains(origin)
    }

    /// Wakes who goes on with what is left to the pool, if there is one; a connection that cannot become
    /// idle is left to nobody.
    fn wake_sweeper(&self, opened_at: Instant, origin: &Rc<Origin>) -> bool {
        let sweeper = self.sweeper.as_ref().filter(|_| self.is_current(opened_at, origin));
        sweeper.map(Waker::wake_by_ref).is_some()
    }
}

/// All upstream connections.
pub struct Pool {
    connector: Rc<dyn Connect>,
    /// The TLS context of all connections.
    pub tls: Rc<Tls>,
    /// The right to a connection: an exchange for a client takes a permit before its lease.
    pub permits: Rc<Semaphore>,
    state: RefCell<Inner>,
    /// When the next idle connection expires.
    sweep_timer: Timer,
    sweep_at: Cell<Option<Instant>>,
    reused: Cell<u64>,
    opened: Cell<u64>,
}

impl Pool {
    /// An empty pool of connections over the network, which keeps nothing before
    /// [`Pool::configure`].
    pub fn new(reactor: &Rc<Reactor>, limits: PoolLimits) -> Rc<Pool> {
        let tls = Rc::default();
        let network = Rc::new(Network::new(reactor, &tls));
        Pool::with_connector(&reactor.clock, limits, tls, network)
    }

    /// The same, of connections that `connector` opens.
    pub fn with_connector(
        clock: &Rc<Clock>,
        limits: PoolLimits,
        tls: Rc<Tls>,
        connector: Rc<dyn Connect>,
    ) -> Rc<Pool> {
        let since = clock.now();
        let (origins, idle, opening, endings, waiting, sweeper) = Default::default();
        let state = Inner { limits, origins, since, idle, opening, endings, waiting, sweeper };
        Rc::new(Pool {
            connector,
            tls,
            permits: Semaphore::new(limits.leases_max),
            state: RefCell::new(state),
            sweep_timer: Timer::new(clock),
            sweep_at: Cell::new(None),
            reused: Cell::new(0),
            opened: Cell::new(0),
        })
    }

    fn now(&self) -> Instant {
        self.sweep_timer.now()
    }

    /// Idle connections now.
    pub fn idle(&self) -> usize {
        self.state.borrow().idle.len()
    }

    /// Exchanges on a reused and on a new connection since the start.
    pub fn reuse_counts(&self) -> (u64, u64) {
        (self.reused.get(), self.opened.get())
    }

    /// Applies new limits and keeps idle connections to these origins only, from now on. Leases in
    /// use stay until they are returned; idle connections are closed: what they lead to, and the CA
    /// files that vouched for it, may have changed.
    pub fn configure(&self, limits: PoolLimits, origins: &[Rc<Origin>]) {
        let mut state = self.state.borrow_mut();
        state.limits = limits;
        state.origins = origins.to_vec();
        state.since = self.now();
        let closed = state.take_out(usize::MAX);
        drop(state);
        drop(closed);
        self.permits.set_limit(limits.leases_max);
    }

    /// A connection: the one that became idle last and is still reusable, else the first that becomes
    /// free or is new; `fresh` leases get one that no exchange has used. Probes and listings, of which
    /// there is one per provider, come without a permit.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn lease(
        self: &Rc<Self>,
        permit: Option<Permit>,
        origin: &Rc<Origin>,
        fresh: bool,
    ) -> Result<Lease, ConnectError> {
        let (connection, was_idle) = match self.take_idle(origin, fresh) {
            Some(connection) => (connection, true),
            // Boxed: it is rare, and every exchange would keep the room for it.
            None => (Box::pin(self.open(origin, fresh)).await?, false),
        };
        let reused = connection.used;
        let count = if reused { &self.reused } else { &self.opened };
        count.set(count.get() + 1);
        let (pool, origin) = (self.clone(), origin.clone());
        Ok(Lease { connection, pool, origin, permit, reused, was_idle })
    }

    fn take_idle(&self, origin: &Rc<Origin>, fresh: bool) -> Option<Box<Connection>> {
        let mut state = self.state.borrow_mut();
        let now = self.now();
        let is_new =
            |connection: &Connection| !connection.used && connection.last_alive_at + NEW_MAX > now;
        let suits = |idle: &Idle| idle.origin == *origin && (!fresh || is_new(&idle.connection));
        loop {
            let index = state.idle.iter().rposition(suits)?;
            let mut idle = state.idle.remove(index)?;
            if idle.expires_at > now && idle.connection.socket.has_no_input() {
                return Some(idle.connection);
            }
        }
    }

    /// Before another connection is opened.
    fn make_room(&self) {
        let mut state = self.state.borrow_mut();
        let others = state.endings.len() + state.opening.len() + state.idle.len();
        let surplus = state.limits.surplus_at_open(self.permits.taken(), others);
        let closed = state.take_out(surplus);
        drop(state);
        drop(closed);
    }

    /// The same as [`Pool::put_idle`] of one that an exchange has used.
    fn put_used(&self, origin: Rc<Origin>, mut connection: Box<Connection>) {
        connection.used = true;
        self.put_idle(origin, connection);
    }

    /// Lets a connection become idle, or hands it to the first that waits for one.
    fn put_idle(&self, origin: Rc<Origin>, mut connection: Box<Connection>) {
        let mut state = self.state.borrow_mut();
        let limits = state.limits;
        let now = self.now();
        connection.last_alive_at = now;
        let expires_at = limits.expires_at(now, connection.opened_at);
        let outdated = !state.is_current(connection.opened_at, &origin);
        if limits.idle_max == 0 || expires_at <= now || outdated {
            return;
        }
        // What came with the response's end, a close for instance, raises no second edge.
        let socket = &mut connection.socket;
        if socket.hung_up() || socket.maybe_readable() && !socket.has_no_input() {
            return;
        }
        if std::mem::take(&mut connection.patient) {
            socket.end_when_unacknowledged(Some(UNACKNOWLEDGED_MAX));
        }
        let first = state.waiting.iter().position(|waiter| waiter.takes(&origin, &connection));
        if let Some(waiter) = first.and_then(|index| state.waiting.remove(index)) {
            drop(state);
            return waiter.give(connection).into_iter().for_each(Waker::wake);
        }
        let surplus = limits.surplus_at_return(state.idle.len());
        let mut closed = Vec::new();
        if surplus > 0 {
            // One that is known to serve is worth more than one that has not served yet.
            if !connection.used {
                return;
            }
            closed.extend(state.idle.drain(..surplus));
        }
        if let Some(sweeper) = &state.sweeper {
            connection.socket.wake_when_readable(&Context::from_waker(sweeper));
        }
        if self.sweep_at.get().is_none_or(|at| expires_at < at) {
            self.set_sweep(Some(expires_at));
        }
        state.idle.push_back(Idle { origin, connection, expires_at });
        drop(state);
        drop(closed);
    }

    /// Waits for the end of an exchange, if its connection may become idle.
    fn end_later(&self, ending: Ending) {
        let mut state = self.state.borrow_mut();
        let fits = state.endings.len() < state.limits.idle_max;
        if fits && state.wake_sweeper(ending.connection.opened_at, &ending.origin) {
            state.endings.push_back(ending);
        }
    }

    fn set_sweep(&self, at: Option<Instant>) {
        self.sweep_at.set(at);
        self.sweep_timer.set(at);
    }
}

#[cfg(test)]
mod tests;
