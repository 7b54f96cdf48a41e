//! SIGTERM and restarts: nothing in flight is lost, clients are told to go, and a listening socket that is handed
//! over (systemd's socket activation) outlives the program. `signals.rs` has the signals themselves.

mod connected;
mod cut;
mod handover;
mod restarts;

use serde_json::json;

use crate::support::*;

/// A provider that sends `before` at once, waits for the gate and sends `after`.
pub fn gated(before: impl Into<Vec<u8>>, after: impl Into<Vec<u8>>) -> (Gate, Upstream) {
    let (before, after) = (before.into(), after.into());
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send(&before);
        held.wait();
        connection.send(&after);
    });
    (gate, upstream)
}

/// Sends SIGTERM and waits until the proxy says that it has noticed.
fn stop(proxy: &TestProxy) {
    proxy.signal("TERM");
    proxy.wait_for_log("stopping");
}

fn assert_told_to_go(answer: &Response, case: &str) {
    assert!(answer.complete, "{case}: {answer:?}");
    assert_eq!(answer.header("connection").as_deref(), Some("close"), "{case}: {answer:?}");
}

/// A chat in flight when SIGTERM comes: the provider has sent `before` and sends `after` then.
fn chat_across_sigterm(before: &[u8], after: &[u8], body: &str) -> Response {
    let (gate, upstream) = gated(before, after);
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", body.as_bytes()));
    upstream.wait_requests(1);
    if !before.is_empty() {
        // So that the proxy has read it.
        pause(50);
    }
    stop(&proxy);
    assert!(proxy.is_alive());
    gate.open();
    let answer = client.response();
    client.assert_closed();
    drop(client);
    assert_eq!(proxy.wait().code(), Some(0));
    answer
}

#[test]
fn plain_answers_in_flight_arrive_whole_and_say_close() {
    let large = answer("200 OK", "", &vec![b'x'; 3_000_000]);
    let head = "Content-Type: application/json\r\n";
    let chunked = format!(
        "HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"a\":\r\n2\r\n1}}\r\n0\r\n\r\n"
    );
    let cases: [(&str, Vec<u8>, u16, usize); 4] = [
        ("known length", json_answer("200 OK", r#"{"a":1}"#), 200, 7),
        ("chunked", chunked.into(), 200, 7),
        ("an error of the provider", json_answer("429 Slow Down", r#"{"e":1}"#), 429, 7),
        ("larger than what is held back", large, 200, 3_000_000),
    ];
    for (case, bytes, status, length) in cases {
        let answer = chat_across_sigterm(b"", &bytes, &chat(MODEL));
        assert_told_to_go(&answer, case);
        assert_eq!((answer.status, answer.body.len()), (status, length), "{case}");
    }
}

#[test]
fn a_plain_answer_whose_head_came_before_sigterm_says_close_too() {
    let whole = json_answer("200 OK", r#"{"a":1,"b":2}"#);
    let (before, after) = whole.split_at(whole.len() - 6);
    let answer = chat_across_sigterm(before, after, &chat(MODEL));
    assert_eq!(answer.json(), json!({"a": 1, "b": 2}));
    assert_told_to_go(&answer, "half an answer");
}

#[test]
fn a_stream_that_begins_during_the_drain_runs_to_its_end_and_says_close() {
    let stream = [SSE_HEAD.as_bytes(), &event("one"), &event("two"), LAST_CHUNK].concat();
    let answer = chat_across_sigterm(b"", &stream, &chat_stream(MODEL));
    assert_told_to_go(&answer, "a stream");
    assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
}

#[test]
fn an_error_of_ours_during_the_drain_says_close() {
    let answer = chat_across_sigterm(b"", b"garbage\r\n\r\n", &chat(MODEL));
    answer.error(502);
    assert_told_to_go(&answer, "502");
}

#[test]
fn requests_that_are_still_coming_in_are_answered() {
    let upstream = Upstream::each(|request, connection| {
        connection.send(answer("200 OK", "", &request.body));
    });
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let request = chat_request("", chat(MODEL).as_bytes());
    let in_head = request.split_at(40);
    let in_body = request.split_at(request.len() - 20);
    let mut small = proxy.connect();
    small.send(GET.split_at(20).0);
    let mut clients = Vec::new();
    for (first, rest) in [in_head, in_body] {
        let mut client = proxy.connect();
        client.send(first);
        clients.push((client, rest));
    }
    // A whole exchange later the proxy has read what was sent before.
    assert_eq!(proxy.get("/").status, 200);
    stop(&proxy);
    assert_told_to_go(&small.send(GET.split_at(20).1).response(), "GET /");
    for (mut client, rest) in clients {
        let answer = client.send(rest).response();
        assert_told_to_go(&answer, "a request in two pieces");
        assert_eq!(answer.text(), chat(MODEL).replace("p/m", "m"));
        client.assert_closed();
    }
    drop(small);
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn requests_that_wait_their_turn_are_answered() {
    let (gate, upstream) = gated("", json_answer("200 OK", "{}"));
    let mut proxy = TestProxy::start(&with(config_for(&upstream), json!({"max_connections": 1})));
    let mut clients: Vec<_> = (0..5).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(chat_request("", chat(MODEL).as_bytes()));
    }
    upstream.wait_requests(1);
    assert_eq!(proxy.get("/").status, 200);
    stop(&proxy);
    gate.open();
    for mut client in clients {
        assert_told_to_go(&client.response(), "a request in the queue");
    }
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn small_endpoints_in_flight_are_answered() {
    let (gate, upstream) = gated("", json_answer("200 OK", r#"{"data":[{"id":"x"}]}"#));
    let mut proxy = TestProxy::start(&config([auto_provider("p", &upstream)]));
    let mut clients = Vec::new();
    for path in ["/health", "/v1/models"] {
        let mut client = proxy.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        clients.push((path, client));
    }
    // The listing at the start and the probe.
    upstream.wait_requests(2);
    stop(&proxy);
    gate.open();
    for (path, mut client) in clients {
        let answer = client.response();
        assert_told_to_go(&answer, path);
        assert_eq!(answer.status, 200);
    }
    assert_eq!(proxy.wait().code(), Some(0));
}

/// RFC 9112 §9.6: behind `Connection: close` a client sends its pipelined requests again. So each of them is
/// either answered whole or was never begun.
#[test]
fn pipelined_requests_are_answered_or_never_begun() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |request, connection| {
        held.wait();
        connection.send(answer("200 OK", "", &request.body));
    });
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let body = |number: u32| format!(r#"{{"model":"p/m","n":{number}}}"#);
    let all: Vec<u8> =
        (0..4).flat_map(|number| chat_request("", body(number).as_bytes())).collect();
    let mut client = proxy.connect();
    client.send(all);
    upstream.wait_requests(1);
    stop(&proxy);
    gate.open();
    let mut answered = 0;
    while let Ok(answer) = client.try_response("POST") {
        assert!(answer.complete, "{answer:?}");
        assert_eq!(answer.text(), body(answered).replace("p/m", "m"));
        answered += 1;
        if answer.header("connection").as_deref() == Some("close") {
            client.assert_closed();
            break;
        }
    }
    assert!(answered > 0, "the first one was in flight");
    drop(client);
    assert_eq!(upstream.requests().len(), answered as usize, "begun and not answered");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let (gate, upstream) = gated("", json_answer("200 OK", "{}"));
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let mut busy = proxy.connect();
    busy.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    let mut used = proxy.connect();
    assert_eq!(used.send(GET).response().status, 200);
    let mut fresh = proxy.connect();
    assert_eq!(proxy.get("/").status, 200);
    stop(&proxy);
    // At once, and not with the answer that is in flight.
    used.assert_closed();
    fresh.assert_closed();
    drop((used, fresh));
    gate.open();
    assert_told_to_go(&busy.response(), "the answer in flight");
    drop(busy);
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn a_connection_during_the_drain_is_refused_or_served_and_not_swallowed() {
    let (gate, upstream) = gated([SSE_HEAD.as_bytes(), &event("one")].concat(), LAST_CHUNK);
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let mut busy = proxy.connect();
    busy.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one\n\n");
    stop(&proxy);
    for number in 0..3 {
        let Ok(mut late) = Raw::try_connect(proxy.addr()) else { continue };
        pause(50);
        let answer = late.try_send(GET).ok().and_then(|()| late.try_response("GET").ok());
        assert!(answer.is_some(), "connection {number} was accepted and closed without an answer");
    }
    gate.open();
    assert!(busy.response().complete);
    drop(busy);
    assert_eq!(proxy.wait().code(), Some(0));
}
