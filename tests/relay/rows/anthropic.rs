//! What the proxy itself says on Anthropic's rows.

use serde_json::{json, Value};

use crate::support::*;

const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const PATHS: [&str; 2] = ["/v1/messages", "/messages/count_tokens"];

fn request(path: &str, fields: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: t\r\nanthropic-version: 2023-06-01\r\n{fields}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn authorised(path: &str, body: &str) -> Vec<u8> {
    request(path, &format!("x-api-key: {TOKEN}\r\n"), body)
}

/// Checks an error of ours to the last key; its message.
fn error(answer: &Response, status: u16, kind: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.complete, "{answer:?}");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    checked(&answer.json(), kind, &answer.header("x-request-id").expect("an id"))
}

fn checked(body: &Value, kind: &str, id: &str) -> String {
    let message = body["error"]["message"].as_str().unwrap_or_else(|| panic!("{body}"));
    let mut expected =
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": id});
    if let Some(upstream) = body["error"].get("upstream") {
        expected["error"]["upstream"] = upstream.clone();
    }
    assert_eq!(*body, expected);
    assert!(!message.is_empty());
    message.to_owned()
}

/// The only error event in `text`, and what stands before it.
fn error_event<'t>(text: &'t str, kind: &str, id: &str) -> (&'t str, String) {
    let (before, event) = text.split_once("event: error\n").unwrap_or_else(|| panic!("{text}"));
    let data = event.strip_prefix("data: ").and_then(|data| data.strip_suffix("\n\n"));
    let data = data.filter(|data| !data.contains('\n')).unwrap_or_else(|| panic!("{text}"));
    (before, checked(&serde_json::from_str(data).expect("JSON"), kind, id))
}

#[test]
fn errors_of_ours_have_the_shape_of_the_dialect() {
    let upstream = Upstream::json("200 OK", "{}");
    let gone =
        json!({"provider": "gone", "baseurl": format!("http://{}/v1", free_address("127.0.0.9"))});
    let changes = json!({"max_request_size": 1000});
    let proxy = TestProxy::start(&with(config([provider("p", &upstream), gone]), changes));
    for path in PATHS {
        let none = proxy.raw(&request(path, "", "{}"));
        assert_eq!(error(&none, 401, "authentication_error"), "未提供API token");
        let wrong = proxy.raw(&request(path, "x-api-key: nope\r\n", "{}"));
        assert!(error(&wrong, 401, "authentication_error").contains("API token无效"));
        let broken = proxy.raw(&authorised(path, "{"));
        error(&broken, 400, "invalid_request_error");
        let unknown = proxy.raw(&authorised(path, &chat("p/nope")));
        assert!(error(&unknown, 404, "not_found_error").contains("未找到模型 p/nope"));
        let long = proxy.raw(&authorised(path, &" ".repeat(1001)));
        assert!(error(&long, 413, "request_too_large").contains("1000"));
        let coded = format!("x-api-key: {TOKEN}\r\nContent-Encoding: br\r\n");
        let coded = proxy.raw(&request(path, &coded, "x"));
        assert!(error(&coded, 415, "invalid_request_error").contains("不支持的请求体编码 br"));
        let failed = proxy.raw(&authorised(path, &chat("gone/m")));
        error(&failed, 502, "api_error");
        let method = proxy.get(path);
        error(&method, 405, "invalid_request_error");
        assert_eq!(method.header("allow").as_deref(), Some("POST"));
    }
    assert!(upstream.requests().is_empty());
    // Before the path is known.
    proxy.get("/v1/message").error(404);
    proxy.raw(b"POST /v1/messages HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n").error(400);
}

#[test]
fn a_provider_without_a_free_connection_or_an_answer_is_told_in_the_dialect() {
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let limits = json!({"max_connections": 1, "non_stream_timeout": 0.4, "stream_timeout": 60});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    let slow = proxy.raw(&authorised("/v1/messages", &chat(MODEL)));
    error(&slow, 504, "timeout_error");
    let mut first = proxy.connect();
    first.send(authorised("/v1/messages", &chat_stream(MODEL)));
    upstream.wait_requests(2);
    let busy = proxy.raw(&authorised("/v1/messages", &chat(MODEL)));
    error(&busy, 503, "overloaded_error");
    assert!(busy.header("retry-after").is_some());
}

#[test]
fn a_stream_that_is_cut_ends_with_an_error_event_of_the_dialect() {
    let begun = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
    let upstream = Upstream::script([SSE_HEAD.as_bytes(), &chunk(begun)].concat());
    let proxy = TestProxy::start(&config_for(&upstream));
    let answer = proxy.raw(&authorised("/v1/messages", &chat_stream(MODEL)));
    assert!(!answer.complete);
    let id = answer.header("x-request-id").expect("an id");
    let text = answer.text();
    let (before, message) = error_event(&text, "api_error", &id);
    assert_eq!(before, begun);
    assert!(message.contains("请求失败"), "{message}");
}

#[test]
fn inside_an_event_no_error_is_told() {
    let half = "event: content_block_delta\ndata: {\"a\":";
    let upstream = Upstream::script([SSE_HEAD.as_bytes(), &chunk(half)].concat());
    let proxy = TestProxy::start(&config_for(&upstream));
    let answer = proxy.raw(&authorised("/v1/messages", &chat_stream(MODEL)));
    assert!(!answer.complete);
    assert_eq!(answer.text(), half);
}

#[test]
fn a_silent_stream_gets_pings_between_its_events_only() {
    let start = "event: message_start\ndata: {}\n\n";
    let last = "event: message_stop\ndata: {}\n\n";
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk(start)].concat());
        pause(400);
        connection.send(chunk(&last[..20]));
        pause(400);
        connection.send([chunk(&last[20..]).as_slice(), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"sse_keepalive": 0.1})));
    let answer = proxy.raw(&authorised("/v1/messages", &chat_stream(MODEL)));
    assert!(answer.complete);
    let text = answer.text();
    let pings = text.strip_prefix(start).and_then(|text| text.strip_suffix(last));
    let pings = pings.unwrap_or_else(|| panic!("{text}"));
    assert!(!pings.is_empty() && pings.replace(PING, "").is_empty(), "{text}");
}

#[test]
fn a_provider_that_is_silent_before_its_stream_is_bridged_by_pings() {
    let events = "event: message_start\ndata: {}\n\nevent: message_stop\ndata: {}\n\n";
    let upstream = Upstream::each(move |_, connection| {
        pause(600);
        connection.send([SSE_HEAD.as_bytes(), &chunk(events), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"early_keepalive": 0.15})));
    let answer = proxy.raw(&authorised("/v1/messages", &chat_stream(MODEL)));
    assert!(answer.complete);
    let text = answer.text();
    assert!(text.starts_with(PING), "{text}");
    assert_eq!(text.replace(PING, ""), events);
}

#[test]
fn a_refusal_behind_pings_is_an_error_event_with_what_the_provider_said() {
    let said = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let answers = [json_answer("529 Overloaded", said), Vec::new()];
    for (bytes, kind) in answers.into_iter().zip(["api_error", "api_error"]) {
        let refuses = !bytes.is_empty();
        let upstream = Upstream::serve(move |connection| {
            connection.read_request();
            pause(600);
            connection.send(&bytes);
        });
        let proxy =
            TestProxy::start(&with(config_for(&upstream), json!({"early_keepalive": 0.15})));
        let answer = proxy.raw(&authorised("/v1/messages", &chat_stream(MODEL)));
        let id = answer.header("x-request-id").expect("an id");
        let text = answer.text();
        let (before, _) = error_event(&text, kind, &id);
        assert!(before.starts_with(PING) && before.replace(PING, "").is_empty(), "{text}");
        assert_eq!(text.contains("\"message\":\"Overloaded\""), refuses, "{text}");
    }
}
