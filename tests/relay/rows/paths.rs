//! Paths that are no rows: what is said there.

use crate::support::*;

#[test]
fn websocket_is_refused_at_once_and_the_connection_serves_on() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    for path in ["/v1/responses", "/v1/realtime?model=p/m", "/responses?x=1", "/realtime"] {
        let answer = client
            .send(format!(
                "GET {path} HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ))
            .response();
        assert!(answer.error(426).contains("WebSocket"), "{}", answer.text());
        assert_eq!(answer.header("connection").as_deref(), Some("Upgrade"), "{path}");
        assert_eq!(answer.header("upgrade").as_deref(), Some("HTTP/1.1"), "{path}");
    }
    let body = chat(MODEL);
    let next = client.send(chat_request("", body.as_bytes())).response_to("POST");
    assert_eq!(next.status, 200, "the same connection serves on");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_client_that_wants_websocket_and_then_no_more_is_told_both() {
    let proxy = TestProxy::without_providers();
    let mut client = proxy.connect();
    let answer = client
        .send(
            "GET /v1/responses HTTP/1.1\r\nHost: t\r\nConnection: close, Upgrade\r\n\
             Upgrade: websocket\r\n\r\n",
        )
        .response();
    answer.error(426);
    let connection = answer.header("connection").unwrap_or_default();
    let mut options: Vec<_> = connection.split(',').map(str::trim).collect();
    options.sort_unstable();
    assert_eq!(options, ["Upgrade", "close"]);
    client.assert_closed();
}

#[test]
fn an_upgrade_to_something_else_is_ignored() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = chat(MODEL);
    let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n";
    let answer = proxy.chat_with(fields, body);
    assert_eq!(answer.status, 200);
    let head = upstream.request().head;
    for name in ["upgrade", "http2-settings", "connection"] {
        assert!(head.get(name).is_none(), "{name}");
    }
}

#[test]
fn a_path_that_repeats_itself_is_404_with_the_reason() {
    let proxy = TestProxy::without_providers();
    for path in [
        "/v1/v1/chat/completions",
        "/v1/chat/completions/chat/completions",
        "/v1/v1/messages",
        "/v1/messages/v1/messages",
        "/v1/v1/models",
        "/v1/responses/responses",
        "/v1/embeddings/embeddings?x=1",
    ] {
        let message = proxy.request("POST", path, "Content-Length: 0\r\n").error(404);
        assert!(message.contains("base_url"), "{path}: {message}");
        assert!(message.contains(path.split('?').next().unwrap()), "{path}: {message}");
    }
    let message = proxy.request("POST", "/v1/nothing", "Content-Length: 0\r\n").error(404);
    assert!(!message.contains("base_url"), "{message}");
}
