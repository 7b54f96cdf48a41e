//! One request, from its head to its line in the log and its counts.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::explain::{self, Explanation};
use super::outcome::Outcome;
use super::stats::Stats;
use crate::runtime::Clock;
use crate::upstream::{Provider, Timings};
use crate::wire::{Reply, NAMED_MODEL};

use self::line::{Labels, Line};

mod lately;
mod line;

/// What kind of line a request has in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A chat: a line at the level of its outcome, and counts of its own.
    Chat,
    /// An endpoint of ours: a line at DEBUG.
    Other,
    /// What came is no request: a line at WARNING.
    Refused,
}

/// What is remembered of one request. Closed once, by [`Entry::close`] or, whatever ends the
/// request otherwise, when it is dropped.
pub struct Entry {
    kind: Kind,
    /// The request's id.
    pub id: String,
    peer: SocketAddr,
    /// The description of the client's token, once it was accepted.
    pub client: Option<Arc<str>>,
    /// `provider/model`, once known.
    pub model: String,
    /// The provider that was asked, once known.
    provider: Option<Rc<Provider>>,
    /// How it came there, where more than one key or target could be asked.
    way: Option<Box<Way>>,
    /// The status of the head that goes out to the client; 0 while there is none.
    pub status: u16,
    /// Body bytes for the client.
    pub bytes: u64,
    /// Chunks that came from the provider.
    pub chunks: u64,
    /// From the request's head to the response's head.
    first_byte: Option<Duration>,
    /// Whether an idle upstream connection served it.
    reused: Option<bool>,
    /// What the client, or the configuration, wants to be told of it.
    explanation: Option<Box<Explanation>>,
    /// Whether the response streams.
    streams: bool,
    /// When its head was complete.
    started: Instant,
    clock: Rc<Clock>,
    stats: Rc<Stats>,
    open: bool,
}

/// How a request came to its provider.
#[derive(Default)]
struct Way {
    /// The name that was asked for, if that is another one than the model's.
    asked: Option<String>,
    /// What was asked, and what came of it.
    trail: String,
    /// How many attempts were made.
    attempts: usize,
}

impl Entry {
    /// A request that has just begun; an endpoint's of ours unless [`Entry::begin_chat`] is called.
    pub fn new(id: String, peer: SocketAddr, clock: &Rc<Clock>, stats: &Rc<Stats>) -> Box<Entry> {
        stats.request();
        Box::new(Entry {
            kind: Kind::Other,
            id,
            peer,
            client: None,
            model: String::new(),
            provider: None,
            way: None,
            status: 0,
            bytes: 0,
            chunks: 0,
            first_byte: None,
            reused: None,
            explanation: None,
            streams: false,
            started: clock.real_now(),
            clock: clock.clone(),
            stats: stats.clone(),
            open: true,
        })
    }

    /// Takes note that a chat is asked for.
    pub fn begin_chat(&mut self) {
        self.kind = Kind::Chat;
        self.note_begin();
    }

    /// Has the head of the response say where the time went.
    pub fn explain(&mut self) {
        self.explanation = Some(Explanation::new());
    }

    /// Where the exchange writes down how long its parts take, if somebody wants to know.
    pub fn timings(&self) -> Option<Rc<Timings>> {
        self.explanation.as_ref().map(|explanation| explanation.timings.clone())
    }

    fn server_timing(&self) -> Option<String> {
        let now = self.clock.real_now();
        self.explanation.as_ref().map(|explanation| explanation.server_timing(self.started, now))
    }

    /// Puts that into the head of a provider's response, which has no empty line at its end yet. It is
    /// told once, and nothing of it is kept while the body goes out.
    pub fn push_explanation(&mut self, head: &mut Vec<u8>) {
        if let Some(server_timing) = self.server_timing() {
            explain::push(head, &server_timing, &self.model);
            self.explanation = None;
        }
    }

    /// Takes note of the target that is asked first, and of the name that leads there, if it is another.
    pub fn go_by(&mut self, asked: Option<String>, model: String) {
        self.model = model;
        self.way = Some(Box::new(Way { asked, ..Way::default() }));
    }

    /// Takes note of whose answer it is, and of all attempts so far.
    pub fn arrive(
        &mut self,
        provider: &Rc<Provider>,
        model: String,
        trail: String,
        attempts: usize,
    ) {
        self.go_to(provider);
        self.model = model;
        if let Some(way) = &mut self.way {
            (way.trail, way.attempts) = (trail, attempts);
        }
    }

    /// Puts what is told of the request into a response of ours.
    pub fn explained(&self, reply: Reply) -> Reply {
        let Some(way) = &self.way else { return self.timed(reply) };
        let reply = match way.attempts {
            0 | 1 => reply,
            _ => reply.with("x-ai-proxy-attempts", way.trail.clone()),
        };
        match self.explanation {
            None if way.asked.is_some() => {
                reply.with(NAMED_MODEL, explain::model_value(&self.model))
            }
            _ => self.timed(reply),
        }
    }

    fn timed(&self, reply: Reply) -> Reply {
        match self.server_timing() {
            Some(timing) if self.model.is_empty() => reply.with("server-timing", timing),
            Some(timing) => reply
                .with("server-timing", timing)
                .with(NAMED_MODEL, explain::model_value(&self.model)),
            None => reply,
        }
    }

    /// Takes note that what came is no request.
    pub fn mark_refused(&mut self) {
        self.kind = Kind::Refused;
    }

    /// Takes note that the head of a provider's response has come.
    pub fn note_provider_head(&mut self, reused: bool) {
        let now = self.clock.real_now();
        self.first_byte = Some(now.saturating_duration_since(self.started));
        if let Some(explanation) = &mut self.explanation {
            explanation.head_at = Some(now);
        }
        self.reused = Some(reused);
    }

    /// Writes the request's line and counts it.
    pub fn close(&mut self, outcome: &Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: &Outcome) {
        self.open = false;
        self.status = outcome.status().unwrap_or(self.status);
        // What the provider said, which the client may have been told in an event only.
        let provider_status = match outcome {
            Outcome::Refused(status) => *status,
            _ => self.status,
        };
        match self.kind {
            Kind::Chat => self.finish_chat(outcome, provider_status),
            Kind::Other => self.finish_other(outcome),
            Kind::Refused => {
                let Labels { request, client, refused, .. } = Labels::current();
                log::warn!("{request}{}{client}{}{refused}{outcome}", self.id, self.peer);
                self.finish_other(outcome);
            }
        }
    }

    fn finish_chat(&self, outcome: &Outcome, provider_status: u16) {
        let level = outcome.level(provider_status);
        if log::log_enabled!(level) {
            log::log!(level, "{}", Line { entry: self, outcome });
        }
        self.stats.chat(self.bytes, self.chunks);
        if let Some((kind, named)) = outcome.counter(provider_status) {
            let provider = self.provider.as_ref().filter(|_| named);
            self.stats.error(provider.map_or("", |provider| provider.name()), kind);
        }
        if matches!(outcome, Outcome::Failed(_)) {
            self.log_status();
        }
        self.note(outcome, provider_status);
    }

    fn finish_other(&self, outcome: &Outcome) {
        match outcome {
            // Nothing was sent to it.
            Outcome::ClientGone if self.status == 0 => return self.stats.error("", "client_gone"),
            Outcome::Failed(error) => {
                self.stats.error("", error.kind());
                self.note_lost(outcome, error);
            }
            _ => {}
        }
        if self.kind == Kind::Other {
            self.log_status();
        }
    }

    fn log_status(&self) {
        let Labels { request, client, status, .. } = Labels::current();
        log::debug!("{request}{}{client}{}{status}{}", self.id, self.peer, self.status);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.open {
            let panics = std::thread::panicking();
            self.finish(if panics { &Outcome::Panicked } else { &Outcome::Stopped });
        }
    }
}

#[cfg(test)]
mod tests;
