//! What the client and the log are told of several attempts: the trail, the model that answered, and when it
//! is worth while to ask again.

use std::time::{Duration, Instant};

use crate::report::{model_value, Entry, Error};
use crate::routing::{Attempts, Choice, Plan};
use crate::state::State;
use crate::upstream::{self, Trouble};
use crate::wire::{fields, push_field, remove_field, NAMED_MODEL};

/// What was asked, and what came of it.
const ATTEMPTS: &str = "x-ai-proxy-attempts";
const RETRY_AFTER: &str = "retry-after";
const RETRY_AFTER_MS: &str = "retry-after-ms";
/// What the provider itself said there.
const UPSTREAM_RETRY_AFTER: &str = "x-ai-proxy-upstream-retry-after";
const SHOULD_RETRY: &str = "x-should-retry";

/// Takes note of where the request goes first.
pub fn begin(plan: &Plan, first: Choice, entry: &mut Entry) {
    let target = &plan.targets[first.target];
    let asked = plan.is_alias.then(|| std::mem::take(&mut entry.model));
    entry.go_by(asked, target.name());
}

/// Takes note of where it went, and of what was wrong with those that it did not stay with.
pub fn arrive(
    plan: &Plan,
    attempts: &Attempts<'_>,
    chosen: Choice,
    troubles: Vec<(Choice, Option<Trouble>)>,
    state: &State,
    entry: &mut Entry,
) {
    let target = &plan.targets[chosen.target];
    let trail =
        if plan.keeps_state() || attempts.count() > 1 { attempts.trail() } else { String::new() };
    entry.arrive(&target.provider, target.name(), trail, attempts.count());
    let now = state.clock().moment();
    for (choice, trouble) in troubles {
        let history = &plan.targets[choice.target].provider.history;
        match trouble {
            _ if choice == chosen => {}
            Some(trouble) => history.note_failure(now, trouble),
            None => history.note_other(now),
        }
    }
}

/// The error where nobody has answered: it names every target that was asked.
pub fn error(plan: &Plan, failed: Vec<(usize, upstream::Error)>) -> Error {
    let mut errors: Vec<(usize, upstream::Error)> = Vec::new();
    for (target, error) in failed {
        // Of one target the last counts.
        errors.retain(|(other, _)| *other != target);
        errors.push((target, error));
    }
    let of = |(target, error): (usize, upstream::Error)| {
        Error::of_exchange(&plan.targets[target].provider, error)
    };
    match errors.len() {
        1 => of(errors.remove(0)),
        _ => Error::NoAnswer(errors.into_iter().map(of).collect()),
    }
}

/// Writes into a provider's head what the client needs to know of the attempts.
pub fn dress(
    (status, relayed): (u16, &mut Vec<u8>),
    plan: &Plan,
    attempts: &Attempts<'_>,
    now: Instant,
    entry: &Entry,
) {
    if plan.is_alias {
        remove_field(relayed, NAMED_MODEL);
        push_field(relayed, NAMED_MODEL, model_value(&entry.model).as_bytes());
    }
    if attempts.count() > 1 {
        remove_field(relayed, ATTEMPTS);
        push_field(relayed, ATTEMPTS, attempts.trail().as_bytes());
    }
    if plan.keeps_state() && matches!(status, 429 | 503 | 529) {
        let (recovery, hopeless) = attempts.recovery(now);
        if let Some(recovery) = recovery {
            state_recovery(relayed, recovery);
        }
        if hopeless && fields(relayed, SHOULD_RETRY).next().is_none() {
            push_field(relayed, SHOULD_RETRY, b"false");
        }
    }
}

/// Has the head say when the first key or target recovers, in place of what its provider says of itself.
fn state_recovery(relayed: &mut Vec<u8>, recovery: Duration) {
    let own = fields(relayed, RETRY_AFTER).next().map(<[u8]>::to_vec);
    let in_milliseconds = fields(relayed, RETRY_AFTER_MS).next().is_some();
    for name in [RETRY_AFTER, RETRY_AFTER_MS, UPSTREAM_RETRY_AFTER] {
        remove_field(relayed, name);
    }
    let seconds = recovery.as_secs() + u64::from(recovery.subsec_nanos() > 0);
    push_field(relayed, RETRY_AFTER, seconds.to_string().as_bytes());
    if in_milliseconds {
        push_field(relayed, RETRY_AFTER_MS, recovery.as_millis().to_string().as_bytes());
    }
    if let Some(own) = own {
        push_field(relayed, UPSTREAM_RETRY_AFTER, &own);
    }
}

#[cfg(test)]
#[test]
fn what_the_provider_says_of_itself_moves() {
    for (before, after) in [
        (
            "retry-after: 7\r\na: b\r\n",
            "a: b\r\nretry-after: 3\r\nx-ai-proxy-upstream-retry-after: 7\r\n",
        ),
        ("Retry-After-Ms: 7\r\n", "retry-after: 3\r\nretry-after-ms: 2001\r\n"),
        ("", "retry-after: 3\r\n"),
    ] {
        let mut relayed = before.as_bytes().to_vec();
        state_recovery(&mut relayed, Duration::from_millis(2001));
        assert_eq!(String::from_utf8(relayed).unwrap(), after);
    }
}
