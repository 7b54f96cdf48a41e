//! What an examination consists of and what it found, as data.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::text::said;
use super::words::{fill, Code, Status};
use crate::config::Provider;
use crate::language::Language;

/// A part of the examination of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// What the configuration says, before anything is asked.
    Config,
    /// Name resolution.
    Dns,
    /// How connections get there: directly.
    Way,
    /// The TCP connection.
    Tcp,
    /// The TLS handshake and the certificate.
    Tls,
    /// Whether HTTP comes back: the head of the response to `GET /models`.
    Http,
    /// The provider's `Date` against this machine's clock.
    Clock,
    /// Whether the key is accepted.
    Key,
    /// The model list and its shape.
    List,
    /// How many models there are.
    Models,
    /// A chat that does not stream.
    Chat,
    /// A chat that streams.
    Stream,
    /// Whether that ended with `[DONE]`.
    End,
    /// Whether it told its usage.
    Usage,
    /// A stream that is abandoned.
    Cancel,
}

/// In their order.
pub const STAGES: [Stage; 15] = [
    Stage::Config,
    Stage::Dns,
    Stage::Way,
    Stage::Tcp,
    Stage::Tls,
    Stage::Http,
    Stage::Clock,
    Stage::Key,
    Stage::List,
    Stage::Models,
    Stage::Chat,
    Stage::Stream,
    Stage::End,
    Stage::Usage,
    Stage::Cancel,
];
/// For programs, in the order of the stages.
pub const NAMES: [&str; 15] = [
    "config", "dns", "way", "tcp", "tls", "http", "clock", "key", "list", "models", "chat",
    "stream", "end", "usage", "cancel",
];
/// The first of them cost nothing.
pub const FREE: usize = 10;

/// What is known of a stage.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How it went.
    pub status: Status,
    /// How long it took.
    pub took: Duration,
    /// What there is to say of it.
    pub code: Option<Code>,
    /// What the provider or the system said itself, safe to be shown.
    pub said: String,
    /// Whose key it is about, such as `#1, #3`; empty where there is one.
    pub keys: String,
}

/// What is written down while a provider is examined.
pub struct Record {
    /// Where the examination is.
    pub stage: Cell<Stage>,
    /// Whether it is over.
    pub done: Cell<bool>,
    /// When the last connection was open.
    pub connected_at: Cell<Instant>,
    /// One for each stage.
    pub findings: RefCell<Vec<Finding>>,
    /// What was seen, each with its name, and whether it is a number.
    pub facts: RefCell<Vec<(&'static str, String, bool)>>,
}

impl Record {
    /// Nothing yet.
    #[inline(never)]
    pub fn new() -> Rc<Record> {
        let (status, took) = (Status::Skipped, Duration::ZERO);
        let skipped =
            Finding { status, took, code: None, said: String::new(), keys: String::new() };
        Rc::new(Record {
            stage: Cell::new(Stage::Config),
            done: Cell::new(false),
            connected_at: Cell::new(Instant::now()),
            findings: RefCell::new(vec![skipped; NAMES.len()]),
            facts: RefCell::default(),
        })
    }

    /// A stage begins.
    pub fn begin(&self, stage: Stage) -> Instant {
        self.stage.set(stage);
        Instant::now()
    }

    /// A stage is over; its status follows from the code.
    #[inline(never)]
    pub fn note(&self, stage: Stage, took: Duration, code: Option<Code>) {
        let status = code.map_or(Status::Ok, |code| code.row().status);
        let finding = &mut self.findings.borrow_mut()[stage as usize];
        (finding.status, finding.took, finding.code) = (status, took, code);
    }

    /// What a provider said itself, in a response of this text.
    #[inline(never)]
    pub fn say(&self, stage: Stage, text: &[u8], provider: &Provider) {
        self.findings.borrow_mut()[stage as usize].said = said(text, provider);
    }

    /// A stage tells of one of several keys.
    #[inline(never)]
    pub fn blame_key(&self, stage: Stage, number: usize) {
        let keys = &mut self.findings.borrow_mut()[stage as usize].keys;
        keys.push_str(if keys.is_empty() { "#" } else { ", #" });
        keys.push_str(&number.to_string());
    }

    /// Whether a stage was reached.
    pub fn has(&self, stage: Stage) -> bool {
        self.status(stage) != Status::Skipped
    }

    /// How a stage went.
    #[inline(never)]
    pub fn status(&self, stage: Stage) -> Status {
        self.findings.borrow()[stage as usize].status
    }

    /// What there is to say of a stage.
    #[inline(never)]
    pub fn code(&self, stage: Stage) -> Option<Code> {
        self.findings.borrow()[stage as usize].code
    }

    /// Something was seen, or seen anew.
    #[inline(never)]
    pub fn see(&self, name: &'static str, value: &dyn Display) {
        self.set(name, value.to_string(), false);
    }

    /// The same of a number.
    #[inline(never)]
    pub fn count(&self, name: &'static str, number: i64) {
        self.set(name, number.to_string(), true);
    }

    #[inline(never)]
    fn set(&self, name: &'static str, value: String, is_number: bool) {
        let mut facts = self.facts.borrow_mut();
        facts.retain(|(other, ..)| *other != name);
        facts.push((name, value, is_number));
    }

    /// What was seen.
    #[inline(never)]
    pub fn fact(&self, name: &str) -> Option<String> {
        let facts = self.facts.borrow();
        facts.iter().find(|(other, ..)| *other == name).map(|(_, value, _)| value.clone())
    }

    /// What is wrong with a stage, and what to do.
    #[inline(never)]
    pub fn words(&self, stage: Stage, code: Code, language: Language) -> [String; 2] {
        let findings = self.findings.borrow();
        let finding = &findings[stage as usize];
        let value = |name: &str| {
            let known = match name {
                "said" if finding.said.is_empty() => None,
                "said" if language == Language::Chinese => Some(format!("：「{}」", finding.said)),
                "said" => Some(format!(": \"{}\"", finding.said)),
                "seconds" => Some(tenths(finding.took.as_secs_f64())),
                "http_status" if stage as usize >= FREE => self.fact("chat_status"),
                name => self.fact(name),
            };
            Some(known.unwrap_or_default())
        };
        let mut texts =
            code.row().texts(language).map(|text| fill(text, &value).unwrap_or_default());
        if !finding.keys.is_empty() {
            texts[0].insert_str(0, ": ");
            texts[0].insert_str(0, &finding.keys);
        }
        texts
    }
}

/// A number with one digit behind the point, or none where that is a zero.
#[inline(never)]
pub fn tenths(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}
