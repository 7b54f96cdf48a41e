//! One watched descriptor: what it is ready for, and who waits for that.

use std::rc::Rc;
use std::task::Waker;

use super::Reactor;
use crate::waiters::keep;

/// Reads from one socket between two visits to the kernel.
const READS_PER_VISIT: u32 = 8;

/// What one socket is ready for, and who waits for it.
#[derive(Default)]
pub(super) struct Source {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer sent its end-of-file or the connection broke: a short read is not the last one.
    pub(super) hung_up: bool,
    /// Reads since the visit with this number.
    visit: u32,
    reads: u32,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl Source {
    /// One whose first edge may be older than its registration: the first read finds out.
    pub(super) fn unknown() -> Source {
        Source { readable: true, ..Source::default() }
    }
}

/// A watched descriptor. Dropping it forgets the socket; closing the socket tells the kernel.
pub struct Registration {
    pub(super) reactor: Rc<Reactor>,
    pub(super) key: usize,
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
