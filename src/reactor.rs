//! Readiness: which sockets can be read or written, and whose deadline has passed.
//!
//! One edge-triggered epoll set for one thread. smol's own reactor (async-io 2.6 on polling 3.11)
//! re-arms each socket after every event, and spends five system calls on every visit
//! (`timerfd_settime`, `epoll_ctl`, `epoll_wait`, `read`, `epoll_ctl`) and keeps a second thread;
//! here a socket is registered once in its life and a visit is one `epoll_wait`.
//! Knows nothing of HTTP.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::event::{epoll, eventfd, EventfdFlags, Timespec};
use slab::Slab;

use crate::clock::Clock;
use crate::waiters::keep;

/// Events taken from the kernel in one visit.
const EVENTS_MAX: usize = 128;
/// How often more are taken at once when there were that many.
const COLLECTS_MAX: u32 = 100;
/// Read from a socket at once.
pub(crate) const SCRATCH_BYTES: usize = 64 * 1024;
/// Reads from one socket between two visits to the kernel.
const READS_PER_VISIT: u32 = 8;
/// The key of the eventfd by which other threads wake this one.
const NOTIFY_KEY: u64 = u64::MAX;

/// What one socket is ready for, and who waits for it.
#[derive(Default)]
struct Source {
    readable: bool,
    writable: bool,
    /// The peer sent its end-of-file or the connection broke: a short read is not the last one.
    hung_up: bool,
    /// Reads since the visit with this number.
    visit: u32,
    reads: u32,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The epoll set and the deadlines of one thread.
pub struct Reactor {
    epoll: OwnedFd,
    sources: RefCell<Slab<Source>>,
    /// Deadlines of all waits.
    pub clock: Clock,
    parker: Arc<Parker>,
    /// Called whenever the thread is about to sleep.
    on_idle: Cell<Option<fn()>>,
    /// Visits to the kernel so far.
    visits: Cell<u32>,
    /// Every read goes here first: connections keep only what belongs to them.
    pub(crate) scratch: RefCell<Box<[u8]>>,
}

impl Reactor {
    /// Opens the epoll set.
    ///
    /// # Errors
    /// When the kernel refuses an epoll or event descriptor.
    pub fn new() -> io::Result<Rc<Reactor>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &event, epoll::EventData::new_u64(NOTIFY_KEY), flags)?;
        Ok(Rc::new(Reactor {
            epoll,
            sources: RefCell::new(Slab::new()),
            clock: Clock::new(),
            parker: Arc::new(Parker {
                event,
                woken: AtomicBool::new(true),
                asleep: AtomicBool::new(false),
            }),
            on_idle: Cell::new(None),
            visits: Cell::new(0),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
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
    pub fn register(self: &Rc<Self>, descriptor: impl AsFd) -> io::Result<Registration> {
        // The first edge may be older than the registration: the first read finds out.
        let source = Source { readable: true, ..Source::default() };
        let key = self.sources.borrow_mut().insert(source);
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(key as u64);
        if let Err(error) = epoll::add(&self.epoll, descriptor, data, flags) {
            self.sources.borrow_mut().remove(key);
            return Err(error.into());
        }
        Ok(Registration { reactor: self.clone(), key })
    }

    /// Runs `future` to its end, sleeping in the kernel whenever it waits.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let waker = Waker::from(self.parker.clone());
        let mut context = Context::from_waker(&waker);
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            // Cleared before the poll: a wake-up during it must not be lost.
            self.parker.woken.store(false, Ordering::SeqCst);
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return value;
            }
            self.wait(&mut events);
        }
    }

    /// One visit to the kernel: sleeps only when nothing is due and nobody was woken.
    fn wait(&self, events: &mut Vec<epoll::Event>) {
        let mut timeout = Some(Duration::ZERO);
        if !self.parker.woken.load(Ordering::Acquire) {
            if let Some(callback) = self.on_idle.get() {
                callback();
            }
            self.parker.asleep.store(true, Ordering::SeqCst);
            if !self.parker.woken.load(Ordering::SeqCst) {
                timeout = self.clock.until_next();
            }
        }
        let timeout = timeout.map(|length| Timespec {
            tv_sec: length.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: i64::from(length.subsec_nanos()),
        });
        let heard = self.collect(events, timeout);
        self.visits.set(self.visits.get().wrapping_add(1));
        // Only when all that has come was delivered may a deadline blame anybody: a process that
        // was stopped for a while would take what came meanwhile for late.
        if heard {
            self.clock.advance(Instant::now());
        }
    }

    /// Takes all events there are. Returns whether the kernel told them all.
    fn collect(&self, events: &mut Vec<epoll::Event>, mut timeout: Option<Timespec>) -> bool {
        for _ in 0..COLLECTS_MAX {
            events.clear();
            let room = rustix::buffer::spare_capacity(events);
            let waited = epoll::wait(&self.epoll, room, timeout.as_ref());
            // Before anybody is woken by us: that must not cost a write to the eventfd.
            self.parker.asleep.store(false, Ordering::SeqCst);
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
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.parker.event, &mut count);
            return;
        }
        let flags = event.flags;
        let mut sources = self.sources.borrow_mut();
        // A key may name a socket closed, or opened in its place, since the kernel queued the
        // event: then nobody waits yet, or a read that finds nothing clears the flag.
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

/// A watched descriptor. Dropping it forgets the socket; closing the socket tells the kernel.
pub struct Registration {
    reactor: Rc<Reactor>,
    key: usize,
}

impl Registration {
    fn with<T>(&self, work: impl FnOnce(&mut Source) -> T) -> T {
        work(&mut self.reactor.sources.borrow_mut()[self.key])
    }

    /// The reactor that watches.
    pub(crate) fn reactor(&self) -> &Rc<Reactor> {
        &self.reactor
    }

    /// Whether a read may find something.
    pub fn readable(&self) -> bool {
        self.with(|source| source.readable)
    }

    /// Whether another read is due before the next visit to the kernel. Without this limit a peer
    /// that sends faster than we read would keep the thread, and deadlines, to itself.
    pub fn may_read(&self) -> bool {
        let visit = self.reactor.visits.get();
        self.with(|source| {
            if source.visit != visit {
                source.visit = visit;
                source.reads = 0;
            }
            source.reads += 1;
            source.reads <= READS_PER_VISIT
        })
    }

    /// Whether a write may find room.
    pub fn writable(&self) -> bool {
        self.with(|source| source.writable)
    }

    /// Whether the peer has closed its side, or the connection broke.
    pub fn hung_up(&self) -> bool {
        self.with(|source| source.hung_up)
    }

    /// Takes note that a read found nothing, or less than it had room for.
    pub fn drained(&self, empty: bool) {
        self.with(|source| {
            // The end-of-file behind a short read raises no second edge.
            if empty || !source.hung_up {
                source.readable = false;
            }
        });
    }

    /// Lets the next read ask the kernel, whatever is remembered.
    pub fn doubt(&self) {
        self.with(|source| source.readable = true);
    }

    /// The task to wake when the socket becomes readable.
    pub fn wake_reader(&self, waker: &Waker) {
        self.with(|source| keep(&mut source.reader, waker));
    }

    /// The task to wake when the socket becomes writable.
    pub fn wake_writer(&self, waker: &Waker) {
        self.with(|source| keep(&mut source.writer, waker));
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let source = self.reactor.sources.borrow_mut().remove(self.key);
        // A waker may own the last reference to a task that owns another registration.
        drop(source);
    }
}

/// Wakes the thread, through the eventfd only when it sleeps.
struct Parker {
    event: OwnedFd,
    woken: AtomicBool,
    asleep: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_the_reactor_itself_wakes_costs_no_write_to_the_eventfd() {
        let reactor = Reactor::new().unwrap();
        let (here, mut there) = UnixStream::pair().unwrap();
        let registration = reactor.register(&here).unwrap();
        registration.drained(true);
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            there.write_all(b"x").map(|()| there)
        });
        reactor.block_on(poll_fn(|context| {
            registration.wake_reader(context.waker());
            if registration.readable() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        let mut count = [0; 8];
        assert!(rustix::io::read(&reactor.parker.event, &mut count).is_err());
        writer.join().unwrap().unwrap();
    }
}
