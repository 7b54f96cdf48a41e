//! Upstream connections: which idle one is reused, when a new one is made, when one is closed.
//!
//! A lease is borrowed for one exchange. Releasing it says that the connection is reusable: another
//! exchange may follow. Dropping it closes the connection: an exchange is cancelled by dropping it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::runtime::{
    set_waker, Clock, Permit, Reactor, Semaphore, Socket, Timer, UNACKNOWLEDGED_MAX,
};
use crate::upstream::connect::{Connect, ConnectError, Connected, Network, Origin, Took};
use crate::upstream::tls::Tls;

pub use policy::PoolLimits;

mod policy;

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
}

impl Connection {
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
    /// Wakes [`Pool::sweep`].
    sweeper: Option<Waker>,
}

impl Inner {
    /// Takes out those that are idle for longest. They close when they are dropped.
    fn close_oldest(&mut self, count: usize) -> Vec<Idle> {
        self.idle.drain(..count).collect()
    }
}

/// All upstream connections.
pub struct Pool {
    connector: Box<dyn Connect>,
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
        let network = Box::new(Network::new(reactor, &tls));
        Pool::with_connector(&reactor.clock, limits, tls, network)
    }

    /// The same, of connections that `connector` opens.
    pub fn with_connector(
        clock: &Rc<Clock>,
        limits: PoolLimits,
        tls: Rc<Tls>,
        connector: Box<dyn Connect>,
    ) -> Rc<Pool> {
        let since = clock.now();
        let (origins, idle) = (Vec::new(), VecDeque::new());
        Rc::new(Pool {
            connector,
            tls,
            permits: Semaphore::new(limits.leases_max),
            state: RefCell::new(Inner { limits, origins, since, idle, sweeper: None }),
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
        let closed = std::mem::take(&mut state.idle);
        drop(state);
        drop(closed);
        self.permits.set_limit(limits.leases_max);
    }

    /// A connection: the one that became idle last and is still reusable, unless `fresh`, else a
    /// new one. Probes and listings, of which there is one per provider, come without a permit.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn lease(
        self: &Rc<Self>,
        permit: Option<Permit>,
        origin: &Rc<Origin>,
        fresh: bool,
    ) -> Result<Lease, ConnectError> {
        if !fresh {
            if let Some(connection) = self.take_idle(origin) {
                self.reused.set(self.reused.get() + 1);
                return Ok(self.new_lease(connection, origin, permit, true));
            }
        }
        self.make_room();
        let opened_at = self.now();
        let Connected { socket, took } = self.connector.connect(origin).await?;
        self.opened.set(self.opened.get() + 1);
        let connection = Box::new(Connection {
            socket,
            took,
            opened_at,
            last_alive_at: opened_at,
            patient: false,
        });
        Ok(self.new_lease(connection, origin, permit, false))
    }

    fn new_lease(
        self: &Rc<Self>,
        connection: Box<Connection>,
        origin: &Rc<Origin>,
        permit: Option<Permit>,
        reused: bool,
    ) -> Lease {
        Lease { connection, pool: self.clone(), origin: origin.clone(), permit, reused }
    }

    fn take_idle(&self, origin: &Rc<Origin>) -> Option<Box<Connection>> {
        let mut state = self.state.borrow_mut();
        let now = self.now();
        loop {
            let index = state.idle.iter().rposition(|idle| idle.origin == *origin)?;
            let mut idle = state.idle.remove(index)?;
            if idle.expires_at > now && idle.connection.socket.has_no_input() {
                return Some(idle.connection);
            }
        }
    }

    fn make_room(&self) {
        let mut state = self.state.borrow_mut();
        let surplus = state.limits.surplus_at_open(self.permits.taken(), state.idle.len());
        let closed = state.close_oldest(surplus);
        drop(state);
        drop(closed);
    }

    fn put_idle(&self, origin: Rc<Origin>, mut connection: Box<Connection>) {
        let mut state = self.state.borrow_mut();
        let limits = state.limits;
        let now = self.now();
        let opened_at = connection.opened_at;
        connection.last_alive_at = now;
        let expires_at = limits.expires_at(now, opened_at);
        let outdated = opened_at < state.since || !state.origins.contains(&origin);
        if limits.idle_max == 0 || expires_at <= now || outdated {
            return;
        }
        // What came with the response's end, a close for instance, raises no second edge.
        let socket = &mut connection.socket;
        if socket.hung_up() || socket.maybe_readable() && !socket.has_no_input() {
            return;
        }
        let surplus = limits.surplus_at_return(state.idle.len());
        let closed = state.close_oldest(surplus);
        if std::mem::take(&mut connection.patient) {
            socket.end_when_unacknowledged(Some(UNACKNOWLEDGED_MAX));
        }
        if let Some(sweeper) = &state.sweeper {
            socket.wake_when_readable(&Context::from_waker(sweeper));
        }
        if self.sweep_at.get().is_none_or(|at| expires_at < at) {
            self.set_sweep(Some(expires_at));
        }
        state.idle.push_back(Idle { origin, connection, expires_at });
        drop(state);
        drop(closed);
    }

    fn set_sweep(&self, at: Option<Instant>) {
        self.sweep_at.set(at);
        self.sweep_timer.set(at);
    }

    /// Closes idle connections as they expire or as their peers close them, for ever.
    pub async fn sweep(&self) {
        let timer = &self.sweep_timer;
        poll_fn(|context| {
            timer.poll_due(context);
            let mut state = self.state.borrow_mut();
            set_waker(&mut state.sweeper, context.waker());
            let now = timer.now();
            let (mut kept, mut closed) = (VecDeque::new(), Vec::new());
            for mut idle in std::mem::take(&mut state.idle) {
                let socket = &mut idle.connection.socket;
                if idle.expires_at > now && (!socket.maybe_readable() || socket.has_no_input()) {
                    socket.wake_when_readable(context);
                    kept.push_back(idle);
                } else {
                    closed.push(idle);
                }
            }
            self.set_sweep(kept.iter().map(|idle| idle.expires_at).min());
            state.idle = kept;
            drop(state);
            drop(closed);
            Poll::<()>::Pending
        })
        .await;
    }
}

/// A connection borrowed for one exchange.
pub struct Lease {
    connection: Box<Connection>,
    pool: Rc<Pool>,
    origin: Rc<Origin>,
    /// Given back before the connection where that is read later.
    pub permit: Option<Permit>,
    /// Whether an earlier exchange used it: then it may have died of age.
    pub reused: bool,
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Lease {
    /// Returns the connection for reuse. Call only after the last byte of a response that was
    /// framed and complete; dropping a lease closes its connection.
    pub fn release(self) {
        // The permit goes back last: the exchange that gets it finds the connection idle.
        let Lease { connection, pool, origin, permit, .. } = self;
        pool.put_idle(origin, connection);
        drop(permit);
    }

    /// Closes the connection and keeps the permit, for the repeat.
    pub fn close_keeping_permit(self) -> Option<Permit> {
        self.permit
    }
}

#[cfg(test)]
mod tests;
