//! What the unit tests of this room have in common: plans and what happens to them, in few words.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Attempts, Choice, Failure, Happened, Plan, Target};
use crate::config::{Config, RetryOn};
use crate::upstream::Provider;

/// A provider with so many keys (0: none), which are used in this order.
pub fn provider(name: &str, keys: usize, order: &str) -> Rc<Provider> {
    let keys: Vec<String> = (1..=keys).map(|key| format!("\"key-{key}\"")).collect();
    let text = format!(
        r#"{{"providers":[{{"provider":"{name}","baseurl":"http://h/v1","token":[{}],"key_order":"{order}"}}],"tokens":[]}}"#,
        keys.join(",")
    );
    Provider::new(Config::parse(&text, "f").unwrap().providers.remove(0))
}

/// The model `m` of the providers `a`, `b` … with so many keys each, all in order.
pub fn plan(keys: &[usize], retries: Option<u8>) -> Plan {
    let target = |(name, keys): (char, &usize)| {
        Target::new(&provider(&name.to_string(), *keys, "in_order"), "m")
    };
    Plan {
        targets: ('a'..).zip(keys).map(target).collect(),
        retries,
        retry_on: RetryOn::default(),
        wait_max: Duration::from_secs(5),
        pinned: None,
        is_alias: true,
    }
}

/// What an attempt comes to: a status or a word of the trail, and perhaps `quota`, `code CODE` and
/// `after SECONDS`, the delay that is stated. A status with `redirect` is not followed.
pub fn happened(text: &str) -> Happened {
    let mut words = text.split(' ');
    let first = words.next().unwrap();
    let mut happened = match first.parse() {
        Ok(status) => Happened::status(status),
        Err(_) => Happened::failure(match first {
            "dns" => Failure::Dns,
            "connect" => Failure::Connect,
            "tls" => Failure::Tls,
            "closed" => Failure::Closed,
            "timeout" => Failure::Timeout,
            "invalid" => Failure::Invalid,
            "busy" => Failure::Ours,
            _ => panic!("{text}"),
        }),
    };
    while let Some(word) = words.next() {
        match word {
            "redirect" => happened.result = Err(Failure::Redirect(first.parse().unwrap())),
            "quota" => happened.said.quota = true,
            "code" => happened.said.code = words.next().map(str::to_owned),
            "after" => {
                let seconds = words.next().unwrap().parse().unwrap();
                happened.stated = Some(Duration::from_secs_f64(seconds));
            }
            _ => panic!("{text}"),
        }
    }
    happened
}

/// One request, its clock, and the answer that the client would get.
pub struct Request<'p> {
    pub attempts: Attempts<'p>,
    pub now: Instant,
    pub next: Option<Choice>,
    /// The number of the attempt whose answer is kept.
    pub kept: Option<usize>,
    is_overload: bool,
}

impl<'p> Request<'p> {
    /// Begins then, and has an hour.
    pub fn begin(plan: &'p Plan, now: Instant) -> Request<'p> {
        Request::within(plan, now, Duration::from_secs(3600), None)
    }

    pub fn within(
        plan: &'p Plan,
        now: Instant,
        time: Duration,
        retries_max: Option<u8>,
    ) -> Request<'p> {
        let mut attempts = Attempts::new(plan, 0, retries_max, now + time);
        let next = Some(attempts.first(now));
        Request { attempts, now, next, kept: None, is_overload: false }
    }

    /// The attempt whose turn it is waits and comes to this at once. `random` is from 0 to 1.
    pub fn comes_to(&mut self, text: &str, random: f64) {
        let choice = self.next.expect("an attempt is out");
        self.now += choice.wait;
        let happened = happened(text);
        let is_overload = happened.is_overload();
        self.next = self.attempts.after(choice, happened, self.now, random);
        if self.attempts.keeps_last(self.is_overload) {
            self.kept = Some(self.attempts.count() - 1);
            self.is_overload = is_overload;
        }
    }

    /// The attempts come to these one after the other, and all further ones to the last.
    pub fn all(mut self, texts: &[&str]) -> Request<'p> {
        let mut texts = texts.iter();
        let mut text = texts.next().expect("no script");
        while self.next.is_some() {
            self.comes_to(text, 0.5);
            text = texts.next().unwrap_or(text);
        }
        self
    }
}

/// The trail of a request that begins now.
pub fn trail(plan: &Plan, texts: &[&str]) -> String {
    Request::begin(plan, Instant::now()).all(texts).attempts.trail()
}
