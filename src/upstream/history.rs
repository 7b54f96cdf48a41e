//! What was seen of one provider lately: its requests of the last hour, how soon it answers, its
//! last check, and from all that whether it is up.

use std::cell::{Cell, RefCell};

use super::strip::{Samples, Strip};
use super::trouble::Trouble;
use crate::runtime::{unix_time, Moment};

/// First bytes of which the median is shown.
const FIRST_BYTES: usize = 32;
/// Seconds for which requests say more than a check that came later: it asks for the list of models
/// only.
const RECENT: u32 = 10 * 60;
/// So many failures in a row are no accident.
const FAILURES_MIN: u32 = 2;

/// Whether requests succeed, as far as was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nothing was seen yet.
    #[default]
    Unknown,
    /// They do.
    Up,
    /// They do not.
    Down,
}

/// Why, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether requests succeed.
    pub health: Health,
    /// Since when, in seconds since 1970.
    pub since: Option<u64>,
    /// What is wrong, if it is down.
    pub trouble: Option<Trouble>,
}

/// The last check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// When it was, in seconds since 1970.
    pub at: u64,
    /// What was wrong.
    pub trouble: Option<Trouble>,
}

#[derive(Debug, Default)]
struct Seen {
    health: Health,
    since: Option<u64>,
    /// When a request last succeeded, and when one last failed, in seconds since the program's start.
    succeeded: Option<u32>,
    failed: Option<u32>,
    /// Failures since then; one that will last counts as several.
    failures: u32,
    /// The last of them.
    trouble: Option<Trouble>,
    check: Option<Check>,
    /// Whether the check came after all requests.
    check_is_last: bool,
}

/// What was seen of one provider. It outlives the configuration.
#[derive(Debug, Default)]
pub struct History {
    hour: Strip,
    first_bytes: Samples<FIRST_BYTES>,
    /// Requests that went there and have not ended.
    pub in_flight: Cell<u32>,
    seen: RefCell<Seen>,
}

impl History {
    /// Takes note of a request that it answered, and of how soon, in milliseconds, if that counts.
    pub fn note_success(&self, now: Moment, first_byte: Option<u32>) {
        self.count(now, false);
        if let Some(first_byte) = first_byte {
            self.first_bytes.push(first_byte);
        }
        let mut seen = self.seen.borrow_mut();
        seen.succeeded = Some(now.second);
        seen.check_is_last = false;
        if seen.failures > 0 || seen.health != Health::Up {
            seen.failures = 0;
            seen.trouble = None;
            seen.judge(now);
        }
    }

    /// Takes note of a request that failed, by its fault.
    pub fn note_failure(&self, now: Moment, trouble: Trouble) {
        self.count(now, true);
        let mut seen = self.seen.borrow_mut();
        seen.failures += if trouble.is_lasting() { FAILURES_MIN } else { 1 };
        seen.failed = Some(now.second);
        seen.trouble = Some(trouble);
        seen.check_is_last = false;
        seen.judge(now);
    }

    /// Takes note of a request that tells nothing of it.
    pub fn note_other(&self, now: Moment) {
        self.count(now, false);
    }

    fn count(&self, now: Moment, failed: bool) {
        self.hour.add(now.minute, now.in_hour, failed);
    }

    /// Takes note of a check.
    pub fn note_check(&self, now: Moment, trouble: Option<Trouble>) {
        let mut seen = self.seen.borrow_mut();
        seen.check = Some(Check { at: unix_time(), trouble });
        seen.check_is_last = true;
        seen.judge(now);
    }

    /// Forgets whether it is up: it was configured otherwise. What happened stays.
    pub fn forget_health(&self) {
        self.seen.take();
    }

    /// Whether it is up.
    pub fn verdict(&self, now: Moment) -> Verdict {
        let mut seen = self.seen.borrow_mut();
        let trouble = seen.judge(now).cloned();
        Verdict { health: seen.health, since: seen.since, trouble }
    }

    /// The last check.
    pub fn check(&self) -> Option<Check> {
        self.seen.borrow().check.clone()
    }

    /// Requests of the last hour that have ended, and how many of them failed by its fault, minute
    /// by minute.
    pub fn hour(&self, now: Moment) -> Vec<[u32; 2]> {
        self.hour.cells(now.minute)
    }

    /// The median of its last first bytes, in milliseconds.
    pub fn first_byte(&self) -> Option<u32> {
        self.first_bytes.percentile(50)
    }
}

impl Seen {
    /// Decides anew whether it is up, and returns what is wrong with it.
    fn judge(&mut self, now: Moment) -> Option<&Trouble> {
        let (health, by_requests) = self.weigh(now.second);
        if health != self.health {
            self.health = health;
            self.since = Some(unix_time());
        }
        match health {
            Health::Down if by_requests => self.trouble.as_ref(),
            Health::Down => self.check.as_ref().and_then(|check| check.trouble.as_ref()),
            _ => None,
        }
    }

    /// Whether it is up, and whether that is known from requests.
    fn weigh(&self, now: u32) -> (Health, bool) {
        let counts = |at: Option<u32>| {
            at.is_some_and(|at| !self.check_is_last || now.saturating_sub(at) < RECENT)
        };
        let checked = self.check.as_ref().filter(|_| self.check_is_last);
        let trouble = checked.and_then(|check| check.trouble.as_ref());
        if trouble.is_some_and(|trouble| trouble.unreachable) {
            return (Health::Down, false);
        }
        if self.failures >= FAILURES_MIN && counts(self.failed) {
            return (Health::Down, true);
        }
        if counts(self.succeeded) {
            return (Health::Up, true);
        }
        match &self.check {
            Some(Check { trouble: None, .. }) => (Health::Up, false),
            Some(_) => (Health::Down, false),
            None if self.failures > 0 => (Health::Down, true),
            None => (Health::Unknown, false),
        }
    }
}

#[cfg(test)]
mod tests;
