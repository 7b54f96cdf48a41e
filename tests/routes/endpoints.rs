//! The dispatcher, `/` and reload. `health.rs` and `models.rs` have the other small endpoints.

use std::net::{SocketAddr, UdpSocket};

use serde_json::json;

use crate::support::*;

#[test]
fn root_tells_name_version_and_endpoints() {
    let proxy = TestProxy::start(&config([]));
    let answer = proxy.get("/");
    assert_eq!(answer.status, 200);
    let text = answer.json().to_string();
    for part in ["ai_proxy", env!("CARGO_PKG_VERSION"), "/health", "/v1/reload", "/v1/models"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.contains("/v1/chat/completions"), "{text}");
}

#[test]
fn unknown_paths_are_404() {
    let proxy = TestProxy::start(&config([]));
    let paths = [
        "/v1",
        "/health/",
        "//health",
        "/v1/models/",
        "/HEALTH",
        "/v1/../health",
        "/%68ealth",
        "/v1%2Fmodels",
        "/v1/chat/completions/",
        "/index.html",
    ];
    for path in paths {
        for method in ["GET", "POST", "DELETE"] {
            let answer = proxy.request(method, path, "");
            assert!(!answer.error(404).is_empty(), "{method} {path}");
        }
    }
}

#[test]
fn wrong_methods_are_405_with_allow() {
    let proxy = TestProxy::start(&config([]));
    let cases = [
        ("DELETE", "/", "GET"),
        ("POST", "/health", "GET"),
        ("PUT", "/v1/models", "GET"),
        ("GET", "/v1/reload", "POST"),
        ("HEAD", "/v1/reload", "POST"),
        ("GET", "/v1/chat/completions", "POST"),
        ("OPTIONS", "/v1/chat/completions", "POST"),
        ("BREW", "/health", "GET"),
    ];
    for (method, path, allowed) in cases {
        let answer = proxy.request(method, path, "");
        assert_eq!(answer.status, 405, "{method} {path}");
        let allow = answer.header("allow").expect("Allow");
        let mut allow: Vec<_> = allow.split(',').map(str::trim).collect();
        allow.retain(|method| *method != "OPTIONS");
        let expected = if allowed == "GET" { vec!["GET", "HEAD"] } else { vec!["POST"] };
        assert_eq!(allow, expected, "{method} {path}");
        if method != "HEAD" {
            answer.error(405);
        }
    }
}

#[test]
fn websocket_is_refused_at_once_and_the_connection_serves_on() {
    let proxy = TestProxy::start(&config([]));
    let mut client = proxy.connect();
    for (path, more, options) in [
        ("/v1/responses", "", "Upgrade"),
        ("/v1/realtime?model=a", "", "Upgrade"),
        ("/realtime", ", close", "close, Upgrade"),
    ] {
        let answer = client
            .send(format!(
                "GET {path} HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade{more}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ))
            .response_to("GET");
        assert!(answer.error(426).contains("WebSocket"), "{path}");
        assert_eq!(answer.header("upgrade").as_deref(), Some("HTTP/1.1"), "{path}");
        assert_eq!(answer.header("connection").as_deref(), Some(options), "{path}");
    }
}

#[test]
fn head_works_wherever_get_does() {
    let proxy = TestProxy::start(&config([]));
    for path in ["/", "/health", "/v1/models"] {
        let get = proxy.get(path);
        let mut client = proxy.connect();
        let head =
            client.send(format!("HEAD {path} HTTP/1.1\r\nHost: t\r\n\r\n")).response_to("HEAD");
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
        // A body would be taken for the start of the next answer.
        let next = client.send(GET).response();
        assert_eq!(next.status, 200, "{path}");
    }
}

#[test]
fn head_of_an_unknown_path_has_no_body() {
    let proxy = TestProxy::start(&config([]));
    let mut client = proxy.connect();
    let answer = client.send("HEAD /nope HTTP/1.1\r\nHost: t\r\n\r\n").response_to("HEAD");
    assert_eq!(answer.status, 404);
    assert_eq!(client.send(GET).response().status, 200);
}

#[test]
fn reload_from_loopback_needs_no_token_and_counts_the_providers() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config([]));
    assert_eq!(proxy.chat(chat(MODEL)).status, 404);
    let answer = proxy.reload(&config([provider("p", &upstream), provider("q", &upstream)]));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["message"], "配置重新加载成功");
    assert_eq!(answer.json()["providers_count"], 2);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
}

#[test]
fn a_page_in_a_browser_needs_a_token_to_reload() {
    let proxy = TestProxy::start(&config([]));
    for (token, status) in
        [(String::new(), 401), (format!("Authorization: Bearer {TOKEN}\r\n"), 200)]
    {
        let request = format!(
            "POST /v1/reload HTTP/1.1\r\nHost: t\r\nOrigin: https://elsewhere.example\r\n{token}\r\n"
        );
        assert_eq!(proxy.connect().send(request).response().status, status);
    }
}

#[test]
fn a_file_that_does_not_load_changes_nothing() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    proxy.write_config("{\"providers\": [\n  oops");
    let broken = proxy.request("POST", "/v1/reload", "").error(400);
    assert!(broken.contains("config.json"), "{broken}");
    let refused = with(config_for(&upstream), json!({"stream_timeout": "soon"}));
    let reason = proxy.reload(&refused).error(400);
    assert!(reason.contains("stream_timeout"), "{reason}");
    let file = proxy.directory().path().join("config.json");
    std::fs::remove_file(&file).expect("the file was there");
    proxy.request("POST", "/v1/reload", "").error(400);
    // Opening it would wait for a writer for ever.
    assert!(std::process::Command::new("mkfifo").arg(&file).status().expect("mkfifo").success());
    let reason = proxy.request("POST", "/v1/reload", "").error(400);
    assert!(reason.contains("regular file"), "{reason}");
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
}

#[test]
fn reload_says_that_host_and_port_need_a_restart() {
    let proxy = TestProxy::start(&config([]));
    let same = proxy.reload(&config([])).json();
    assert!(!same.to_string().contains("host") && !same.to_string().contains("port"), "{same}");
    let other = proxy.reload(&with(config([]), json!({"host": "127.0.0.3", "port": 1})));
    assert_eq!(other.status, 200);
    let other = other.json();
    assert_eq!(other["message"], "配置重新加载成功");
    let others = other.to_string();
    assert!(others.contains("host") && others.contains("port"), "{others}");
    assert_eq!(proxy.get("/").status, 200, "still on the old address");
    // As long as the file differs from what is listened on, and no longer.
    let again = proxy.request("POST", "/v1/reload", "").text();
    assert!(again.contains("host"), "{again}");
    let back = proxy.reload(&config([])).text();
    assert!(!back.contains("host"), "{back}");
}

#[test]
fn requests_in_flight_finish_under_the_old_configuration() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        held.wait();
        connection.send([&event("two"), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one");
    assert_eq!(proxy.reload(&config([])).status, 200);
    assert_eq!(proxy.chat(chat(MODEL)).status, 404);
    gate.open();
    let answer = client.response();
    assert!(answer.complete);
    assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
}

/// This machine's address that is not loopback, if it has one. Sends nothing.
fn outer_address() -> Option<SocketAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let addr = socket.local_addr().ok()?;
    (!addr.ip().is_loopback()).then_some(addr)
}

#[test]
fn reload_from_elsewhere_needs_a_token() {
    let Some(outer) = outer_address() else {
        println!("skipped: this machine has only the loopback interface");
        return;
    };
    let proxy = TestProxy::start(&with(config([]), json!({"host": "0.0.0.0"})));
    let addr = SocketAddr::new(outer.ip(), proxy.addr().port());
    let post = |headers: &str| {
        let request =
            format!("POST /v1/reload HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n{headers}\r\n");
        Raw::connect(addr).send(request).response()
    };
    assert_eq!(post("").error(401), "未提供API token");
    assert!(post("Authorization: Bearer wrong\r\n").error(401).contains("API token无效"));
    assert_eq!(post(&format!("Authorization: Bearer {TOKEN}\r\n")).status, 200);
}

#[test]
fn json_of_ours_ends_with_a_line_feed_but_for_a_reload_which_is_promised_to_the_byte() {
    let upstream = Upstream::json("200 OK", r#"{"data":[{"id":"m"}]}"#);
    let proxy = TestProxy::start(&config([provider("p", &upstream)]));
    let asked = ["/", "/health", "/v1/models", "/v1/models/p/m", "/v1/status", "/nowhere"];
    let mut answers: Vec<_> = asked.iter().map(|path| proxy.get(path)).collect();
    answers.push(proxy.chat("{"));
    answers.push(proxy.request("GET", "/v1/models", "anthropic-version: 2023-06-01\r\n"));
    for answer in answers {
        let text = answer.text();
        assert!(text.ends_with("}\n") && !text.ends_with("\n\n"), "{text:?}");
    }
    assert!(proxy.request("POST", "/v1/reload", "").text().ends_with('}'));
    assert_eq!(
        proxy.chat(chat("p/m")).text(),
        r#"{"data":[{"id":"m"}]}"#,
        "a provider's is its own"
    );
}
