//! All deadlines of one request to a provider, each with the name under which it runs out.

use std::time::{Duration, Instant};

use crate::runtime::{label, Wait};

/// The time-outs of a request that streams, or of one that does not.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a permit to have a connection; `None` for requests that need none: probes and listings, of
    /// which there is one per provider.
    pub queue: Option<Duration>,
    /// Whether the request asked to stream: then only progress counts.
    pub streams: bool,
    /// The longest wait for a stream's head, and between two of its pieces.
    pub stream: Duration,
    /// From sending the request to the end of a response that does not stream.
    pub whole: Duration,
    /// After this much silence an event stream gets a comment line.
    pub comment_after: Option<Duration>,
    /// After this much silence without a head an event stream is opened all the same.
    pub early_after: Option<Duration>,
}

impl Timeouts {
    /// For a request of our own that must be over after `whole`.
    pub fn query(whole: Duration) -> Timeouts {
        Timeouts {
            queue: None,
            streams: false,
            stream: whole,
            whole,
            comment_after: None,
            early_after: None,
        }
    }

    /// Until when the head of the response to a request sent then must be there.
    pub fn head(&self, sent_at: Instant) -> Wait {
        if self.streams {
            Wait::new(label::FIRST_BYTE, sent_at, self.stream)
        } else {
            Wait::new(label::WHOLE_ANSWER, sent_at, self.whole)
        }
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
        let whole = Timeouts { stream: 9 * second, ..Timeouts::query(5 * second) };
        let streams = Timeouts { streams: true, ..whole };
        let now = Instant::now();
        let until = |wait: Wait| (wait.label, wait.until - now);
        assert_eq!(until(streams.head(now)), (label::FIRST_BYTE, 9 * second));
        assert_eq!(until(whole.head(now)), (label::WHOLE_ANSWER, 5 * second));
        assert_eq!(streams.whole(now), None);
        assert_eq!(whole.whole(now).map(until), Some((label::WHOLE_ANSWER, 5 * second)));
        for timeouts in [streams, whole] {
            assert_eq!(until(timeouts.next_bytes(now)), (label::NEXT_BYTES, 9 * second));
        }
    }
}
