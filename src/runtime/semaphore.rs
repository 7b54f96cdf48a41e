//! Permits: a limit that can change, and a queue in which the first to come is the first to be
//! served.
//!
//! Not async-lock's (3.5.0): its number of permits can only grow (`add_permits`), and a newcomer
//! may take one before the tasks that wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::runtime::waker::set_waker;

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

/// The permits that there are, and the tasks that wait for one.
pub struct Semaphore(RefCell<Inner>);

impl Semaphore {
    /// At most `limit` permits at once.
    pub fn new(limit: usize) -> Rc<Semaphore> {
        Rc::new(Semaphore(RefCell::new(Inner { limit, taken: 0, waiting: VecDeque::new() })))
    }

    /// How many permits there are.
    pub fn limit(&self) -> usize {
        self.0.borrow().limit
    }

    /// Permits taken now, which are more than the limit while it was lowered below them.
    pub fn taken(&self) -> usize {
        self.0.borrow().taken
    }

    /// Changes the limit; permits already taken stay taken.
    pub fn set_limit(&self, limit: usize) {
        self.0.borrow_mut().limit = limit;
        self.grant();
    }

    /// Waits for a permit, in order.
    pub async fn take(self: &Rc<Self>) -> Permit {
        if let Some(queued) = self.queue() {
            queued.wait().await;
        }
        Permit(self.clone())
    }

    /// Takes a permit if one is free and nobody waits for it.
    pub fn try_take(self: &Rc<Self>) -> Option<Permit> {
        let mut state = self.0.borrow_mut();
        let is_free = state.waiting.is_empty() && state.taken < state.limit;
        is_free.then(|| {
            state.taken += 1;
            Permit(self.clone())
        })
    }

    /// Takes a permit at once, or joins the queue.
    fn queue(&self) -> Option<Queued<'_>> {
        let mut state = self.0.borrow_mut();
        if state.waiting.is_empty() && state.taken < state.limit {
            state.taken += 1;
            return None;
        }
        let waiter = Rc::new(Waiter::default());
        state.waiting.push_back(waiter.clone());
        Some(Queued { semaphore: self, waiter })
    }

    fn give_back(&self) {
        self.0.borrow_mut().taken -= 1;
        self.grant();
    }

    /// Gives free permits to the tasks that have waited longest.
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

/// A right to go on; given back when dropped.
pub struct Permit(Rc<Semaphore>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// A task in the queue; leaving it with a permit granted passes that on.
struct Queued<'a> {
    semaphore: &'a Semaphore,
    waiter: Rc<Waiter>,
}

impl Queued<'_> {
    async fn wait(self) {
        poll_fn(|context| {
            set_waker(&mut self.waiter.waker.borrow_mut(), context.waker());
            if self.waiter.granted.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        // The permit is the caller's now.
        self.waiter.granted.set(false);
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if self.waiter.granted.get() {
            self.semaphore.give_back();
        } else {
            self.semaphore.0.borrow_mut().waiting.retain(|other| !Rc::ptr_eq(other, &self.waiter));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn permits_are_granted_in_order_and_pass_on_when_their_taker_leaves() {
        block_on(async {
            let permits = Semaphore::new(1);
            let first = permits.take().await;
            let mut second = Box::pin(permits.take());
            let mut third = Box::pin(permits.take());
            assert!(poll_once(&mut second).await.is_none());
            assert!(poll_once(&mut third).await.is_none());
            drop(first);
            assert!(poll_once(&mut third).await.is_none(), "the third before the second");
            drop(second);
            assert!(poll_once(&mut third).await.is_some());
            drop(third);
            assert_eq!(permits.taken(), 0);
        });
    }

    #[test]
    fn a_newcomer_does_not_overtake_one_whose_permit_is_granted_but_not_yet_fetched() {
        block_on(async {
            let permits = Semaphore::new(1);
            let first = permits.take().await;
            let mut second = Box::pin(permits.take());
            assert!(poll_once(&mut second).await.is_none());
            drop(first);
            assert!(poll_once(permits.take()).await.is_none());
            assert!(poll_once(&mut second).await.is_some());
        });
    }

    #[test]
    fn who_leaves_the_queue_is_forgotten() {
        block_on(async {
            let permits = Semaphore::new(1);
            let first = permits.take().await;
            assert!(poll_once(permits.take()).await.is_none());
            assert!(permits.0.borrow().waiting.is_empty());
            drop(first);
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

    #[test]
    fn a_lower_limit_lets_nobody_in_before_so_many_are_given_back() {
        block_on(async {
            let permits = Semaphore::new(3);
            let mut taken = vec![permits.take().await, permits.take().await, permits.take().await];
            permits.set_limit(1);
            assert_eq!((permits.limit(), permits.taken()), (1, 3));
            let mut next = Box::pin(permits.take());
            for _ in 0..3 {
                assert!(poll_once(&mut next).await.is_none());
                taken.pop();
            }
            assert!(poll_once(&mut next).await.is_some());
        });
    }
}
