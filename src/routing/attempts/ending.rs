//! What the client is told when no attempt follows any more.

use std::time::{Duration, Instant};

use super::{Attempts, Made};
use crate::routing::happened::Class;
use crate::routing::rests::{self, Standing};

impl Attempts<'_> {
    /// Whether the answer of the last attempt is a better one for the client than the one that was kept
    /// before: what is the request's fault is final, waiting helps after an overload, and else the last one
    /// counts.
    pub fn keeps_last(&self, kept_is_overload: bool) -> bool {
        self.made.last().is_some_and(|last| {
            // A time-out ends the attempts, too, and is nobody's fault.
            let is_final =
                matches!(last.class, Class::Success | Class::Final) && !last.happened.is_timeout();
            last.happened.result.is_ok()
                && (is_final || last.happened.is_overload() || !kept_is_overload)
        })
    }

    /// How many attempts were made.
    pub fn count(&self) -> usize {
        self.made.len()
    }

    /// After how long the first of all keys and targets recovers, at least a second, as far as that is
    /// known; and whether it is no use to wait, since the answer is about a quota and no key recovers before
    /// that is filled up.
    pub fn recovery(&self, now: Instant) -> (Option<Duration>, bool) {
        let (mut soonest, mut free, mut by_time) = (None::<Instant>, false, false);
        for (target, key) in self.pairs(0) {
            let last = self.made.iter().rfind(|made| (made.target, made.key) == (target, key));
            let stated =
                last.and_then(|made| Some(made.at + rests::within_bounds(made.happened.stated?)));
            let until = match self.standing((target, key), now) {
                Standing::Resting(until) => stated.max(Some(until)),
                _ => stated,
            };
            let whole = rests::rests_as_a_whole(self.rests(target, key), now);
            by_time |= until.is_some() && !whole;
            free |= until.is_none() && last.is_none();
            soonest = [soonest, until].into_iter().flatten().min();
        }
        let soonest = soonest.map(|at| if free { now } else { at });
        let length =
            soonest.map(|at| at.saturating_duration_since(now).max(Duration::from_secs(1)));
        // The client gets the last of them.
        let overload = self.made.iter().rfind(|made| made.happened.is_overload());
        let is_quota = overload.is_some_and(|made| made.class == Class::KeyFault);
        (length, is_quota && !by_time && !free && self.made.len() > 1)
    }

    /// What was asked and what came of it, in its order: `groq#1=429, deepseek=200`.
    pub fn trail(&self) -> String {
        let one = |made: &Made| {
            let label = self.plan.label(made.target, made.key);
            match made.happened.result {
                Ok(status) => format!("{label}={status}"),
                Err(failure) => format!("{label}={failure}"),
            }
        };
        self.made.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}
