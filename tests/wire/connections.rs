//! How a client's connection lives: keep-alive, HTTP/1.0, targets in every form, upgrades that are ignored.

use crate::status;
use crate::support::*;

#[test]
fn keep_alive_is_the_default_and_close_is_honoured() {
    let proxy = TestProxy::without_providers();
    for close in [
        "close",
        "Close",
        "CLOSE",
        "keep-alive, close",
        "foo,close , bar",
        "x\r\nConnection: close",
    ] {
        let mut client = proxy.connect();
        for _ in 0..3 {
            let answer = client.send(GET).response();
            assert_eq!(answer.status, 200);
            assert!(!answer.header("connection").unwrap_or_default().contains("close"));
        }
        let answer = client
            .send(format!("GET / HTTP/1.1\r\nHost: t\r\nConnection: {close}\r\n\r\n"))
            .response();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("connection").as_deref(), Some("close"), "{close}");
        client.assert_closed();
    }
    let mut client = proxy.connect();
    for word in ["closed", "not-close", "upgrade"] {
        let answer = client
            .send(format!("GET / HTTP/1.1\r\nHost: t\r\nConnection: {word}\r\n\r\n"))
            .response();
        assert_eq!(answer.status, 200, "{word}");
    }
}

#[test]
fn close_is_honoured_for_relayed_answers() {
    for upstream in [Upstream::json("200 OK", "{}"), Upstream::sse(&["x"])] {
        let proxy = TestProxy::start(&config_for(&upstream));
        let mut client = proxy.connect();
        let answer =
            client.send(chat_request("Connection: close\r\n", chat(MODEL).as_bytes())).response();
        assert!(answer.complete);
        assert_eq!(answer.header("connection").as_deref(), Some("close"));
        client.assert_closed();
        // What the client wants of its connection says nothing about the upstream's.
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let proxy = TestProxy::without_providers();
    for headers in ["", "Host: t\r\n", "Connection: close\r\n"] {
        let mut client = proxy.connect();
        let answer = client.send(format!("GET / HTTP/1.0\r\n{headers}\r\n")).response();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("transfer-encoding"), None);
        client.assert_closed();
    }
}

#[test]
fn http_1_0_is_kept_alive_only_when_it_asks() {
    let proxy = TestProxy::without_providers();
    let mut client = proxy.connect();
    for _ in 0..3 {
        let answer = client.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").response();
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("connection").map(|v| v.to_lowercase()).as_deref(),
            Some("keep-alive")
        );
    }
}

#[test]
fn http_1_0_gets_streams_without_chunking() {
    let upstream = Upstream::sse(&["one", "two"]);
    let proxy = TestProxy::start(&config_for(&upstream));
    for headers in ["", "Connection: keep-alive\r\n"] {
        let request =
            String::from_utf8(chat_request(headers, chat_stream(MODEL).as_bytes())).expect("ASCII");
        let mut client = proxy.connect();
        let answer = client.send(request.replace("HTTP/1.1", "HTTP/1.0")).response();
        assert_eq!(answer.header("transfer-encoding"), None);
        assert!(answer.until_close, "{answer:?}");
        assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
    }
    assert_eq!(upstream.connections(), 1, "the upstream's connection is reused all the same");
}

#[test]
fn a_stream_cut_for_http_1_0_ends_with_a_reset() {
    let start_of_stream = [SSE_HEAD.as_bytes(), &event("one")].concat();
    let upstream =
        Upstream::steps(vec![Step::ReadRequest, Step::Send(start_of_stream), Step::Pause(50)]);
    let proxy = TestProxy::start(&config_for(&upstream));
    let request =
        String::from_utf8(chat_request("", chat_stream(MODEL).as_bytes())).expect("ASCII");
    let mut client = proxy.connect();
    client.send(request.replace("HTTP/1.1", "HTTP/1.0"));
    // A clean end would make the cut stream look whole.
    match client.try_response("POST") {
        Ok(answer) => assert!(!answer.complete, "{answer:?}"),
        Err(ending) => assert_eq!(ending, Ending::Reset),
    }
}

#[test]
fn absolute_form_targets_and_queries_are_understood() {
    let proxy = TestProxy::without_providers();
    for target in [
        "http://t/health",
        "http://t:80/health?x=1",
        "HTTP://t/health",
        "https://t/health",
        "/health?",
        "/health?a=/b",
    ] {
        assert_eq!(
            status(&proxy, format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n")),
            200,
            "{target}"
        );
    }
    for target in ["http://t", "http://t/", "http://t?x=1"] {
        assert_eq!(
            status(&proxy, format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n")),
            200,
            "{target}"
        );
    }
    assert_eq!(status(&proxy, "GET http://t/nope HTTP/1.1\r\nHost: t\r\n\r\n"), 404);
}

#[test]
fn odd_targets_are_answered() {
    let proxy = TestProxy::without_providers();
    for line in [
        "OPTIONS * HTTP/1.1",
        "CONNECT example.com:443 HTTP/1.1",
        "GET health HTTP/1.1",
        "GET ?x HTTP/1.1",
    ] {
        let answer = proxy.raw(format!("{line}\r\nHost: t\r\n\r\n").as_bytes());
        assert!(matches!(answer.status, 400 | 404 | 405 | 501), "{line}: {}", answer.status);
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(30_000));
    assert_eq!(status(&proxy, long), 404);
}

#[test]
fn upgrade_is_ignored() {
    let proxy = TestProxy::without_providers();
    for upgrade in ["h2c", "websocket"] {
        let headers = format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n");
        let mut client = proxy.connect();
        let answer = client.send(format!("GET / HTTP/1.1\r\nHost: t\r\n{headers}\r\n")).response();
        assert_eq!(answer.status, 200);
        assert_eq!(client.send(GET).response().status, 200);
    }
}
