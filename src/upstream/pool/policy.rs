//! When idle connections close: the pool's limits and what follows from them, without a pool.

use std::time::{Duration, Instant};

/// A connection that is older is not reused: names move, and would never be looked up again.
pub(super) const CONNECTION_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// The configured limits of the pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Leases at once.
    pub leases_max: usize,
    /// Idle connections kept.
    pub idle_max: usize,
    /// The age at which an idle connection is closed.
    pub idle_age_max: Duration,
}

impl PoolLimits {
    /// How many of `idle` connections, those that are idle for longest, close when another one is
    /// opened, for one of `leased` leases: leased and idle together stay within `leases_max`.
    pub(super) fn surplus_at_open(&self, leased: usize, idle: usize) -> usize {
        (leased + idle).saturating_sub(self.leases_max).min(idle)
    }

    /// The same when another one becomes idle, which needs an `idle_max` of at least one.
    pub(super) fn surplus_at_return(&self, idle: usize) -> usize {
        (idle + 1).saturating_sub(self.idle_max).min(idle)
    }

    /// When a connection that becomes idle `now` is closed.
    pub(super) fn expires_at(&self, now: Instant, opened_at: Instant) -> Instant {
        (now + self.idle_age_max).min(opened_at + CONNECTION_AGE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: PoolLimits =
        PoolLimits { leases_max: 10, idle_max: 10, idle_age_max: Duration::from_secs(30) };

    #[test]
    fn a_connection_becomes_surplus_when_the_limits_say_so() {
        for (leased, idle, leases_max, surplus) in [
            (1, 0, 1, 0),
            (1, 1, 2, 0),
            (1, 1, 1, 1),
            (2, 3, 4, 1),
            // Probes take no permit and leave idle connections behind.
            (1, 5, 2, 4),
            // A limit that was lowered.
            (9, 1, 2, 1),
            (9, 0, 2, 0),
        ] {
            let limits = PoolLimits { leases_max, ..WIDE };
            assert_eq!(
                limits.surplus_at_open(leased, idle),
                surplus,
                "{leased} {idle} {leases_max}"
            );
        }
        for (idle, idle_max, surplus) in [(0, 1, 0), (1, 1, 1), (1, 2, 0), (5, 2, 4), (0, 0, 0)] {
            let limits = PoolLimits { idle_max, ..WIDE };
            assert_eq!(limits.surplus_at_return(idle), surplus, "{idle} {idle_max}");
        }
    }

    #[test]
    fn an_idle_connection_is_closed_at_its_idle_age_or_at_its_whole_age() {
        let opened = Instant::now();
        let at = |seconds| opened + Duration::from_secs(seconds);
        for (now, idle_age_max, expires) in
            [(0, 30, 30), (200, 30, 230), (290, 30, 300), (300, 30, 300), (700, 30, 300), (1, 0, 1)]
        {
            let limits = PoolLimits { idle_age_max: Duration::from_secs(idle_age_max), ..WIDE };
            assert_eq!(limits.expires_at(at(now), opened), at(expires), "{now}");
        }
    }
}
