//! Watched descriptors: what each is ready for, and which task waits for that.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::Waker;

use rustix::event::epoll;
use slab::Slab;

use super::waker::set_waker;

/// Read from a socket at once.
pub const SCRATCH_BYTES: usize = 64 * 1024;

/// Read from a connection under TLS beyond what OpenSSL asks for: a flight of a handshake, or the
/// events of a moment. More would only be copied once more where records are large.
const READ_AHEAD_BYTES: usize = 4096;

/// Reads from one socket between two visits to the kernel.
const READS_PER_VISIT: u32 = 8;

/// What one socket is ready for, and which tasks wait for it.
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

/// All watched descriptors of the thread. Registrations share it with the reactor.
pub struct Sources {
    pub(super) epoll: OwnedFd,
    pub(super) slab: RefCell<Slab<Source>>,
    /// Visits to the kernel so far.
    pub(super) visits: Cell<u32>,
    /// Every read goes here first: connections keep only what belongs to them.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    /// The same for what comes beyond what OpenSSL asks for.
    pub(super) read_ahead: RefCell<[u8; READ_AHEAD_BYTES]>,
}

impl Sources {
    pub(super) fn new() -> io::Result<Sources> {
        Ok(Sources {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            slab: RefCell::default(),
            visits: Cell::new(0),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            read_ahead: RefCell::new([0; READ_AHEAD_BYTES]),
        })
    }

    pub(super) fn register(self: &Rc<Self>, descriptor: impl AsFd) -> io::Result<Registration> {
        let key = self.slab.borrow_mut().insert(Source::unknown());
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(key as u64);
        if let Err(error) = epoll::add(&self.epoll, descriptor, data, flags) {
            self.slab.borrow_mut().remove(key);
            return Err(error.into());
        }
        Ok(Registration { sources: self.clone(), key })
    }
}

/// A watched descriptor. Dropping it forgets the socket; the last close of the socket tells the
/// kernel.
pub struct Registration {
    sources: Rc<Sources>,
    key: usize,
}

impl Registration {
    fn with<T>(&self, work: impl FnOnce(&mut Source) -> T) -> T {
        work(&mut self.sources.slab.borrow_mut()[self.key])
    }

    /// Takes `descriptor`, the one that was registered, out of the epoll set. Needed only before
    /// the close of a socket that others have open, too.
    pub(super) fn unwatch(&self, descriptor: impl AsFd) {
        // It cannot fail for a descriptor that is in the set.
        let _ = epoll::delete(&self.sources.epoll, descriptor);
    }

    /// What it shares with all others.
    pub(crate) fn sources(&self) -> &Rc<Sources> {
        &self.sources
    }

    /// Whether a read may find something.
    pub fn readable(&self) -> bool {
        self.with(|source| source.readable)
    }

    /// Whether another read is due before the next visit to the kernel. Without this limit a peer
    /// that sends faster than we read would keep the thread, and deadlines, to itself.
    pub fn may_read(&self) -> bool {
        let visit = self.sources.visits.get();
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

    /// Takes note that a read found nothing.
    pub fn clear_readable(&self) {
        self.with(|source| source.readable = false);
    }

    /// Takes note that a read found less than it had room for. The end-of-file behind it would
    /// raise no second edge.
    pub fn clear_readable_unless_hung_up(&self) {
        self.with(|source| source.readable = source.hung_up);
    }

    /// Lets the next read ask the kernel, whatever is remembered.
    pub fn assume_readable(&self) {
        self.with(|source| source.readable = true);
    }

    /// The task to wake when the socket becomes readable.
    pub fn wake_reader(&self, waker: &Waker) {
        self.with(|source| set_waker(&mut source.reader, waker));
    }

    /// The task to wake when the socket becomes writable.
    pub fn wake_writer(&self, waker: &Waker) {
        self.with(|source| set_waker(&mut source.writer, waker));
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let source = self.sources.slab.borrow_mut().remove(self.key);
        // A waker may own the last reference to a task that owns another registration.
        drop(source);
    }
}

#[cfg(test)]
mod tests;
