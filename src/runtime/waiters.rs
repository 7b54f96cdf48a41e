//! Who is to be woken when something happens. Knows nothing of what is waited for.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use slab::Slab;

/// Stores a clone of `waker` unless an equal one is there.
pub(crate) fn keep(slot: &mut Option<Waker>, waker: &Waker) {
    if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
        *slot = Some(waker.clone());
    }
}

/// Adds a clone of `waker` unless an equal one is there: a task may ask often.
pub(crate) fn add(wakers: &mut Vec<Waker>, waker: &Waker) {
    if !wakers.iter().any(|other| other.will_wake(waker)) {
        wakers.push(waker.clone());
    }
}

/// Tasks that wait for the same thing. Each has one place, and gives it back when it stops waiting,
/// for whatever reason.
#[derive(Default)]
pub struct Waiters(RefCell<Slab<Option<Waker>>>);

impl Waiters {
    /// Waits until `ready`, which is asked at once and after every [`Waiters::wake`].
    pub async fn wait_until(&self, ready: impl Fn() -> bool) {
        let place = Place { waiters: self, key: self.0.borrow_mut().insert(None) };
        poll_fn(|context| {
            if ready() {
                return Poll::Ready(());
            }
            keep(&mut self.0.borrow_mut()[place.key], context.waker());
            Poll::Pending
        })
        .await;
    }

    /// Lets everybody look again.
    pub fn wake(&self) {
        let woken: Vec<Waker> =
            self.0.borrow_mut().iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        woken.into_iter().for_each(Waker::wake);
    }
}

struct Place<'w> {
    waiters: &'w Waiters,
    key: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiters.0.borrow_mut().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn who_stops_waiting_leaves_nothing_behind() {
        block_on(async {
            let (waiters, ready) = (Waiters::default(), Cell::new(false));
            let mut patient = Box::pin(waiters.wait_until(|| ready.get()));
            for _ in 0..3 {
                assert!(poll_once(&mut patient).await.is_none());
                assert!(poll_once(waiters.wait_until(|| ready.get())).await.is_none());
            }
            assert_eq!(waiters.0.borrow().len(), 1);
            ready.set(true);
            waiters.wake();
            assert!(poll_once(&mut patient).await.is_some());
            drop(patient);
            assert!(waiters.0.borrow().is_empty());
        });
    }
}
