//! Which origins are tried last: those that could not be reached several times in a row. It is only an
//! order, never a refusal. Pure: times are handed in.

use std::time::{Duration, Instant};

use crate::upstream::Reach;

/// Failures in a row that count.
const FAILURES: u8 = 3;
/// For so long after the last one.
const LAST_FOR: Duration = Duration::from_secs(5);

/// Whether an origin is tried after all others.
pub fn is_last(reach: &Reach, now: Instant) -> bool {
    reach.failures.get() >= FAILURES
        && reach.failed_at.get().is_some_and(|at| now.saturating_duration_since(at) < LAST_FOR)
}

/// There was no connection.
pub fn fail(reach: &Reach, now: Instant) {
    reach.failures.set(reach.failures.get().saturating_add(1).min(FAILURES));
    reach.failed_at.set(Some(now));
}

/// There was one.
pub fn succeed(reach: &Reach) {
    reach.failures.set(0);
}

#[cfg(test)]
#[test]
fn an_origin_is_last_after_three_failures_in_a_row_for_five_seconds_or_until_it_answers() {
    let (reach, start) = (Reach::default(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    (0..2).for_each(|second| fail(&reach, at(second)));
    assert!(!is_last(&reach, at(1)));
    succeed(&reach);
    (2..5).for_each(|second| fail(&reach, at(second)));
    assert!(is_last(&reach, at(4)) && is_last(&reach, at(8)) && !is_last(&reach, at(9)));
    fail(&reach, at(20));
    assert!(is_last(&reach, at(20)));
    succeed(&reach);
    assert!(!is_last(&reach, at(20)));
}
