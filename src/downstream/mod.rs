//! One client's connection: requests come in, bytes go out, and every wait also watches whether the
//! client is still there. Only this room writes to a client. It must not know providers or routes.

mod admission;
mod body;
mod error;
mod requests;
mod upload;
mod writing;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_memory;

use std::future::{poll_fn, Future};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use self::admission::Activity;
use crate::runtime::{Budget, Share, Shutdown, Socket, Timer, Wait, SCRATCH_BYTES};
use crate::wire::{Decoder, Sharing};

pub use self::admission::{Admission, Slot};
pub use self::body::Incoming;
pub use self::error::Error;
pub use self::requests::Request;
pub use self::upload::UPLOAD_BYTES;
pub(crate) use self::writing::write_deadline;

/// From the first byte of a head to its last.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Between two requests: longer than reverse proxies in use keep their connections, so that they
/// close first and no request of theirs meets a close of ours.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(180);
/// At shut-down: a connection that is younger than this, or was used since, may have a request on
/// its way.
const IN_USE_MAX: Duration = Duration::from_secs(1);
/// Read at once from a client that has shown no token, and kept of what comes while a response is
/// on its way; more waits in the kernel.
pub(crate) const READ_AHEAD_BYTES_MAX: usize = 16 * 1024;
/// The same once the client has shown a token, while the budget has room: as long as bytes wait in
/// the kernel, the end-of-file behind them may not be noticed, and the provider works in vain.
const AUTHENTICATED_READ_AHEAD_BYTES_MAX: usize = 256 * 1024;

/// A client's connection, and what is known of its current request.
pub struct Connection {
    socket: Socket,
    slot: Slot,
    timer: Timer,
    shutdown: Shutdown,
    /// Memory beyond [`READ_AHEAD_BYTES_MAX`]: long heads, and bytes read ahead.
    share: Share,
    /// The client's address.
    pub peer: SocketAddr,
    /// Bytes that were read and not used yet.
    read_buffer: Vec<u8>,
    /// How much may be there while a response is on its way.
    read_ahead_max: usize,
    /// The body that follows the current head, as far as it was not read.
    unread: Option<Decoder>,
    expects_continue: bool,
    /// That body on its way to the provider.
    upload: Option<Box<upload::Upload>>,
    /// The request's minor HTTP version: 1.0 knows no chunks.
    minor: u8,
    /// Whether the client wants another exchange on this connection.
    keep_alive: bool,
    /// Whether the request is a `HEAD`: the response's body is left out, its length is told.
    head_only: bool,
    /// Which pages may read the response.
    sharing: Option<Box<Sharing>>,
    /// Whether the response is out and framed such that another may follow.
    reusable: bool,
    /// The client has ended its side, or the connection broke.
    gone: bool,
    /// Nothing that the client has not read is on its way: the close need not linger.
    skip_linger: bool,
    /// Whether a close would be a reset.
    resets: bool,
}

impl Connection {
    /// A fresh connection.
    pub fn new(
        socket: Socket,
        peer: SocketAddr,
        slot: Slot,
        timer: Timer,
        shutdown: Shutdown,
        budget: &Rc<Budget>,
    ) -> Connection {
        Connection {
            socket,
            slot,
            timer,
            shutdown,
            share: budget.share(),
            peer,
            read_buffer: Vec::new(),
            read_ahead_max: READ_AHEAD_BYTES_MAX,
            unread: None,
            expects_continue: false,
            upload: None,
            minor: 1,
            keep_alive: false,
            head_only: false,
            sharing: None,
            reusable: false,
            gone: false,
            skip_linger: false,
            resets: false,
        }
    }

    /// The timer of this connection's task.
    pub fn timer(&self) -> &Timer {
        &self.timer
    }

    /// The minor HTTP version of the current request.
    pub fn minor(&self) -> u8 {
        self.minor
    }

    /// Whether the current request is a `HEAD`.
    pub fn head_only(&self) -> bool {
        self.head_only
    }

    /// Which pages may read the response to the current request, where that is to be said.
    pub fn sharing(&self) -> Option<&Sharing> {
        self.sharing.as_deref()
    }

    /// Says so.
    pub fn share_with(&mut self, sharing: Option<Box<Sharing>>) {
        self.sharing = sharing;
    }

    /// Whether the head of the response may say that another request can follow.
    pub fn may_persist(&self) -> bool {
        self.unread.is_none() && self.is_wanted()
    }

    fn is_wanted(&self) -> bool {
        self.keep_alive && !self.shutdown.has_begun()
    }

    /// The same for a response although the request's body was not read: what is left of that must
    /// be little enough to be thrown away, and no newcomer may be waiting for a slot.
    pub fn may_persist_unread(&self) -> bool {
        self.is_wanted() && self.can_discard() && !self.slot.is_wanted(self.timer.now())
    }

    /// Whether a close would be a reset.
    pub fn resets(&self) -> bool {
        self.resets
    }

    /// Takes note of how the response ended: whether another request can follow it.
    pub fn set_reusable(&mut self, reusable: bool) {
        self.reusable = reusable;
    }

    /// Whether another request may be read.
    pub fn may_reuse(&self) -> bool {
        self.reusable && !self.shutdown.has_begun()
    }

    /// Takes note that a response of ours is next: a client that does not read it may have to leave
    /// for a newcomer.
    pub fn note_reply(&self) {
        self.slot.set(Activity::Reply, self.timer.now());
    }

    /// Takes note that the client has shown a token, until its next request.
    pub fn raise_read_ahead(&mut self) {
        self.read_ahead_max = AUTHENTICATED_READ_AHEAD_BYTES_MAX;
    }

    /// Reads what has come; 0 when the client has left.
    fn poll_fill(&mut self, context: &Context<'_>) -> Poll<usize> {
        self.poll_fill_some(context, SCRATCH_BYTES)
    }

    /// The same, but at most `count_max` bytes, of which there must be one.
    fn poll_fill_some(&mut self, context: &Context<'_>, count_max: usize) -> Poll<usize> {
        if self.gone {
            return Poll::Ready(0);
        }
        let fill = self.socket.poll_fill_some(context, &mut self.read_buffer, count_max);
        let count = ready!(fill).unwrap_or(0);
        self.gone = count == 0;
        Poll::Ready(count)
    }

    /// Ready when the client has left, or its upload cannot go on. What it sends meanwhile goes to
    /// the provider as long as it is part of an upload, and is else kept for the next request.
    pub fn poll_gone(&mut self, context: &Context<'_>) -> Poll<Error> {
        match self.poll_upload(context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(error),
            Poll::Pending if self.socket.hung_up() => return Poll::Ready(Error::Gone),
            Poll::Pending => {
                self.socket.wake_when_readable(context);
                return Poll::Pending;
            }
        }
        loop {
            let room = self.read_ahead_room();
            if room == 0 {
                break;
            }
            if ready!(self.poll_fill_some(context, room)) == 0 {
                return Poll::Ready(Error::Gone);
            }
        }
        if self.socket.hung_up() {
            return Poll::Ready(Error::Gone);
        }
        self.socket.wake_when_readable(context);
        Poll::Pending
    }

    /// How much may be read while a response is on its way. Beyond the first part, it comes out of
    /// the budget.
    fn read_ahead_room(&mut self) -> usize {
        let length = self.read_buffer.len();
        if length < READ_AHEAD_BYTES_MAX {
            return READ_AHEAD_BYTES_MAX - length;
        }
        let room = READ_AHEAD_BYTES_MAX.min(self.read_ahead_max.saturating_sub(length));
        // A vector grows by doubling.
        if room > 0 && self.share.grow_to(2 * (length + room)) {
            room
        } else {
            0
        }
    }

    /// Waits for `future` while the client is there; drops it when the client leaves.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub async fn unless_gone<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Error> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(value));
            }
            self.poll_gone(context).map(Err)
        })
        .await
    }

    /// The same, but not beyond `wait`, which is the inner error when its time runs out first.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub async fn unless_gone_within<T>(
        &mut self,
        wait: Wait,
        future: impl Future<Output = T>,
    ) -> Result<Result<T, Wait>, Error> {
        let mut future = pin!(future);
        self.timer.set(Some(wait.until));
        let result = poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(Ok(value)));
            }
            if let Poll::Ready(error) = self.poll_gone(context) {
                return Poll::Ready(Err(error));
            }
            if self.timer.poll_due(context) {
                Poll::Ready(Ok(Err(wait)))
            } else {
                Poll::Pending
            }
        })
        .await;
        self.timer.set(None);
        result
    }
}
