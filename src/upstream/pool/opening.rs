//! Requests that find no idle connection: each has one opened, and takes the one of another exchange
//! if that becomes free before.
//!
//! What was being opened then has no requester any more. It is finished by [`Pool::sweep`] and becomes
//! idle, or the next request takes it over; its errors are nobody's. What a request without any
//! connection was opening when it was dropped, is dropped with it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{ready, Context, Poll, Waker};
use std::time::Instant;

use super::{Connection, Pool};
use crate::runtime::set_waker;
use crate::upstream::connect::{ConnectError, Connecting, Origin};

/// A connection on its way.
pub(super) struct Opening {
    pub(super) origin: Rc<Origin>,
    pub(super) begun_at: Instant,
    connecting: Connecting,
}

impl Opening {
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Box<Connection>, ConnectError>> {
        let connected = ready!(self.connecting.as_mut().poll(context));
        Poll::Ready(connected.map(|connected| Connection::new(connected, self.begun_at)))
    }
}

/// A request in the queue for a connection that becomes free.
pub(super) struct Waiter {
    origin: Rc<Origin>,
    /// Whether it takes none that has served before.
    fresh: bool,
    given: RefCell<Option<Box<Connection>>>,
    waker: RefCell<Option<Waker>>,
}

impl Waiter {
    pub(super) fn takes(&self, origin: &Origin, connection: &Connection) -> bool {
        *self.origin == *origin && !(self.fresh && connection.used)
    }

    /// Hands over a connection. The waker is for the caller to call, once nothing is borrowed.
    pub(super) fn give(&self, connection: Box<Connection>) -> Option<Waker> {
        self.given.replace(Some(connection));
        self.waker.take()
    }
}

impl Pool {
    /// A connection that is not idle now: a new one, or one that becomes free before that is there.
    pub(super) async fn open(
        &self,
        origin: &Rc<Origin>,
        fresh: bool,
    ) -> Result<Box<Connection>, ConnectError> {
        loop {
            let (opening, ours) = match self.take_opening(origin) {
                Some(opening) => (opening, false),
                None => (self.begin(origin), true),
            };
            let mut waiting = Waiting::new(self, fresh, opening);
            match poll_fn(|context| waiting.poll(context)).await {
                // It may have been near its end already.
                Err(_) if !ours => {}
                result => return result,
            }
        }
    }

    fn begin(&self, origin: &Rc<Origin>) -> Opening {
        self.make_room();
        let connecting = self.connector.clone().connect(origin.clone());
        Opening { origin: origin.clone(), begun_at: self.now(), connecting }
    }

    /// The oldest connection to this origin that is opened for nobody.
    fn take_opening(&self, origin: &Origin) -> Option<Opening> {
        let mut state = self.state.borrow_mut();
        let index = state.opening.iter().position(|opening| *opening.origin == *origin)?;
        state.opening.remove(index)
    }

    /// Has a connection finished that nobody waits for, if it may become idle.
    fn open_for_nobody(&self, opening: Opening) {
        let mut state = self.state.borrow_mut();
        let fits = state.idle.len() + state.opening.len() < state.limits.idle_max;
        if fits && state.wake_sweeper(opening.begun_at, &opening.origin) {
            state.opening.push_back(opening);
        }
    }
}

/// A request that waits, and the connection that is opened for it.
struct Waiting<'p> {
    pool: &'p Pool,
    waiter: Rc<Waiter>,
    opening: Option<Opening>,
}

impl<'p> Waiting<'p> {
    fn new(pool: &'p Pool, fresh: bool, opening: Opening) -> Waiting<'p> {
        let (given, waker) = Default::default();
        let waiter = Rc::new(Waiter { origin: opening.origin.clone(), fresh, given, waker });
        pool.state.borrow_mut().waiting.push_back(waiter.clone());
        Waiting { pool, waiter, opening: Some(opening) }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Box<Connection>, ConnectError>> {
        set_waker(&mut self.waiter.waker.borrow_mut(), context.waker());
        if let Some(mut connection) = self.waiter.given.take() {
            if connection.socket.has_no_input() {
                self.opening
                    .take()
                    .into_iter()
                    .for_each(|opening| self.pool.open_for_nobody(opening));
                return Poll::Ready(Ok(connection));
            }
            self.pool.state.borrow_mut().waiting.push_back(self.waiter.clone());
        }
        match &mut self.opening {
            Some(opening) => opening.poll(context),
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.borrow_mut();
        state.waiting.retain(|other| !Rc::ptr_eq(other, &self.waiter));
        drop(state);
        // The next one may take it.
        if let Some(connection) = self.waiter.given.take() {
            self.pool.put_idle(self.waiter.origin.clone(), connection);
        }
    }
}

#[cfg(test)]
mod tests;
