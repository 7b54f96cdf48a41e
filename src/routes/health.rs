//! `GET /health`: all providers probed at the same time.
//!
//! It needs no token, and each round costs every provider one request with its owner's key. So a
//! report is served again while it is young, and a caller that leaves does not bring the next round
//! forward. Reports and rounds of an older configuration do not count.

use std::rc::Rc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::query::{self, Listing};
use crate::message;
use crate::report::to_json;
use crate::state::{Probes, Settings, State};
use crate::upstream::{self, Provider, Trouble};

/// A report younger than this is served again, and no round begins sooner than this after one that
/// its callers abandoned has begun.
const ROUND_INTERVAL_MIN: Duration = Duration::from_secs(2);

/// The result of a round of probes under the configuration in force, as the body of the response.
pub async fn report(state: &Rc<State>) -> Rc<Vec<u8>> {
    let probes = &state.probes;
    let now = state.clock().now();
    let is_young = |at| now.saturating_duration_since(at) < ROUND_INTERVAL_MIN;
    if is_current(state) && probes.reported.get().is_some_and(is_young) {
        return probes.report.borrow().clone();
    }
    let wanted = probes.rounds.get() + 1;
    let _caller = Caller::new(probes);
    if probes.running.borrow().is_none() {
        keep_interval(state).await;
    }
    // Others may have waited for the same moment, and a reload may have come meanwhile.
    let is_over = || probes.rounds.get() >= wanted;
    if !is_over() && (probes.running.borrow().is_none() || !is_current(state)) {
        begin(state);
    }
    while !is_over() {
        probes.waiting.listen().await;
    }
    probes.report.borrow().clone()
}

/// Whether the round last begun is one of the configuration in force.
fn is_current(state: &State) -> bool {
    let settings = Rc::downgrade(&state.settings());
    state.probes.begun.borrow().as_ref().is_some_and(|(begun, _)| begun.ptr_eq(&settings))
}

/// Waits while the last round, which was abandoned, began too recently.
async fn keep_interval(state: &State) {
    let begun = state.probes.begun.borrow().as_ref().map(|(_, at)| *at);
    let Some(begun) = begun.filter(|_| is_current(state)) else { return };
    let timer = state.timer();
    timer.sleep((begun + ROUND_INTERVAL_MIN).saturating_duration_since(timer.now())).await;
}

/// Begins a round. One of an older configuration ends; its callers get the result of this one.
fn begin(state: &Rc<State>) {
    let (probes, settings) = (&state.probes, state.settings());
    probes.begun.replace(Some((Rc::downgrade(&settings), state.clock().now())));
    probes.reported.set(None);
    let round = state.spawn_task(round(state.clone(), settings));
    // Taken out first: what ends with it may look here.
    let older = probes.running.replace(round);
    drop(older);
}

/// A caller that waits for the round; the last one to leave ends it.
struct Caller<'p>(&'p Probes);

impl<'p> Caller<'p> {
    fn new(probes: &'p Probes) -> Self {
        probes.callers.set(probes.callers.get() + 1);
        Caller(probes)
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
    let probe = |provider: &Rc<Provider>| state.spawn_task(probe(state.clone(), provider.clone()));
    let tasks: Vec<_> = settings.providers.iter().map(probe).collect();
    let mut results = Vec::new();
    for (provider, task) in settings.providers.iter().zip(tasks) {
        let Some(task) = task else { return };
        results.push((provider.name(), task.await));
    }
    let probes = &state.probes;
    probes.report.replace(Rc::new(render(&results)));
    probes.reported.set(Some(state.clock().now()));
    probes.rounds.set(probes.rounds.get() + 1);
    // The next round is one of its own. Detached: a task cannot drop itself.
    if let Some(this) = probes.running.take() {
        this.detach();
    }
    probes.waiting.notify(usize::MAX);
}

async fn probe(state: Rc<State>, provider: Rc<Provider>) -> bool {
    let name = provider.name();
    let trouble = trouble(&query::models(&state, &provider).await);
    match &trouble {
        None => {
            log::info!(
                "{}",
                message!("健康检查: {name} 正常", "healthy" => "health check: {name} is healthy")
            )
        }
        Some(Trouble { words, .. }) => {
            log::warn!(
                "{}",
                message!(
                    "健康检查: {name} 异常: {words}",
                    "health check: {name} is unhealthy: {words}"
                )
            );
            state.stats.error(name, "unhealthy");
        }
    }
    let healthy = trouble.is_none();
    provider.history.note_check(state.clock().moment(), trouble);
    healthy
}

/// Why chats would fail, as far as the response to a probe tells. A provider that responds
/// otherwise is reachable, with a list or without one (404, 405).
pub fn trouble(result: &Result<Listing, upstream::Error>) -> Option<Trouble> {
    match result {
        Ok(Listing { status: status @ (401 | 403 | 500..), .. }) => {
            Some(Trouble::of_status(*status))
        }
        Ok(Listing { status: 200, is_page: true, .. }) => Some(Trouble::page()),
        Ok(_) => None,
        Err(error) => Trouble::of(error),
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
        providers: Results(results),
        healthy_providers: healthy,
        total_providers: results.len(),
    };
    (to_json(&report) + "\n").into_bytes()
}

#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    providers: Results<'a>,
    healthy_providers: usize,
    total_providers: usize,
}

/// In the order of the configuration, which a map would lose.
struct Results<'a>(&'a [(&'a str, bool)]);

impl Serialize for Results<'_> {
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
            let share = || crate::runtime::Budget::new(0).share();
            let answer =
                |is_page| Ok(Listing { status, is_page, body: Vec::new(), share: share() });
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
