//! One client's connection: heads and bodies come in, bytes go out, and somebody watches whether
//! the client is still there. Knows nothing of routes and providers.

pub mod admission;
mod body;
mod requests;

use std::future::{poll_fn, Future};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use crate::downstream::admission::{Activity, Slot};
use crate::report::error::Error;
use crate::runtime::socket::Socket;
use crate::runtime::sources::SCRATCH_BYTES;
use crate::runtime::timer::{label, Timer, Wait};
use crate::wire::body::Decoder;

/// From the first byte of a head to its last.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Between two requests: longer than the fronts that are in use keep theirs, so that it is they who
/// close, and no request of theirs meets a close of ours.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(180);
/// A connection that is younger than this, or was used since, may have a request on its way.
const IN_USE_MAX: Duration = Duration::from_secs(1);
/// Without a byte of an answer being read.
const WRITE_PROGRESS_MAX: Duration = Duration::from_secs(60);
/// A blocked write is tried again this often: the kernel reports room only when a third of its
/// buffer is free, which takes a slow reader minutes and would look like no progress at all.
pub(crate) const WRITE_RETRY: Duration = Duration::from_secs(4);
const _: () = assert!(WRITE_RETRY.as_secs() * 10 <= WRITE_PROGRESS_MAX.as_secs());
/// Read at once while nothing is known of who sends, and kept of what comes while an answer is on its
/// way; more waits in the kernel.
const READ_AHEAD_BYTES_MAX: usize = 16 * 1024;
/// The same for who may chat: while bytes wait in the kernel, a client that leaves behind them may not
/// be noticed, and its provider works in vain.
const AUTHENTICATED_READ_AHEAD_BYTES_MAX: usize = 256 * 1024;
/// How long a closing connection reads on, so that a client that still sends can read the answer.
const LINGER_MAX: Duration = Duration::from_secs(5);
/// How long it waits for the next bytes meanwhile.
const LINGER_SILENCE_MAX: Duration = Duration::from_secs(2);

/// A client's connection.
pub struct Connection {
    socket: Socket,
    slot: Slot,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What the client sent beyond what was used so far.
    read_buffer: Vec<u8>,
    /// How much of that is read while an answer is on its way.
    read_ahead_max: usize,
    gone: bool,
    /// Nothing was on its way when the wait for a request ended: a close will not reset.
    idle: bool,
    resets: bool,
    /// The body that follows the current head, as far as it was not read.
    unread: Option<Decoder>,
    expects_continue: bool,
}

impl Connection {
    /// A fresh connection.
    pub fn new(socket: Socket, peer: SocketAddr, slot: Slot) -> Connection {
        let read_buffer = Vec::new();
        Connection {
            socket,
            slot,
            peer,
            read_buffer,
            read_ahead_max: READ_AHEAD_BYTES_MAX,
            gone: false,
            idle: false,
            resets: false,
            unread: None,
            expects_continue: false,
        }
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

    /// Takes note that an answer of ours is next: a client that does not read it may have to leave for
    /// others.
    pub fn begin_reply(&self, timer: &Timer) {
        self.slot.set(Activity::Reply, timer.now());
    }

    /// Takes note that the client has shown a token, until its next request.
    pub fn raise_read_ahead(&mut self) {
        self.read_ahead_max = AUTHENTICATED_READ_AHEAD_BYTES_MAX;
    }

    /// Ready when the client has left. What it sends meanwhile is kept for the next request.
    pub fn poll_gone(&mut self, context: &Context<'_>) -> Poll<()> {
        while self.read_buffer.len() < self.read_ahead_max {
            let room = self.read_ahead_max - self.read_buffer.len();
            if ready!(self.poll_fill_some(context, room)) == 0 {
                return Poll::Ready(());
            }
        }
        if self.socket.hung_up() {
            return Poll::Ready(());
        }
        self.socket.wake_when_readable(context);
        Poll::Pending
    }

    /// Waits for `future` while the client is there; drops it when the client leaves.
    ///
    /// # Errors
    /// [`Error::ClientGone`].
    pub async fn unless_gone<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Error> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(value));
            }
            self.poll_gone(context).map(|()| Err(Error::ClientGone))
        })
        .await
    }

    /// Writes some bytes.
    ///
    /// # Errors
    /// [`Error::ClientGone`].
    pub fn poll_write(
        &mut self,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        match ready!(self.socket.poll_write(context, bytes)) {
            Ok(count) if count > 0 => Poll::Ready(Ok(count)),
            _ => {
                self.gone = true;
                Poll::Ready(Err(Error::ClientGone))
            }
        }
    }

    /// Writes some bytes to a client that has ended its side of the connection.
    pub fn poll_last_write(
        &mut self,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.socket.poll_write(context, bytes)
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// A client that left or does not read.
    pub async fn write_all(&mut self, timer: &Timer, bytes: &[u8]) -> Result<(), Error> {
        let mut written = 0;
        let mut wait = write_progress(timer.now());
        while written < bytes.len() {
            let attempt = Wait { until: wait.until.min(timer.now() + WRITE_RETRY), ..wait };
            let write = poll_fn(|context| match self.poll_write(context, &bytes[written..]) {
                Poll::Pending if self.slot.poll_leave(context) => {
                    self.reset_on_close(true);
                    Poll::Ready(Err(Error::ClientGone))
                }
                other => other,
            });
            match timer.within(attempt, write).await {
                Ok(count) => {
                    written += count?;
                    wait = write_progress(timer.now());
                }
                Err(_) if timer.now() >= wait.until => {
                    self.reset_on_close(true);
                    return Err(Error::ClientTimeout(wait));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Closes such that what was written arrives: a close with unread bytes would reset the
    /// connection and take the answer with it (RFC 9112 §9.6).
    pub async fn close(mut self, timer: &Timer) {
        if self.gone || self.idle || self.resets {
            return;
        }
        self.socket.shutdown_write();
        self.slot.set(Activity::Closing, timer.now());
        let end = timer.now() + LINGER_MAX;
        while timer.now() < end {
            let wait = Wait::new(label::REQUEST_BODY, timer.now(), LINGER_SILENCE_MAX);
            let fill = poll_fn(|context| match self.poll_fill(context) {
                Poll::Pending if self.slot.poll_leave(context) => Poll::Ready(0),
                other => other,
            });
            if !matches!(timer.within(wait, fill).await, Ok(count) if count > 0) {
                return;
            }
            self.read_buffer.clear();
        }
    }

    /// Whether the close will be a reset: so that an answer that ends with the connection cannot
    /// look complete, and so that the kernel keeps nothing for a client that does not read.
    pub fn reset_on_close(&mut self, reset: bool) {
        self.resets = reset;
        self.socket.reset_on_close(reset);
    }
}

/// How long a client that took its last byte at `taken_at` may take none.
pub(crate) fn write_progress(taken_at: Instant) -> Wait {
    Wait::new(label::WRITE_TO_CLIENT, taken_at, WRITE_PROGRESS_MAX)
}
