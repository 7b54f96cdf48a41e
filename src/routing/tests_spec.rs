//! The rules of keys and attempts once more, slow and obvious: lists of what happened, from which each question
//! is answered anew. It shares nothing with the program but this room's promises. Times are milliseconds.

use std::cell::Cell;

pub type Ms = u64;

const SECOND: Ms = 1000;
const MINUTE: Ms = 60 * SECOND;
const HOUR: Ms = 60 * MINUTE;

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub what: What,
    pub stated: Option<Ms>,
    pub quota: bool,
    pub code: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    Status(u16),
    /// As it stands in the trail.
    Failure(&'static str),
    Redirect(u16),
}

/// The classes of R2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Class {
    Success,
    Refused,
    TooMany,
    Unclear,
    TimedOut,
    KeysFault,
    Denied,
    TargetsFault,
    RequestsFault,
    Ours,
}

/// What a request may try.
#[derive(Clone, Debug)]
pub struct Route {
    /// Provider and model of each target.
    pub targets: Vec<(usize, u64)>,
    pub retries: Option<u8>,
    pub on_timeout: bool,
    pub on_statuses: Vec<u16>,
    pub on_codes: Vec<&'static str>,
    pub wait_max: Ms,
    pub pinned: Option<usize>,
}

/// A target and a key of its provider.
pub type Pair = (usize, usize);

pub fn class(route: &Route, outcome: &Outcome) -> Class {
    let status = match outcome.what {
        What::Status(status) => status,
        What::Redirect(_) | What::Failure("closed" | "invalid") => return Class::Unclear,
        What::Failure("dns" | "connect" | "tls") => return Class::Refused,
        What::Failure("timeout") if route.on_timeout => return Class::Refused,
        What::Failure("timeout") => return Class::TimedOut,
        What::Failure(_) => return Class::Ours,
    };
    match status {
        200..=299 => Class::Success,
        401 | 402 => Class::KeysFault,
        403 | 429 if outcome.quota => Class::KeysFault,
        403 | 404 => Class::Denied,
        429 => Class::TooMany,
        503 | 521 | 522 | 523 | 525 | 526 | 529 | 530 => Class::Refused,
        _ if route.on_statuses.contains(&status) => Class::Refused,
        408 | 504 | 524 if route.on_timeout => Class::Refused,
        500 | 502 | 520 => Class::Unclear,
        _ if outcome.code.is_some_and(|code| route.on_codes.contains(&code)) => Class::TargetsFault,
        408 | 504 | 524 => Class::TimedOut,
        _ => Class::RequestsFault,
    }
}

fn is_resting(standing: &Standing) -> bool {
    matches!(standing, Standing::Resting(_))
}

fn clamped(stated: Ms) -> Ms {
    stated.clamp(SECOND, HOUR)
}

/// What is known of the keys of one provider, and of its origin.
#[derive(Default)]
pub struct Provider {
    pub keys: usize,
    /// When, which key, and what, in its order.
    pub events: Vec<(Ms, usize, Event)>,
    /// When an attempt ended, and whether that was a failed connection.
    pub reached: Vec<(Ms, bool)>,
    /// Requests that asked it so far, each target counted.
    pub turns: usize,
    /// Which request is on trial at which key, with the scopes and ends of the rests it is about.
    pub trials: Vec<(usize, usize, Scope, Ms)>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Event {
    /// The model, and the delay that was stated.
    TooMany(u64, Option<Ms>),
    Quota(Option<Ms>),
    NotAccepted,
    Denied(u64),
    Success(u64),
    Reload,
}

/// What rests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scope {
    Key,
    Rate(u64),
    Denied(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    Well,
    Due,
    OnTrial,
    Resting(Ms),
}

fn doubled(first: Ms, times: u32, longest: Ms) -> Ms {
    let mut length = first;
    for _ in 0..times {
        length = (length * 2).min(longest);
    }
    length
}

impl Provider {
    /// Until when a scope of a key rests or rested; `None`: nothing is against it.
    fn until(&self, key: usize, scope: Scope) -> Option<Ms> {
        self.until_after(self.events.len(), key, scope)
    }

    /// The same when only the first `count` events had happened.
    fn until_after(&self, count: usize, key: usize, scope: Scope) -> Option<Ms> {
        let (mut until, mut times, mut counted) = (None::<Ms>, 0, false);
        for (index, (at, whose, event)) in self.events[..count].iter().enumerate() {
            if *whose != key {
                continue;
            }
            let runs = until.is_some_and(|until| until > *at);
            let (stated, first, longest) = match (scope, *event) {
                (Scope::Key, Event::Success(_) | Event::Reload) => {
                    (until, times, counted) = (None, 0, false);
                    continue;
                }
                (Scope::Rate(model) | Scope::Denied(model), Event::Success(of)) if of == model => {
                    (until, times, counted) = (None, 0, false);
                    continue;
                }
                (Scope::Denied(_), Event::Reload) => {
                    until = None;
                    continue;
                }
                (Scope::Denied(model), Event::Denied(of)) if of == model => {
                    until = until.max(Some(at + 5 * MINUTE));
                    continue;
                }
                (Scope::Key, Event::Quota(stated)) => (stated, 10 * MINUTE, 6 * HOUR),
                (Scope::Key, Event::NotAccepted) => (None, 10 * MINUTE, HOUR),
                (Scope::Rate(model), Event::TooMany(of, stated)) if of == model => {
                    (stated, 15 * SECOND, 5 * MINUTE)
                }
                _ => continue,
            };
            counted &= runs;
            let length = match stated {
                Some(stated) => clamped(stated),
                // A rest that runs is counted once.
                None if counted => doubled(first, u32::saturating_sub(times, 1), longest),
                None => {
                    counted = true;
                    if self.is_of_round(index, count) {
                        doubled(first, u32::saturating_sub(times, 1), longest)
                    } else {
                        times += 1;
                        doubled(first, times - 1, longest)
                    }
                }
            };
            until = until.max(Some(at + length));
        }
        until
    }

    /// Whether a 429 is one of those of a round: within 2 s of it all keys that do not rest as a whole, two at
    /// least, were told so of this model (K8).
    fn is_of_round(&self, index: usize, count: usize) -> bool {
        let (at, key, Event::TooMany(model, _)) = self.events[index] else { return false };
        for last in index..count {
            let (then, whose, event) = self.events[last];
            if whose == key && event == Event::Success(model) || then > at + 2 * SECOND {
                return false;
            }
            let is_last = matches!(event, Event::TooMany(of, _) if of == model);
            let in_turn = || {
                let whole = self.until_after(last + 1, key, Scope::Key);
                whole.is_none_or(|until| until <= then)
            };
            if is_last && self.all_limited(last) && in_turn() {
                return true;
            }
        }
        false
    }

    /// How many 429s were part of a round.
    pub fn rounds(&self) -> u64 {
        let count = self.events.len();
        (0..count).filter(|index| self.is_of_round(*index, count)).count() as u64
    }

    fn all_limited(&self, last: usize) -> bool {
        let (now, _, Event::TooMany(model, _)) = self.events[last] else { return false };
        let mut in_turn = 0;
        for key in 0..self.keys {
            if self.until_after(last + 1, key, Scope::Key).is_some_and(|until| until > now) {
                continue;
            }
            in_turn += 1;
            let mut limited = false;
            for (at, whose, event) in &self.events[..=last] {
                match event {
                    Event::TooMany(of, _) if *whose == key && *of == model => {
                        limited = at + 2 * SECOND >= now;
                    }
                    Event::Success(of) if *whose == key && *of == model => limited = false,
                    _ => {}
                }
            }
            if !limited {
                return false;
            }
        }
        in_turn >= 2
    }

    pub fn rests_as_a_whole(&self, key: usize, now: Ms) -> bool {
        self.until(key, Scope::Key).is_some_and(|until| until > now)
    }

    fn scopes(model: u64) -> [Scope; 3] {
        [Scope::Key, Scope::Rate(model), Scope::Denied(model)]
    }

    pub fn standing(&self, key: usize, model: u64, now: Ms) -> Standing {
        if self.events.is_empty() {
            return Standing::Well;
        }
        let mut standing = Standing::Well;
        for scope in Provider::scopes(model) {
            let Some(until) = self.until(key, scope) else { continue };
            let is_tried =
                || self.trials.iter().any(|(_, k, s, end)| (*k, *s, *end) == (key, scope, until));
            standing = match standing {
                Standing::Resting(other) if until > now => Standing::Resting(until.max(other)),
                _ if until > now => Standing::Resting(until),
                Standing::Resting(_) | Standing::OnTrial => standing,
                _ if is_tried() => Standing::OnTrial,
                _ => Standing::Due,
            };
        }
        standing
    }

    /// A request asks: it goes first if a rest is over then and nobody has tried it (K7).
    pub fn begin(&mut self, request: usize, key: usize, model: u64, begins: Ms) {
        if self.standing(key, model, begins) == Standing::Due {
            for scope in Provider::scopes(model) {
                if let Some(until) = self.until(key, scope) {
                    self.trials.push((request, key, scope, until));
                }
            }
        }
    }

    /// R9.
    pub fn is_last(&self, now: Ms) -> bool {
        let count = self.reached.len();
        count >= 3
            && self.reached[count - 3..].iter().all(|(_, failed)| *failed)
            && now < self.reached[count - 1].0 + 5 * SECOND
    }
}

/// An attempt that is over.
#[derive(Clone, Debug)]
pub struct Made {
    pub pair: Pair,
    pub outcome: Outcome,
    pub at: Ms,
    /// Whether it was one more at the same for which nobody stated a delay.
    pub jittered: bool,
}

/// One request.
pub struct Request {
    pub number: usize,
    pub route: Route,
    /// The keys of each target in the order that is preferred.
    pub orders: Vec<Vec<usize>>,
    /// What the client allows.
    pub retries_max: Option<u8>,
    pub deadline: Ms,
    pub made: Vec<Made>,
    /// All rested when it began.
    pub only_once: bool,
    /// Whether a key was left out for the sake of a target.
    pub has_reserved: Cell<bool>,
}

/// What comes next: one of these, each with the bounds of the wait before it, or perhaps the end.
#[derive(Debug, PartialEq)]
pub struct Next {
    pub pairs: Vec<(Pair, f64, f64)>,
    pub may_end: bool,
}

impl Request {
    pub fn budget(&self, providers: &[Provider]) -> usize {
        let mut default = 0;
        for (provider, _) in &self.route.targets {
            default += match self.route.pinned {
                Some(_) => 1,
                None => providers[*provider].keys.min(3),
            };
        }
        let allowed = self.route.retries.map_or((default - 1).min(8), usize::from);
        self.retries_max.map_or(allowed, |max| allowed.min(usize::from(max)))
    }

    /// Whether anything rests for its sake: K2.
    pub fn keeps_state(&self, providers: &[Provider]) -> bool {
        let targets = &self.route.targets;
        targets.len() > 1 || targets.iter().any(|(provider, _)| providers[*provider].keys > 1)
    }

    fn class(&self, made: &Made) -> Class {
        class(&self.route, &made.outcome)
    }

    fn last_at(&self, target: usize) -> Option<&Made> {
        self.made.iter().rev().find(|made| made.pair.0 == target)
    }

    /// All pairs with how they stand: those of the target that was asked last first.
    fn pairs(&self, providers: &[Provider], now: Ms) -> Vec<(Pair, Standing)> {
        let current = self.made.last().map_or(0, |made| made.pair.0);
        let mut targets = vec![current];
        targets.extend((0..self.orders.len()).filter(|target| *target != current));
        let mut pairs = Vec::new();
        for target in targets {
            let (provider, model) = self.route.targets[target];
            for key in &self.orders[target] {
                let standing = match self.keeps_state(providers) {
                    true => providers[provider].standing(*key, model, now),
                    false => Standing::Well,
                };
                pairs.push(((target, *key), standing));
            }
        }
        pairs
    }

    pub fn first(&mut self, providers: &[Provider], now: Ms) -> Pair {
        let pairs = self.pairs(providers, now);
        if pairs.iter().any(|(_, standing)| !is_resting(standing)) {
            return self.best(providers, &pairs, now).expect("what does not rest");
        }
        self.only_once = true;
        let mut soonest = (pairs[0].0, Ms::MAX);
        for (pair, standing) in pairs {
            let Standing::Resting(until) = standing else { panic!("it could have been asked") };
            if until < soonest.1 {
                soonest = (pair, until);
            }
        }
        soonest.0
    }

    /// The best of what was not asked and does not rest, or whose rest is only an order.
    fn best(&self, providers: &[Provider], pairs: &[(Pair, Standing)], now: Ms) -> Option<Pair> {
        let may_be_asked = |(pair, standing): &(Pair, Standing)| {
            !is_resting(standing) || self.rests_as_an_order(providers, *pair)
        };
        let mut unasked = 0;
        for target in 0..self.orders.len() {
            let is_new = self.last_at(target).is_none();
            let could = pairs.iter().any(|at| at.0 .0 == target && may_be_asked(at));
            unasked += usize::from(is_new && could);
        }
        let left = (1 + self.budget(providers)).saturating_sub(self.made.len());
        let mut best = None;
        for (pair, standing) in pairs {
            let is_asked = self.made.iter().any(|made| made.pair == *pair);
            if is_asked || !may_be_asked(&(*pair, *standing)) || self.is_spoiled(pair.0) {
                continue;
            }
            if let Some(last) = self.last_at(pair.0) {
                let explicit = self.route.retries.is_some();
                let may = match self.class(last) {
                    Class::TooMany | Class::KeysFault => true,
                    Class::Refused => explicit,
                    Class::Denied => explicit || !self.has_followed_a_denial(),
                    _ => false,
                };
                // One attempt is kept for each target that was not asked.
                if may && left <= unasked {
                    self.has_reserved.set(true);
                }
                if !may || left <= unasked {
                    continue;
                }
            }
            let is_last = providers[self.route.targets[pair.0].0].is_last(now);
            let rank = (is_resting(standing), is_last, *standing == Standing::OnTrial);
            if best.is_none_or(|(_, other)| rank < other) {
                best = Some((*pair, rank));
            }
        }
        best.map(|(pair, _)| pair)
    }

    /// The only key of a provider is asked although it rests, after all others (K2), unless this request has
    /// found that it is of no use.
    fn rests_as_an_order(&self, providers: &[Provider], pair: Pair) -> bool {
        let provider = self.route.targets[pair.0].0;
        let is_of_no_use = self.made.iter().any(|made| {
            self.route.targets[made.pair.0].0 == provider && self.class(made) == Class::KeysFault
        });
        providers[provider].keys == 1 && !is_of_no_use
    }

    /// Whether a target's answer forbids to ask it again.
    fn is_spoiled(&self, target: usize) -> bool {
        self.made.iter().any(|made| {
            let class = self.class(made);
            made.pair.0 == target && matches!(class, Class::Unclear | Class::TargetsFault)
        })
    }

    /// Whether a further key was asked because of a 403 or 404.
    fn has_followed_a_denial(&self) -> bool {
        for (index, made) in self.made.iter().enumerate() {
            if self.class(made) == Class::Denied
                && self.made[index + 1..].iter().any(|later| later.pair.0 == made.pair.0)
            {
                return true;
            }
        }
        false
    }

    /// What comes after what was made. `None`: nothing does.
    pub fn next(&self, providers: &[Provider], now: Ms) -> Next {
        let end = Next { pairs: Vec::new(), may_end: true };
        let last = self.made.last().expect("an attempt");
        let ends = matches!(
            self.class(last),
            Class::Success | Class::RequestsFault | Class::TimedOut | Class::Ours
        );
        let is_used_up = self.made.len() > self.budget(providers);
        if ends || is_used_up || self.only_once || now >= self.deadline {
            return end;
        }
        if let Some(pair) = self.best(providers, &self.pairs(providers, now), now) {
            return Next { pairs: vec![(pair, 0.0, 0.0)], may_end: false };
        }
        if self.route.retries.is_none() {
            return end;
        }
        self.again(now)
    }

    /// The same once more: what is free soonest, unless that takes too long (R3).
    fn again(&self, now: Ms) -> Next {
        let mut free: Vec<(Ms, Option<Ms>, Pair)> = Vec::new();
        for (index, made) in self.made.iter().enumerate() {
            let is_last = !self.made[index + 1..].iter().any(|later| later.pair == made.pair);
            let may = matches!(self.class(made), Class::Refused | Class::TooMany);
            if is_last && may && !self.is_spoiled(made.pair.0) {
                let stated = made.outcome.stated.map(clamped);
                let remaining = (made.at + stated.unwrap_or(0)).saturating_sub(now);
                if remaining <= self.route.wait_max {
                    free.push((remaining, stated, made.pair));
                }
            }
        }
        let soonest = free.iter().map(|(remaining, ..)| *remaining).min();
        let jitters = self.made.iter().filter(|made| made.jittered).count();
        let mut next = Next { pairs: Vec::new(), may_end: free.is_empty() };
        for (remaining, stated, pair) in free {
            if Some(remaining) != soonest {
                continue;
            }
            let (least, most) = match stated {
                Some(_) => (remaining as f64, remaining as f64 * 1.1),
                None => (0.0, (500.0 * 2f64.powi(jitters as i32)).min(5000.0)),
            };
            next.may_end |= now as f64 + most >= self.deadline as f64;
            if now as f64 + least < self.deadline as f64 {
                next.pairs.push((pair, least, most));
            }
        }
        next
    }

    fn status(made: &Made) -> Option<u16> {
        match made.outcome.what {
            What::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Which attempt's answer the client gets (R6); `None`: an error of ours.
    pub fn answer(&self) -> Option<usize> {
        let last = self.made.last()?;
        if matches!(self.class(last), Class::Success | Class::RequestsFault) {
            return Some(self.made.len() - 1);
        }
        let is_overload = |made: &Made| matches!(Self::status(made), Some(429 | 503 | 529));
        let overload = self.made.iter().rposition(is_overload);
        overload.or_else(|| self.made.iter().rposition(|made| Self::status(made).is_some()))
    }

    /// After how long the first key or target recovers, and whether waiting is of no use (R7).
    pub fn recovery(&self, providers: &[Provider], now: Ms) -> (Option<Ms>, bool) {
        let (mut soonest, mut one_is_free, mut helps) = (None, false, false);
        for (pair, standing) in self.pairs(providers, now) {
            let last = self.made.iter().rev().find(|made| made.pair == pair);
            let stated = last.and_then(|made| Some(made.at + clamped(made.outcome.stated?)));
            let rests = match standing {
                Standing::Resting(until) => Some(until),
                _ => None,
            };
            let Some(recovers) = stated.max(rests) else {
                one_is_free |= last.is_none();
                continue;
            };
            soonest = Some(soonest.unwrap_or(Ms::MAX).min(recovers));
            helps |= !providers[self.route.targets[pair.0].0].rests_as_a_whole(pair.1, now);
        }
        let recovers = soonest.map(|at| if one_is_free { now } else { at });
        let length = recovers.map(|at| at.saturating_sub(now).max(SECOND));
        let is_quota = self.answer().is_some_and(|index| {
            let made = &self.made[index];
            Self::status(made) == Some(429) && self.class(made) == Class::KeysFault
        });
        (length, is_quota && self.made.len() > 1 && !one_is_free && !helps)
    }

    pub fn trail(&self, providers: &[Provider], names: &[&str]) -> String {
        let mut trail = String::new();
        for made in &self.made {
            let provider = self.route.targets[made.pair.0].0;
            if !trail.is_empty() {
                trail += ", ";
            }
            trail += names[provider];
            if providers[provider].keys > 1 {
                trail += &format!("#{}", made.pair.1 + 1);
            }
            trail += "=";
            trail += &match made.outcome.what {
                What::Status(status) | What::Redirect(status) => status.to_string(),
                What::Failure(failure) => failure.to_owned(),
            };
        }
        trail
    }

    /// Takes note of what the last attempt came to: K4, K5, R9.
    pub fn learn(&self, providers: &mut [Provider]) {
        let Some(made) = self.made.last() else { return };
        let ((target, key), now) = (made.pair, made.at);
        let (index, model) = self.route.targets[target];
        let keeps_state = self.keeps_state(providers);
        let provider = &mut providers[index];
        provider.trials.retain(|(request, ..)| *request != self.number);
        match made.outcome.what {
            What::Failure("dns" | "connect" | "tls") => provider.reached.push((now, true)),
            What::Failure("busy") => {}
            _ => provider.reached.push((now, false)),
        }
        if !keeps_state {
            return;
        }
        let event = match (self.class(made), made.outcome.what) {
            (Class::Success, _) => Event::Success(model),
            (Class::TooMany, _) => Event::TooMany(model, made.outcome.stated),
            (Class::KeysFault, What::Status(401)) => Event::NotAccepted,
            (Class::KeysFault, _) => Event::Quota(made.outcome.stated),
            _ => return,
        };
        provider.events.push((now, key, event));
        if event == Event::Success(model) {
            for denied in self.made.iter().filter(|made| self.class(made) == Class::Denied) {
                let (provider, model) = self.route.targets[denied.pair.0];
                providers[provider].events.push((now, denied.pair.1, Event::Denied(model)));
            }
        }
    }
}
