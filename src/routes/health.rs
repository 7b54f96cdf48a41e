//! `GET /health`: all providers probed at the same time. Knows nothing of client connections.
//!
//! It needs no token, and each round costs every provider one request with its owner's key. So a
//! report is served again while it is young, and whoever asks and leaves brings no round forward.
//! A new configuration knows nothing of old reports and rounds.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use event_listener::Event;
use serde::{Serialize, Serializer};
use smol::Task;

use crate::report::error::to_json;
use crate::routes::query::{self, Listing};
use crate::runtime::timer::Timer;
use crate::state::{Settings, State};
use crate::upstream::exchange::ExchangeError;

/// A report younger than this is served again, and no round begins sooner than this after one that
/// its callers abandoned has begun.
const PACE: Duration = Duration::from_secs(2);

/// The round of probes under way, which concurrent callers share, and the last result.
#[derive(Default)]
pub struct Health {
    /// Dropping it drops the probes and their connections.
    running: RefCell<Option<Task<()>>>,
    /// The configuration of the round that was last begun, and when that was.
    begun: RefCell<Option<(Weak<Settings>, Instant)>>,
    callers: Cell<usize>,
    rounds: Cell<u64>,
    report: RefCell<Rc<Vec<u8>>>,
    /// When the report was made, if the configuration was still in force then.
    reported: Cell<Option<Instant>>,
    waiting: Event,
}

impl Health {
    /// The result of a round of probes under the configuration in force, as the body of the answer.
    pub async fn report(&self, state: &Rc<State>) -> Rc<Vec<u8>> {
        let is_young = |at| state.reactor.clock.now().saturating_duration_since(at) < PACE;
        if self.is_current(state) && self.reported.get().is_some_and(is_young) {
            return self.report.borrow().clone();
        }
        let wanted = self.rounds.get() + 1;
        let _caller = Caller::new(self);
        if self.running.borrow().is_none() {
            self.keep_pace(state).await;
        }
        // Others may have waited for the same moment, and a reload may have come meanwhile.
        let is_over = || self.rounds.get() >= wanted;
        if !is_over() && (self.running.borrow().is_none() || !self.is_current(state)) {
            self.begin(state);
        }
        while !is_over() {
            self.waiting.listen().await;
        }
        self.report.borrow().clone()
    }

    /// Whether the round last begun is one of the configuration in force.
    fn is_current(&self, state: &State) -> bool {
        let settings = Rc::downgrade(&state.settings());
        self.begun.borrow().as_ref().is_some_and(|(begun, _)| begun.ptr_eq(&settings))
    }

    /// Waits while the last round, which was abandoned, began too recently.
    async fn keep_pace(&self, state: &Rc<State>) {
        let begun = self.begun.borrow().as_ref().map(|(_, at)| *at);
        let Some(begun) = begun.filter(|_| self.is_current(state)) else { return };
        let timer = Timer::new(&state.reactor.clock);
        timer.sleep((begun + PACE).saturating_duration_since(timer.now())).await;
    }

    /// Begins a round. One of an older configuration ends; its callers get the result of this one.
    fn begin(&self, state: &Rc<State>) {
        let settings = state.settings();
        let now = state.reactor.clock.now();
        self.begun.replace(Some((Rc::downgrade(&settings), now)));
        self.reported.set(None);
        let round = state.executor.spawn(round(state.clone(), settings));
        // Taken out first: what ends with it may look here.
        let older = self.running.replace(Some(round));
        drop(older);
    }
}

/// One who waits for the round; the last one who leaves ends it.
struct Caller<'h>(&'h Health);

impl<'h> Caller<'h> {
    fn new(health: &'h Health) -> Self {
        health.callers.set(health.callers.get() + 1);
        Caller(health)
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        let left = self.0.callers.get() - 1;
        self.0.callers.set(left);
        if left == 0 {
            // Taken out first: what ends with it may look here.
            let round = self.0.running.take();
            drop(round);
        }
    }
}

async fn round(state: Rc<State>, settings: Rc<Settings>) {
    let probes: Vec<_> = (0..settings.providers.len())
        .map(|index| state.executor.spawn(probe(state.clone(), settings.clone(), index)))
        .collect();
    let mut results = Vec::new();
    for (provider, probe) in settings.providers.iter().zip(probes) {
        results.push((provider.name.as_str(), probe.await));
    }
    let body = render(&results);
    let health = &state.health;
    health.report.replace(Rc::new(body));
    health.reported.set(Some(state.reactor.clock.now()));
    health.rounds.set(health.rounds.get() + 1);
    // The next round is one of its own. Detached: a task cannot drop itself.
    if let Some(this) = health.running.take() {
        this.detach();
    }
    health.waiting.notify(usize::MAX);
}

async fn probe(state: Rc<State>, settings: Rc<Settings>, index: usize) -> bool {
    let name = &settings.providers[index].name;
    let trouble = trouble(&query::models(&state, &settings, index).await);
    match &trouble {
        None => log::info!("健康检查: {name} 正常 (healthy)"),
        Some(reason) => {
            log::warn!("健康检查: {name} 异常: {reason} (unhealthy)");
            state.stats.error(name, "unhealthy");
        }
    }
    trouble.is_none()
}

/// Why chats would fail, as far as an answer to a probe tells. Whoever answers otherwise is there,
/// with a list or without one (404, 405).
fn trouble(result: &Result<Listing, ExchangeError>) -> Option<String> {
    match result {
        Ok(Listing { status: status @ (401 | 403 | 500..), .. }) => Some(format!("状态 {status}")),
        Ok(Listing { status: 200, is_page: true, .. }) => Some(
            "返回的是网页，不是接口，请检查 baseurl (a page, not an API: check baseurl)".to_owned(),
        ),
        Ok(_) | Err(ExchangeError::TooLarge(_)) => None,
        Err(error) => Some(error.to_string()),
    }
}

fn render(results: &[(&str, bool)]) -> Vec<u8> {
    let healthy = results.iter().filter(|(_, healthy)| *healthy).count();
    let status = match healthy {
        0 => "unhealthy",
        _ if healthy == results.len() => "healthy",
        _ => "degraded",
    };
    let report = Report {
        status,
        providers: Probes(results),
        healthy_providers: healthy,
        total_providers: results.len(),
    };
    to_json(&report).into_bytes()
}

#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    providers: Probes<'a>,
    healthy_providers: usize,
    total_providers: usize,
}

/// In the order of the configuration, which a map would lose.
struct Probes<'a>(&'a [(&'a str, bool)]);

impl Serialize for Probes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_let_a_chat_succeed_count_as_healthy() {
        for (status, healthy) in [
            (200, true),
            (304, true),
            (404, true),
            (405, true),
            (401, false),
            (403, false),
            (429, true),
            (400, true),
            (500, false),
        ] {
            let answer = |is_page| Ok(Listing { status, is_page, body: Vec::new() });
            assert_eq!(trouble(&answer(false)).is_none(), healthy, "{status}");
            assert_eq!(trouble(&answer(true)).is_none(), healthy && status != 200, "{status}");
        }
    }

    #[test]
    fn the_status_sums_up_the_providers() {
        for (results, status) in [
            (&[("a", true), ("b", true)][..], "\"healthy\""),
            (&[("a", true), ("b", false)], "\"degraded\""),
            (&[("a", false)], "\"unhealthy\""),
            (&[], "\"unhealthy\""),
        ] {
            let body = String::from_utf8(render(results)).unwrap();
            assert!(body.contains(&format!("\"status\":{status}")), "{body}");
        }
    }
}
