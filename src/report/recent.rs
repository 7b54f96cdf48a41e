//! What happened lately: how many chats there were, how soon they were answered, and which went
//! wrong. Of fixed size, whatever happens.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::culprit::Culprit;
use crate::language::Text;
use crate::runtime::Moment;
use crate::upstream::{Samples, Strip};

/// Problems that are kept.
const PROBLEMS_MAX: usize = 20;
/// First bytes of which the percentiles are shown.
const FIRST_BYTES: usize = 128;

/// A request that went wrong.
#[derive(Debug)]
pub struct Problem {
    /// When it ended, in seconds since 1970.
    pub at: u64,
    /// The request's id.
    pub id: Box<str>,
    /// The description of the client's token; empty where there was none.
    pub client: Box<str>,
    /// The model that was asked for; empty where none was read.
    pub model: Box<str>,
    /// The name of the provider that was asked, if one was.
    pub provider: Option<Box<str>>,
    /// The status that the client got, or would have got; 0 where there was none.
    pub status: u16,
    /// Whose fault it was.
    pub culprit: Culprit,
    /// What happened.
    pub words: Text,
}

/// Chats of the last hour, and the last problems.
#[derive(Debug, Default)]
pub struct Recent {
    seconds: Strip,
    minutes: Strip,
    first_bytes: Samples<FIRST_BYTES>,
    problems: RefCell<VecDeque<Problem>>,
    /// Responses that stream now.
    pub streams: Cell<u32>,
    /// Chats that have begun and not ended.
    pub in_flight: Cell<u32>,
}

impl Recent {
    /// Counts a chat that has ended.
    pub fn chat(&self, now: Moment, failed: bool) {
        self.seconds.add(now.second, now.in_minute, failed);
        self.minutes.add(now.minute, now.in_hour, failed);
    }

    /// Takes note of how soon a provider answered, in milliseconds.
    pub fn first_byte(&self, milliseconds: u32) {
        self.first_bytes.push(milliseconds);
    }

    /// Takes note of a problem, in place of the oldest one.
    pub fn problem(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        problems.truncate(PROBLEMS_MAX - 1);
        problems.push_front(problem);
    }

    /// What went wrong, the latest first.
    pub fn problems(&self) -> std::cell::Ref<'_, VecDeque<Problem>> {
        self.problems.borrow()
    }

    /// Chats that ended within the last minute.
    pub fn last_minute(&self, now: Moment) -> u64 {
        self.seconds.sum(now.second)[0]
    }

    /// Chats that ended within the last hour, and how many of them went wrong.
    pub fn last_hour(&self, now: Moment) -> [u64; 2] {
        self.minutes.sum(now.minute)
    }

    /// How soon so many percent of the last chats were answered, in milliseconds.
    pub fn first_byte_percentile(&self, percent: usize) -> Option<u32> {
        self.first_bytes.percentile(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_twenty_problems_are_kept_the_latest_first() {
        let recent = Recent::default();
        for at in 0..50 {
            recent.problem(Problem {
                at,
                id: "i".into(),
                client: "c".into(),
                model: "p/m".into(),
                provider: None,
                status: 502,
                culprit: Culprit::Provider,
                words: Text::new("x"),
            });
        }
        let kept: Vec<_> = recent.problems().iter().map(|problem| problem.at).collect();
        assert_eq!(kept, (30..50).rev().collect::<Vec<_>>());
        assert!(recent.problems().capacity() <= 2 * PROBLEMS_MAX);
    }
}
