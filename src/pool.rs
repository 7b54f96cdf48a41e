//! Upstream connections: how many there may be, who waits for one, which idle one is reused.
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
use crate::reactor::{keep, Reactor};
use crate::socket::Socket;
use crate::tls::Tls;

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

#[derive(Default)]
struct Waiter {
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

struct State {
    limits: PoolLimits,
    leased: usize,
    /// Oldest first.
    idle: VecDeque<Idle>,
    waiting: VecDeque<Rc<Waiter>>,
    /// Wakes [`Pool::sweep`].
    sweeper: Option<Waker>,
}

/// All upstream connections.
pub struct Pool {
    reactor: Rc<Reactor>,
    /// The TLS context of all connections.
    pub tls: Tls,
    state: RefCell<State>,
    /// When the oldest idle connection expires.
    sweep_alarm: Alarm,
    reused: Cell<u64>,
    opened: Cell<u64>,
}

/// Whether an exchange takes its turn under the limit of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Waits in order.
    Queued,
    /// Does not wait: probes and listings, of which there is one per provider.
    Exempt,
}

impl Pool {
    /// An empty pool.
    pub fn new(reactor: &Rc<Reactor>, limits: PoolLimits) -> Rc<Pool> {
        let state = State {
            limits,
            leased: 0,
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            sweeper: None,
        };
        Rc::new(Pool {
            reactor: reactor.clone(),
            tls: Tls::default(),
            state: RefCell::new(state),
            sweep_alarm: Alarm::new(reactor),
            reused: Cell::new(0),
            opened: Cell::new(0),
        })
    }

    /// Leases given and idle connections.
    pub fn open(&self) -> (usize, usize) {
        let state = self.state.borrow();
        (state.leased, state.idle.len())
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
        let woken = state.grant();
        drop(state);
        drop(closed);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Closes idle connections to origins that `wanted` refuses.
    pub fn retain(&self, wanted: impl Fn(&Origin) -> bool) {
        let mut state = self.state.borrow_mut();
        let all = std::mem::take(&mut state.idle);
        let (kept, closed): (VecDeque<_>, VecDeque<_>) =
            all.into_iter().partition(|idle| wanted(&idle.origin));
        state.idle = kept;
        drop(state);
        drop(closed);
    }

    /// Waits for a turn. The permit is given back when dropped.
    pub async fn permit(self: &Rc<Self>, turn: Turn) -> Permit {
        if turn == Turn::Exempt {
            return Permit { pool: self.clone(), counted: false };
        }
        if let Some(place) = self.queue() {
            place.turn().await;
        }
        Permit { pool: self.clone(), counted: true }
    }

    /// Takes a turn at once, or a place in the queue.
    fn queue(&self) -> Option<Place<'_>> {
        let mut state = self.state.borrow_mut();
        if state.waiting.is_empty() && state.leased < state.limits.leases_max {
            state.leased += 1;
            return None;
        }
        let waiter = Rc::new(Waiter::default());
        state.waiting.push_back(waiter.clone());
        Some(Place { pool: self, waiter })
    }

    /// Turns a permit into a connection: the newest quiet idle one, unless `fresh`, else a new one.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn lease(
        &self,
        permit: Permit,
        origin: &Rc<Origin>,
        fresh: bool,
    ) -> Result<Lease, ConnectError> {
        if !fresh {
            if let Some(socket) = self.take_idle(origin) {
                self.reused.set(self.reused.get() + 1);
                return Ok(Lease { socket, origin: origin.clone(), permit, reused: true });
            }
        }
        self.make_room();
        let socket = connect(&self.reactor, &self.tls, origin).await?;
        self.opened.set(self.opened.get() + 1);
        Ok(Lease { socket, origin: origin.clone(), permit, reused: false })
    }

    fn take_idle(&self, origin: &Rc<Origin>) -> Option<Socket> {
        let mut state = self.state.borrow_mut();
        let oldest = self.reactor.clock.now().checked_sub(state.limits.idle_age_max);
        loop {
            let index = state.idle.iter().rposition(|idle| idle.origin == *origin)?;
            let mut idle = state.idle.remove(index)?;
            let expired = oldest.is_some_and(|oldest| idle.since <= oldest);
            if idle.socket.is_quiet() && !expired {
                return Some(idle.socket);
            }
        }
    }

    /// Leased and idle together stay under the limit of connections.
    fn make_room(&self) {
        let mut state = self.state.borrow_mut();
        let mut closed = None;
        if state.leased + state.idle.len() > state.limits.leases_max {
            closed = state.idle.pop_front();
        }
        drop(state);
        drop(closed);
    }

    fn put_idle(&self, origin: Rc<Origin>, mut socket: Socket) {
        let mut state = self.state.borrow_mut();
        let limits = state.limits;
        if limits.idle_max == 0 || limits.idle_age_max.is_zero() || !socket.is_quiet() {
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
                if idle.socket.is_quiet() && idle.since + age_max > now {
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

impl State {
    /// Gives free turns to those who wait longest.
    fn grant(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.leased < self.limits.leases_max {
            let Some(waiter) = self.waiting.pop_front() else { break };
            self.leased += 1;
            waiter.granted.set(true);
            woken.extend(waiter.waker.borrow_mut().take());
        }
        woken
    }
}

/// The right to one connection at a time.
pub struct Permit {
    pool: Rc<Pool>,
    counted: bool,
}

impl Permit {
    fn give_back(pool: &Pool) {
        let mut state = pool.state.borrow_mut();
        state.leased -= 1;
        let woken = state.grant();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.counted {
            Permit::give_back(&self.pool);
        }
    }
}

/// A place in the queue; leaving it while it is being served passes the turn on.
struct Place<'a> {
    pool: &'a Pool,
    waiter: Rc<Waiter>,
}

impl Place<'_> {
    async fn turn(self) {
        poll_fn(|context| {
            keep(&mut self.waiter.waker.borrow_mut(), context.waker());
            if self.waiter.granted.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        self.waiter.granted.set(false);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.waiter.granted.get() {
            Permit::give_back(self.pool);
        } else {
            let mut state = self.pool.state.borrow_mut();
            state.waiting.retain(|other| !Rc::ptr_eq(other, &self.waiter));
        }
    }
}

/// A connection borrowed for one exchange.
pub struct Lease {
    /// The connection.
    pub socket: Socket,
    origin: Rc<Origin>,
    permit: Permit,
    /// Whether an earlier exchange used it: then it may have died of age.
    pub reused: bool,
}

impl Lease {
    /// Returns the connection for reuse. Call only after the last byte of an answer that was
    /// framed and complete; dropping a lease closes its connection.
    pub fn release(self) {
        let Lease { socket, origin, permit, .. } = self;
        permit.pool.put_idle(origin, socket);
    }

    /// Closes the connection and keeps the turn, for a retry.
    pub fn into_permit(self) -> Permit {
        self.permit
    }
}
