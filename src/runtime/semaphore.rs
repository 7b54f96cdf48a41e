//! Who may have an upstream connection: a limit, and a queue in which the first to come is the
//! first to be served. Knows nothing of connections.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::runtime::waiters::keep;

#[derive(Default)]
struct Waiter {
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

struct Inner {
    limit: usize,
    taken: usize,
    waiting: VecDeque<Rc<Waiter>>,
}

/// The turns that there are, and those who wait for one.
pub struct Semaphore(RefCell<Inner>);

impl Semaphore {
    /// At most `limit` turns at once.
    pub fn new(limit: usize) -> Rc<Semaphore> {
        Rc::new(Semaphore(RefCell::new(Inner { limit, taken: 0, waiting: VecDeque::new() })))
    }

    /// How many turns there are.
    pub fn limit(&self) -> usize {
        self.0.borrow().limit
    }

    /// Semaphore taken now.
    pub fn taken(&self) -> usize {
        self.0.borrow().taken
    }

    /// Changes the limit; turns already taken stay taken.
    pub fn set_limit(&self, limit: usize) {
        self.0.borrow_mut().limit = limit;
        self.grant();
    }

    /// Waits for a turn, in order.
    pub async fn take(self: &Rc<Self>) -> Permit {
        if let Some(place) = self.queue() {
            place.wait().await;
        }
        Permit(self.clone())
    }

    /// Takes a turn at once, or a place in the queue.
    fn queue(&self) -> Option<Place<'_>> {
        let mut state = self.0.borrow_mut();
        if state.waiting.is_empty() && state.taken < state.limit {
            state.taken += 1;
            return None;
        }
        let waiter = Rc::new(Waiter::default());
        state.waiting.push_back(waiter.clone());
        Some(Place { permits: self, waiter })
    }

    fn give_back(&self) {
        self.0.borrow_mut().taken -= 1;
        self.grant();
    }

    /// Gives free turns to those who wait longest.
    fn grant(&self) {
        let mut woken = Vec::new();
        let mut state = self.0.borrow_mut();
        while state.taken < state.limit {
            let Some(waiter) = state.waiting.pop_front() else { break };
            state.taken += 1;
            waiter.granted.set(true);
            woken.extend(waiter.waker.borrow_mut().take());
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// A turn; given back when dropped.
pub struct Permit(Rc<Semaphore>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// A place in the queue; leaving it while it is being served passes the turn on.
struct Place<'a> {
    permits: &'a Semaphore,
    waiter: Rc<Waiter>,
}

impl Place<'_> {
    async fn wait(self) {
        poll_fn(|context| {
            keep(&mut self.waiter.waker.borrow_mut(), context.waker());
            if self.waiter.granted.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        // The turn is the caller's now.
        self.waiter.granted.set(false);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.waiter.granted.get() {
            self.permits.give_back();
        } else {
            self.permits.0.borrow_mut().waiting.retain(|other| !Rc::ptr_eq(other, &self.waiter));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn turns_are_served_in_order_and_pass_on_when_their_taker_leaves() {
        block_on(async {
            let permits = Semaphore::new(1);
            let first = permits.take().await;
            let mut second = Box::pin(permits.take());
            let mut third = Box::pin(permits.take());
            assert!(poll_once(&mut second).await.is_none());
            assert!(poll_once(&mut third).await.is_none());
            drop(first);
            assert!(
                poll_once(&mut third).await.is_none(),
                "the second wait_for_request before the third"
            );
            drop(second);
            assert!(poll_once(&mut third).await.is_some());
            drop(third);
            assert_eq!(permits.taken(), 0);
        });
    }

    #[test]
    fn a_higher_limit_lets_the_waiting_in() {
        block_on(async {
            let permits = Semaphore::new(1);
            let _first = permits.take().await;
            let mut second = Box::pin(permits.take());
            assert!(poll_once(&mut second).await.is_none());
            permits.set_limit(2);
            assert!(poll_once(&mut second).await.is_some());
        });
    }
}
