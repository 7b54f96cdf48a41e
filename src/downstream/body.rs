//! The body of a client's request: read, or thrown away to save the connection.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::writing::LINGER_SILENCE_MAX;
use super::{Connection, Error};
use crate::runtime::{label, reserve, Share, Wait};
use crate::wire::{Decoder, Framing};

/// The longest wait for the next byte of a body.
const BODY_PROGRESS_MAX: Duration = Duration::from_secs(30);
/// For this long a body may come at any rate that keeps within the wait above.
const BODY_GRACE: Duration = Duration::from_secs(20);
/// After that, on average since its beginning: a body that comes byte by byte would never end.
const BODY_BYTES_PER_SECOND_MIN: u64 = 500;
/// An unread request body of a known length up to this is read and thrown away to save the
/// connection.
const DISCARD_BYTES_MAX: u64 = 256 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A body while it comes.
pub struct Incoming {
    /// What is here of it, without its framing.
    pub body: Vec<u8>,
    /// How long it may be.
    limit: u64,
    /// No more room than this is made for it.
    length_max: usize,
    pub(super) pace: Pace,
}

impl Incoming {
    /// Leaves it to the caller how much of it is kept.
    pub fn without_limit(self) -> Incoming {
        Incoming { limit: u64::MAX, ..self }
    }
}

/// How fast a body comes.
pub(super) struct Pace {
    begun: Instant,
    /// When its last bytes came, or were wanted.
    heard_at: Instant,
    received: u64,
}

impl Connection {
    /// Reads the body of the current request, whose memory comes out of `share`.
    ///
    /// # Errors
    /// A body that is over `limit` bytes, malformed or too slow, a client that left, or a budget
    /// that is used up.
    pub async fn read_body(
        &mut self,
        framing: Framing,
        limit: u64,
        share: &mut Share,
    ) -> Result<Vec<u8>, Error> {
        if matches!(framing, Framing::Length(length) if length > limit) {
            return Err(Error::TooLarge(limit));
        }
        let mut incoming = match self.expects_continue {
            true => Box::pin(self.begin_body(framing, limit)).await?,
            false => self.incoming(framing, limit),
        };
        if self.take_more(&mut incoming, share)? {
            return Ok(incoming.body);
        }
        // Boxed: mostly a body has come with its head.
        let rest = async {
            while !self.take_more(&mut incoming, share)? {
                self.wait_for_more(&mut incoming).await?;
            }
            Ok(incoming.body)
        };
        Box::pin(rest).await
    }

    /// Asks for the body of the current request, which may have `limit` bytes.
    ///
    /// # Errors
    /// A client that left.
    pub async fn begin_body(&mut self, framing: Framing, limit: u64) -> Result<Incoming, Error> {
        if self.expects_continue && self.read_buffer.is_empty() {
            self.write_all(CONTINUE).await?;
        }
        self.expects_continue = false;
        Ok(self.incoming(framing, limit))
    }

    fn incoming(&self, framing: Framing, limit: u64) -> Incoming {
        // No memory is taken for what is only announced.
        let length = match framing {
            Framing::Length(length) => length.min(limit),
            _ => limit,
        };
        let length_max = usize::try_from(length).unwrap_or(usize::MAX);
        let (now, received) = (self.timer.now(), self.read_buffer.len() as u64);
        let pace = Pace { begun: now, heard_at: now, received };
        Incoming { body: Vec::new(), limit, length_max, pace }
    }

    /// Takes what has come of a body. Returns whether that is the rest of it.
    ///
    /// # Errors
    /// A body that is malformed or over its limit, or a budget that is used up.
    pub fn take_more(&mut self, incoming: &mut Incoming, share: &mut Share) -> Result<bool, Error> {
        let (body, limit) = (&mut incoming.body, incoming.limit);
        self.take_body(body, incoming.length_max)?;
        // A huge chunk is refused by its size alone.
        let announced = self.unread.as_ref().map_or(0, Decoder::announced);
        if announced.saturating_add(body.len() as u64) > limit {
            return Err(Error::TooLarge(limit));
        }
        if !share.resize(body.capacity() + self.read_buffer.capacity()) {
            return Err(Error::Overloaded(share.budget().limit()));
        }
        if self.unread.is_some() {
            return Ok(false);
        }
        if self.read_buffer.is_empty() {
            self.read_buffer = Vec::new();
        }
        let _ = share.resize(body.capacity());
        Ok(true)
    }

    /// Waits for the next bytes of a body.
    ///
    /// # Errors
    /// A body that is too slow, or a client that left.
    pub async fn wait_for_more(&mut self, incoming: &mut Incoming) -> Result<(), Error> {
        let pace = &mut incoming.pace;
        pace.heard_at = self.timer.now();
        match self.fill_within(pace.next_bytes()).await? {
            0 => Err(Error::Gone),
            count => {
                pace.note(count, self.timer.now());
                Ok(())
            }
        }
    }

    /// Reads what comes next; 0 when the client has left.
    async fn fill_within(&mut self, wait: Wait) -> Result<usize, Error> {
        self.timer.set(Some(wait.until));
        let count = poll_fn(|context| match self.poll_fill(context) {
            Poll::Pending if self.timer.poll_due(context) => Poll::Ready(Err(Error::Timeout(wait))),
            other => other.map(Ok),
        })
        .await;
        self.timer.set(None);
        count
    }

    /// Moves what has come of the body from the read buffer.
    pub(super) fn take_body(
        &mut self,
        body: &mut Vec<u8>,
        capacity_max: usize,
    ) -> Result<(), Error> {
        let Some(decoder) = &mut self.unread else { return Ok(()) };
        let piece = decoder
            .decode(&mut self.read_buffer)
            .and_then(|piece| decoder.failure().map_or(Ok(piece), Err))
            .map_err(Error::Body)?;
        if decoder.is_done() {
            self.unread = None;
        }
        if body.is_empty() && piece.data == (0..self.read_buffer.len()) {
            *body = std::mem::take(&mut self.read_buffer);
        } else {
            reserve(body, piece.data.len(), capacity_max);
            body.extend_from_slice(&self.read_buffer[piece.data]);
            self.read_buffer.drain(..piece.consumed);
        }
        Ok(())
    }

    /// Whether what is left of the request body is small enough to be thrown away, and will come.
    pub fn can_discard(&self) -> bool {
        let left = self.unread.as_ref().map_or(Some(0), Decoder::left);
        !self.gone && !self.expects_continue && left.is_some_and(|left| left <= DISCARD_BYTES_MAX)
    }

    /// Throws away what is left of a request body, so that the next request can be read.
    /// Returns whether that is possible.
    pub async fn discard_body(&mut self) -> bool {
        if !self.can_discard() {
            return false;
        }
        let wait = Wait::new(label::REQUEST_BODY, self.timer.now(), LINGER_SILENCE_MAX);
        while self.unread.is_some() {
            if self.take_body(&mut Vec::new(), 0).is_err() {
                return false;
            }
            if self.unread.is_some() && !matches!(self.fill_within(wait).await, Ok(1..)) {
                return false;
            }
        }
        true
    }
}

impl Pace {
    /// How long the next bytes may take.
    pub(super) fn next_bytes(&self) -> Wait {
        let silence = Wait::new(label::REQUEST_BODY, self.heard_at, BODY_PROGRESS_MAX);
        let paid = Duration::from_secs(self.received / BODY_BYTES_PER_SECOND_MIN);
        let slow = Wait::new(label::SLOW_REQUEST_BODY, self.begun, paid.max(BODY_GRACE));
        if slow.until < silence.until {
            slow
        } else {
            silence
        }
    }

    /// Takes note of so many bytes more.
    pub(super) fn note(&mut self, count: usize, now: Instant) {
        self.received += count as u64;
        self.heard_at = now;
    }

    /// Takes note that nothing was read between two points of time.
    pub(super) fn skip(&mut self, from: Instant, to: Instant) {
        self.begun += to.saturating_duration_since(from);
        self.heard_at = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_must_not_pause_for_long_and_not_be_slow_for_long() {
        let begun = Instant::now();
        for (now, received, label, until) in [
            (0, 0, label::SLOW_REQUEST_BODY, 20),
            (19, 9_000, label::SLOW_REQUEST_BODY, 20),
            (20, 20_000, label::SLOW_REQUEST_BODY, 40),
            (5, 17_000, label::SLOW_REQUEST_BODY, 34),
            (5, 18_000, label::REQUEST_BODY, 35),
            (100, 1_000_000, label::REQUEST_BODY, 130),
        ] {
            let heard_at = begun + Duration::from_secs(now);
            let wait = Pace { begun, heard_at, received }.next_bytes();
            assert_eq!((wait.label, wait.until - begun), (label, Duration::from_secs(until)));
        }
    }
}
