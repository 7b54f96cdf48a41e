//! All deadlines of one request to a provider, each with the name under which it runs out.

use std::time::{Duration, Instant};

use super::exchange::Patience;
use crate::runtime::{label, Wait};

/// The configured time-outs, as they are for a request that streams, or for one that does not.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Whether the request asked to stream: then only progress counts.
    pub streams: bool,
    /// The longest wait for a stream's head, and between two of its pieces.
    pub stream: Duration,
    /// From sending the request to the end of a response that does not stream. So long, too, a
    /// request waits for a free connection.
    pub whole: Duration,
    /// After this much silence an event stream gets a comment line.
    pub comment_after: Option<Duration>,
    /// After this much silence without a head an event stream is opened all the same.
    pub early_after: Option<Duration>,
}

impl Timeouts {
    /// How long an exchange may wait, first for a connection, then for the response's head.
    pub fn patience(&self) -> Patience {
        let (response, label) = if self.streams {
            (self.stream, label::FIRST_BYTE)
        } else {
            (self.whole, label::WHOLE_ANSWER)
        };
        Patience { queue: Some(self.whole), response, label }
    }

    /// Until when the response to a request sent then must be whole; `None` when only progress
    /// counts.
    pub fn whole(&self, sent_at: Instant) -> Option<Wait> {
        (!self.streams).then(|| Wait::new(label::WHOLE_ANSWER, sent_at, self.whole))
    }

    /// Until when more of a body must come of which something came then.
    pub fn next_bytes(&self, heard_at: Instant) -> Wait {
        Wait::new(label::NEXT_BYTES, heard_at, self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_must_go_on_and_anything_else_must_end_in_time() {
        let second = Duration::from_secs(1);
        let timeouts = |streams| Timeouts {
            streams,
            stream: 9 * second,
            whole: 5 * second,
            comment_after: None,
            early_after: None,
        };
        let now = Instant::now();
        let (streams, whole) = (timeouts(true), timeouts(false));
        assert_eq!(
            (streams.patience().response, streams.patience().queue),
            (9 * second, Some(5 * second))
        );
        assert_eq!(
            (whole.patience().response, whole.patience().queue),
            (5 * second, Some(5 * second))
        );
        assert!(streams.whole(now).is_none());
        assert_eq!(whole.whole(now).map(|wait| wait.until), Some(now + 5 * second));
        assert_eq!(streams.next_bytes(now).until, now + 9 * second);
        assert_eq!(whole.next_bytes(now).until, now + 9 * second);
    }
}
