//! `GET /v1/status`: what the page shows, for this machine's own user and for clients. It waits for
//! nobody: what was seen by now is told, and nothing is asked.

use std::time::Instant;

use serde::Serialize;

use super::asking::authorise;
use crate::downstream::Connection;
use crate::language::{Language, Text};
use crate::report::{to_json, Error, Problem};
use crate::routing::rests_at_all;
use crate::runtime::unix_time;
use crate::state::{Settings, State};
use crate::upstream::{Check, Health, Provider, Trouble, Verdict};
use crate::wire::{Reply, RequestHead};

/// A secret that is shorter may be a part of any word.
const SECRET_BYTES_MIN: usize = 6;

/// The answer.
///
/// # Errors
/// The client is elsewhere and shows no token.
pub fn respond(state: &State, head: &RequestHead, connection: &Connection) -> Result<Reply, Error> {
    let settings = state.settings();
    if !(head.may_be_local && connection.peer.ip().to_canonical().is_loopback()) {
        authorise(&settings, head)?;
    }
    let body = to_json(&status(state, &settings)).into_bytes();
    Ok(Reply::json(200, body)
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff"))
}

/// Times are in seconds since 1970, ages in seconds; what is not known is null.
#[derive(Serialize)]
struct Status<'s> {
    version: &'static str,
    time: u64,
    started: u64,
    uptime: u64,
    /// Whether it is the demo, whose token is public.
    demo: bool,
    /// How many there are.
    tokens: u64,
    /// Whether providers are being checked now.
    checking: bool,
    rates: Rates,
    providers: Vec<ProviderRow<'s>>,
    problems: Vec<ProblemRow>,
}

/// Of chats, which are all requests for providers: no page, model list or check counts.
#[derive(Serialize)]
struct Rates {
    chats_last_minute: u64,
    chats_last_hour: u64,
    errors_last_hour: u64,
    /// Of the last hour.
    error_share: Option<f64>,
    first_byte_p50_ms: Option<u64>,
    first_byte_p95_ms: Option<u64>,
    in_flight: u64,
    streams_open: u64,
}

#[derive(Serialize)]
struct ProviderRow<'s> {
    name: &'s str,
    state: &'static str,
    since: Option<u64>,
    code: Option<&'static str>,
    status: Option<u64>,
    reason: Option<Both>,
    check: Option<CheckRow>,
    first_byte_p50_ms: Option<u64>,
    in_flight: u64,
    keys_resting: u64,
    /// Minute by minute: requests that ended, and how many of them failed by its fault.
    hour: Vec<[u32; 2]>,
}

#[derive(Serialize)]
struct CheckRow {
    time: u64,
    age: u64,
    ok: bool,
    code: Option<&'static str>,
    status: Option<u64>,
    reason: Option<Both>,
}

#[derive(Serialize)]
struct ProblemRow {
    time: u64,
    id: String,
    client: String,
    model: String,
    provider: Option<String>,
    status: Option<u64>,
    culprit: &'static str,
    words: Both,
}

#[derive(Serialize)]
struct Both {
    zh: String,
    en: String,
}

fn status<'s>(state: &State, settings: &'s Settings) -> Status<'s> {
    let (time, uptime) = (unix_time(), u64::from(state.clock().moment().second));
    let problems = state.stats.recent.problems();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        time,
        started: time.saturating_sub(uptime),
        uptime,
        demo: settings.is_demo(),
        tokens: settings.tokens.len() as u64,
        checking: state.probes.running.borrow().is_some(),
        rates: rates(state),
        providers: settings.providers.iter().map(|p| provider(state, p, time)).collect(),
        problems: problems.iter().map(|p| problem(settings, p)).collect(),
    }
}

fn rates(state: &State) -> Rates {
    let (recent, now) = (&state.stats.recent, state.clock().moment());
    let [chats, errors] = recent.last_hour(now);
    Rates {
        chats_last_minute: recent.last_minute(now),
        chats_last_hour: chats,
        errors_last_hour: errors,
        error_share: (chats > 0).then(|| (10_000 * errors / chats) as f64 / 10_000.0),
        first_byte_p50_ms: recent.first_byte_percentile(50).map(u64::from),
        first_byte_p95_ms: recent.first_byte_percentile(95).map(u64::from),
        in_flight: recent.in_flight.get().into(),
        streams_open: recent.streams.get().into(),
    }
}

fn provider<'s>(state: &State, provider: &'s Provider, time: u64) -> ProviderRow<'s> {
    let (history, now) = (&provider.history, state.clock().moment());
    let Verdict { health, since, trouble } = history.verdict(now);
    let (code, status, reason) = why(trouble);
    ProviderRow {
        name: provider.name(),
        state: match health {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        },
        since,
        code,
        status,
        reason,
        check: history.check().map(|check| check_row(check, time)),
        first_byte_p50_ms: history.first_byte().map(u64::from),
        in_flight: history.in_flight.get().into(),
        keys_resting: resting(provider, state.clock().now()),
        hour: history.hour(now),
    }
}

/// How many keys rest, if only for one model.
fn resting(provider: &Provider, now: Instant) -> u64 {
    provider.keys.iter().filter(|key| rests_at_all(&key.rests, now)).count() as u64
}

fn check_row(check: Check, time: u64) -> CheckRow {
    let ok = check.trouble.is_none();
    let (code, status, reason) = why(check.trouble);
    CheckRow { time: check.at, age: time.saturating_sub(check.at), ok, code, status, reason }
}

fn why(trouble: Option<Trouble>) -> (Option<&'static str>, Option<u64>, Option<Both>) {
    let Some(Trouble { code, status, words, .. }) = trouble else { return (None, None, None) };
    (Some(code), status.map(u64::from), Some(both(&words, |text| text.to_owned())))
}

fn problem(settings: &Settings, problem: &Problem) -> ProblemRow {
    let told = |text: &str| without_secrets(settings, text);
    ProblemRow {
        time: problem.at,
        id: told(&problem.id),
        client: problem.client.to_string(),
        model: told(&problem.model),
        provider: problem.provider.as_deref().map(str::to_owned),
        status: Some(problem.status.into()).filter(|status| *status > 0),
        culprit: problem.culprit.name(),
        words: both(&problem.words, told),
    }
}

fn both(text: &Text, told: impl Fn(&str) -> String) -> Both {
    Both { zh: told(&text.get(Language::Chinese)), en: told(&text.get(Language::English)) }
}

/// A client may write its token, or a provider's key, in a wrong place.
fn without_secrets(settings: &Settings, text: &str) -> String {
    let tokens = settings.tokens.iter().map(|token| &token.secret);
    let keys = settings.providers.iter().flat_map(|provider| &provider.config.keys);
    let secrets = tokens.chain(keys).map(|secret| secret.expose());
    let mut secrets: Vec<_> = secrets.filter(|text| text.len() >= SECRET_BYTES_MIN).collect();
    // One may be the beginning of another.
    secrets.sort_by_key(|text| std::cmp::Reverse(text.len()));
    secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
}
