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
        let length = match framing {
            Framing::Length(length) if length > limit => return Err(Error::TooLarge(limit)),
            Framing::Length(length) => length,
            _ => limit,
        };
        // No memory is taken for what is only announced.
        let capacity_max = usize::try_from(length).unwrap_or(usize::MAX);
        let mut body = Vec::new();
        if self.expects_continue && self.read_buffer.is_empty() {
            self.write_all(CONTINUE).await?;
        }
        self.expects_continue = false;
        let (begun, mut received) = (self.timer.now(), self.read_buffer.len() as u64);
        loop {
            self.take_body(&mut body, capacity_max)?;
            // A huge chunk is refused by its size alone.
            let announced = self.unread.as_ref().map_or(0, Decoder::announced);
            if announced.saturating_add(body.len() as u64) > limit {
                return Err(Error::TooLarge(limit));
            }
            if !share.resize(body.capacity() + self.read_buffer.capacity()) {
                return Err(Error::Overloaded(share.budget().limit()));
            }
            if self.unread.is_none() {
                if self.read_buffer.is_empty() {
                    self.read_buffer = Vec::new();
                }
                let _ = share.resize(body.capacity());
                return Ok(body);
            }
            let wait = next_bytes(begun, self.timer.now(), received);
            match self.fill_within(wait).await? {
                0 => return Err(Error::Gone),
                count => received += count as u64,
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
    fn take_body(&mut self, body: &mut Vec<u8>, capacity_max: usize) -> Result<(), Error> {
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

/// How long the next bytes of a body may take that began to come at `begun`.
fn next_bytes(begun: Instant, now: Instant, received: u64) -> Wait {
    let silence = Wait::new(label::REQUEST_BODY, now, BODY_PROGRESS_MAX);
    let paid = Duration::from_secs(received / BODY_BYTES_PER_SECOND_MIN);
    let slow = Wait::new(label::SLOW_REQUEST_BODY, begun, paid.max(BODY_GRACE));
    if slow.until < silence.until {
        slow
    } else {
        silence
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
            let wait = next_bytes(begun, begun + Duration::from_secs(now), received);
            assert_eq!((wait.label, wait.until - begun), (label, Duration::from_secs(until)));
        }
    }
}
