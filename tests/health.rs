//! `/health`: always 200, every provider probed, no token ever spent.

mod support;

use std::sync::{Arc, Mutex};

use serde_json::json;
use support::*;

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
        caller.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n");
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
    let ask = "GET /health HTTP/1.1\r\nHost: t\r\n\r\n";
    let (mut first, mut second) = (proxy.connect(), proxy.connect());
    first.send(ask);
    second.send(ask);
    upstream.wait_requests(1);
    drop(first);
    pause(200);
    assert_eq!(upstream.closed_by_proxy(), 0, "somebody still waits");
    let begin = std::time::Instant::now();
    drop(second);
    upstream.wait_closed_by_proxy(1);
    // Its own limit is 5 s.
    assert!(begin.elapsed().as_secs() < 3);
    assert_eq!(proxy.get("/").status, 200);
}
