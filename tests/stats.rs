//! The counters that `GET /` shows in `stats`: each changes as promised and no other does. That they are logged once a
//! minute takes a minute to see: `soak.rs` looks.

mod support;

use serde_json::{json, Value};
use support::*;

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
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n".repeat(2)).response();
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

/// A provider that fails as its name says.
fn failing(name: &'static str) -> Upstream {
    Upstream::serve(move |connection| {
        if connection.read_request().is_none() {
            return;
        }
        match name {
            "teapot" => connection.send(json_answer("418 Teapot", "{}")),
            "limited" => connection.send(json_answer("429 Slow Down", "{}")),
            "broken" => connection.send(json_answer("500 Broken", "{}")),
            "overloaded" => connection.send(json_answer("529 Overloaded", "{}")),
            "garbage" => connection.send("nonsense\r\n\r\n"),
            "short" => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            "huge" => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"),
            "cut" => connection.send([SSE_HEAD.as_bytes(), &event("one")].concat()),
            "silent" => drop(connection.wait_for_close()),
            _ => unreachable!("{name}"),
        }
    })
}

#[test]
fn errors_are_counted_by_provider_and_kind() {
    let cases = [
        ("teapot", "status_4xx"),
        ("limited", "status_4xx"),
        ("broken", "status_5xx"),
        ("overloaded", "status_5xx"),
        ("garbage", "upstream_failed"),
        ("short", "upstream_failed"),
        ("huge", "answer_too_large"),
        ("cut", "stream_cut"),
        ("silent", "upstream_timeout"),
    ];
    let upstreams = cases.map(|(name, _)| failing(name));
    let mut providers: Vec<_> = cases
        .iter()
        .zip(&upstreams)
        .map(|((name, _), upstream)| provider(name, upstream))
        .collect();
    providers.push(
        json!({"provider": "refusing", "baseurl": "http://127.0.0.1:1/v1", "model_list": ["m"]}),
    );
    let limits = json!({"non_stream_timeout": 1.5, "max_response_size": 100_000});
    let proxy = TestProxy::start(&with(config(providers), limits));
    let mut expected = json!({});
    for (name, kind) in cases.iter().chain(&[("refusing", "upstream_failed")]) {
        for count in 1..=2 {
            proxy.chat(chat(&format!("{name}/m")));
            expected[name] = json!({ *kind: count });
            assert_errors(&proxy, expected.clone());
        }
    }
    wait_for(&proxy, "/chats", 20);
    // A reload changes no counter.
    assert_eq!(proxy.reload(&config([])).status, 200);
    assert_errors(&proxy, expected);
}

#[test]
fn what_clients_do_wrong_is_no_providers_fault() {
    let upstream = Upstream::json("200 OK", "{}");
    let limits = json!({"max_request_size": 1000});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    let anonymous = chat_request("", chat(MODEL).as_bytes());
    let anonymous = String::from_utf8(anonymous).expect("ASCII").replace(TOKEN, "wrong");
    let long = format!(r#"{{"model":"p/m","x":"{}"}}"#, "x".repeat(2000));
    let cases: [(Vec<u8>, u16, &str); 6] = [
        (anonymous.into_bytes(), 401, "unauthorized"),
        (chat_request("", b"no json"), 400, "bad_request"),
        (chat_request("", chat("p/other").as_bytes()), 404, "model_not_found"),
        (chat_request("", chat("nobody/m").as_bytes()), 404, "model_not_found"),
        (chat_request("", long.as_bytes()), 413, "request_too_large"),
        (b"NOT HTTP\r\n\r\n".to_vec(), 400, "bad_request"),
    ];
    let mut expected = json!({ "-": {} });
    for (bytes, status, kind) in cases {
        assert_eq!(proxy.raw(&bytes).status, status, "{kind}");
        let count = expected["-"][kind].as_u64().unwrap_or(0) + 1;
        expected["-"][kind] = json!(count);
        assert_errors(&proxy, expected.clone());
    }
}

#[test]
fn wrong_paths_and_methods_are_counted() {
    let proxy = TestProxy::start(&config([]));
    assert_eq!(proxy.get("/nothing").status, 404);
    assert_errors(&proxy, json!({"-": {"not_found": 1}}));
    assert_eq!(proxy.request("DELETE", "/v1/models", "").status, 405);
    assert_errors(&proxy, json!({"-": {"not_found": 2}}));
}

#[test]
fn refused_reloads_are_counted() {
    let proxy = TestProxy::start(&config([]));
    proxy.write_config("broken");
    assert_eq!(proxy.request("POST", "/v1/reload", "").status, 400);
    let errors = stats(&proxy)["errors"].clone();
    let count: u64 =
        errors["-"].as_object().map_or(0, |kinds| kinds.values().filter_map(Value::as_u64).sum());
    assert_eq!(count, 1, "{errors}");
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
fn listings_and_probes_that_fail_are_counted_with_their_provider() {
    let upstream = Upstream::json("503 Down", "{}");
    let proxy = TestProxy::start(&config([auto_provider("down", &upstream)]));
    assert_errors(&proxy, json!({"down": {"models_failed": 1}}));
    assert_eq!(proxy.get("/health").json()["status"], "unhealthy");
    assert_errors(&proxy, json!({"down": {"models_failed": 1, "unhealthy": 1}}));
    wait_for(&proxy, "/chats", 0);
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
