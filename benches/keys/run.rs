//! One run: time passes from one event to the next, and each request goes the way that the program's
//! routing says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use ai_proxy::config::{Config, KeyOrder, RetryOn};
use ai_proxy::routing::{rests_at_all, Attempts, Choice, Happened, Plan, Target};
use ai_proxy::upstream::{Key, Provider};
use fastrand::Rng;

use crate::provider::{Account, Answer};
use crate::workload::{seconds, Conversation, Turn};

/// Keys of the provider.
pub const KEYS: usize = 10;
/// As `stream_timeout`.
const TIMEOUT: Duration = Duration::from_secs(300);
/// A client that was refused so often in a row gives its conversation up.
const REFUSALS_MAX: u32 = 50;
/// Clients wait as long as a refusal says, up to this.
const STATED_MAX: Duration = Duration::from_secs(60);

/// In which order keys are used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// There is but one, without any limit: the yardstick.
    Single,
    /// One that the program has.
    Ours(KeyOrder),
    /// By chance, each time anew.
    Random,
    /// The same, and nothing is remembered of what keys have answered.
    Forgetful,
}

/// In the order of the table.
pub const ORDERS: [Order; 6] = [
    Order::Single,
    Order::Ours(KeyOrder::Sticky),
    Order::Ours(KeyOrder::RoundRobin),
    Order::Ours(KeyOrder::InOrder),
    Order::Random,
    Order::Forgetful,
];

/// What one run came to.
#[derive(Default)]
pub struct Outcome {
    /// Calls to the provider.
    pub calls: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Tokens of all prompts that were answered.
    pub prompts: u64,
    /// Those of them that were cached.
    pub cached: u64,
    /// 429s that clients saw.
    pub limited: u64,
    /// Those that they saw although a key was well.
    pub needless: u64,
    /// Those of these after which another attempt was allowed.
    pub early: u64,
    /// Requests that took more calls than their budget.
    pub over_budget: u64,
    /// Conversations that were given up.
    pub given_up: u64,
}

/// A client's request on its way.
struct Request<'p> {
    attempts: Attempts<'p>,
    choice: Choice,
    /// The answer that the client gets if none follows that is a better one.
    kept: Option<Happened>,
    /// The keys that were well when it came.
    well: Vec<usize>,
}

/// What a conversation waits for.
enum Step<'p> {
    /// Its next request.
    Ask,
    /// The next call of that.
    Call(Box<Request<'p>>),
    /// The call's answer.
    Answer(Box<Request<'p>>, Answer),
}

/// One conversation on its way.
struct Talk<'p> {
    turns: &'p [Turn],
    /// The turn it is at.
    turn: usize,
    step: Step<'p>,
    /// Refusals in a row that the client saw.
    refusals: u32,
}

struct Run<'p> {
    plan: &'p Plan,
    order: Order,
    accounts: Vec<Account>,
    random: Rng,
    outcome: Outcome,
}

/// Lets all conversations run to their end.
pub fn simulate(
    order: Order,
    retries: Option<u8>,
    seed: u64,
    conversations: &[Conversation],
) -> Outcome {
    let start = Instant::now();
    let accounts = match order {
        Order::Single => vec![Account::unlimited()],
        _ => Account::several(KEYS, seed, start),
    };
    let plan = plan(order, retries, accounts.len());
    let mut run = Run {
        plan: &plan,
        order,
        accounts,
        random: Rng::with_seed(!seed),
        outcome: Outcome::default(),
    };
    let talk = |turns| Talk { turns, turn: 0, step: Step::Ask, refusals: 0 };
    let mut talks: Vec<Talk> = conversations.iter().map(|one| talk(&one.turns[..])).collect();
    let starts = conversations.iter().map(|conversation| start + conversation.start).zip(0..);
    let mut events: BinaryHeap<_> = starts.map(Reverse).collect();
    while let Some(Reverse((now, index))) = events.pop() {
        if let Some(next) = run.go_on(&mut talks[index], now) {
            events.push(Reverse((next, index)));
        }
    }
    run.outcome
}

fn plan(order: Order, retries: Option<u8>, keys: usize) -> Plan {
    let keys: Vec<String> = (1..=keys).map(|number| format!("key-{number}")).collect();
    let text = format!(
        r#"{{"tokens": [], "providers": [{{"provider": "p", "baseurl": "http://h", "token": {keys:?}}}]}}"#
    );
    let mut config = Config::parse(&text, "bench").unwrap_or_else(|error| panic!("{error}"));
    let mut provider = config.providers.remove(0);
    if let Order::Ours(order) = order {
        provider.key_order = order;
    }
    let provider = Provider::new(provider);
    Plan {
        targets: vec![Target::new(&provider, "m")],
        retries,
        retry_on: RetryOn::default(),
        wait_max: config.retry_wait_max,
        pinned: None,
        is_alias: false,
    }
}

impl<'p> Run<'p> {
    /// One step of a conversation, and when the next is; `None`: it has ended.
    fn go_on(&mut self, talk: &mut Talk<'p>, now: Instant) -> Option<Instant> {
        let turn = talk.turns.get(talk.turn)?;
        match std::mem::replace(&mut talk.step, Step::Ask) {
            Step::Ask => {
                let request = self.request(turn, now);
                let wait = request.choice.wait;
                talk.step = Step::Call(request);
                Some(now + wait)
            }
            Step::Call(request) => {
                let answer = self.accounts[request.choice.key].ask(turn, now);
                let took = answer.took;
                talk.step = Step::Answer(request, answer);
                Some(now + took)
            }
            Step::Answer(mut request, answer) => {
                let happened = &answer.happened;
                self.outcome.calls += 1;
                self.outcome.refused += u64::from(happened.result != Ok(200));
                let random = self.random.f64();
                let next = request.attempts.after(request.choice, happened.clone(), now, random);
                let kept_is_overload = request.kept.as_ref().is_some_and(Happened::is_overload);
                if request.attempts.keeps_last(kept_is_overload) {
                    request.kept = Some(happened.clone());
                }
                let Some(next) = next else { return self.end(talk, turn, &request, &answer, now) };
                request.choice = next;
                talk.step = Step::Call(request);
                Some(now + next.wait)
            }
        }
    }

    fn request(&mut self, turn: &Turn, now: Instant) -> Box<Request<'p>> {
        if self.order == Order::Forgetful {
            for key in self.keys() {
                key.rests.whole.take();
                key.rests.models.take();
            }
        }
        let conversation = match self.order {
            // The order of a conversation that is new each time is by chance.
            Order::Random | Order::Forgetful => self.random.u64(..),
            _ => turn.conversation,
        };
        let well = self.well(turn, now).collect();
        let mut attempts = Attempts::new(self.plan, conversation, None, now + TIMEOUT);
        let choice = attempts.first(now);
        Box::new(Request { attempts, choice, kept: None, well })
    }

    fn keys(&self) -> &'p [Key] {
        &self.plan.targets[0].provider.keys
    }

    /// The keys that do not rest and would serve a request now.
    fn well<'r>(&'r self, turn: &'r Turn, now: Instant) -> impl Iterator<Item = usize> + 'r {
        let keys = self.keys().iter().zip(&self.accounts).enumerate();
        let is_well = move |(key, account): (&Key, &Account)| {
            !rests_at_all(&key.rests, now) && account.would_serve(turn, now)
        };
        keys.filter_map(move |(place, both)| is_well(both).then_some(place))
    }

    /// The client has its answer. One that is refused asks again, as SDKs do.
    fn end(
        &mut self,
        talk: &mut Talk<'_>,
        turn: &Turn,
        request: &Request<'_>,
        answer: &Answer,
        now: Instant,
    ) -> Option<Instant> {
        let (calls, retries) = (request.attempts.count(), usize::from(self.plan.retries()));
        // A key that was well all the time.
        let is_well = self.well(turn, now).any(|key| request.well.contains(&key));
        let outcome = &mut self.outcome;
        outcome.over_budget += u64::from(calls > 1 + retries);
        match request.kept.as_ref().map(|kept| &kept.result) {
            Some(Ok(200)) => {
                outcome.prompts += turn.prompt;
                outcome.cached += answer.cached;
                (talk.turn, talk.refusals) = (talk.turn + 1, 0);
                return Some(now + turn.pause);
            }
            Some(Ok(429)) => {
                outcome.limited += 1;
                outcome.needless += u64::from(is_well);
                outcome.early += u64::from(is_well && calls <= retries);
            }
            _ => {}
        }
        talk.refusals += 1;
        if talk.refusals == REFUSALS_MAX {
            outcome.given_up += 1;
            return None;
        }
        let stated = request.attempts.recovery(now).0.filter(|stated| *stated <= STATED_MAX);
        let own = seconds(0.5 * f64::from(1 << talk.refusals.min(4)));
        // The program states whole seconds.
        Some(now + stated.map_or(own, |stated| seconds(stated.as_secs_f64().ceil())))
    }
}
