//! When a key of a provider rests, for how long, and what ends that. Pure: times are handed in.
//!
//! ```text
//!            429, quota, 401 …                    its time is over
//! Well ─────────────────────────▶ Resting ───────────────────────────▶ Due
//!  ▲  ▲                              ▲                                  │ the next request
//!  │  └───────── 2xx ────────────────│───────────────┐                  ▼ goes first
//!  │                                 └───────────── OnTrial: others prefer other keys
//!  └── reload: all but the rate limits                 429 …, longer than before
//! ```

use std::time::{Duration, Instant};

use crate::upstream::{ModelRests, Rest, Rests};

/// What a provider states is taken from the first to the second.
const STATED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60 * 60));
/// The first length of a rest whose length nobody states, and the longest after doublings.
type Lengths = (Duration, Duration);
const RATE: Lengths = (Duration::from_secs(15), Duration::from_secs(5 * 60));
const QUOTA: Lengths = (Duration::from_secs(10 * 60), Duration::from_secs(6 * 60 * 60));
const KEY: Lengths = (Duration::from_secs(10 * 60), Duration::from_secs(60 * 60));
const DENIED: Duration = Duration::from_secs(5 * 60);
/// Models for which one key can rest; the oldest makes room.
const MODELS_MAX: usize = 64;
/// When all keys are limited within this time, it is about the address or region, not the keys.
const ROUND: Duration = Duration::from_secs(2);

/// How a key stands for one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing is against it.
    Well,
    /// A rest is over, and nobody has tried it since.
    Due,
    /// A rest is over, and a request is out to try it.
    OnTrial,
    /// It rests until then.
    Resting(Instant),
}

/// Why a key is of no use for any model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is not accepted.
    Key,
    /// Its quota is used up.
    Quota,
}

/// A stated delay within its bounds.
pub fn within_bounds(stated: Duration) -> Duration {
    stated.clamp(STATED.0, STATED.1)
}

fn length((first, longest): Lengths, doublings: u32) -> Duration {
    first.saturating_mul(1 << doublings.min(16)).min(longest)
}

/// How a key stands for this model.
pub fn standing(rests: &Rests, model: u64, now: Instant) -> Standing {
    let of = |rest: Rest| match rest.until {
        None => Standing::Well,
        Some(until) if until > now => Standing::Resting(until),
        Some(_) if rest.on_trial => Standing::OnTrial,
        Some(_) => Standing::Due,
    };
    let whole = of(rests.whole.get());
    let models = rests.models.borrow();
    let for_model = models.iter().find(|rests| rests.model == model);
    for_model.map_or(whole, |rests| whole.max(of(rests.rate)).max(of(rests.denied)))
}

/// Whether a key rests for every model.
pub fn rests_as_a_whole(rests: &Rests, now: Instant) -> bool {
    rests.whole.get().until.is_some_and(|until| until > now)
}

/// Whether it rests for any.
pub fn rests_at_all(rests: &Rests, now: Instant) -> bool {
    let rests_now = |rest: Rest| rest.until.is_some_and(|until| until > now);
    rests_as_a_whole(rests, now)
        || rests.models.borrow().iter().any(|m| rests_now(m.rate) || rests_now(m.denied))
}

/// Puts those rests on trial that are over when a request `begins`, and returns when they end.
pub fn put_on_trial(rests: &Rests, model: u64, begins: Instant) -> Vec<Instant> {
    let mut ends = Vec::new();
    change_all(rests, model, |rest| {
        let end = rest.until.filter(|until| *until <= begins);
        ends.extend(end);
        Rest { on_trial: end.is_some(), ..rest }
    });
    ends
}

/// The request that tried the rests of these ends is back.
pub fn end_trial(rests: &Rests, model: u64, ends: &[Instant]) {
    change_all(rests, model, |rest| {
        let is_other = rest.until.is_none_or(|until| !ends.contains(&until));
        Rest { on_trial: rest.on_trial && is_other, ..rest }
    });
}

fn change_all(rests: &Rests, model: u64, mut change: impl FnMut(Rest) -> Rest) {
    rests.whole.set(change(rests.whole.get()));
    if let Some(of_model) = rests.models.borrow_mut().iter_mut().find(|m| m.model == model) {
        of_model.rate = change(of_model.rate);
        of_model.denied = change(of_model.denied);
    }
}

/// A request succeeded: nothing is against the key, or against it with this model.
pub fn succeed(rests: &Rests, model: u64) {
    if rests.whole.get().until.is_some() {
        rests.whole.take();
    }
    if !rests.models.borrow().is_empty() {
        rests.models.borrow_mut().retain(|of_model| of_model.model != model);
    }
}

/// The key is of no use: it rests as a whole.
pub fn be_unfit(rests: &Rests, why: Unfit, stated: Option<Duration>, now: Instant) {
    let lengths = match why {
        Unfit::Key => KEY,
        Unfit::Quota => QUOTA,
    };
    let stated = stated.filter(|_| why == Unfit::Quota).map(within_bounds);
    rests.whole.set(prolonged(rests.whole.get(), lengths, stated, now));
}

/// The key was denied what another one got.
pub fn be_denied(rests: &Rests, model: u64, now: Instant) {
    with_model(rests, model, |of_model| {
        let until = Some(now + DENIED).max(of_model.denied.until);
        let on_trial = of_model.denied.on_trial && until == of_model.denied.until;
        of_model.denied = Rest { until, on_trial, ..of_model.denied };
    });
}

/// A rest that begins or goes on. One that is running becomes no shorter, and is counted once, however
/// many requests were out.
fn prolonged(rest: Rest, lengths: Lengths, stated: Option<Duration>, now: Instant) -> Rest {
    let was_counted = rest.is_counted && rest.until.is_some_and(|until| until > now);
    let is_counted = was_counted || stated.is_none();
    let times = rest.times.saturating_add(u32::from(is_counted && !was_counted));
    let length = stated.unwrap_or_else(|| length(lengths, times.saturating_sub(1)));
    let until = rest.until.max(Some(now + length));
    // The end of a new rest is tried anew.
    Rest { until, times, is_counted, on_trial: rest.on_trial && until == rest.until }
}

/// The provider said "too many requests" to the key `at` of all its `keys`.
pub fn be_limited(keys: &[&Rests], at: usize, model: u64, stated: Option<Duration>, now: Instant) {
    let stated = stated.map(within_bounds);
    with_model(keys[at], model, |of_model| {
        let before = of_model.rate;
        let after = prolonged(before, RATE, stated, now);
        let undoubled = match stated {
            Some(stated) => now + stated,
            None => now + length(RATE, after.times.saturating_sub(2)),
        };
        if after.times > before.times {
            of_model.doubled_at = Some(now);
            of_model.undoubled = before.until;
        }
        of_model.undoubled = of_model.undoubled.max(Some(undoubled));
        of_model.limited_at = Some(now);
        of_model.rate = after;
    });
    let in_turn: Vec<_> = keys.iter().filter(|rests| !rests_as_a_whole(rests, now)).collect();
    let is_limited = |rests: &&&Rests| {
        let models = rests.models.borrow();
        let at = models.iter().find(|m| m.model == model).and_then(|m| m.limited_at);
        is_of_round(at, now)
    };
    if in_turn.len() > 1 && in_turn.iter().all(is_limited) {
        in_turn.into_iter().for_each(|rests| take_back_doubling(rests, model, now));
    }
}

fn is_of_round(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) <= ROUND)
}

/// Makes the rest as long as if it had not become longer in this round.
fn take_back_doubling(rests: &Rests, model: u64, now: Instant) {
    let mut models = rests.models.borrow_mut();
    let Some(of_model) = models.iter_mut().find(|m| m.model == model) else { return };
    if is_of_round(of_model.doubled_at.take(), now) {
        of_model.rate.until = of_model.undoubled;
        of_model.rate.times -= 1;
    }
}

fn with_model(rests: &Rests, model: u64, change: impl FnOnce(&mut ModelRests)) {
    let mut models = rests.models.borrow_mut();
    let known = models.iter().position(|of_model| of_model.model == model);
    let known = known.and_then(|at| models.remove(at));
    let mut of_model = known.unwrap_or(ModelRests { model, ..ModelRests::default() });
    change(&mut of_model);
    if models.len() == MODELS_MAX {
        models.pop_front();
    }
    models.push_back(of_model);
}

/// The configuration was read again: its owner has just mended something. What counts requests goes on.
pub fn keep_rate_limits(rests: &Rests) {
    rests.whole.take();
    let mut models = rests.models.borrow_mut();
    models.retain(|of_model| of_model.rate.until.is_some());
    models.iter_mut().for_each(|of_model| of_model.denied = Rest::default());
}

#[cfg(test)]
mod tests;
