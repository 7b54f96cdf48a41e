//! A response to the doctor: all of it, how it ended, in how many pieces and when it came.

use std::io;
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use crate::routes::query::{self, LIST_BYTES_MAX};
use crate::runtime::Timer;
use crate::upstream::{Error, UpstreamResponse};
use crate::wire::{fields, Framing};

/// How long a connection may stay open that its client has left.
const LEAVING_MAX: Duration = Duration::from_secs(2);

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its framing says.
    Whole,
    /// Before that.
    Cut,
    /// Not in time.
    Late,
    /// Not within [`LIST_BYTES_MAX`].
    TooLong,
}

/// A response.
pub struct Talk {
    /// Its status.
    pub status: u16,
    /// Its head.
    pub head: Vec<u8>,
    /// Its body, as much of it as has come.
    pub text: Vec<u8>,
    /// How it ended.
    pub end: End,
    /// In how many pieces its body came: as the server wrote them, where the framing tells.
    pub pieces: usize,
    /// How long its head took.
    pub head_took: Duration,
    /// When the first of its body came.
    pub first: Duration,
    /// How long all of it took.
    pub took: Duration,
    /// How long the end took of a connection that its client has left.
    pub leaving: Duration,
}

impl Talk {
    /// Whether it may be a list.
    pub fn is_list(&self) -> bool {
        self.status == 200 && self.end == End::Whole
    }

    /// Whether it is a page for people.
    pub fn is_page(&self) -> bool {
        query::is_page(&self.head, &self.text)
    }

    /// The value of its field `Date`.
    pub fn date(&self) -> Option<&str> {
        std::str::from_utf8(fields(&self.head, "date").next()?).ok()
    }
}

/// A response while it is read.
pub(super) struct Reading {
    response: UpstreamResponse,
    sent_at: Instant,
    /// The body as it came, framed.
    raw: Vec<u8>,
    text: Vec<u8>,
    reads: usize,
    first: Duration,
    leaves: bool,
    left_at: Option<Instant>,
}

impl Reading {
    pub(super) fn new(response: UpstreamResponse, sent_at: Instant, leaves: bool) -> Reading {
        let (raw, text, first) = (Vec::new(), Vec::new(), Duration::ZERO);
        Reading { response, sent_at, raw, text, reads: 0, first, leaves, left_at: None }
    }

    pub(super) fn poll(&mut self, context: &Context<'_>, timer: &Timer) -> Poll<End> {
        loop {
            if self.left_at.is_none() {
                if self.take().is_err() {
                    return Poll::Ready(End::Cut);
                }
                match () {
                    () if self.leaves && !self.text.is_empty() => {
                        self.response.lease.socket.shutdown_write();
                        self.left_at = Some(Instant::now());
                        timer.set(Some(timer.now() + LEAVING_MAX));
                    }
                    () if self.response.decoder.is_done() => return Poll::Ready(End::Whole),
                    () if self.text.len() as u64 > LIST_BYTES_MAX => {
                        return Poll::Ready(End::TooLong);
                    }
                    () => {}
                }
            }
            self.response.buffer.clear();
            let UpstreamResponse { lease, buffer, decoder, .. } = &mut self.response;
            let read: io::Result<usize> = ready!(lease.socket.poll_fill(context, buffer));
            match read {
                Ok(1..) => {}
                // One without `close_notify`, too: whether it is the end, the framing tells.
                _ if self.left_at.is_some() || decoder.end().is_ok() => {
                    return Poll::Ready(End::Whole);
                }
                _ => return Poll::Ready(End::Cut),
            }
        }
    }

    /// Takes what has come out of its framing.
    fn take(&mut self) -> Result<(), Error> {
        if self.response.buffer.is_empty() {
            return Ok(());
        }
        self.raw.extend_from_slice(&self.response.buffer);
        let piece = self.response.take_buffer()?;
        if self.text.is_empty() {
            self.first = self.sent_at.elapsed();
        }
        self.reads += usize::from(!piece.is_empty());
        self.text.extend_from_slice(&piece);
        Ok(())
    }

    pub(super) fn into_talk(mut self, end: End) -> Talk {
        let (status, framing) = (self.response.head.status, self.response.head.framing);
        let head = std::mem::take(&mut self.response.head.relayed);
        let pieces = match framing {
            Framing::Chunked => chunks(&self.raw),
            Framing::UntilClose => self.reads,
            _ => 1,
        };
        if end == End::Whole && self.left_at.is_none() {
            self.response.finish();
        }
        let leaving = self.left_at.map_or(Duration::ZERO, |at| at.elapsed());
        let (head_took, took) = (Duration::ZERO, Duration::ZERO);
        let (text, first) = (self.text, self.first);
        Talk { status, head, text, end, pieces, head_took, first, took, leaving }
    }
}

/// How many chunks with data there are in a chunked body.
fn chunks(mut raw: &[u8]) -> usize {
    let mut count = 0;
    while let Some(end) = memchr::memchr(b'\n', raw) {
        let digits = raw[..end].split(|byte| !byte.is_ascii_hexdigit()).next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        let size = usize::from_str_radix(digits, 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        count += 1;
        // Behind the data comes a line end.
        raw = raw.get(end.saturating_add(size).saturating_add(3)..).unwrap_or_default();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_counted_as_they_were_written() {
        for (raw, count) in [
            (&b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n"[..], 2),
            (b"3\r\nabc\r\n0\r\n\r\n", 1),
            (b"3\r\nabc\r\n3\r\na", 2),
            (b"0\r\n\r\n", 0),
            (b"ffffffffffffffff\r\na", 1),
            (b"x", 0),
            (b"", 0),
        ] {
            assert_eq!(chunks(raw), count, "{}", String::from_utf8_lossy(raw));
        }
    }
}
