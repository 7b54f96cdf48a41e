//! Bytes go out to a client, at its pace, and the connection ends such that they arrive.

use std::future::poll_fn;
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use super::admission::Activity;
use super::{Connection, Error};
use crate::runtime::{label, Wait};

/// A client that takes no byte of its response for so long is given up: its connection, and the
/// provider's that waits behind it, would be held for ever.
const WRITE_PROGRESS_MAX: Duration = Duration::from_secs(60);
/// A blocked write is tried again this often: the kernel reports room only when a third of its
/// buffer is free, which takes a slow reader minutes and would look like no progress at all.
const WRITE_RETRY: Duration = Duration::from_secs(4);
const _: () = assert!(WRITE_RETRY.as_secs() * 10 <= WRITE_PROGRESS_MAX.as_secs());
/// How long a closing connection reads on, so that a client that still sends can read the response.
const LINGER_MAX: Duration = Duration::from_secs(5);
/// How long it waits for the next bytes meanwhile.
pub(super) const LINGER_SILENCE_MAX: Duration = Duration::from_secs(2);

impl Connection {
    /// Writes some bytes.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn poll_write(
        &mut self,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        match ready!(self.socket.poll_write(context, bytes)) {
            Ok(count) if count > 0 => Poll::Ready(Ok(count)),
            _ => {
                self.gone = true;
                Poll::Ready(Err(Error::Gone))
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
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (mut written, mut taken_at, mut blocked) = (0, self.timer.now(), false);
        let outcome = poll_fn(|context| {
            while written < bytes.len() {
                match self.poll_write(context, &bytes[written..]) {
                    Poll::Ready(count) => {
                        written += count?;
                        taken_at = self.timer.now();
                    }
                    Poll::Pending => {
                        blocked = true;
                        return self.poll_give_up(context, taken_at).map(Err);
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await;
        if blocked {
            self.timer.set(None);
        }
        outcome
    }

    /// After a write that found no room: pending while more may be written later. Ready when the
    /// client has to leave, or took its last byte, at `taken_at`, too long ago.
    fn poll_give_up(&mut self, context: &Context<'_>, taken_at: Instant) -> Poll<Error> {
        if self.slot.poll_leave(context) {
            self.reset_on_close(true);
            return Poll::Ready(Error::Gone);
        }
        let (wait, now) = (write_deadline(taken_at), self.timer.now());
        if wait.until <= now {
            self.reset_on_close(true);
            return Poll::Ready(Error::Timeout(wait));
        }
        self.wake_to_write_again(context, wait);
        Poll::Pending
    }

    /// Has a write that was blocked tried again before `wait` ends.
    pub fn wake_to_write_again(&self, context: &Context<'_>, wait: Wait) {
        self.timer.set(Some(wait.until.min(self.timer.now() + WRITE_RETRY)));
        self.timer.poll_due(context);
    }

    /// Closes such that what was written arrives: a close with unread bytes would reset the
    /// connection and take the response with it (RFC 9112 §9.6).
    pub async fn close(mut self) {
        if self.gone || self.skip_linger || self.resets {
            return;
        }
        self.socket.shutdown_write();
        self.slot.set(Activity::Closing, self.timer.now());
        let end = self.timer.now() + LINGER_MAX;
        while self.timer.now() < end {
            let silence_end = self.timer.now() + LINGER_SILENCE_MAX;
            self.timer.set(Some(silence_end));
            let count = poll_fn(|context| match self.poll_fill(context) {
                Poll::Pending if self.slot.poll_leave(context) => Poll::Ready(0),
                Poll::Pending if self.timer.poll_due(context) => Poll::Ready(0),
                other => other,
            });
            if count.await == 0 {
                return;
            }
            self.read_buffer.clear();
        }
    }

    /// Takes note that what was written is complete: the close must not be a reset.
    pub fn end_cleanly(&mut self) {
        if self.resets {
            self.reset_on_close(false);
        }
    }

    /// Whether the close will be a reset: so that a response that ends with the connection cannot
    /// look complete, and so that the kernel keeps nothing for a client that does not read.
    pub fn reset_on_close(&mut self, reset: bool) {
        self.resets = reset;
        self.socket.reset_on_close(reset);
    }
}

/// Until when a client that took its last byte at `taken_at` must take the next one.
pub(crate) fn write_deadline(taken_at: Instant) -> Wait {
    Wait::new(label::WRITE_TO_CLIENT, taken_at, WRITE_PROGRESS_MAX)
}
