//! The heads of a client's requests, one after the other.

use std::future::poll_fn;
use std::task::Poll;

use super::{Connection, Error, HEAD_MAX, IN_USE_MAX, KEEP_ALIVE_MAX, READ_AHEAD_BYTES_MAX};
use crate::downstream::admission::Activity;
use crate::language::Words;
use crate::runtime::{label, Wait};
use crate::wire::{Decoder, HeadError, HeadScanner, RequestHead, HEAD_BYTES_MAX};

/// A request's head, or why it is refused: then the connection must be closed.
pub type Request = Result<Box<RequestHead>, Error>;

impl Connection {
    /// The next request; `None` when the client has left or stayed silent too long, which is much
    /// sooner once the program shuts down. Fields whose value `is_secret` go no further.
    pub async fn next_request(&mut self, is_secret: &dyn Fn(&[u8]) -> bool) -> Option<Request> {
        self.read_ahead_max = READ_AHEAD_BYTES_MAX;
        (self.minor, self.keep_alive, self.head_only) = (1, false, false);
        self.reusable = false;
        self.upload = None;
        self.release_head();
        // What is left of the body before would be read as a head.
        if self.unread.is_some() && !self.discard_body().await {
            return None;
        }
        if !self.wait_for_request().await {
            return None;
        }
        match self.read_head(is_secret).await {
            Ok(Some(head)) => Some(Ok(head)),
            Ok(None) | Err(Error::Gone) => None,
            Err(error) => Some(Err(error)),
        }
    }

    async fn read_head(
        &mut self,
        is_secret: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<Box<RequestHead>>, Error> {
        let wait = Wait::new(label::REQUEST_HEAD, self.timer.now(), HEAD_MAX);
        let head = self.whole_head(wait, is_secret).await;
        self.timer.set(None);
        self.slot.set(Activity::Busy, self.timer.now());
        let Some((head, length)) = head? else { return Ok(None) };
        self.read_buffer.drain(..length);
        self.unread = Some(Decoder::new(head.framing)).filter(|decoder| !decoder.is_done());
        self.expects_continue = head.expects_continue && self.unread.is_some();
        (self.minor, self.keep_alive) = (head.minor, head.keep_alive);
        self.head_only = head.method == "HEAD";
        Ok(Some(head))
    }

    /// Gives back the memory of the head, which is not needed any more.
    pub fn release_head(&mut self) {
        let _ = self.share.resize(self.read_buffer.capacity().saturating_sub(READ_AHEAD_BYTES_MAX));
    }

    /// Whether bytes of another request are already here.
    pub fn has_more(&self) -> bool {
        !self.read_buffer.is_empty()
    }

    /// Waits for the first bytes of a request. A shut-down cuts the wait short, but not so short
    /// that a request is lost that may be on its way.
    async fn wait_for_request(&mut self) -> bool {
        let began = self.timer.now();
        self.slot.note_idle(began);
        self.timer.set(Some(began + KEEP_ALIVE_MAX));
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
                let _ = self.share.resize(0);
                match self.poll_fill_some(context, READ_AHEAD_BYTES_MAX) {
                    Poll::Ready(0) => return Poll::Ready(false),
                    Poll::Ready(_) => {}
                    Poll::Pending => break,
                }
            }
            if self.shutdown.has_begun() {
                self.timer.set(Some(began + IN_USE_MAX));
            }
            let due = self.timer.poll_due(context);
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
        self.timer.set(None);
        self.skip_linger = !some;
        some
    }

    /// Waits for a complete head, and tells its length; `None` when the client left before, or must leave.
    async fn whole_head(
        &mut self,
        wait: Wait,
        is_secret: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<(Box<RequestHead>, usize)>, Error> {
        let parse = |bytes: &[u8]| {
            RequestHead::parse(bytes, is_secret).map(|(head, length)| (Box::new(head), length))
        };
        let mut scanner = HeadScanner::default();
        let begun = self.timer.now();
        let mut first_look = true;
        loop {
            // A TLS hello or other noise is refused at once, without waiting for its line end.
            if self.read_buffer.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
                let reason = &Words("不是HTTP请求", "not an HTTP request");
                return Err(Error::Head(HeadError::Malformed(reason)));
            }
            if let Some(head) = scanner.read(&self.read_buffer, parse).map_err(Error::Head)? {
                self.take_memory(head.1)?;
                return Ok(Some(head));
            }
            if std::mem::take(&mut first_look) {
                self.slot.set(Activity::Head, begun);
            }
            self.take_memory(self.read_buffer.len())?;
            let room = READ_AHEAD_BYTES_MAX.min(HEAD_BYTES_MAX - self.read_buffer.len());
            self.timer.set(Some(wait.until));
            let more = poll_fn(|context| match self.poll_fill_some(context, room) {
                Poll::Pending if self.slot.poll_leave(context) => {
                    self.skip_linger = true;
                    Poll::Ready(Ok(0))
                }
                Poll::Pending if self.timer.poll_due(context) => {
                    Poll::Ready(Err(Error::Timeout(wait)))
                }
                other => other.map(Ok),
            });
            if more.await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Takes memory for a long head of so many bytes so far: for its buffer, which grows by
    /// doubling, and for what is kept of it while it is worked on.
    fn take_memory(&mut self, length: usize) -> Result<(), Error> {
        if length <= READ_AHEAD_BYTES_MAX / 2 || self.share.grow_to(4 * length) {
            return Ok(());
        }
        Err(Error::Overloaded(self.share.budget().limit()))
    }
}
