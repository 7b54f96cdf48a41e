//! `sse_keepalive`: comment lines in a silent event stream, and only where one can stand.

use serde_json::json;

use crate::support::*;
use crate::COMMENT;

fn start(upstream: &Upstream, seconds: f32) -> TestProxy {
    TestProxy::start(&with(config_for(upstream), json!({ "sse_keepalive": seconds })))
}

/// A silence that lasts until a comment has come.
fn until_comment(client: &mut Raw) {
    client.wait_for(COMMENT);
}

/// A silence in which four comments could come.
fn long(client: &mut Raw) {
    client.wait_for("\r\n\r\n");
    pause(600);
}

/// The answer to a stream whose upstream sends `first`, is silent and sends `last`.
fn with_silence(seconds: f32, first: Vec<u8>, silence: fn(&mut Raw), last: Vec<u8>) -> Response {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send(&first);
        held.wait();
        connection.send(&last);
    });
    let proxy = start(&upstream, seconds);
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes()));
    silence(&mut client);
    gate.open();
    let answer = client.response();
    assert!(answer.complete, "{answer:?}");
    // The connection is in step.
    assert_eq!(client.send(GET).response().status, 200);
    answer
}

fn sse(data: &str) -> Vec<u8> {
    [SSE_HEAD.as_bytes(), &chunk(data)].concat()
}

#[test]
fn a_silent_stream_gets_comments_between_events() {
    let last = [event("two").as_slice(), LAST_CHUNK].concat();
    let text = with_silence(0.15, sse("data: one\n\n"), until_comment, last).text();
    assert!(text.starts_with(&format!("data: one\n\n{COMMENT}")), "{text}");
    assert!(text.ends_with("data: two\n\n"), "{text}");
    assert_eq!(text.replace(COMMENT, ""), "data: one\n\ndata: two\n\n");
}

#[test]
fn a_stream_that_is_silent_from_its_head_on_gets_comments() {
    let last = [event("one").as_slice(), LAST_CHUNK].concat();
    let text = with_silence(0.15, SSE_HEAD.into(), until_comment, last).text();
    assert!(text.starts_with(COMMENT), "{text}");
    assert_eq!(text.replace(COMMENT, ""), "data: one\n\n");
}

#[test]
fn nothing_is_put_inside_an_event() {
    let last = [chunk("e\n\n").as_slice(), LAST_CHUNK].concat();
    assert_eq!(with_silence(0.15, sse("data: on"), long, last).text(), "data: one\n\n");
}

#[test]
fn zero_means_no_comments() {
    let last = [event("two").as_slice(), LAST_CHUNK].concat();
    assert_eq!(
        with_silence(0.0, sse("data: one\n\n"), long, last).text(),
        "data: one\n\ndata: two\n\n"
    );
}

#[test]
fn a_stream_of_known_length_stays_as_long_as_it_said() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 22\r\n\r\n";
    let answer =
        with_silence(0.15, format!("{head}data: one\n\n").into(), long, "data: two\n\n".into());
    assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
}

#[test]
fn nothing_is_put_into_an_encoded_stream() {
    let head = SSE_HEAD.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n");
    let last = [chunk(b"\x1f\x8b\x08\x00").as_slice(), LAST_CHUNK].concat();
    let answer = with_silence(0.15, head.into(), long, last);
    assert_eq!(answer.body, b"\x1f\x8b\x08\x00");
}

#[test]
fn nothing_is_put_into_an_answer_that_is_no_event_stream() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let first = [head.as_bytes(), &chunk("one\n\n")].concat();
    let last = [chunk("two\n\n").as_slice(), LAST_CHUNK].concat();
    assert_eq!(with_silence(0.15, first, long, last).text(), "one\n\ntwo\n\n");
}

#[test]
fn comments_do_not_keep_a_silent_provider_alive() {
    let upstream = Upstream::steps(vec![
        Step::ReadRequest,
        Step::Send(sse("data: one\n\n")),
        Step::WaitForClose,
    ]);
    let limits = json!({"sse_keepalive": 0.1, "stream_timeout": 0.5});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    let answer = proxy.chat(chat_stream(MODEL));
    assert!(!answer.complete);
    upstream.wait_closed_by_proxy(1);
}
