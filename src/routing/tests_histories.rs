//! Random histories of requests that share keys, against the slow model of the rules: each choice, each end, how
//! each key stands, and what the client is told. What must hold of any history is checked without the model, too.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::rests::{self, keep_rate_limits};
use super::tests_spec::{self as spec, Ms, Outcome, Pair, What};
use super::tests_support::provider;
use super::{Attempts, Choice, Failure, Happened, Plan, Said, Target};
use crate::config::RetryOn;
use crate::upstream::Provider;

const HISTORIES: u64 = 100_000;
const THREADS: u64 = 4;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const ORDERS: [&str; 3] = ["in_order", "sticky", "round_robin"];
const KEYS_MAX: usize = 4;
const MODELS: [&str; 2] = ["m", "n"];
const TIMES: [Ms; 16] = [
    1, 100, 500, 999, 1000, 1500, 2000, 2001, 4000, 5000, 10_000, 15_000, 30_000, 300_000, 600_000,
    3_600_000,
];
const STATED: [Ms; 9] = [0, 300, 1000, 2000, 3000, 5000, 5001, 30_000, 7_200_000];
const FAILURES: [&str; 8] =
    ["dns", "connect", "connect", "tls", "closed", "invalid", "timeout", "busy"];
/// What a history must have met now and then, or it tests nothing.
const WANTED: [&str; 12] = [
    "all rest",
    "on trial",
    "due",
    "limited in a round",
    "blamed",
    "an origin is last",
    "the same after a stated delay",
    "the same after a random one",
    "an attempt is reserved",
    "never again: unclear",
    "waiting is of no use",
    "out of time",
];

type Seen = BTreeMap<&'static str, u64>;

/// Providers that histories use one after the other; making one takes longer than a history.
struct Stock(Vec<Rc<Provider>>);

impl Stock {
    fn new() -> Stock {
        let mut providers = Vec::new();
        for name in NAMES {
            for order in ORDERS {
                providers.extend((0..=KEYS_MAX).map(|keys| provider(name, keys, order)));
            }
        }
        Stock(providers)
    }

    fn take(&self, name: usize, order: usize, keys: usize) -> Rc<Provider> {
        let provider = &self.0[(name * ORDERS.len() + order) * (KEYS_MAX + 1) + keys];
        for key in &provider.keys {
            key.rests.whole.take();
            key.rests.models.borrow_mut().clear();
        }
        provider.reach.failures.take();
        provider.reach.failed_at.take();
        provider.turn.take();
        provider.clone()
    }
}

/// A request that is out.
struct Open<'p> {
    plan: &'p Plan,
    attempts: Attempts<'p>,
    model: spec::Request,
    choice: Choice,
    /// When its attempt begins.
    begins: Ms,
    kept: Option<usize>,
}

/// Everything of one history.
struct World<'p> {
    rng: Rng,
    start: Instant,
    now: Ms,
    providers: &'p [Rc<Provider>],
    orders: &'p [usize],
    /// The hashes of the models.
    ids: [u64; MODELS.len()],
    model: Vec<spec::Provider>,
    open: Vec<Open<'p>>,
    requests: usize,
    /// What most attempts come to.
    mood: Option<What>,
    seen: &'p mut Seen,
    /// Whether all keys are looked at after each attempt, which takes longer than the attempt.
    looks: bool,
    tell: bool,
}

fn route(rng: &mut Rng, providers: usize) -> spec::Route {
    let mut targets = Vec::new();
    for _ in 0..rng.usize(1..=4) {
        let target = (rng.usize(0..providers), rng.u64(0..MODELS.len() as u64));
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let mut some = |of: &[u16]| of.iter().copied().filter(|_| rng.u8(0..8) == 0).collect();
    let on_statuses = some(&[400, 409, 500, 504, 501]);
    spec::Route {
        targets,
        retries: rng.bool().then(|| rng.u8(0..=10)),
        on_timeout: rng.u8(0..4) == 0,
        on_statuses,
        on_codes: if rng.u8(0..4) == 0 { vec!["too_long"] } else { Vec::new() },
        wait_max: [0, 1000, 5000, 5000, 5000, 60_000][rng.usize(0..6)],
        pinned: None,
    }
}

fn plan(route: &spec::Route, providers: &[Rc<Provider>]) -> Plan {
    let target = |(provider, model): &(usize, u64)| {
        Target::new(&providers[*provider], MODELS[*model as usize])
    };
    Plan {
        targets: route.targets.iter().map(target).collect(),
        retries: route.retries,
        retry_on: RetryOn {
            timeout: route.on_timeout,
            statuses: route.on_statuses.clone(),
            codes: route.on_codes.iter().map(|code| (*code).to_owned()).collect(),
        },
        wait_max: Duration::from_millis(route.wait_max),
        pinned: route.pinned,
        is_alias: true,
    }
}

fn happened(outcome: &Outcome) -> Happened {
    Happened {
        result: match outcome.what {
            What::Status(status) => Ok(status),
            What::Redirect(status) => Err(Failure::Redirect(status)),
            What::Failure(failure) => Err(match failure {
                "dns" => Failure::Dns,
                "connect" => Failure::Connect,
                "tls" => Failure::Tls,
                "closed" => Failure::Closed,
                "invalid" => Failure::Invalid,
                "timeout" => Failure::Timeout,
                _ => Failure::Ours,
            }),
        },
        stated: outcome.stated.map(Duration::from_millis),
        said: Said { quota: outcome.quota, code: outcome.code.map(str::to_owned) },
    }
}

/// How all keys of a provider stand for all models.
type Picture = Vec<rests::Standing>;

impl<'p> World<'p> {
    fn at(&self, now: Ms) -> Instant {
        self.start + Duration::from_millis(now)
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_insert(0) += 1;
    }

    fn outcome(&mut self) -> Outcome {
        let rng = &mut self.rng;
        let what = match (rng.u8(0..100), self.mood) {
            (0..60, Some(mood)) => mood,
            (0..30, _) => What::Status(429),
            (30..45, _) => What::Status(200),
            (45..57, _) => What::Status([503, 529, 521, 530][rng.usize(0..4)]),
            (57..65, _) => What::Status([401, 402][rng.usize(0..2)]),
            (65..74, _) => What::Status([403, 404][rng.usize(0..2)]),
            (74..81, _) => What::Status([500, 502, 520][rng.usize(0..3)]),
            (81..90, _) => What::Status([400, 409, 422, 501, 504, 408][rng.usize(0..6)]),
            (90, _) => What::Redirect(302),
            _ => What::Failure(FAILURES[rng.usize(0..FAILURES.len())]),
        };
        let is_answer = matches!(what, What::Status(_));
        Outcome {
            what,
            stated: (is_answer && rng.u8(0..5) < 2).then(|| STATED[rng.usize(0..STATED.len())]),
            quota: is_answer && rng.u8(0..6) == 0,
            code: (is_answer && rng.u8(0..6) == 0).then_some("too_long"),
        }
    }

    fn orders(&self, plan: &Plan, route: &spec::Route, conversation: u64) -> Vec<Vec<usize>> {
        let given = plan.orders(conversation);
        let of = |(target, given): (&(usize, u64), Vec<usize>)| {
            let provider = &self.model[target.0];
            let mut keys: Vec<usize> = (0..provider.keys).collect();
            match (route.pinned, ORDERS[self.orders[target.0]]) {
                (Some(key), _) => keys = vec![key],
                (None, "round_robin") => keys.rotate_left(provider.turns % provider.keys),
                (None, "sticky") => {
                    // Which one a conversation likes is the hash's affair.
                    let mut sorted = given.clone();
                    sorted.sort_unstable();
                    assert_eq!(sorted, keys);
                    keys = given;
                }
                _ => {}
            }
            keys
        };
        route.targets.iter().zip(given).map(of).collect()
    }

    fn begin(&mut self, plan: &'p Plan, route: &spec::Route) {
        let conversation = self.rng.u64(0..4);
        let retries_max = (self.rng.u8(0..8) == 0).then(|| self.rng.u8(0..4));
        let deadline = self.now + [0, 3000, 30_000, 300_000, 300_000][self.rng.usize(0..5)];
        let mut model = spec::Request {
            number: self.requests,
            route: route.clone(),
            orders: self.orders(plan, route, conversation),
            retries_max,
            deadline,
            made: Vec::new(),
            only_once: false,
            has_reserved: Cell::default(),
        };
        self.requests += 1;
        let mut attempts = Attempts::new(plan, conversation, retries_max, self.at(deadline));
        let expected = model.first(&self.model, self.now);
        let choice = attempts.first(self.at(self.now));
        if self.tell {
            eprintln!("{}: request {} {route:?} → {choice:?}", self.now, model.number);
        }
        assert_eq!(((choice.target, choice.key), choice.wait), (expected, Duration::ZERO), "first");
        if model.only_once {
            self.count("all rest");
        }
        let mut open = Open { plan, attempts, model, choice, begins: self.now, kept: None };
        self.ask(&mut open);
        self.open.push(open);
    }

    /// The attempt of a request begins, or will.
    fn ask(&mut self, open: &mut Open<'p>) {
        let Choice { target, key, wait } = open.choice;
        let (provider, model) = open.model.route.targets[target];
        open.begins = self.now + wait.as_nanos().div_ceil(1_000_000) as Ms;
        let whole = self.now + wait.as_millis() as Ms;
        let is_last = self.model[provider].is_last(self.now);
        let keeps_state = open.model.keeps_state(&self.model);
        let of_provider = &mut self.model[provider];
        if !open.model.made.iter().any(|made| made.pair.0 == target) {
            of_provider.turns += 1;
        }
        if keeps_state {
            match of_provider.standing(key, model, whole) {
                spec::Standing::Due => self.count("due"),
                spec::Standing::OnTrial => self.count("on trial"),
                _ => {}
            }
            self.model[provider].begin(open.model.number, key, model, whole);
        }
        if is_last {
            self.count("an origin is last");
        }
        self.check_what_always_holds(open);
    }

    /// Of what was made and is made next, whatever the model says.
    fn check_what_always_holds(&mut self, open: &Open<'p>) {
        let (route, made) = (&open.model.route, &open.model.made);
        let keys = |target: &Target| match route.pinned {
            Some(_) => 1,
            None => target.provider.keys.len().min(3),
        };
        let default = open.plan.targets.iter().map(keys).sum::<usize>() - 1;
        let allowed = route.retries.map_or(default.min(8), usize::from);
        assert!(made.len() <= allowed, "more calls than allowed");
        assert!(open.model.retries_max.is_none_or(|max| made.len() <= usize::from(max)));
        assert!(made.is_empty() || !open.model.only_once, "asked again although all rested");
        let pair = (open.choice.target, open.choice.key);
        let asked = || made.iter().map(|made| made.pair);
        assert!(route.retries.is_some() || asked().all(|asked| asked != pair), "a pair twice");
        for made in made {
            let is_unclear = match made.outcome.what {
                What::Status(status @ (500 | 502 | 520)) => !route.on_statuses.contains(&status),
                What::Failure("closed" | "invalid") | What::Redirect(_) => true,
                _ => false,
            };
            assert!(!is_unclear || made.pair.0 != pair.0, "back to what was unclear");
        }
    }

    fn picture(&self, now: Ms) -> Picture {
        let (now, mut picture) = (self.at(now), Vec::new());
        for provider in self.providers {
            for key in &provider.keys {
                for model in self.ids {
                    picture.push(rests::standing(&key.rests, model, now));
                }
            }
        }
        picture
    }

    /// An attempt puts to rest only what it may, and shortens nothing that it must not.
    fn check_rests(&self, before: &Picture, after: &Picture, outcome: &Outcome) {
        let is_keys_fault = match outcome.what {
            What::Status(401 | 402 | 429 | 200) => true,
            What::Status(403) => outcome.quota,
            _ => false,
        };
        for (before, after) in before.iter().zip(after) {
            use rests::Standing::Resting;
            match (before, after) {
                (Resting(before), Resting(after)) if after > before => assert!(is_keys_fault),
                (Resting(before), Resting(after)) if after == before => {}
                (Resting(_), _) => assert!(
                    matches!(outcome.what, What::Status(200 | 429)),
                    "{outcome:?} shortens a rest"
                ),
                (_, Resting(_)) => assert!(is_keys_fault, "{outcome:?} puts a key to rest"),
                _ => {}
            }
        }
    }

    /// The attempt of an open request comes to something.
    fn end_attempt(&mut self, index: usize) {
        let mut open = self.open.swap_remove(index);
        self.now = self.now.max(open.begins);
        if self.rng.u8(0..6) == 0 {
            self.now += TIMES[self.rng.usize(0..12)];
        }
        let (outcome, random) = (self.outcome(), self.rng.f64());
        let before = self.looks.then(|| self.picture(self.now));
        let next = open.attempts.after(open.choice, happened(&outcome), self.at(self.now), random);
        if self.tell {
            let number = open.model.number;
            eprintln!("{}: request {number} {outcome:?} → {next:?}", self.now);
        }
        if let Some(before) = before {
            self.check_rests(&before, &self.picture(self.now), &outcome);
        }
        let kept = open.kept.map(|index| open.model.made[index].outcome.what);
        if open.attempts.keeps_last(matches!(kept, Some(What::Status(429 | 503 | 529)))) {
            open.kept = Some(open.attempts.count() - 1);
        }
        let pair = (open.choice.target, open.choice.key);
        let jittered = self.is_jittered(&open, pair);
        open.model.made.push(spec::Made { pair, outcome, at: self.now, jittered });
        open.model.learn(&mut self.model);
        let expected = open.model.next(&self.model, self.now);
        self.compare(&open, &expected, next);
        match next {
            Some(choice) => {
                open.choice = choice;
                self.ask(&mut open);
                self.open.push(open);
            }
            None => self.end(&open),
        }
        if self.looks {
            self.check_standings();
        }
    }

    /// Whether the attempt that has just ended was one more at the same for which nobody stated a delay.
    fn is_jittered(&self, open: &Open<'p>, pair: Pair) -> bool {
        let before = open.model.made.iter().rev().find(|made| made.pair == pair);
        before.is_some_and(|made| made.outcome.stated.is_none())
    }

    fn compare(&mut self, open: &Open<'p>, expected: &spec::Next, next: Option<Choice>) {
        let Some(Choice { target, key, wait }) = next else {
            assert!(expected.may_end, "it ended: {expected:?}");
            return;
        };
        let milliseconds = wait.as_secs_f64() * 1000.0;
        let is_it = |(pair, least, most): &(Pair, f64, f64)| {
            *pair == (target, key) && (least - 0.001..=most + 0.001).contains(&milliseconds)
        };
        assert!(expected.pairs.iter().any(is_it), "{next:?} and not {expected:?}");
        let before = open.model.made.iter().rev().find(|made| made.pair == (target, key));
        match before.map(|made| made.outcome.stated) {
            Some(Some(_)) => self.count("the same after a stated delay"),
            Some(None) => self.count("the same after a random one"),
            None => {}
        }
    }

    /// A request ends.
    fn end(&mut self, open: &Open<'p>) {
        let now = self.now;
        assert_eq!(open.kept, open.model.answer(), "the answer that the client gets");
        assert_eq!(open.attempts.trail(), open.model.trail(&self.model, &NAMES));
        let answer = open.kept.map(|index| open.model.made[index].outcome.what);
        let is_overload = matches!(answer, Some(What::Status(429 | 503 | 529)));
        let (length, never) = open.attempts.recovery(self.at(now));
        let length = length.map(|length| length.as_millis() as Ms);
        let expected = open.model.recovery(&self.model, now);
        assert!(!is_overload || (length, never) == expected, "{length:?} {never} {expected:?}");
        let last = open.model.made.last().unwrap();
        let class = spec::class(&open.model.route, &last.outcome);
        let made = &open.model.made;
        let denied = |made: &spec::Made| {
            spec::class(&open.model.route, &made.outcome) == spec::Class::Denied
        };
        if class == spec::Class::Success && made.iter().any(denied) {
            self.count("blamed");
        }
        if class == spec::Class::Unclear && made.len() <= open.model.budget(&self.model) {
            self.count("never again: unclear");
        }
        if never && is_overload {
            self.count("waiting is of no use");
        }
        if now >= open.model.deadline {
            self.count("out of time");
        }
        if open.model.has_reserved.get() {
            self.count("an attempt is reserved");
        }
    }

    fn check_standings(&self) {
        let picture = self.picture(self.now);
        let mut found = picture.iter();
        for (index, provider) in self.model.iter().enumerate() {
            for key in 0..provider.keys {
                for model in 0..MODELS.len() as u64 {
                    let expected = match provider.standing(key, model, self.now) {
                        spec::Standing::Well => rests::Standing::Well,
                        spec::Standing::Due => rests::Standing::Due,
                        spec::Standing::OnTrial => rests::Standing::OnTrial,
                        spec::Standing::Resting(until) => rests::Standing::Resting(self.at(until)),
                    };
                    assert_eq!(found.next(), Some(&expected), "{}#{}", NAMES[index], key + 1);
                }
            }
        }
    }

    fn reload(&mut self) {
        for (provider, model) in self.providers.iter().zip(&mut self.model) {
            for (index, key) in provider.keys.iter().enumerate() {
                keep_rate_limits(&key.rests);
                model.events.push((self.now, index, spec::Event::Reload));
            }
        }
    }

    fn leave(&mut self, index: usize) {
        let open = self.open.swap_remove(index);
        for provider in &mut self.model {
            provider.trials.retain(|(request, ..)| *request != open.model.number);
        }
    }

    fn step(&mut self, plans: &'p [Plan], routes: &[spec::Route]) {
        let open = self.open.len();
        match self.rng.u8(0..100) {
            0..30 if open < 3 => {
                let which = self.rng.usize(0..plans.len());
                self.begin(&plans[which], &routes[which]);
            }
            0..80 if open > 0 => {
                let which = self.rng.usize(0..open);
                self.end_attempt(which);
            }
            80..83 if open > 0 => {
                let which = self.rng.usize(0..open);
                self.leave(which);
            }
            83..85 => self.reload(),
            _ => self.now += TIMES[self.rng.usize(0..TIMES.len())],
        }
    }
}

fn history(seed: u64, stock: &Stock, seen: &mut Seen, tell: bool) {
    let mut rng = Rng::with_seed(seed);
    let count = rng.usize(1..=4);
    let orders: Vec<usize> = (0..count).map(|_| rng.usize(0..ORDERS.len())).collect();
    let take = |(name, order): (usize, &usize)| {
        let keys = if rng.u8(0..10) == 0 { 0 } else { rng.usize(1..=KEYS_MAX) };
        stock.take(name, *order, keys)
    };
    let providers: Vec<_> = orders.iter().enumerate().map(take).collect();
    let mut routes: Vec<_> =
        (0..rng.usize(1..=4) / 4 + 1).map(|_| route(&mut rng, count)).collect();
    if rng.u8(0..20) == 0 {
        routes[0].targets.truncate(1);
        routes[0].pinned = Some(rng.usize(0..providers[routes[0].targets[0].0].keys.len()));
    }
    let plans: Vec<Plan> = routes.iter().map(|route| plan(route, &providers)).collect();
    let of = |provider: &Rc<Provider>| spec::Provider {
        keys: provider.keys.len(),
        ..spec::Provider::default()
    };
    let steps = if rng.u8(0..200) == 0 { 100 } else { rng.usize(2..11) };
    let mood = rng.bool().then(|| match rng.usize(0..10) {
        0 | 1 => What::Failure("connect"),
        other => What::Status([429, 429, 429, 503, 403, 402, 401, 500][other - 2]),
    });
    let mut world = World {
        model: providers.iter().map(of).collect(),
        ids: MODELS.map(|model| Target::new(&providers[0], model).id),
        providers: &providers,
        orders: &orders,
        start: Instant::now(),
        now: 0,
        open: Vec::new(),
        requests: 0,
        rng,
        mood,
        seen,
        looks: seed.is_multiple_of(8),
        tell,
    };
    (0..steps).for_each(|_| world.step(&plans, &routes));
    while !world.open.is_empty() {
        world.end_attempt(0);
    }
    let rounds: u64 = world.model.iter().map(spec::Provider::rounds).sum();
    *world.seen.entry("limited in a round").or_insert(0) += rounds;
}

#[test]
fn in_100_000_random_histories_every_choice_is_the_one_of_the_rules() {
    let run = |thread: u64| {
        let (stock, mut seen) = (Stock::new(), Seen::new());
        for seed in (0..HISTORIES).filter(|seed| seed % THREADS == thread) {
            let once = AssertUnwindSafe(|| history(seed, &stock, &mut seen, false));
            if catch_unwind(once).is_err() {
                eprintln!("The history of the seed {seed}:");
                history(seed, &stock, &mut seen, true);
            }
        }
        seen
    };
    let seen: Vec<Seen> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || run(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("see above")).collect()
    });
    for what in WANTED {
        let count: u64 = seen.iter().filter_map(|seen| seen.get(what)).sum();
        assert!(count >= 100, "{what}: {count} times only");
    }
}
