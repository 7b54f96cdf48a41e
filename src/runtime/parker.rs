//! How a task, or another thread, wakes the event loop.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::Wake;

use rustix::event::{eventfd, EventfdFlags};

/// Wakes the thread, through the eventfd only when it sleeps.
pub(super) struct Parker {
    /// Readable when the thread was woken while it slept.
    pub(super) event: OwnedFd,
    woken: AtomicBool,
    asleep: AtomicBool,
}

impl Parker {
    pub(super) fn new() -> io::Result<Parker> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Parker { event, woken: AtomicBool::new(true), asleep: AtomicBool::new(false) })
    }

    /// Whether the thread was woken since [`Parker::clear`].
    pub(super) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }

    /// Called before work begins: what wakes the thread from now on, wakes it for the next round.
    pub(super) fn clear(&self) {
        self.woken.store(false, Ordering::SeqCst);
    }

    /// Whether a wake-up has to go through the eventfd. Look at [`Parker::is_woken`] once more
    /// after setting it: an earlier one did not.
    pub(super) fn set_asleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::SeqCst);
    }

    /// Empties the eventfd. Returns whether there was something.
    pub(super) fn drain_eventfd(&self) -> bool {
        rustix::io::read(&self.event, &mut [0; 8]).is_ok()
    }
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
