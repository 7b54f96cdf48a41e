//! `/health`: always 200, every provider probed, no token ever spent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::*;

const ASK: &str = "GET /health HTTP/1.1\r\nHost: t\r\n\r\n";
/// How long a report is served again, and how soon after an abandoned round the next one may begin.
const PACE: Duration = Duration::from_secs(2);

/// How many rounds may have begun since `start`.
fn rounds_since(start: Instant) -> usize {
    1 + (start.elapsed().as_millis() / PACE.as_millis()) as usize
}

/// The health report of providers that answer their probe with these statuses.
fn health_of(statuses: &[&str]) -> (serde_json::Value, Vec<Upstream>) {
    let upstreams: Vec<_> = statuses.iter().map(|status| Upstream::json(status, "{}")).collect();
    let providers =
        upstreams.iter().enumerate().map(|(i, upstream)| provider(&format!("p{i}"), upstream));
    let proxy = TestProxy::start(&config(providers));
    let answer = proxy.get("/health");
    assert_eq!(answer.status, 200, "/health is always 200");
    (answer.json(), upstreams)
}

#[test]
fn health_is_healthy_when_every_provider_answers() {
    let (report, _) = health_of(&["200 OK", "200 OK"]);
    let expected = json!({"status": "healthy", "providers": {"p0": true, "p1": true},
        "healthy_providers": 2, "total_providers": 2});
    assert_eq!(report, expected);
}

#[test]
fn health_is_degraded_when_some_answer() {
    let (report, _) = health_of(&["200 OK", "500 Oops"]);
    let expected = json!({"status": "degraded", "providers": {"p0": true, "p1": false},
        "healthy_providers": 1, "total_providers": 2});
    assert_eq!(report, expected);
}

#[test]
fn health_is_unhealthy_when_none_answers() {
    let (report, _) = health_of(&["503 Service Unavailable"]);
    assert_eq!(report["status"], "unhealthy", "{report}");
    assert_eq!(report["healthy_providers"], 0, "{report}");
}

#[test]
fn a_probe_without_models_endpoint_counts_as_reachable_and_a_bad_key_as_down() {
    let statuses = ["404 Not Found", "405 Method Not Allowed", "401 Unauthorized", "403 Forbidden"];
    let (report, _) = health_of(&statuses);
    let expected = json!({"p0": true, "p1": true, "p2": false, "p3": false});
    assert_eq!(report["providers"], expected, "{report}");
    assert_eq!(report["status"], "degraded", "{report}");
}

#[test]
fn refused_connections_count_as_down() {
    let gone = Upstream::json("200 OK", "{}").base_url();
    let up = Upstream::json("200 OK", "{}");
    let gone = json!({"provider": "gone", "baseurl": gone, "model_list": ["m"]});
    let proxy = TestProxy::start(&config([gone, provider("p", &up)]));
    let report = proxy.get("/health").json();
    assert_eq!(report["providers"], json!({"gone": false, "p": true}), "{report}");
}

#[test]
fn a_provider_that_never_answers_counts_as_down() {
    let silent = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let proxy = TestProxy::start(&config_for(&silent));
    let report = proxy.get("/health").json();
    assert_eq!(report["status"], "unhealthy", "{report}");
}

#[test]
fn health_probes_get_models_with_the_key_and_never_post() {
    let (_, upstreams) = health_of(&["200 OK"]);
    let request = upstreams[0].request();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/v1/models"));
    assert_eq!(request.head.get("authorization"), Some(format!("Bearer {KEY}")));
    assert!(request.body.is_empty());
}

#[test]
fn concurrent_health_callers_share_one_round() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        held.wait();
        connection.send(json_answer("200 OK", "{}"));
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut callers: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
    for caller in &mut callers {
        caller.send(ASK);
    }
    upstream.wait_requests(1);
    pause(300);
    gate.open();
    for caller in &mut callers {
        assert_eq!(caller.response().json()["status"], "healthy");
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn health_results_are_logged() {
    let gone =
        json!({"provider": "vanished", "baseurl": "http://127.0.0.1:1/v1", "model_list": ["m"]});
    let proxy = TestProxy::start(&config([gone]));
    proxy.get("/health");
    proxy.wait_for_log("vanished");
}

#[test]
fn probes_of_all_providers_run_at_the_same_time() {
    // Each probe is answered only after the other one has come.
    let arrived = Arc::new(Mutex::new(0));
    let gate = Gate::default();
    let start = || {
        let (arrived, gate) = (Arc::clone(&arrived), gate.clone());
        Upstream::each(move |_, connection| {
            let mut count = arrived.lock().expect("no poison");
            *count += 1;
            if *count == 2 {
                gate.open();
            }
            drop(count);
            gate.wait();
            connection.send(json_answer("200 OK", "{}"));
        })
    };
    let (a, b) = (start(), start());
    let proxy = TestProxy::start(&config([provider("a", &a), provider("b", &b)]));
    assert_eq!(proxy.get("/health").json()["status"], "healthy");
}

#[test]
fn the_last_caller_that_leaves_ends_the_probes() {
    let upstream = Upstream::each(|_, connection| drop(connection.wait_for_close()));
    let proxy = TestProxy::start(&config([provider("silent", &upstream)]));
    let (mut first, mut second) = (proxy.connect(), proxy.connect());
    first.send(ASK);
    second.send(ASK);
    upstream.wait_requests(1);
    drop(first);
    pause(200);
    assert_eq!(upstream.closed_by_proxy(), 0, "somebody still waits");
    let begin = Instant::now();
    drop(second);
    upstream.wait_closed_by_proxy(1);
    // Its own limit is 5 s.
    assert!(begin.elapsed().as_secs() < 3);
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn a_report_is_served_again_for_two_seconds_and_no_longer() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let start = Instant::now();
    for _ in 0..30 {
        assert_eq!(proxy.get("/health").json()["status"], "healthy");
    }
    let rounds = upstream.requests().len();
    assert!(rounds <= rounds_since(start), "{rounds} rounds in {:?}", start.elapsed());
    pause(2100);
    assert_eq!(proxy.get("/health").json()["status"], "healthy");
    assert_eq!(upstream.requests().len(), rounds + 1);
}

#[test]
fn a_reload_forgets_the_report() {
    let (old, new) = (Upstream::json("200 OK", "{}"), Upstream::json("500 Oops", "{}"));
    let proxy = TestProxy::start(&config([provider("p", &old)]));
    assert_eq!(proxy.get("/health").json()["providers"], json!({"p": true}));
    proxy.reload(&config([provider("p", &new)]));
    assert_eq!(proxy.get("/health").json()["providers"], json!({"p": false}));
    // Of a file that says the same, too.
    let before = new.requests().len();
    proxy.request("POST", "/v1/reload", "");
    let start = Instant::now();
    proxy.get("/health");
    assert_eq!(new.requests().len(), before + 1);
    // One that does not load leaves it.
    proxy.write_config("{");
    proxy.request("POST", "/v1/reload", "").error(400);
    proxy.get("/health");
    assert!(new.requests().len() <= before + rounds_since(start));
}

#[test]
fn after_a_reload_no_round_of_the_old_configuration_is_waited_for() {
    let silent = Upstream::each(|_, connection| drop(connection.wait_for_close()));
    let up = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config([provider("old", &silent)]));
    let (mut early, mut late) = (proxy.connect(), proxy.connect());
    early.send(ASK);
    silent.wait_requests(1);
    proxy.reload(&config([provider("new", &up)]));
    let providers = json!({"new": true});
    assert_eq!(late.send(ASK).response().json()["providers"], providers);
    assert_eq!(early.response().json()["providers"], providers);
    silent.wait_closed_by_proxy(1);
    assert_eq!(up.requests().len(), 1);
}

#[test]
fn callers_that_leave_cause_no_more_rounds_and_one_who_stays_is_answered() {
    let count = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::each(move |_, connection| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            connection.wait_for_close();
        } else {
            connection.send(json_answer("200 OK", "{}"));
        }
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let start = Instant::now();
    let mut first = proxy.connect();
    first.send(ASK);
    upstream.wait_requests(1);
    drop(first);
    upstream.wait_closed_by_proxy(1);
    for _ in 0..20 {
        let mut leaver = proxy.connect();
        leaver.send(ASK);
        pause(20);
    }
    let rounds = upstream.requests().len();
    assert!(rounds <= rounds_since(start), "{rounds} rounds in {:?}", start.elapsed());
    let mut staying: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    for caller in &mut staying {
        caller.send(ASK);
    }
    for caller in &mut staying {
        assert_eq!(caller.response().json()["status"], "healthy");
    }
    // The proxy's time is that of its event loop's visit, which began before the request came.
    let elapsed = start.elapsed() + Duration::from_millis(100);
    assert!(elapsed >= PACE, "a second round after {elapsed:?}");
    assert!(upstream.requests().len() <= rounds_since(start));
}

#[test]
fn a_provider_that_redirects_or_answers_with_a_page_is_down_with_that_reason() {
    let page = "<!DOCTYPE html><title>Welcome</title>";
    let html = |kind: &str| format!("Content-Type: {kind}\r\n");
    let at = "Location: https://elsewhere.example/\r\n";
    let json = "Content-Type: application/json\r\n";
    let mut down: Vec<_> = [300, 301, 302, 303, 305, 307, 308]
        .map(|status| (answer(&format!("{status} Moved"), at, page.as_bytes()), "重定向"))
        .into();
    for (headers, body) in [
        (html("text/html"), "{}"),
        (html("Text/HTML; charset=utf-8"), ""),
        (String::new(), page),
        (json.to_owned(), "\u{feff} \r\n\t<html>"),
    ] {
        down.push((answer("200 OK", &headers, body.as_bytes()), "网页"));
    }
    let up = [
        answer("404 Not Found", &html("text/html"), page.as_bytes()),
        answer("200 OK", json, b"\xef\xbb\xbf{\"data\":[\"<\"]}"),
        answer("200 OK", &html("text/htmlx"), b""),
        answer("304 Not Modified", "", b""),
    ];
    let upstreams: Vec<_> = down
        .iter()
        .map(|(bytes, _)| bytes)
        .chain(&up)
        .map(|bytes| Upstream::script(&**bytes))
        .collect();
    let name = |index: usize| format!("p{index}-");
    let providers = upstreams.iter().enumerate().map(|(i, upstream)| provider(&name(i), upstream));
    let proxy = TestProxy::start(&config(providers));
    let report = proxy.get("/health").json();
    for index in 0..upstreams.len() {
        assert_eq!(report["providers"][name(index)], index >= down.len(), "{index}: {report}");
    }
    for (index, (_, reason)) in down.iter().enumerate() {
        let start = format!("健康检查: {} 异常: ", name(index));
        let log = proxy.wait_for_log(&start);
        let line = log.lines().find(|line| line.contains(&start)).expect("a line");
        assert!(line.contains(reason), "{reason}: {line}");
    }
}
