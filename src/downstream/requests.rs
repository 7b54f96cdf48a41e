//! The heads of a client's requests, one after the other.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use super::{Connection, HEAD_MAX, IN_USE_MAX, KEEP_ALIVE_MAX, READ_AHEAD_BYTES_MAX};
use crate::downstream::admission::Activity;
use crate::report::error::Error;
use crate::runtime::timer::{label, Timer, Wait};
use crate::wire::body::Decoder;
use crate::wire::head::{HeadError, HeadScanner, RequestHead, HEAD_BYTES_MAX};

impl Connection {
    /// The next request; `None` when the client has left or stayed silent too long, which is much
    /// sooner once `closing` says so. Fields whose value `is_secret` go no further.
    ///
    /// # Errors
    /// A head that is malformed, too large or too slow. The connection must be closed.
    pub async fn next_head(
        &mut self,
        timer: &Timer,
        closing: impl Fn() -> bool,
        is_secret: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<Box<RequestHead>>, Error> {
        self.read_ahead_max = READ_AHEAD_BYTES_MAX;
        if !self.wait_for_request(timer, closing).await {
            return Ok(None);
        }
        let wait = Wait::new(label::REQUEST_HEAD, timer.now(), HEAD_MAX);
        let length = timer.within(wait, self.head_length(timer.now())).await;
        self.slot.set(Activity::Busy, timer.now());
        let Some(length) = length.map_err(Error::ClientTimeout)?? else { return Ok(None) };
        let head =
            RequestHead::parse(&self.read_buffer[..length], is_secret).map_err(Error::Head)?;
        self.read_buffer.drain(..length);
        self.unread = Some(Decoder::new(head.framing)).filter(|decoder| !decoder.is_done());
        self.expects_continue = head.expects_continue && self.unread.is_some();
        Ok(Some(Box::new(head)))
    }

    /// Whether bytes of another request are already here.
    pub fn has_more(&self) -> bool {
        !self.read_buffer.is_empty()
    }

    /// Waits for the first bytes of a request. `closing` cuts the wait short, but not so short that
    /// a request is lost that may be on its way.
    async fn wait_for_request(&mut self, timer: &Timer, closing: impl Fn() -> bool) -> bool {
        let began = timer.now();
        self.slot.wait(began);
        let outer = timer.set(Some(began + KEEP_ALIVE_MAX));
        let some = poll_fn(|context| {
            loop {
                // Empty lines before a request are tolerated (RFC 9112 §2.2).
                let blank =
                    self.read_buffer.iter().take_while(|byte| b"\r\n".contains(byte)).count();
                self.read_buffer.drain(..blank);
                if !self.read_buffer.is_empty() {
                    return Poll::Ready(true);
                }
                self.read_buffer = Vec::new();
                match self.poll_fill_some(context, READ_AHEAD_BYTES_MAX) {
                    Poll::Ready(0) => return Poll::Ready(false),
                    Poll::Ready(_) => {}
                    Poll::Pending => break,
                }
            }
            if closing() {
                timer.set(Some(began + IN_USE_MAX));
            }
            let due = timer.poll_due(context);
            if self.slot.poll_leave(context) {
                // The last visit to the kernel may have been before a request came.
                if self.socket.has_no_input() {
                    return Poll::Ready(false);
                }
                self.socket.assume_readable();
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if due {
                Poll::Ready(false)
            } else {
                Poll::Pending
            }
        })
        .await;
        timer.set(outer);
        self.idle = !some;
        some
    }

    /// Waits for a complete head and returns its length; `None` when the client left before, or must
    /// leave.
    async fn head_length(&mut self, begun: Instant) -> Result<Option<usize>, Error> {
        let mut scanner = HeadScanner::default();
        let mut whole = true;
        loop {
            // A TLS hello or other noise is refused at once, without waiting for its line end.
            if self.read_buffer.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
                let reason = "不是HTTP请求 (not an HTTP request)";
                return Err(Error::Head(HeadError::Malformed(reason)));
            }
            if let Some(length) = scanner.scan(&self.read_buffer).map_err(Error::Head)? {
                return Ok(Some(length));
            }
            if std::mem::take(&mut whole) {
                self.slot.set(Activity::Head, begun);
            }
            let room = READ_AHEAD_BYTES_MAX.min(HEAD_BYTES_MAX - self.read_buffer.len());
            let more = poll_fn(|context| match self.poll_fill_some(context, room) {
                Poll::Pending if self.slot.poll_leave(context) => {
                    self.idle = true;
                    Poll::Ready(0)
                }
                other => other,
            });
            if more.await == 0 {
                return Ok(None);
            }
        }
    }
}
