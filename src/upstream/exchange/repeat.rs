//! Whether a request may be sent once more.

use std::time::Duration;

/// A reused connection that dies later than this after the request, if TCP took next to nothing to
/// connect, may have died of the request.
pub(super) const REPEAT_WITHIN_MIN: Duration = Duration::from_millis(20);
/// The same, however long TCP took to connect.
const REPEAT_WITHIN_MAX: Duration = Duration::from_millis(500);

/// A provider may close an idle connection just as we use it. Anything else is not ours to repeat:
/// a request that it has begun to work on may cost money (RFC 9110 §9.2.2). `age` is the time from
/// the request to the news that its connection is dead.
pub(super) fn may_repeat(
    attempt: u32,
    may_be_dead: bool,
    response_bytes: u64,
    age: Duration,
    tcp_took: Duration,
) -> bool {
    attempt == 0 && may_be_dead && response_bytes == 0 && age < repeat_within(tcp_took)
}

/// How soon after the request the news must come that its connection was dead already: a round
/// trip, which is what TCP took to connect, and as much again for delays.
pub(super) fn repeat_within(tcp_took: Duration) -> Duration {
    (2 * tcp_took).clamp(REPEAT_WITHIN_MIN, REPEAT_WITHIN_MAX)
}
