//! The counters that `GET /` shows in `stats`: each changes as promised and no other does. That they are logged once a
//! minute takes a minute to see: `tests/soak/` looks.

mod errors;

use serde_json::{json, Value};

use crate::support::*;

fn stats(proxy: &TestProxy) -> Value {
    proxy.get("/").json()["stats"].clone()
}

/// What stands under this path, 0 when nothing does.
fn number(stats: &Value, path: &str) -> u64 {
    stats.pointer(path).map_or(0, |value| value.as_u64().expect("a counter"))
}

/// Waits until a counter has this value: a request is counted when its answer is out, which the client may see first.
fn wait_for(proxy: &TestProxy, path: &str, value: u64) {
    let mut last = Value::Null;
    let start = std::time::Instant::now();
    while number(&last, path) != value || last.is_null() {
        assert!(start.elapsed() < PATIENCE, "{path} is not {value} in {last}");
        last = stats(proxy);
    }
}

/// Asserts that `errors` holds exactly these.
fn assert_errors(proxy: &TestProxy, errors: Value) {
    let mut last = Value::Null;
    let start = std::time::Instant::now();
    while last != errors {
        assert!(start.elapsed() < PATIENCE, "errors are {last} and not {errors}");
        last = stats(proxy)["errors"].clone();
    }
}

#[test]
fn everything_begins_at_zero() {
    let proxy = TestProxy::start(&config([]));
    let stats = stats(&proxy);
    // The one who asks counts.
    let expected = json!({
        "requests": 1, "chats": 0, "bytes": 0, "chunks": 0, "errors": {},
        "client_connections": 1,
        "upstream_connections": {"leased": 0, "idle": 0},
        "pool": {"reused": 0, "opened": 0},
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&stats[key], value, "{key} in {stats}");
    }
}

#[test]
fn requests_of_every_kind_are_counted_once_each() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let before = number(&stats(&proxy), "/requests");
    let mut client = proxy.connect();
    for path in ["/", "/health", "/v1/models", "/nothing"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")).response();
    }
    client.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n").response_to("HEAD");
    client.send("POST /v1/reload HTTP/1.1\r\nHost: t\r\n\r\n").response();
    client.send(chat_request("", chat(MODEL).as_bytes())).response();
    client.send(chat_request("", b"{}")).response();
    // Two in one piece are two, and one that is malformed is one.
    client.send(GET.repeat(2)).response();
    client.response();
    client.send("GARBAGE\r\n\r\n").response();
    // And the one that asks.
    assert_eq!(number(&stats(&proxy), "/requests"), before + 12);
    assert_eq!(number(&stats(&proxy), "/chats"), 2);
}

#[test]
fn bytes_and_chunks_are_those_of_the_body() {
    let body = json!({"text": "x".repeat(1000)}).to_string();
    let length = body.len() as u64;
    let stream = [SSE_HEAD.as_bytes(), &event("one"), &event("two"), LAST_CHUNK].concat();
    let upstream = Upstream::each(move |request, connection| match request.json()["stream"] {
        Value::Bool(true) => connection.send(&stream),
        _ => connection.send(json_answer("200 OK", &body)),
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    for done in 1..=3 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
        wait_for(&proxy, "/bytes", done * length);
        wait_for(&proxy, "/chunks", 0);
    }
    for done in 1..=3 {
        assert!(proxy.chat(chat_stream(MODEL)).complete);
        wait_for(&proxy, "/chunks", done * 2);
        wait_for(&proxy, "/bytes", 3 * length + done * 2 * "data: one\n\n".len() as u64);
    }
    assert_errors(&proxy, json!({}));
    // Our own answers are no chats.
    assert_eq!(proxy.get("/nothing").status, 404);
    wait_for(&proxy, "/bytes", 3 * length + 66);
    wait_for(&proxy, "/chats", 6);
}

#[test]
fn pool_hits_are_counted() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for done in 0..4 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
        wait_for(&proxy, "/pool/opened", 1);
        wait_for(&proxy, "/pool/reused", done);
    }
    let closing = Upstream::keep_alive(answer("200 OK", "Connection: close\r\n", b"{}"));
    assert_eq!(proxy.reload(&config_for(&closing)).status, 200);
    for done in 2..5 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
        wait_for(&proxy, "/pool/opened", done);
        wait_for(&proxy, "/pool/reused", 3);
    }
}

#[test]
fn open_connections_of_both_sides_are_shown() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        held.wait();
        connection.send(LAST_CHUNK);
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut streams: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    for client in &mut streams {
        client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one");
    }
    let idle = proxy.connect();
    // Three streams, an idle client, and the one that asks.
    wait_for(&proxy, "/client_connections", 5);
    wait_for(&proxy, "/upstream_connections/leased", 3);
    wait_for(&proxy, "/upstream_connections/idle", 0);
    gate.open();
    for client in &mut streams {
        assert!(client.response().complete);
    }
    wait_for(&proxy, "/upstream_connections/leased", 0);
    wait_for(&proxy, "/upstream_connections/idle", 3);
    drop((streams, idle));
    wait_for(&proxy, "/client_connections", 1);
    drop(upstream);
    wait_for(&proxy, "/upstream_connections/idle", 0);
}

#[test]
fn clients_that_leave_are_counted() {
    let silent = Upstream::serve(|connection| {
        connection.read_request();
        connection.wait_for_close();
    });
    let streaming = Upstream::serve(|connection| {
        connection.read_request();
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config([provider("a", &silent), provider("b", &streaming)]));
    let mut waiting = proxy.connect();
    waiting.send(chat_request("", chat("a/m").as_bytes()));
    silent.wait_requests(1);
    drop(waiting);
    assert_errors(&proxy, json!({"-": {"client_gone": 1}}));
    let mut reading = proxy.connect();
    reading.send(chat_request("", chat_stream("b/m").as_bytes())).wait_for("data: one");
    reading.reset();
    assert_errors(&proxy, json!({"-": {"client_gone": 2}}));
    wait_for(&proxy, "/upstream_connections/leased", 0);
    wait_for(&proxy, "/bytes", 11);
}

#[test]
fn a_full_house_is_counted() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        held.wait();
        connection.send(LAST_CHUNK);
    });
    let limits = json!({"max_connections": 1, "non_stream_timeout": 0.3});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    let mut first = proxy.connect();
    first.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one");
    assert_eq!(proxy.chat(chat(MODEL)).status, 503);
    let errors = stats(&proxy)["errors"].clone();
    let busy: u64 = ["p", "-"].iter().map(|name| number(&errors[name], "/busy")).sum();
    assert_eq!(busy, 1, "{errors}");
    gate.open();
    assert!(first.response().complete);
}

#[test]
fn head_tells_the_same_length_and_names_no_secret() {
    let upstream = Upstream::json("401 No", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    assert_eq!(proxy.chat(chat(MODEL)).status, 401);
    assert_errors(&proxy, json!({"p": {"status_4xx": 1}}));
    let text = proxy.get("/").text();
    assert!(!text.contains(KEY) && !text.contains(TOKEN) && !text.contains("tester"), "{text}");
    assert_eq!(proxy.request("HEAD", "/", "").status, 200);
}
