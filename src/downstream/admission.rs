//! Slots for clients' connections: how many there are, and which connection leaves for a newcomer
//! when all are taken.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

use crate::runtime::set_waker;

/// A connection does not leave before its activity is this old: its next bytes may be on their way.
const STAYS_MIN: Duration = Duration::from_millis(500);

/// What a client's connection is doing, in the order in which connections leave for newcomers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// It was sent its last response, and is only given time to read it.
    Closing,
    /// It has never sent a byte.
    Fresh,
    /// It waits between two requests.
    Idle,
    /// It has sent a part of a head.
    Head,
    /// It is sent a response of ours.
    Reply,
    /// It has sent a request. It does not leave.
    Busy,
}

struct Entry {
    activity: Activity,
    since: Instant,
    /// Asked to leave.
    leaves: bool,
    waker: Option<Waker>,
}

/// All slots.
pub struct Admission {
    limit: Cell<usize>,
    entries: RefCell<Slab<Entry>>,
    /// Tasks that wait for a slot.
    waiting: RefCell<Vec<Waker>>,
    /// Since when a newcomer has waited; `None` once a slot was taken.
    wanted_since: Cell<Option<Instant>>,
}

impl Admission {
    /// Slots for `limit` connections.
    pub fn new(limit: usize) -> Rc<Admission> {
        let (entries, waiting, wanted_since) = Default::default();
        Rc::new(Admission { limit: Cell::new(limit), entries, waiting, wanted_since })
    }

    /// Connections now.
    pub fn taken(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Changes the limit; no connection has to leave for that.
    pub fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
        self.wake_waiting();
    }

    /// A slot for one more connection, if one is free; if not, `waker` is woken when one is, or
    /// when a connection could leave.
    pub fn take(self: &Rc<Self>, now: Instant, waker: &Waker) -> Option<Slot> {
        if self.taken() >= self.limit.get() {
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|other| other.will_wake(waker)) {
                waiting.push(waker.clone());
            }
            return None;
        }
        let entry = Entry { activity: Activity::Fresh, since: now, leaves: false, waker: None };
        let key = self.entries.borrow_mut().insert(entry);
        self.wanted_since.set(None);
        Some(Slot { admission: self.clone(), key })
    }

    /// Asks the connection to leave that is the least loss, unless one is leaving already or all
    /// have sent a request. Returns when to ask again if all that could leave are younger than
    /// `STAYS_MIN`; once the newcomer has waited for as long as that, their age does not count.
    pub fn make_room(&self, now: Instant) -> Option<Instant> {
        let mut entries = self.entries.borrow_mut();
        if entries.iter().any(|(_, entry)| entry.leaves) {
            return None;
        }
        let again = self.wanted_since.get().unwrap_or(now) + STAYS_MIN;
        self.wanted_since.set(Some(again - STAYS_MIN));
        let since_max = if again <= now { now } else { now - STAYS_MIN };
        let idle = entries.iter_mut().map(|(_, entry)| entry);
        let idle =
            idle.filter(|entry| entry.activity != Activity::Busy && entry.since <= since_max);
        let Some(entry) = idle.min_by_key(|entry| (entry.activity, entry.since)) else {
            // A busy connection wakes the newcomer when it ends; for the young ones a time is
            // needed.
            let young = entries.iter().any(|(_, entry)| entry.activity != Activity::Busy);
            return (young && again > now).then_some(again);
        };
        entry.leaves = true;
        let waker = entry.waker.take();
        drop(entries);
        waker.into_iter().for_each(Waker::wake);
        None
    }

    /// Whether a newcomer has waited for longer than a connection may stay for being young: then
    /// one that gets a response of ours is closed behind it.
    pub fn are_wanted(&self, now: Instant) -> bool {
        self.taken() >= self.limit.get()
            && self.wanted_since.get().is_some_and(|since| since + STAYS_MIN <= now)
    }

    /// Wakes all tasks that wait for a slot.
    pub fn wake_waiting(&self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

/// One connection's slot; free again when dropped.
pub struct Slot {
    admission: Rc<Admission>,
    key: usize,
}

impl Slot {
    /// Takes note of what the connection is doing now. One that was asked to leave and has just
    /// sent something stays.
    pub fn set(&self, activity: Activity, now: Instant) {
        let mut entries = self.admission.entries.borrow_mut();
        let entry = &mut entries[self.key];
        entry.activity = activity;
        entry.since = now;
        let stays = std::mem::take(&mut entry.leaves);
        drop(entries);
        // A newcomer may have found no connection that could leave, or waits for this one, which
        // stays.
        if (stays || activity != Activity::Busy) && !self.admission.waiting.borrow().is_empty() {
            self.admission.wake_waiting();
        }
    }

    /// Takes note that the connection waits for a request.
    pub fn note_idle(&self, now: Instant) {
        let used = self.admission.entries.borrow()[self.key].activity != Activity::Fresh;
        if used {
            self.set(Activity::Idle, now);
        }
    }

    /// Whether a newcomer has waited for long; see [`Admission::are_wanted`].
    pub fn is_wanted(&self, now: Instant) -> bool {
        self.admission.are_wanted(now)
    }

    /// Whether the connection is asked to leave; if not, the task is woken when it is.
    pub fn poll_leave(&self, context: &Context<'_>) -> bool {
        let entry = &mut self.admission.entries.borrow_mut()[self.key];
        set_waker(&mut entry.waker, context.waker());
        entry.leaves
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let entry = self.admission.entries.borrow_mut().remove(self.key);
        drop(entry);
        self.admission.wake_waiting();
    }
}

#[cfg(test)]
mod tests;
