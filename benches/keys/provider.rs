//! What the provider answers: each key is an account with a prompt cache, limits of requests and tokens a
//! minute, and perhaps a quota.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ai_proxy::routing::{said, Happened};
use fastrand::Rng;

use crate::workload::{seconds, Turn};

/// Keys that are not accepted, and keys whose quota is used up in the middle.
const INVALID: usize = 2;
const ENDING: usize = 3;
/// Limits of one account.
const REQUESTS_PER_MINUTE: f64 = 12.0;
const TOKENS_PER_MINUTE: f64 = 400_000.0;
/// How many tokens a quota that ends is still good for.
const QUOTA: std::ops::Range<u64> = 300_000..900_000;
/// Prompts are cached in blocks of so many tokens, from the second size on.
const BLOCK: u64 = 128;
const CACHED_MIN: u64 = 1_024;
/// How long a refusal takes, and an answer until it begins.
const REFUSAL: Duration = Duration::from_millis(150);
const BEGINNING: f64 = 0.5;
/// Tokens that are not cached and are read in a second.
const READING: f64 = 20_000.0;
const LIMITED: &str =
    r#"{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}"#;
const USED_UP: &str = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;

/// What came of one call.
pub struct Answer {
    /// Its status, and what else the program reads of it.
    pub happened: Happened,
    /// Tokens of the prompt that were cached.
    pub cached: u64,
    /// How long it took to begin.
    pub took: Duration,
}

/// What a limit leaves: it fills up evenly.
struct Allowance {
    per_minute: f64,
    left: f64,
    at: Instant,
}

impl Allowance {
    fn new(per_minute: f64, at: Instant) -> Allowance {
        Allowance { per_minute, left: per_minute, at }
    }

    /// Seconds until so much may be taken.
    fn wait(&self, amount: f64, now: Instant) -> f64 {
        ((amount - self.left_at(now)) * 60.0 / self.per_minute).max(0.0)
    }

    fn left_at(&self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + since * self.per_minute / 60.0).min(self.per_minute)
    }

    fn take(&mut self, amount: f64, now: Instant) {
        (self.left, self.at) = (self.left_at(now) - amount, now);
    }
}

/// What prompts begin with that an account has read before.
#[derive(PartialEq, Eq, Hash)]
enum Beginning {
    Instructions(usize),
    Conversation(usize),
}

/// How long it is, and until when it is kept.
struct Cached {
    tokens: u64,
    until: Instant,
}

/// One key of the provider.
pub struct Account {
    accepted: bool,
    /// Tokens that are left; `None`: no end.
    quota: Option<u64>,
    /// Requests and tokens; `None`: no limit.
    limits: Option<[Allowance; 2]>,
    states_delay: bool,
    cache: HashMap<Beginning, Cached>,
}

impl Account {
    /// One without any limit.
    pub fn unlimited() -> Account {
        Account {
            accepted: true,
            quota: None,
            limits: None,
            states_delay: false,
            cache: HashMap::new(),
        }
    }

    /// Accounts with limits, some of which are or become useless. Whether a 429 says for how long depends on the
    /// seed.
    pub fn several(count: usize, seed: u64, now: Instant) -> Vec<Account> {
        let mut random = Rng::with_seed(seed ^ 0x6b65_7973);
        let mut places: Vec<usize> = (0..count).collect();
        random.shuffle(&mut places);
        let (invalid, others) = places.split_at(INVALID);
        let ending = &others[..ENDING];
        let account = |place| Account {
            accepted: !invalid.contains(&place),
            quota: ending.contains(&place).then(|| random.u64(QUOTA)),
            limits: Some([
                Allowance::new(REQUESTS_PER_MINUTE, now),
                Allowance::new(TOKENS_PER_MINUTE, now),
            ]),
            states_delay: seed.is_multiple_of(2),
            ..Account::unlimited()
        };
        (0..count).map(account).collect()
    }

    /// Why it would not serve a request now.
    fn refusal(&self, turn: &Turn, now: Instant) -> Option<Happened> {
        if !self.accepted {
            return Some(Happened::status(401));
        }
        let limited = |stated, body: &str| {
            Some(Happened { stated, said: said(body.as_bytes()), ..Happened::status(429) })
        };
        if self.quota.is_some_and(|left| left < turn.prompt) {
            return limited(None, USED_UP);
        }
        let [requests, tokens] = self.limits.as_ref()?;
        let wait = requests.wait(1.0, now).max(tokens.wait(turn.prompt as f64, now));
        let stated = self.states_delay.then(|| seconds(wait.ceil()));
        if wait > 0.0 {
            limited(stated, LIMITED)
        } else {
            None
        }
    }

    /// Whether it would serve a request now.
    pub fn would_serve(&self, turn: &Turn, now: Instant) -> bool {
        self.refusal(turn, now).is_none()
    }

    /// One call.
    pub fn ask(&mut self, turn: &Turn, now: Instant) -> Answer {
        if let Some(happened) = self.refusal(turn, now) {
            return Answer { happened, cached: 0, took: REFUSAL };
        }
        self.quota = self.quota.map(|left| left - turn.prompt);
        if let Some([requests, tokens]) = &mut self.limits {
            requests.take(1.0, now);
            tokens.take(turn.prompt as f64, now);
        }
        let known = [
            (Beginning::Instructions(turn.client), turn.instructions),
            (Beginning::Conversation(turn.number), turn.prompt),
        ];
        let until = now + turn.kept_for;
        let mut cached = 0;
        for (beginning, tokens) in known {
            let before = self.cache.insert(beginning, Cached { tokens, until });
            let before = before.filter(|before| before.until >= now);
            cached = before.map_or(0, |before| before.tokens.min(tokens)).max(cached);
        }
        cached = if cached < CACHED_MIN { 0 } else { cached / BLOCK * BLOCK };
        let took = seconds(BEGINNING + (turn.prompt - cached) as f64 / READING);
        Answer { happened: Happened::status(200), cached, took }
    }
}
