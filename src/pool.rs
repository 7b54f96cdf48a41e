//! Upstream connections: which idle one is reused, when a new one is made, when one is closed.
//!
//! A lease is borrowed for one exchange. Releasing it says that the connection is in step and may
//! serve another; dropping it closes the connection, so that cancel is drop. Knows nothing of HTTP.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::clock::Alarm;
use crate::connect::{connect, ConnectError, Origin};
use crate::reactor::Reactor;
use crate::resolve::Resolver;
use crate::socket::Socket;
use crate::tls::Tls;
use crate::turns::{Turn, Turns};
use crate::waiters::keep;

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

struct Idle {
    origin: Rc<Origin>,
    socket: Socket,
    since: Instant,
}

struct State {
    limits: PoolLimits,
    /// Where the configuration's providers are.
    origins: Vec<Rc<Origin>>,
    /// Oldest first.
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
    pub turns: Rc<Turns>,
    state: RefCell<State>,
    /// When the oldest idle connection expires.
    sweep_alarm: Alarm,
    reused: Cell<u64>,
    opened: Cell<u64>,
}

impl Pool {
    /// An empty pool, which keeps nothing before [`Pool::set_origins`].
    pub fn new(reactor: &Rc<Reactor>, limits: PoolLimits) -> Rc<Pool> {
        let state = State { limits, origins: Vec::new(), idle: VecDeque::new(), sweeper: None };
        Rc::new(Pool {
            reactor: reactor.clone(),
            tls: Tls::default(),
            resolver: Resolver::default(),
            turns: Turns::new(limits.leases_max),
            state: RefCell::new(state),
            sweep_alarm: Alarm::new(reactor),
            reused: Cell::new(0),
            opened: Cell::new(0),
        })
    }

    /// Idle connections now.
    pub fn idle(&self) -> usize {
        self.state.borrow().idle.len()
    }

    /// Exchanges on a reused and on a new connection since the start.
    pub fn hits(&self) -> (u64, u64) {
        (self.reused.get(), self.opened.get())
    }

    /// Applies new limits: leases in use stay, idle connections over the limit are closed.
    pub fn set_limits(&self, limits: PoolLimits) {
        let mut state = self.state.borrow_mut();
        state.limits = limits;
        let excess = state.idle.len().saturating_sub(limits.idle_max);
        let closed: Vec<_> = state.idle.drain(..excess).collect();
        drop(state);
        drop(closed);
        self.turns.set_limit(limits.leases_max);
        // The age limit may be lower now.
        self.sweep_alarm.set(Some(self.reactor.clock.now()));
    }

    /// Keeps idle connections to these origins only, from now on.
    pub fn set_origins(&self, origins: &[Rc<Origin>]) {
        let mut state = self.state.borrow_mut();
        state.origins = origins.to_vec();
        let all = std::mem::take(&mut state.idle);
        let (kept, closed): (VecDeque<_>, VecDeque<_>) =
            all.into_iter().partition(|idle| origins.contains(&idle.origin));
        state.idle = kept;
        drop(state);
        drop(closed);
    }

    /// A connection: the newest quiet idle one, unless `fresh`, else a new one. Probes and listings,
    /// of which there is one per provider, come without a turn.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn lease(
        self: &Rc<Self>,
        turn: Option<Turn>,
        origin: &Rc<Origin>,
        fresh: bool,
    ) -> Result<Lease, ConnectError> {
        if !fresh {
            if let Some(socket) = self.take_idle(origin) {
                self.reused.set(self.reused.get() + 1);
                return Ok(self.lend(socket, origin, turn, true));
            }
        }
        self.make_room();
        let socket = connect(&self.reactor, &self.resolver, &self.tls, origin).await?;
        self.opened.set(self.opened.get() + 1);
        Ok(self.lend(socket, origin, turn, false))
    }

    fn lend(
        self: &Rc<Self>,
        socket: Socket,
        origin: &Rc<Origin>,
        turn: Option<Turn>,
        reused: bool,
    ) -> Lease {
        Lease { socket, pool: self.clone(), origin: origin.clone(), turn, reused }
    }

    fn take_idle(&self, origin: &Rc<Origin>) -> Option<Socket> {
        let mut state = self.state.borrow_mut();
        let oldest = self.reactor.clock.now().checked_sub(state.limits.idle_age_max);
        loop {
            let index = state.idle.iter().rposition(|idle| idle.origin == *origin)?;
            let mut idle = state.idle.remove(index)?;
            let expired = oldest.is_some_and(|oldest| idle.since <= oldest);
            if !expired && idle.socket.is_quiet() {
                return Some(idle.socket);
            }
        }
    }

    /// Leased and idle together stay under the limit of connections.
    fn make_room(&self) {
        let mut state = self.state.borrow_mut();
        let mut closed = None;
        if self.turns.taken() + state.idle.len() > state.limits.leases_max {
            closed = state.idle.pop_front();
        }
        drop(state);
        drop(closed);
    }

    fn put_idle(&self, origin: Rc<Origin>, mut socket: Socket) {
        let mut state = self.state.borrow_mut();
        let limits = state.limits;
        if limits.idle_max == 0 || limits.idle_age_max.is_zero() || !state.origins.contains(&origin)
        {
            return;
        }
        // What came with the answer's end, a close for instance, raises no second edge.
        if socket.hung_up() || socket.has_news() && !socket.is_quiet() {
            return;
        }
        let mut closed = None;
        if state.idle.len() >= limits.idle_max {
            closed = state.idle.pop_front();
        }
        if let Some(sweeper) = &state.sweeper {
            socket.wake_when_readable(&Context::from_waker(sweeper));
        }
        let since = self.reactor.clock.now();
        if state.idle.is_empty() {
            self.sweep_alarm.set(Some(since + limits.idle_age_max));
        }
        state.idle.push_back(Idle { origin, socket, since });
        drop(state);
        drop(closed);
    }

    /// Closes idle connections as they expire or as their peers close them, for ever.
    pub async fn sweep(&self) {
        let alarm = &self.sweep_alarm;
        poll_fn(|context| {
            alarm.poll_due(context);
            let mut state = self.state.borrow_mut();
            keep(&mut state.sweeper, context.waker());
            let (now, age_max) = (alarm.now(), state.limits.idle_age_max);
            let (mut kept, mut closed) = (VecDeque::new(), Vec::new());
            for mut idle in std::mem::take(&mut state.idle) {
                let fresh = idle.since + age_max > now;
                if fresh && (!idle.socket.has_news() || idle.socket.is_quiet()) {
                    kept.push_back(idle);
                } else {
                    closed.push(idle);
                }
            }
            for idle in &kept {
                idle.socket.wake_when_readable(context);
            }
            alarm.set(kept.front().map(|idle| idle.since + age_max));
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
    /// The connection.
    pub socket: Socket,
    pool: Rc<Pool>,
    origin: Rc<Origin>,
    turn: Option<Turn>,
    /// Whether an earlier exchange used it: then it may have died of age.
    pub reused: bool,
}

impl Lease {
    /// Returns the connection for reuse. Call only after the last byte of an answer that was
    /// framed and complete; dropping a lease closes its connection.
    pub fn release(self) {
        // The turn goes back last: whoever gets it finds the connection.
        let Lease { socket, pool, origin, turn, .. } = self;
        pool.put_idle(origin, socket);
        drop(turn);
    }

    /// Closes the connection and keeps the turn, for a retry.
    pub fn into_turn(self) -> Option<Turn> {
        self.turn
    }
}
