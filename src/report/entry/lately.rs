//! What an entry adds to what happened lately: rates, problems, and the history of its provider.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::line::Plain;
use super::Entry;
use crate::language::Text;
use crate::report::culprit::Culprit;
use crate::report::error::Error;
use crate::report::outcome::Outcome;
use crate::report::recent::Problem;
use crate::runtime::unix_time;
use crate::upstream::{is_fault_of_provider, Provider, Trouble};

impl Entry {
    pub(super) fn note_begin(&self) {
        add(&self.stats.recent.in_flight, 1);
    }

    /// Takes note of the provider that is asked.
    pub fn go_to(&mut self, provider: &Rc<Provider>) {
        add(&provider.history.in_flight, 1);
        let before = self.provider.replace(provider.clone());
        before.inspect(|before| add(&before.history.in_flight, -1));
    }

    /// Takes note that the response streams.
    pub fn begin_stream(&mut self) {
        self.streams = true;
        add(&self.stats.recent.streams, 1);
    }

    /// Takes note of a chat among what happened lately. One that goes well costs no memory.
    pub(super) fn note(&self, outcome: &Outcome, provider_status: u16) {
        let (recent, now) = (&self.stats.recent, self.clock.moment());
        let culprit = Culprit::of(outcome, provider_status);
        recent.chat(now, culprit.is_some());
        add(&recent.in_flight, -1);
        if self.streams {
            add(&recent.streams, -1);
        }
        // An error comes soon, and makes nobody fast.
        let first_byte = self.first_byte.filter(|_| provider_status < 400);
        let first_byte = first_byte.map(milliseconds);
        if let Some(first_byte) = first_byte {
            recent.first_byte(first_byte);
        }
        if let Some(Provider { history, .. }) = self.provider.as_deref() {
            add(&history.in_flight, -1);
            let trouble = culprit
                .filter(|culprit| *culprit == Culprit::Provider)
                .and_then(|_| Culprit::trouble(outcome, provider_status));
            match trouble {
                Some(trouble) => history.note_failure(now, trouble),
                None if self.first_byte.is_some() && !is_fault_of_provider(provider_status) => {
                    history.note_success(now, first_byte)
                }
                None => history.note_other(now),
            }
        }
        if let Some(culprit) = culprit {
            recent.problem(self.problem(outcome, provider_status, culprit));
        }
    }

    fn problem(&self, outcome: &Outcome, status: u16, culprit: Culprit) -> Problem {
        let words = match outcome {
            Outcome::Complete => Trouble::of_status(status).words,
            outcome => Text::new(Short(outcome)),
        };
        Problem {
            at: unix_time(),
            id: self.id.as_str().into(),
            client: short(self.client.as_deref().unwrap_or_default()),
            model: short(&self.model),
            provider: self.provider.as_ref().map(|provider| short(provider.name())),
            status,
            culprit,
            words,
        }
    }

    /// Takes note of a client that is set up wrong, and so never gets as far as a chat.
    pub(super) fn note_lost(&self, outcome: &Outcome, error: &Error) {
        if matches!(error, Error::PathTwice(_)) {
            let problem = self.problem(outcome, self.status, Culprit::Client);
            self.stats.recent.problem(problem);
        }
    }
}

fn milliseconds(length: Duration) -> u32 {
    (length.as_secs() as u32).saturating_mul(1000).saturating_add(length.subsec_millis())
}

fn add(count: &Cell<u32>, change: i32) {
    count.set(count.get().wrapping_add_signed(change));
}

/// Characters of a name that is kept.
const NAME_MAX: usize = 100;

/// An outcome in one line of limited length.
struct Short<'a>(&'a Outcome);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Plain(&self.0.to_string()).fmt(f)
    }
}

fn short(name: &str) -> Box<str> {
    Plain(name).to_string().chars().take(NAME_MAX).collect::<String>().into()
}
