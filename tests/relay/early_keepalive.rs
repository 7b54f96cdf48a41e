//! `early_keepalive`: a head before the provider's.

use serde_json::{json, Value};

use crate::support::*;
use crate::COMMENT;

fn start(upstream: &Upstream) -> TestProxy {
    TestProxy::start(&with(config_for(upstream), json!({"early_keepalive": 0.15})))
}

/// A provider that answers a stream after 600 ms.
fn slow(bytes: impl Into<Vec<u8>>) -> Upstream {
    let bytes = bytes.into();
    Upstream::each(move |_, connection| {
        pause(600);
        connection.send(&bytes);
    })
}

/// The answer to a stream, and what its connection answers to the next request.
fn ask(proxy: &TestProxy) -> Response {
    ask_until_early(proxy, &Gate::default())
}

/// The same; the gate is opened when the early head has come.
fn ask_until_early(proxy: &TestProxy, gate: &Gate) -> Response {
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for(COMMENT);
    gate.open();
    let answer = client.response();
    assert_eq!(answer.status, 200);
    assert!(answer.complete, "{answer:?}");
    assert_eq!(client.send(GET).response().status, 200);
    answer
}

/// The one event after the comments.
fn event_of(answer: &Response) -> Value {
    let text = answer.text().replace(COMMENT, "");
    let data = text.strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\n"));
    let data = data.unwrap_or_else(|| panic!("not one event: {text}"));
    assert!(!data.contains('\n'), "{text}");
    serde_json::from_str(data).expect("JSON")
}

#[test]
fn a_silent_provider_is_bridged_and_its_stream_follows() {
    let upstream =
        slow([SSE_HEAD.as_bytes(), &event("one"), &event("[DONE]"), LAST_CHUNK].concat());
    let proxy = start(&upstream);
    let answer = ask(&proxy);
    assert_eq!(answer.header("content-type").as_deref(), Some("text/event-stream"));
    assert!(answer.header("x-request-id").is_some());
    let text = answer.text();
    assert!(text.starts_with(&format!("{COMMENT}{COMMENT}")), "{text}");
    assert_eq!(text.replace(COMMENT, ""), "data: one\n\ndata: [DONE]\n\n");
    let line = proxy.wait_for_log("耗时:");
    assert!(line.contains("完成 (complete)"), "{line}");
    // The provider's connection serves again.
    ask(&proxy);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_http_1_0_client_gets_the_same_without_chunks() {
    let upstream = slow([SSE_HEAD.as_bytes(), &event("one"), LAST_CHUNK].concat());
    let proxy = start(&upstream);
    let request = String::from_utf8(chat_request("", chat_stream(MODEL).as_bytes())).expect("text");
    let answer = proxy.raw(request.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
    assert!(answer.until_close && answer.complete, "{answer:?}");
    assert!(answer.text().starts_with(&COMMENT.repeat(2)), "{}", answer.text());
    assert_eq!(answer.text().replace(COMMENT, ""), "data: one\n\n");
}

#[test]
fn a_large_whole_answer_behind_an_early_head_is_one_event() {
    let body = json!({"x": "y".repeat(3_000_000)}).to_string();
    let upstream = slow(json_answer("200 OK", &body));
    let text = ask(&start(&upstream)).text().replace(COMMENT, "");
    assert!(text == format!("data: {body}\n\n"), "{} bytes", text.len());
    let limits = json!({"early_keepalive": 0.15, "max_response_size": 1_000_000});
    let error = event_of(&ask(&TestProxy::start(&with(config_for(&upstream), limits))));
    assert!(
        error["error"]["message"].as_str().is_some_and(|text| text.contains("响应过大")),
        "{error}"
    );
}

#[test]
fn a_later_refusal_is_one_error_event_with_the_providers_own_words() {
    for (status, body, upstream_said) in [
        (
            "429 Slow",
            "{\"error\": {\"message\":\n \"slow\", \"n\": 1.50}}",
            json!({"error": {"message": "slow", "n": 1.5}}),
        ),
        ("500 Oops", "<html>oops", json!("<html>oops")),
        ("403 No", "", json!("")),
    ] {
        let upstream = slow(answer(status, "Retry-After: 7\r\n", body.as_bytes()));
        let proxy = start(&upstream);
        let error = event_of(&ask(&proxy))["error"].clone();
        let code: u16 = status[..3].parse().expect("a status");
        assert_eq!((&error["code"], &error["type"]), (&json!(code), &json!("http_error")));
        assert!(
            error["message"].as_str().is_some_and(|text| text.contains(&status[..3])),
            "{error}"
        );
        assert_eq!(error["upstream"], upstream_said);
        let log = proxy.wait_for_log("耗时:");
        assert!(log.contains("after an early 200") && log.contains(&status[..3]), "{log}");
    }
    let long = "x".repeat(100_000);
    let upstream = slow(answer("502 Bad", "", long.as_bytes()));
    assert_eq!(event_of(&ask(&start(&upstream)))["error"]["upstream"], json!(&long[..4096]));
}

#[test]
fn an_error_of_ours_is_an_event_without_a_body_of_the_provider() {
    for (bytes, code) in [
        ("HTTP/1.1 307 Keep\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 502),
        ("SSH-2.0-x\r\n", 502),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 502),
    ] {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::serve(move |connection| {
            connection.read_request();
            held.wait();
            connection.send(bytes);
        });
        let error = event_of(&ask_until_early(&start(&upstream), &gate))["error"].clone();
        assert_eq!(error["code"], code, "{error}");
        assert_eq!(error.get("upstream"), None, "{error}");
    }
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let limits = json!({"early_keepalive": 0.1, "stream_timeout": 0.5});
    let answer = ask(&TestProxy::start(&with(config_for(&upstream), limits)));
    assert_eq!(event_of(&answer)["error"]["code"], 504);
}

#[test]
fn a_whole_answer_is_one_event() {
    let upstream = slow(json_answer("200 OK", "{\n \"id\": \"x\"\n}"));
    let proxy = start(&upstream);
    let text = ask(&proxy).text().replace(COMMENT, "");
    assert_eq!(text, "data: {\ndata:  \"id\": \"x\"\ndata: }\n\n");
    assert!(proxy.wait_for_log("耗时:").contains("完成 (complete)"));
}

#[test]
fn a_slow_body_behind_an_early_head_is_bridged_too() {
    for (status, start_of) in [("200 OK", "{\"a\":"), ("500 Oops", "{\"a\":")] {
        let upstream = Upstream::each(move |_, connection| {
            pause(400);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", start_of.len() + 2);
            connection.send(format!("{head}Content-Type: application/json\r\n\r\n{start_of}"));
            pause(900);
            connection.send("1}");
        });
        let text = ask(&start(&upstream)).text();
        assert!(text.matches(COMMENT).count() >= 4, "{status}: {text}");
        assert!(text.contains("{\"a\":1}"), "{status}: {text}");
    }
}

#[test]
fn a_provider_that_answers_in_time_and_one_who_does_not_stream_see_nothing_of_it() {
    let upstream = Upstream::json("429 Slow", "{}");
    assert_eq!(start(&upstream).chat(chat_stream(MODEL)).status, 429);
    let upstream = slow(json_answer("429 Slow", "{}"));
    assert_eq!(start(&upstream).chat(chat(MODEL)).status, 429);
    // Off is the default.
    let proxy = TestProxy::start(&config_for(&upstream));
    assert_eq!(proxy.chat(chat_stream(MODEL)).status, 429);
}

#[test]
fn a_client_that_leaves_meanwhile_ends_the_exchange() {
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let proxy = start(&upstream);
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for(COMMENT);
    drop(client);
    upstream.wait_closed_by_proxy(1);
    proxy.wait_for_log("客户端断开");
}

#[test]
fn an_encoded_answer_is_an_error_event() {
    let head = SSE_HEAD.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n");
    let upstream = Upstream::each(move |_, connection| {
        pause(400);
        connection.send([head.as_bytes(), &chunk("zzzz"), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"early_keepalive": 0.15})));
    let answer = proxy.chat(chat_stream(MODEL));
    assert!(answer.complete && answer.text().contains("\"code\":502"), "{}", answer.text());
    assert!(!answer.text().contains("zzzz"), "{}", answer.text());
}

#[test]
fn a_refusal_that_never_ends_is_told_as_far_as_it_came() {
    let upstream = Upstream::each(|_, connection| {
        pause(400);
        connection.send("HTTP/1.1 429 Slow\r\nContent-Length: 100\r\n\r\nhalf");
        connection.wait_for_close();
    });
    let limits = json!({"early_keepalive": 0.15, "stream_timeout": 1.0});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    let answer = proxy.chat(chat_stream(MODEL));
    let text = answer.text().replace(COMMENT, "");
    assert!(answer.complete && text.contains("\"upstream\":\"half\""), "{text}");
}
