//! Where the waker of a waiting task is kept.

use std::task::Waker;

/// Stores `waker`; a clone is made only when another task's is there, or none.
pub(crate) fn set_waker(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) => old.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}
