//! Readiness: which sockets can be read or written, and whose deadline has passed.
//!
//! One edge-triggered epoll set for one thread. smol's own reactor (async-io 2.6 on polling 3.11)
//! re-arms each socket after every event, and spends five system calls on every visit
//! (`timerfd_settime`, `epoll_ctl`, `epoll_wait`, `read`, `epoll_ctl`) and keeps a second thread;
//! here a socket is registered once in its life and a visit is one `epoll_wait`.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::event::{epoll, Timespec};

use super::parker::Parker;
use super::sources::{Registration, Sources};
use crate::runtime::timer::Clock;

/// Events taken from the kernel in one visit.
const EVENTS_MAX: usize = 128;
/// How often more are taken at once when there were that many.
const COLLECTS_MAX: u32 = 100;
/// Busy-poll this long before blocking, once `SHORT_WAITS_MIN` waits in a row were shorter: falling
/// asleep and being woken takes longer, and is most of what a request costs that has the program to
/// itself.
const BUSY_POLL_MAX: Duration = Duration::from_micros(60);
/// So many short waits in a row make another one likely. What is wasted when it is not, is little
/// beside what all of them took.
const SHORT_WAITS_MIN: u32 = 16;
/// The key of the eventfd by which other threads wake this one.
const NOTIFY_KEY: u64 = u64::MAX;

/// The epoll set and the deadlines of one thread.
pub struct Reactor {
    sources: Rc<Sources>,
    /// Deadlines of all waits.
    pub clock: Rc<Clock>,
    parker: Arc<Parker>,
    /// Called whenever the thread is about to sleep.
    on_idle: Cell<Option<fn()>>,
    /// The last waits in a row that were short.
    short_waits: Cell<u32>,
}

impl Reactor {
    /// Opens the epoll set.
    ///
    /// # Errors
    /// When the kernel refuses an epoll or event descriptor.
    pub fn new() -> io::Result<Rc<Reactor>> {
        let sources = Rc::new(Sources::new()?);
        let parker = Parker::new()?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&sources.epoll, &parker.event, epoll::EventData::new_u64(NOTIFY_KEY), flags)?;
        Ok(Rc::new(Reactor {
            sources,
            clock: Rc::new(Clock::new()),
            parker: Arc::new(parker),
            on_idle: Cell::new(None),
            short_waits: Cell::new(0),
        }))
    }

    /// Sets what is called before the thread sleeps (the log is written out then).
    pub fn on_idle(&self, callback: fn()) {
        self.on_idle.set(Some(callback));
    }

    /// Watches a descriptor until the registration is dropped.
    ///
    /// # Errors
    /// When the kernel refuses (out of memory, over its limit of watches).
    pub fn register(&self, descriptor: impl AsFd) -> io::Result<Registration> {
        self.sources.register(descriptor)
    }

    /// Runs `future` to its end, sleeping in the kernel whenever it waits.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut value = None;
        loop {
            self.run(&mut |context| {
                if let Poll::Ready(ended) = future.as_mut().poll(context) {
                    value = Some(ended);
                }
                value.is_some()
            });
            if let Some(value) = value.take() {
                return value;
            }
        }
    }

    /// Polls until that is over; code that all futures share.
    fn run(&self, is_over: &mut dyn FnMut(&mut Context<'_>) -> bool) {
        let waker = Waker::from(self.parker.clone());
        let mut context = Context::from_waker(&waker);
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            // Cleared before the poll: a wake-up during it must not be lost.
            self.parker.clear();
            if is_over(&mut context) {
                return;
            }
            self.wait(&mut events);
        }
    }

    /// One visit to the kernel: waits only when nothing is due and no task was woken.
    fn wait(&self, events: &mut Vec<epoll::Event>) {
        let (complete, asked, now) = if self.parker.is_woken() {
            (self.collect(events, Some(Duration::ZERO)), Duration::ZERO, Instant::now())
        } else {
            if let Some(callback) = self.on_idle.get() {
                callback();
            }
            self.poll_or_sleep(events)
        };
        self.sources.visits.set(self.sources.visits.get().wrapping_add(1));
        self.clock.pass(now, asked);
        self.settle(events, complete);
    }

    /// Moves the time on after a visit. A deadline passes only when all that has come until then
    /// was delivered: what came while the process was stopped, or was not scheduled on the way back
    /// from the kernel, is not late.
    fn settle(&self, events: &mut Vec<epoll::Event>, complete: bool) {
        if complete && (!self.clock.is_due() || self.collect(events, Some(Duration::ZERO))) {
            self.clock.advance();
        }
    }

    /// Waits for the next event, first by busy polling where that is likely to do. Returns
    /// what [`Reactor::collect`] does, how long it was to take at most, and what time it is now.
    fn poll_or_sleep(&self, events: &mut Vec<epoll::Event>) -> (bool, Duration, Instant) {
        let begun = Instant::now();
        self.clock.begin_wait(begun);
        if self.short_waits.get() >= SHORT_WAITS_MIN {
            let mut now = begun;
            while now - begun < BUSY_POLL_MAX {
                let complete = self.collect(events, Some(Duration::ZERO));
                now = Instant::now();
                if self.parker.is_woken() {
                    return (complete, Duration::ZERO, now);
                }
            }
        }
        self.parker.set_asleep(true);
        let woken = self.parker.is_woken();
        let timeout = if woken { Some(Duration::ZERO) } else { self.clock.until_next() };
        let complete = self.collect(events, timeout);
        let now = Instant::now();
        let short = now - begun < BUSY_POLL_MAX;
        self.short_waits.set(if short { self.short_waits.get().saturating_add(1) } else { 0 });
        (complete, timeout.unwrap_or(Duration::MAX), now)
    }

    /// Takes all events there are, or waits for the first one. Returns whether the kernel told all.
    fn collect(&self, events: &mut Vec<epoll::Event>, timeout: Option<Duration>) -> bool {
        let mut timeout = timeout.map(|length| Timespec {
            tv_sec: length.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: i64::from(length.subsec_nanos()),
        });
        for _ in 0..COLLECTS_MAX {
            events.clear();
            let room = rustix::buffer::spare_capacity(events);
            let waited = epoll::wait(&self.sources.epoll, room, timeout.as_ref());
            // Before this thread wakes a task: that must not cost a write to the eventfd.
            self.parker.set_asleep(false);
            // The only error, but for misuse, is EINTR: the next visit does the work.
            if waited.is_err() {
                return false;
            }
            for event in events.iter() {
                self.deliver(event);
            }
            if events.len() < EVENTS_MAX {
                break;
            }
            timeout = Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        true
    }

    fn deliver(&self, event: &epoll::Event) {
        use epoll::EventFlags as Flags;
        let key = event.data.u64();
        if key == NOTIFY_KEY {
            self.parker.drain_eventfd();
            return;
        }
        let flags = event.flags;
        let mut sources = self.sources.slab.borrow_mut();
        // A key may name a socket closed, or opened in its place, since the kernel queued the
        // event: then no task waits yet, or a read that finds nothing clears the flag.
        let Some(source) = usize::try_from(key).ok().and_then(|key| sources.get_mut(key)) else {
            return;
        };
        let broken = flags.intersects(Flags::RDHUP | Flags::HUP | Flags::ERR);
        source.hung_up |= broken;
        let mut reader = None;
        let mut writer = None;
        if broken || flags.contains(Flags::IN) {
            source.readable = true;
            reader = source.reader.take();
        }
        if flags.intersects(Flags::OUT | Flags::HUP | Flags::ERR) {
            source.writable = true;
            writer = source.writer.take();
        }
        drop(sources);
        for waker in [reader, writer].into_iter().flatten() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
