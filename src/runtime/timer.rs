//! Deadlines. Every task has one [`Timer`]; setting it is a store, not a system call.
//!
//! All timers share one coarse tick: the reactor sleeps until the earliest of them and then looks
//! through them all. Moving a deadline further away, which every byte of a stream does, costs
//! nothing.
//!
//! The clock counts only the time in which this process could run: no peer is to blame for the rest
//! (SIGSTOP, an overloaded machine).

use std::cell::{Cell, RefCell};
use std::future::{poll_fn, Future};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

use super::moment::{Moment, Moments};
use super::waker::set_waker;
use crate::language::Words;

/// The timers are looked through no more often than this.
const TICK: Duration = Duration::from_millis(5);
/// Between two looks at the time may pass this much more than was asked for. What is beyond that,
/// the process did not run, or had more to do than it can.
const LATE_MAX: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Slot {
    due: Option<Instant>,
    waker: Option<Waker>,
}

/// All timers of the thread.
pub struct Clock {
    moments: Moments,
    now: Cell<Instant>,
    /// When the thread last looked at the machine's time.
    real: Cell<Instant>,
    /// Until then nothing can have been lost since.
    late_at: Cell<Instant>,
    /// What has passed and counts; `now` follows when all events until then are delivered.
    counted: Cell<Instant>,
    /// Time that does not count.
    lost: Cell<Duration>,
    /// No timer is due before this, if any is set at all.
    earliest: Cell<Option<Instant>>,
    last_look: Cell<Instant>,
    slots: RefCell<Slab<Slot>>,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        let now = Instant::now();
        Clock {
            moments: Moments::new(now),
            now: Cell::new(now),
            real: Cell::new(now),
            late_at: Cell::new(now + LATE_MAX),
            counted: Cell::new(now),
            lost: Cell::new(Duration::ZERO),
            earliest: Cell::new(None),
            last_look: Cell::new(now),
            slots: RefCell::new(Slab::new()),
        }
    }

    /// The time of the last visit to the kernel, without what was lost: fresh enough for deadlines,
    /// and free. Not to be mixed with [`Instant::now`].
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// The machine's time of the last visit, for what is told or depends on what others did
    /// meanwhile. Not to be mixed with [`Clock::now`].
    pub fn real_now(&self) -> Instant {
        self.real.get()
    }

    /// Where [`Clock::real_now`] lies.
    pub fn moment(&self) -> Moment {
        self.moments.at(self.real.get())
    }

    /// How long the thread may sleep; `None` is for ever.
    pub(crate) fn until_next(&self) -> Option<Duration> {
        let at = self.earliest.get()?.max(self.last_look.get() + TICK);
        // Rounded up to a millisecond, so that the timer is due when the kernel wakes us.
        Some(at.saturating_duration_since(self.counted.get()) + Duration::from_millis(1))
    }

    /// Takes note that the thread is about to wait, at `real`.
    pub(crate) fn begin_wait(&self, real: Instant) {
        if real > self.late_at.get() {
            self.pass(real, Duration::ZERO);
        }
    }

    /// Takes note that it is `real` now, when at most `asked` was to pass since the last time.
    pub(crate) fn pass(&self, real: Instant, asked: Duration) {
        if real > self.late_at.get() {
            self.lose(real.saturating_duration_since(self.real.get()), asked);
        }
        self.real.set(real);
        self.late_at.set(real + LATE_MAX);
        self.counted.set(real - self.lost.get());
    }

    fn lose(&self, passed: Duration, asked: Duration) {
        if passed > LATE_MAX && passed - LATE_MAX > asked {
            // It is unknown how much of it was before the stop. Half of what was asked for leaves
            // the peer whose deadline was next some time for what it could not do meanwhile, and
            // lets every deadline come on a machine on which each wait takes too long.
            self.lost.set(self.lost.get() + (passed - LATE_MAX.max(asked / 2)));
        }
    }

    /// Whether [`Clock::advance`] may find a deadline that has passed.
    pub(crate) fn is_due(&self) -> bool {
        self.earliest.get().is_some_and(|at| at <= self.counted.get())
    }

    /// Moves the time on and wakes the tasks whose deadline has passed.
    pub(crate) fn advance(&self) {
        let now = self.counted.get();
        self.now.set(now);
        let due = |at: Instant| at <= now;
        if !self.earliest.get().is_some_and(due) || now < self.last_look.get() + TICK {
            return;
        }
        self.last_look.set(now);
        let mut woken = Vec::new();
        let mut earliest: Option<Instant> = None;
        for (_, slot) in self.slots.borrow_mut().iter_mut() {
            match slot.due {
                Some(at) if due(at) => woken.extend(slot.waker.take()),
                Some(at) => earliest = Some(earliest.map_or(at, |other| other.min(at))),
                None => {}
            }
        }
        self.earliest.set(earliest);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Wakes every task that has polled a timer (at shut-down).
    pub fn wake_all(&self) {
        let wakers: Vec<_> =
            self.slots.borrow_mut().iter_mut().filter_map(|(_, slot)| slot.waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A task's deadline. Of waits that lie within each other, the earliest one counts.
pub struct Timer {
    clock: Rc<Clock>,
    key: usize,
}

impl Timer {
    /// A timer that is not set.
    pub fn new(clock: &Rc<Clock>) -> Timer {
        let key = clock.slots.borrow_mut().insert(Slot::default());
        Timer { clock: clock.clone(), key }
    }

    /// What keeps the time.
    pub fn clock(&self) -> &Rc<Clock> {
        &self.clock
    }

    /// See [`Clock::now`].
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// See [`Clock::real_now`].
    pub fn real_now(&self) -> Instant {
        self.clock.real_now()
    }

    /// Sets or clears the deadline, and returns the one before.
    pub fn set(&self, due: Option<Instant>) -> Option<Instant> {
        let clock = &self.clock;
        if let Some(at) = due {
            if clock.earliest.get().is_none_or(|earliest| at < earliest) {
                clock.earliest.set(Some(at));
            }
        }
        std::mem::replace(&mut clock.slots.borrow_mut()[self.key].due, due)
    }

    /// Whether the deadline has passed; if not, the task is woken when it does.
    pub fn poll_due(&self, context: &Context<'_>) -> bool {
        let now = self.now();
        let mut slots = self.clock.slots.borrow_mut();
        let slot = &mut slots[self.key];
        set_waker(&mut slot.waker, context.waker());
        slot.due.is_some_and(|at| at <= now)
    }

    /// Waits for `future`, but not beyond `wait`, nor beyond a wait of the same timer around this
    /// one.
    ///
    /// # Errors
    /// `wait` itself, when its time ran out first.
    pub async fn within<T>(&self, wait: Wait, future: impl Future<Output = T>) -> Result<T, Wait> {
        let mut future = pin!(future);
        let deadline = Deadline::new(self, wait.until);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => deadline.poll(context, wait.until).map(|()| Err(wait)),
        })
        .await
    }

    /// Sleeps for `length`.
    pub async fn sleep(&self, length: Duration) {
        let until = self.now() + length;
        let deadline = Deadline::new(self, until);
        poll_fn(|context| deadline.poll(context, until)).await;
    }

    /// Sets the deadline unless an earlier one is still to come.
    fn set_at_most(&self, slot: &mut Slot, until: Instant) {
        let clock = &self.clock;
        let earlier = slot.due.is_some_and(|due| due <= until && due > clock.now());
        if !earlier {
            slot.due = Some(until);
            if clock.earliest.get().is_none_or(|earliest| until < earliest) {
                clock.earliest.set(Some(until));
            }
        }
    }
}

/// A deadline in force. Those of one timer lie within each other: the slot holds the earliest, and
/// each looks at the time for itself. Dropping one puts back what was there before.
struct Deadline<'t> {
    timer: &'t Timer,
    outer: Option<Instant>,
}

impl<'t> Deadline<'t> {
    fn new(timer: &'t Timer, until: Instant) -> Deadline<'t> {
        let slot = &mut timer.clock.slots.borrow_mut()[timer.key];
        let outer = slot.due;
        timer.set_at_most(slot, until);
        Deadline { timer, outer }
    }

    /// Ready when the deadline has passed; if not, the task is woken when it does.
    fn poll(&self, context: &Context<'_>, until: Instant) -> Poll<()> {
        let timer = self.timer;
        if timer.now() >= until {
            return Poll::Ready(());
        }
        let slot = &mut timer.clock.slots.borrow_mut()[timer.key];
        // What was polled before may have set the timer for itself.
        timer.set_at_most(slot, until);
        set_waker(&mut slot.waker, context.waker());
        Poll::Pending
    }
}

impl Drop for Deadline<'_> {
    fn drop(&mut self) {
        self.timer.set(self.outer);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let slot = self.clock.slots.borrow_mut().remove(self.key);
        drop(slot);
    }
}

/// What is waited for, in the words of errors and of the log. One pointer wide: an open stream
/// keeps two.
pub type Label = &'static Words;

/// A wait with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What is waited for: one of [`crate::runtime::label`].
    pub label: Label,
    /// How long it may take in all.
    pub length: Duration,
    /// When it ends.
    pub until: Instant,
}

impl Wait {
    /// A wait of `length` that starts at `now`.
    pub fn new(label: Label, now: Instant, length: Duration) -> Wait {
        Wait { label, length, until: now + length }
    }

    /// The same, but it begins then at the earliest.
    pub fn not_before(self, start: Instant) -> Wait {
        Wait { until: self.until.max(start + self.length), ..self }
    }
}

#[cfg(test)]
mod tests;
