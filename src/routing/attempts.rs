//! The attempts of one request: which target and key comes first, whether another attempt follows and after
//! what wait, and which answer the client gets. Pure: times and chance are handed in.
//!
//! ```text
//! first ──▶ attempt ──▶ after ──┬──▶ attempt: another key, another target, or the same after a wait
//!                               └──▶ end: success, the request's fault, nothing left, out of budget or time
//! ```

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::happened::{Class, Happened};
use super::key_order;
use super::plan::Plan;
use super::reach;
use super::rests::{self, Standing};
use super::trial::Trial;
use crate::upstream::Rests;

mod ending;

/// The longest wait before the same is asked again although nobody stated one.
const JITTER_MAX: Duration = Duration::from_secs(5);
/// The bound of the first such wait; each further one is twice as long.
const JITTER_FIRST: Duration = Duration::from_millis(500);
/// A stated delay is prolonged by up to this share, so that not all who wait come at once.
const STATED_MORE: f64 = 0.1;

/// Where an attempt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which of the plan's targets.
    pub target: usize,
    /// Which of its provider's keys.
    pub key: usize,
    /// What is waited for before.
    pub wait: Duration,
}

/// An attempt that is over.
#[derive(Debug)]
struct Made {
    target: usize,
    key: usize,
    happened: Happened,
    class: Class,
    /// When it ended.
    at: Instant,
}

/// All attempts of one request.
pub struct Attempts<'p> {
    plan: &'p Plan,
    /// The keys of each target, the preferred one first.
    keys: Vec<Vec<usize>>,
    /// Additional attempts that may be made.
    left: u8,
    /// Nothing begins later.
    deadline: Instant,
    made: Vec<Made>,
    /// Whether a further key was asked after a denial, where that is allowed once.
    denied: bool,
    /// How often the same was asked again without a stated delay.
    repeats: u32,
    /// Kept while a key is on trial.
    trial: Option<Trial>,
}

impl<'p> Attempts<'p> {
    /// No attempt was made yet. `retries_max` lowers what the plan allows.
    pub fn new(
        plan: &'p Plan,
        conversation: u64,
        retries_max: Option<u8>,
        deadline: Instant,
    ) -> Attempts<'p> {
        Attempts {
            keys: plan.orders(conversation),
            left: retries_max.unwrap_or(u8::MAX).min(plan.retries()),
            plan,
            deadline,
            made: Vec::new(),
            denied: false,
            repeats: 0,
            trial: None,
        }
    }

    /// The first attempt: there always is one. When everything rests, what is free soonest is asked, once.
    pub fn first(&mut self, now: Instant) -> Choice {
        let is_free = |pair: &(usize, usize)| !self.rests_now(*pair, now);
        let (target, key) = self.best(now).filter(is_free).unwrap_or_else(|| {
            self.left = 0;
            let pairs = self.pairs(0).map(|pair| (self.standing(pair, now), pair));
            // The first of those that are free at the same time.
            pairs.min_by_key(|(standing, _)| *standing).map_or((0, 0), |(_, pair)| pair)
        });
        self.begin(target, key, Duration::ZERO, now)
    }

    /// Takes note of what the last attempt came to, and decides whether there is another. `random` is from
    /// 0 to 1.
    pub fn after(
        &mut self,
        choice: Choice,
        happened: Happened,
        now: Instant,
        random: f64,
    ) -> Option<Choice> {
        let Choice { target, key, .. } = choice;
        self.trial = None;
        let class = happened.class(&self.plan.retry_on);
        self.made.push(Made { target, key, happened, class, at: now });
        self.learn(now);
        if matches!(class, Class::Success | Class::Final) || self.left == 0 || now >= self.deadline
        {
            return None;
        }
        let (target, key, wait) = match self.best(now) {
            Some((target, key)) => (target, key, Duration::ZERO),
            None => self.again(now, random)?,
        };
        if now + wait >= self.deadline {
            return None;
        }
        self.left -= 1;
        Some(self.begin(target, key, wait, now))
    }

    /// How many more there may be.
    pub fn left(&self) -> u8 {
        self.left
    }

    fn begin(&mut self, target: usize, key: usize, wait: Duration, now: Instant) -> Choice {
        match self.last_at(target) {
            None => key_order::end_turn(&self.plan.targets[target].provider),
            Some(made) => self.denied |= made.class == Class::Denied,
        }
        if self.plan.keeps_state() {
            let (rests, model) = (self.rests(target, key), self.plan.targets[target].id);
            self.trial = Trial::begin(rests, model, now + wait);
        }
        Choice { target, key, wait }
    }

    /// Applies to keys and origin what the last attempt came to.
    fn learn(&self, now: Instant) {
        let Some(made) = self.made.last() else { return };
        let target = &self.plan.targets[made.target];
        match made.happened.result {
            Err(failure) if failure.is_of_connection() => reach::fail(&target.provider.reach, now),
            Err(super::Failure::Ours) => {}
            _ => reach::succeed(&target.provider.reach),
        }
        if !self.plan.keeps_state() {
            return;
        }
        let keys: Vec<_> = target.provider.keys.iter().map(|key| &*key.rests).collect();
        let (rests, stated) = (keys[made.key], made.happened.stated);
        match (made.class, made.happened.result) {
            (Class::Success, _) => {
                rests::succeed(rests, target.id);
                self.blame(now);
            }
            (Class::KeyFault, Ok(401)) => rests::be_unfit(rests, rests::Unfit::Key, None, now),
            (Class::KeyFault, _) => rests::be_unfit(rests, rests::Unfit::Quota, stated, now),
            (Class::Limited, _) => rests::be_limited(&keys, made.key, target.id, stated, now),
            _ => {}
        }
    }

    /// Another key or target answered what these were denied: it was their fault.
    fn blame(&self, now: Instant) {
        let denied = self.made.iter().filter(|made| made.class == Class::Denied);
        denied.for_each(|made| {
            let id = self.plan.targets[made.target].id;
            rests::be_denied(self.rests(made.target, made.key), id, now);
        });
    }

    fn rests(&self, target: usize, key: usize) -> &'p Rc<Rests> {
        &self.plan.targets[target].provider.keys[key].rests
    }

    fn standing(&self, (target, key): (usize, usize), now: Instant) -> Standing {
        if !self.plan.keeps_state() {
            return Standing::Well;
        }
        rests::standing(self.rests(target, key), self.plan.targets[target].id, now)
    }

    /// All keys of all targets, those of `first` first.
    fn pairs(&self, first: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let others = (0..self.keys.len()).filter(move |target| *target != first);
        let targets = std::iter::once(first).chain(others);
        targets.flat_map(|target| self.keys[target].iter().map(move |key| (target, *key)))
    }

    /// The next key or target that was not asked yet.
    fn best(&self, now: Instant) -> Option<(usize, usize)> {
        let first = self.made.last().map_or(0, |made| made.target);
        let open = self.pairs(first).filter(|pair| self.is_open(*pair, now));
        open.min_by_key(|pair| {
            let origin = &self.plan.targets[pair.0].provider.reach;
            let is_on_trial = self.standing(*pair, now) == Standing::OnTrial;
            (self.rests_now(*pair, now), reach::is_last(origin, now), is_on_trial)
        })
    }

    /// Whether a pair may be asked now for the first time.
    fn is_open(&self, pair: (usize, usize), now: Instant) -> bool {
        let is_new = !self.made.iter().any(|made| (made.target, made.key) == pair);
        is_new
            && self.is_usable(pair, now)
            && !self.is_excluded(pair.0)
            && self.may_have_key(pair.0, now)
    }

    fn rests_now(&self, pair: (usize, usize), now: Instant) -> bool {
        matches!(self.standing(pair, now), Standing::Resting(_))
    }

    /// Whether a pair does not rest. Where a provider has one key, a rest is no more than an order, unless
    /// this request has found the key to be of no use.
    fn is_usable(&self, pair: (usize, usize), now: Instant) -> bool {
        let provider = &self.plan.targets[pair.0].provider;
        let is_at_fault = |made: &Made| {
            made.class == Class::KeyFault
                && Rc::ptr_eq(&self.plan.targets[made.target].provider, provider)
        };
        !self.rests_now(pair, now) || provider.keys.len() == 1 && !self.made.iter().any(is_at_fault)
    }

    /// Whether a target is out: what it did may have cost money, or it cannot do better.
    fn is_excluded(&self, target: usize) -> bool {
        let excludes = |class| matches!(class, Class::Unclear | Class::TargetsFault);
        self.made.iter().any(|made| made.target == target && excludes(made.class))
    }

    fn last_at(&self, target: usize) -> Option<&Made> {
        self.made.iter().rfind(|made| made.target == target)
    }

    /// Whether another key of a target that was asked may follow. One attempt stays for each target that
    /// was not.
    fn may_have_key(&self, target: usize, now: Instant) -> bool {
        let Some(last) = self.last_at(target) else { return true };
        let explicit = self.plan.retries.is_some();
        let may = match last.class {
            Class::Limited | Class::KeyFault => true,
            Class::Denied => explicit || !self.denied,
            Class::Refused => explicit,
            _ => false,
        };
        may && usize::from(self.left) > self.unasked(now)
    }

    /// Targets that were not asked yet and could be.
    fn unasked(&self, now: Instant) -> usize {
        let could_be =
            |target: usize| self.keys[target].iter().any(|key| self.is_usable((target, *key), now));
        (0..self.keys.len()).filter(|t| self.last_at(*t).is_none() && could_be(*t)).count()
    }

    /// What surely did not run, once more, where the configuration asks for that: what is free soonest.
    fn again(&mut self, now: Instant, random: f64) -> Option<(usize, usize, Duration)> {
        self.plan.retries?;
        let remaining = |made: &Made| {
            let stated = made.happened.stated.map(rests::within_bounds).unwrap_or_default();
            (made.at + stated).saturating_duration_since(now)
        };
        let is_last = |index: usize, made: &Made| {
            !self.made[index + 1..].iter().any(|l| (l.target, l.key) == (made.target, made.key))
        };
        let may = |(index, made): &(usize, &Made)| {
            matches!(made.class, Class::Refused | Class::Limited)
                && is_last(*index, made)
                && !self.is_excluded(made.target)
                && remaining(made) <= self.plan.wait_max
        };
        // Of those that are free at the same time the one that was asked last.
        let candidates = self.made.iter().enumerate().rev().filter(may).map(|(_, made)| made);
        let made = candidates.min_by_key(|made| remaining(made))?;
        let (target, key) = (made.target, made.key);
        let wait = match made.happened.stated {
            Some(_) => remaining(made).mul_f64(1.0 + STATED_MORE * random),
            None => {
                let bound = JITTER_FIRST.saturating_mul(1 << self.repeats.min(16));
                self.repeats += 1;
                bound.min(JITTER_MAX).min(self.plan.wait_max).mul_f64(random)
            }
        };
        Some((target, key, wait))
    }
}

#[cfg(test)]
mod tests;
