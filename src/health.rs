//! `GET /health`: all providers probed at the same time. Knows nothing of client connections.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde::{Serialize, Serializer};
use smol::Task;

use crate::error::to_json;
use crate::proxy::{Proxy, Settings};
use crate::query;
use crate::upstream::ExchangeError;
use crate::waiters::Waiters;

/// The round of probes under way, which concurrent callers share, and the last result.
#[derive(Default)]
pub struct Health {
    /// Dropping it drops the probes and their connections.
    running: RefCell<Option<Task<()>>>,
    callers: Cell<usize>,
    rounds: Cell<u64>,
    report: RefCell<Rc<Vec<u8>>>,
    waiting: Waiters,
}

impl Health {
    /// The result of a round of probes that ended after this was called, as the body of the answer.
    pub async fn report(&self, proxy: &Rc<Proxy>) -> Rc<Vec<u8>> {
        let wanted = self.rounds.get() + 1;
        let _caller = Caller::new(self);
        if self.running.borrow().is_none() {
            let round = proxy.executor.spawn(round(proxy.clone()));
            self.running.replace(Some(round));
        }
        self.waiting.wait_until(|| self.rounds.get() >= wanted).await;
        self.report.borrow().clone()
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

async fn round(proxy: Rc<Proxy>) {
    let settings = proxy.settings();
    let probes: Vec<_> = (0..settings.providers.len())
        .map(|index| proxy.executor.spawn(probe(proxy.clone(), settings.clone(), index)))
        .collect();
    let mut results = Vec::new();
    for (provider, probe) in settings.providers.iter().zip(probes) {
        results.push((provider.name.as_str(), probe.await));
    }
    let body = render(&results);
    let health = &proxy.health;
    health.report.replace(Rc::new(body));
    health.rounds.set(health.rounds.get() + 1);
    // Callers from now on want a round of their own. Detached: a task cannot drop itself.
    if let Some(this) = health.running.take() {
        this.detach();
    }
    health.waiting.wake();
}

async fn probe(proxy: Rc<Proxy>, settings: Rc<Settings>, index: usize) -> bool {
    let name = &settings.providers[index].name;
    let result = query::models(&proxy, &settings, index).await;
    let healthy = is_healthy(&result);
    match result {
        _ if healthy => log::info!("健康检查: {name} 正常 (healthy)"),
        Ok((status, _)) => log::warn!("健康检查: {name} 异常: 状态 {status} (unhealthy)"),
        Err(error) => log::warn!("健康检查: {name} 异常: {error} (unhealthy)"),
    }
    if !healthy {
        proxy.stats.error(name, "unhealthy");
    }
    healthy
}

/// A bad key (401, 403) and 5xx mean that chats would fail. Whoever answers otherwise is there, with a
/// list or without one (404, 405).
fn is_healthy(result: &Result<(u16, Vec<u8>), ExchangeError>) -> bool {
    match result {
        Ok((status, _)) => !matches!(status, 401 | 403 | 500..),
        Err(error) => matches!(error, ExchangeError::TooLarge(_)),
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
            (404, true),
            (405, true),
            (401, false),
            (403, false),
            (429, true),
            (400, true),
            (500, false),
        ] {
            assert_eq!(is_healthy(&Ok((status, Vec::new()))), healthy, "{status}");
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
