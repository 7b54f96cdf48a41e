//! Upstream connections: which idle one is reused, when a new one is made, when one is closed.
//!
//! A lease is borrowed for one exchange. Releasing it says that the connection is in step and may
//! serve another; dropping it closes the connection, so that cancel is drop. Knows nothing of HTTP.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::runtime::reactor::Reactor;
use crate::runtime::semaphore::{Permit, Semaphore};
use crate::runtime::socket::{Socket, UNACKNOWLEDGED_MAX};
use crate::runtime::timer::Timer;
use crate::runtime::waker::set_waker;
use crate::upstream::connect::{connect, ConnectError, Connected, Origin};
use crate::upstream::dns::Resolver;
use crate::upstream::tls::Tls;

/// A connection that is older serves nobody new: names move, and would never be looked up again.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// The configured limits of the pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Leases at once.
    pub leases_max: usize,
    /// Idle connections kept.
    pub idle_max: usize,
    /// The age at which an idle connection is closed.
    pub idle_age_max: Duration,
}

/// A connection to a provider.
pub struct Connection {
    /// What is read from and written to.
    pub socket: Socket,
    /// How long TCP took to connect.
    pub tcp_took: Duration,
    opened_at: Instant,
    /// When it was opened or returned.
    heard_at: Instant,
    /// Whether more than [`UNACKNOWLEDGED_MAX`] is allowed for an acknowledgement.
    patient: bool,
}

impl Connection {
    /// Whether the way to the provider was open a moment ago.
    pub fn was_alive(&self, now: Instant) -> bool {
        self.heard_at + UNACKNOWLEDGED_MAX > now
    }

    /// Allows more time for acknowledgements; `None` is without end. Ends with the lease.
    pub fn be_patient(&mut self, limit: Option<Duration>) {
        if !std::mem::replace(&mut self.patient, true) {
            self.socket.end_when_unacknowledged(limit);
        }
    }
}

/// A connection that may serve again.
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
    /// When they came into force: connections that are older serve nobody new.
    since: Instant,
    /// Idle for longest first.
    idle: VecDeque<Idle>,
    /// Wakes [`Pool::sweep`].
    sweeper: Option<Waker>,
}

/// All upstream connections.
pub struct Pool {
    reactor: Rc<Reactor>,
    /// The TLS context of all connections.
    pub tls: Tls,
    resolver: Resolver,
    /// The right to a connection: whoever leases one takes a turn first.
    pub permits: Rc<Semaphore>,
    state: RefCell<Inner>,
    /// When the next idle connection expires.
    sweep_timer: Timer,
    sweep_at: Cell<Option<Instant>>,
    reused: Cell<u64>,
    opened: Cell<u64>,
}

impl Pool {
    /// An empty pool, which keeps nothing before [`Pool::configure`].
    pub fn new(reactor: &Rc<Reactor>, limits: PoolLimits) -> Rc<Pool> {
        let since = reactor.clock.now();
        let (origins, idle) = (Vec::new(), VecDeque::new());
        let state = Inner { limits, origins, since, idle, sweeper: None };
        Rc::new(Pool {
            reactor: reactor.clone(),
            tls: Tls::default(),
            resolver: Resolver::default(),
            permits: Semaphore::new(limits.leases_max),
            state: RefCell::new(state),
            sweep_timer: Timer::new(&reactor.clock),
            sweep_at: Cell::new(None),
            reused: Cell::new(0),
            opened: Cell::new(0),
        })
    }

    /// Idle connections now.
    pub fn idle(&self) -> usize {
        self.state.borrow().idle.len()
    }

    /// Exchanges on a reused and on a new connection since the start.
    pub fn reuse_counts(&self) -> (u64, u64) {
        (self.reused.get(), self.opened.get())
    }

    /// Applies new limits and keeps idle connections to these origins only, from now on. Leases in use
    /// stay until they are returned; idle connections are closed: what they lead to, and the CA files
    /// that vouched for it, may have changed.
    pub fn configure(&self, limits: PoolLimits, origins: &[Rc<Origin>]) {
        let mut state = self.state.borrow_mut();
        state.limits = limits;
        state.origins = origins.to_vec();
        state.since = self.reactor.clock.now();
        let closed = std::mem::take(&mut state.idle);
        drop(state);
        drop(closed);
        self.permits.set_limit(limits.leases_max);
    }

    /// A connection: the newest quiet idle one, unless `fresh`, else a new one. Probes and listings,
    /// of which there is one per provider, come without a turn.
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
        let opened_at = self.reactor.clock.now();
        let Connected { socket, tcp_took } =
            connect(&self.reactor, &self.resolver, &self.tls, origin).await?;
        self.opened.set(self.opened.get() + 1);
        let connection = Box::new(Connection {
            socket,
            tcp_took,
            opened_at,
            heard_at: opened_at,
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
        let now = self.reactor.clock.now();
        loop {
            let index = state.idle.iter().rposition(|idle| idle.origin == *origin)?;
            let mut idle = state.idle.remove(index)?;
            if idle.expires_at > now && idle.connection.socket.has_no_input() {
                return Some(idle.connection);
            }
        }
    }

    /// Leased and idle together stay under the limit of connections.
    fn make_room(&self) {
        let mut state = self.state.borrow_mut();
        let mut closed = None;
        if self.permits.taken() + state.idle.len() > state.limits.leases_max {
            closed = state.idle.pop_front();
        }
        drop(state);
        drop(closed);
    }

    fn put_idle(&self, origin: Rc<Origin>, mut connection: Box<Connection>) {
        let mut state = self.state.borrow_mut();
        let limits = state.limits;
        let now = self.reactor.clock.now();
        let opened_at = connection.opened_at;
        connection.heard_at = now;
        let expires_at = expires_at(now, opened_at, limits.idle_age_max);
        let outdated = opened_at < state.since || !state.origins.contains(&origin);
        if limits.idle_max == 0 || expires_at <= now || outdated {
            return;
        }
        // What came with the answer's end, a close for instance, raises no second edge.
        let socket = &mut connection.socket;
        if socket.hung_up() || socket.maybe_readable() && !socket.has_no_input() {
            return;
        }
        let mut closed = None;
        if state.idle.len() >= limits.idle_max {
            closed = state.idle.pop_front();
        }
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

/// When a connection that becomes idle `now` is closed.
fn expires_at(now: Instant, opened_at: Instant, idle_age_max: Duration) -> Instant {
    (now + idle_age_max).min(opened_at + CONNECTION_AGE_MAX)
}

/// A connection borrowed for one exchange.
pub struct Lease {
    connection: Box<Connection>,
    pool: Rc<Pool>,
    origin: Rc<Origin>,
    permit: Option<Permit>,
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
    /// Returns the connection for reuse. Call only after the last byte of an answer that was
    /// framed and complete; dropping a lease closes its connection.
    pub fn release(self) {
        // The turn goes back last: whoever gets it finds the connection.
        let Lease { connection, pool, origin, permit, .. } = self;
        pool.put_idle(origin, connection);
        drop(permit);
    }

    /// Closes the connection and keeps the turn, for a retry.
    pub fn into_permit(self) -> Option<Permit> {
        self.permit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_closed_at_its_idle_age_or_at_its_whole_age() {
        let opened = Instant::now();
        let at = |seconds| opened + Duration::from_secs(seconds);
        for (now, idle_age_max, expires) in
            [(0, 30, 30), (200, 30, 230), (290, 30, 300), (300, 30, 300), (700, 30, 300), (1, 0, 1)]
        {
            let idle_age_max = Duration::from_secs(idle_age_max);
            assert_eq!(expires_at(at(now), opened, idle_age_max), at(expires), "{now}");
        }
    }
}
