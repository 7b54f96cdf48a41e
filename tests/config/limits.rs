//! The keys of the configuration that limit time and connections; each test fails when its key is ignored.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use serde_json::{json, Value};

use crate::support::*;

pub fn start(upstream: &Upstream, changes: Value) -> TestProxy {
    TestProxy::start(&with(config_for(upstream), changes))
}

/// An upstream that answers only once the gate is open, and the highest number of requests it had at once.
fn held_upstream(gate: &Gate) -> (Upstream, Arc<AtomicUsize>) {
    let gate = gate.clone();
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let highest = Arc::clone(&most);
    let upstream = Upstream::each(move |_, connection| {
        highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        gate.wait();
        now.fetch_sub(1, Ordering::SeqCst);
        connection.send(json_answer("200 OK", "{}"));
    });
    (upstream, most)
}

#[test]
fn max_connections_makes_the_next_request_wait_its_turn() {
    let gate = Gate::default();
    let (upstream, most) = held_upstream(&gate);
    let proxy = start(&upstream, json!({"max_connections": 1}));
    let request = chat_request("", chat(MODEL).as_bytes());
    let mut clients: Vec<_> = (0..4).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(&request);
    }
    upstream.wait_requests(1);
    assert!(clients[3].is_silent(300));
    assert_eq!(upstream.requests().len(), 1);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert_eq!(upstream.requests().len(), 4);
}

#[test]
fn waiting_requests_are_served_in_order() {
    let gate = Gate::default();
    let (upstream, _) = held_upstream(&gate);
    let proxy = start(&upstream, json!({"max_connections": 1}));
    let mut clients = Vec::new();
    for number in 0..6 {
        let body = format!(r#"{{"model":"{MODEL}","n":{number}}}"#);
        let mut client = proxy.connect();
        client.send(chat_request("", body.as_bytes()));
        clients.push(client);
        pause(50);
    }
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    let order: Vec<_> = upstream.requests().iter().map(|r| r.json()["n"].clone()).collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5].map(Value::from));
}

#[test]
fn upstream_connections_are_reused_by_default() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start(&upstream, json!({}));
    for _ in 0..3 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn max_keepalive_connections_0_means_no_reuse() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start(&upstream, json!({"max_keepalive_connections": 0}));
    for _ in 0..3 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    assert_eq!(upstream.connections(), 3);
    upstream.wait_closed_by_proxy(3);
}

#[test]
fn max_keepalive_connections_limits_the_idle_ones() {
    let gate = Gate::default();
    let (upstream, _) = held_upstream(&gate);
    let proxy = start(&upstream, json!({"max_keepalive_connections": 2}));
    let request = chat_request("", chat(MODEL).as_bytes());
    let mut clients: Vec<_> = (0..5).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(&request);
    }
    upstream.wait_requests(5);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    upstream.wait_closed_by_proxy(3);
    pause(100);
    assert_eq!(upstream.closed_by_proxy(), 3);
}

#[test]
fn keepalive_expiry_closes_idle_connections() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start(&upstream, json!({"keepalive_expiry": 0.3}));
    proxy.chat(chat(MODEL));
    upstream.wait_closed_by_proxy(1);
    proxy.chat(chat(MODEL));
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn stream_timeout_before_the_head_is_504() {
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let proxy = start(&upstream, json!({"stream_timeout": 0.3, "non_stream_timeout": 60}));
    let message = proxy.chat(chat_stream(MODEL)).error(504);
    assert!(message.contains("0.3"), "{message}");
    upstream.wait_closed_by_proxy(1);
}

#[test]
fn stream_timeout_between_events_cuts_the_stream() {
    let start_of_stream = [SSE_HEAD.as_bytes(), &event("one")].concat();
    let steps = vec![Step::ReadRequest, Step::Send(start_of_stream), Step::WaitForClose];
    let upstream = Upstream::steps(steps);
    let proxy = start(&upstream, json!({"stream_timeout": 1.0, "non_stream_timeout": 60}));
    let answer = proxy.chat(chat_stream(MODEL));
    assert_eq!(answer.status, 200);
    assert!(!answer.complete, "a cut stream must not look complete");
    assert!(answer.text().starts_with("data: one\n\n"));
    upstream.wait_closed_by_proxy(1);
}

#[test]
fn stream_timeout_is_the_wait_for_the_next_bytes_and_not_for_all() {
    let upstream = Upstream::each(|_, connection| {
        connection.send(SSE_HEAD);
        for _ in 0..14 {
            pause(200);
            connection.send(event("tick"));
        }
        connection.send(LAST_CHUNK);
    });
    let proxy = start(&upstream, json!({"stream_timeout": 2.0, "non_stream_timeout": 0.4}));
    let answer = proxy.chat(chat_stream(MODEL));
    assert!(answer.complete);
    assert_eq!(answer.text(), "data: tick\n\n".repeat(14));
}

#[test]
fn non_stream_timeout_is_504_naming_the_wait_and_its_length() {
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let proxy = start(&upstream, json!({"non_stream_timeout": 0.3, "stream_timeout": 60}));
    let message = proxy.chat(chat(MODEL)).error(504);
    assert!(message.contains("0.3"), "{message}");
    upstream.wait_closed_by_proxy(1);
}

#[test]
fn non_stream_timeout_lasts_to_the_end_of_the_answer() {
    let upstream = Upstream::each(|_, connection| {
        connection.send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
        );
        for _ in 0..100 {
            pause(50);
            if !connection.try_send("x") {
                return;
            }
        }
    });
    let proxy = start(&upstream, json!({"non_stream_timeout": 0.4, "stream_timeout": 60}));
    let answer = proxy.chat(chat(MODEL));
    assert!(answer.status == 504 || !answer.complete, "{answer:?}");
}

#[test]
fn max_client_connections_makes_further_clients_wait() {
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let proxy = start(&upstream, json!({"max_client_connections": 2}));
    let request = chat_request("", chat_stream(MODEL).as_bytes());
    let (mut first, mut second) = (proxy.connect(), proxy.connect());
    first.send(&request);
    second.send(&request);
    upstream.wait_requests(2);
    let mut third = proxy.connect();
    assert!(third.send(GET).is_silent(900), "beyond the limit");
    drop(first);
    assert_eq!(third.response().status, 200);
}

#[test]
fn limits_change_on_reload() {
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let proxy = start(&upstream, json!({"non_stream_timeout": 60}));
    let changed = with(config_for(&upstream), json!({"non_stream_timeout": 0.25}));
    assert_eq!(proxy.reload(&changed).status, 200);
    let message = proxy.chat(chat(MODEL)).error(504);
    assert!(message.contains("0.25"), "{message}");
}

#[test]
fn a_turn_that_does_not_come_is_503_with_retry_after_and_the_limit() {
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let limits = json!({"max_connections": 1, "non_stream_timeout": 0.4, "stream_timeout": 60});
    let proxy = start(&upstream, limits);
    let mut first = proxy.connect();
    first.send(chat_request("", chat_stream(MODEL).as_bytes()));
    upstream.wait_requests(1);
    let answer = proxy.chat(chat(MODEL));
    assert!(answer.error(503).contains('1'), "{}", answer.text());
    let seconds = answer.header("retry-after").expect("Retry-After");
    assert!(seconds.parse::<u32>().is_ok(), "{seconds}");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn events_that_nobody_asked_for_are_under_the_limits_of_whole_answers() {
    let events = vec!["x".repeat(100); 50];
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    let upstream = Upstream::sse(&events);
    let proxy = start(&upstream, json!({"max_response_size": 1000}));
    let answer = proxy.chat(chat(MODEL));
    assert!(answer.status == 502 || !answer.complete, "{} bytes", answer.body.len());
    assert!(answer.body.len() < 2000, "{} bytes", answer.body.len());
    assert!(proxy.chat(chat_stream(MODEL)).complete);
    let slow = Upstream::each(|_, connection| {
        connection.send(SSE_HEAD);
        // Far longer than it may, and then a proper end.
        for _ in 0..60 {
            if !connection.try_send(event("tick")) {
                return;
            }
            pause(50);
        }
        connection.send(LAST_CHUNK);
    });
    let answer = start(&slow, json!({"non_stream_timeout": 1.5})).chat(chat(MODEL));
    assert!(answer.text().starts_with("data: tick\n\n") && !answer.complete);
}
