//! `Expect: 100-continue`: answered by us, before the body, and never forwarded.

use crate::start;
use crate::support::*;

#[test]
fn expect_100_continue_is_answered_before_the_body_and_not_forwarded() {
    let (upstream, proxy) = start();
    let body = chat(MODEL);
    for expect in ["100-continue", "100-Continue"] {
        let head = chat_head(&format!("Content-Length: {}\r\nExpect: {expect}\r\n", body.len()));
        let mut client = proxy.connect();
        client.send(&head);
        let interim = client.response();
        assert_eq!(interim.status, 100, "{expect}");
        assert_eq!(client.send(&body).response().status, 200);
        assert_eq!(client.send(GET).response().status, 200);
    }
    for request in upstream.requests() {
        assert_eq!(request.head.get("expect"), None);
        assert_eq!(request.body, chat("m").as_bytes());
    }
}

#[test]
fn expect_with_the_body_right_behind_is_answered() {
    let (_upstream, proxy) = start();
    let mut client = proxy.connect();
    client.send(chat_request("Expect: 100-continue\r\n", chat(MODEL).as_bytes()));
    let first = client.response();
    let last = if first.status == 100 { client.response() } else { first };
    assert_eq!(last.status, 200);
    assert_eq!(client.send(GET).response().status, 200);
}

#[test]
fn a_refusal_needs_no_100_continue() {
    let (_upstream, proxy) = start();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n";
    let mut client = proxy.connect();
    let first = client.send(head).response();
    if first.status == 100 {
        assert_eq!(client.send(" ".repeat(50)).response().status, 401);
    } else {
        // The body may still come or not: the connection cannot be used again.
        first.error(401);
        assert_eq!(first.header("connection").as_deref(), Some("close"));
    }
    let big = chat_head("Content-Length: 999999999999\r\nExpect: 100-continue\r\n");
    proxy.raw(&big).error(413);
}

#[test]
fn unknown_expectations_are_417() {
    let (upstream, proxy) = start();
    for expect in ["200-ok", "100-continue, x"] {
        let body = chat(MODEL);
        let answer = proxy.raw(&chat_request(&format!("Expect: {expect}\r\n"), body.as_bytes()));
        answer.error(417);
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn http_1_0_gets_no_100_continue() {
    let (_upstream, proxy) = start();
    let body = chat(MODEL);
    let request = String::from_utf8(chat_request("Expect: 100-continue\r\n", body.as_bytes()))
        .expect("ASCII");
    let request = request.replace("HTTP/1.1", "HTTP/1.0");
    let (head, body) = request.split_at(request.len() - body.len());
    let mut client = proxy.connect();
    assert!(client.send(head).is_silent(150));
    assert_eq!(client.send(body).response().status, 200);
}
