//! What lies between the tasks that log and the thread that writes: lines in memory, their limit,
//! orders.

use std::fmt::{self, Write as _};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use super::stamp::Stamp;
use crate::message;

/// More than this is written without waiting.
pub(super) const GATHERED_BYTES_MAX: usize = 32 * 1024;
/// Lines that were not written yet; those that do not fit are lost.
const HELD_BYTES_MAX: usize = 1024 * 1024;
/// Room for the line that says how many.
const NOTICE_BYTES_MAX: usize = 256;
/// After a write the next one comes no sooner, unless many lines do.
const PAUSE: Duration = Duration::from_millis(10);
/// So long the end of the program waits for its last lines.
const END_MAX: Duration = Duration::from_secs(1);
const _: () = assert!(HELD_BYTES_MAX > 2 * GATHERED_BYTES_MAX + NOTICE_BYTES_MAX);

/// Writes what was gathered, as far as that can be done without waiting.
pub(super) type WriteAll = Box<dyn FnMut(&Sink) + Send>;

/// Where lines are gathered.
pub(super) struct Sink {
    /// Never held while anything is read or written.
    state: Mutex<Inner>,
    /// There is something for the writer.
    work: Condvar,
    /// All is written.
    settled: Condvar,
    /// Without a thread lines are written where they are flushed.
    in_place: OnceLock<Mutex<WriteAll>>,
}

struct Inner {
    gathered: String,
    /// Bytes that the writer has taken and not written yet.
    in_flight: usize,
    /// Lines that did not fit; while there are any, all that come are lost too, so that the gap
    /// comes after what was gathered.
    lost: u64,
    stamp: Stamp,
    writer: Doze,
    orders: Orders,
    /// A caller waits until all is written.
    awaited: bool,
}

/// What the writer does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doze {
    Works,
    /// It will look for lines by itself.
    Pauses,
    /// It has to be woken.
    Sleeps,
}

/// What the writer is told beside lines.
#[derive(Clone, Copy, Default)]
pub(super) struct Orders {
    /// Open the file anew.
    pub(super) reopen: bool,
    /// Try at once what did not work.
    pub(super) at_once: bool,
}

impl Sink {
    pub(super) fn new() -> Sink {
        Sink {
            state: Mutex::new(Inner {
                gathered: String::new(),
                in_flight: 0,
                lost: 0,
                stamp: Stamp::default(),
                writer: Doze::Works,
                orders: Orders::default(),
                awaited: false,
            }),
            work: Condvar::new(),
            settled: Condvar::new(),
            in_place: OnceLock::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn gather(&self, level: &str, text: &fmt::Arguments<'_>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.lost > 0 {
            state.lost += 1;
            return;
        }
        let before = state.gathered.len();
        state.stamp.append(&mut state.gathered, SystemTime::now());
        let _ = write!(state.gathered, " {level} {text}");
        state.gathered.push('\n');
        if state.gathered.len() + state.in_flight > HELD_BYTES_MAX - NOTICE_BYTES_MAX {
            state.gathered.truncate(before);
            state.lost = 1;
        }
        if state.gathered.len() > GATHERED_BYTES_MAX && state.writer != Doze::Works {
            self.wake(guard);
        }
    }

    pub(super) fn flush(&self) {
        let state = self.lock();
        if state.writer == Doze::Sleeps && state.has_work() {
            self.wake(state);
        }
    }

    pub(super) fn order(&self, orders: Orders) {
        let mut state = self.lock();
        state.orders.reopen |= orders.reopen;
        state.orders.at_once |= orders.at_once;
        self.wake(state);
    }

    pub(super) fn finish(&self) {
        self.lock().awaited = true;
        self.order(Orders { reopen: false, at_once: true });
        if self.in_place.get().is_none() {
            let busy = |state: &mut Inner| state.in_flight > 0 || state.has_work();
            let _ = self.settled.wait_timeout_while(self.lock(), END_MAX, busy);
        }
        self.lock().awaited = false;
    }

    fn wake(&self, mut state: MutexGuard<'_, Inner>) {
        if let Some(write_all) = self.in_place.get() {
            drop(state);
            write_all.lock().unwrap_or_else(PoisonError::into_inner)(self);
            return;
        }
        state.writer = Doze::Works;
        drop(state);
        self.work.notify_one();
    }

    /// From now on lines are written where they are flushed.
    pub(super) fn write_in_place(&self, write_all: WriteAll) {
        let _ = self.in_place.set(Mutex::new(write_all));
        let mut state = self.lock();
        state.writer = Doze::Sleeps;
        self.wake(state);
    }

    /// Gives the writer what was gathered, against its own buffer if that is empty. Lines that were
    /// lost are told behind those that were not, at any level.
    pub(super) fn hand_over(&self, taken: &mut String, stamp: &mut Stamp) -> Orders {
        let mut state = self.lock();
        if taken.is_empty() && state.lost > 0 {
            drop(state);
            // Without the lock: this may read the time zone's file.
            let mut time = String::new();
            stamp.append(&mut time, SystemTime::now());
            state = self.lock();
            let lost = std::mem::take(&mut state.lost);
            let _ = writeln!(
                state.gathered,
                "{time} WARNING {}",
                message!("日志曾无法写入，丢失 {lost} 行", "{lost} log lines were lost")
            );
        }
        if taken.is_empty() {
            std::mem::swap(&mut state.gathered, taken);
            state.in_flight = taken.len();
        }
        std::mem::take(&mut state.orders)
    }

    /// What was taken is written.
    pub(super) fn written(&self) {
        let mut state = self.lock();
        state.in_flight = 0;
        if state.awaited && !state.has_work() {
            self.settled.notify_all();
        }
    }

    /// Waits for lines or an order; first for a moment in which more lines may come.
    pub(super) fn rest(&self) {
        let mut state = self.lock();
        state.writer = Doze::Pauses;
        let pauses = |state: &mut Inner| {
            state.writer == Doze::Pauses
                && !state.awaited
                && !state.orders.at_once
                && state.gathered.len() <= GATHERED_BYTES_MAX
        };
        state = self
            .work
            .wait_timeout_while(state, PAUSE, pauses)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        if !state.has_work() {
            state.writer = Doze::Sleeps;
            let sleeps = |state: &mut Inner| state.writer == Doze::Sleeps;
            state = self.work.wait_while(state, sleeps).unwrap_or_else(PoisonError::into_inner);
        }
        state.writer = Doze::Works;
    }

    /// Waits for an order; lines do not end this.
    pub(super) fn wait_for_order(&self, length: Duration) {
        let _ = self.work.wait_timeout_while(self.lock(), length, |state| !state.orders.at_once);
    }
}

impl Inner {
    fn has_work(&self) -> bool {
        !self.gathered.is_empty() || self.lost > 0 || self.orders.at_once
    }
}

#[cfg(test)]
mod tests;
