//! Bytes behind a request are no leaving, and hide none.

use super::silent;
use crate::support::*;

#[test]
fn bytes_of_a_pipelined_request_are_no_leaving() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        held.wait();
        connection.send([SSE_HEAD.as_bytes(), &event("x"), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes()));
    upstream.wait_requests(1);
    client.send("GET / HTTP/1.1\r\nHo");
    pause(100);
    client.send("st: t\r\n\r\n");
    assert_eq!(upstream.closed_by_proxy(), 0);
    gate.open();
    assert_eq!(client.response().text(), "data: x\n\n");
    assert_eq!(client.response().status, 200);
}

#[test]
fn leaving_behind_pipelined_bytes_is_noticed() {
    let upstream = silent();
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    client.send(GET);
    pause(50);
    drop(client);
    upstream.wait_closed_by_proxy(1);
}

#[test]
fn leaving_behind_hundreds_of_pipelined_requests_is_noticed() {
    let upstream = silent();
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    client.send(GET.repeat(6000));
    assert!(client.is_silent(300));
    assert_eq!(upstream.closed_by_proxy(), 0, "bytes are no leaving");
    drop(client);
    upstream.wait_closed_by_proxy(1);
}

#[test]
fn flooding_behind_a_request_costs_no_memory_and_leaving_is_noticed() {
    let upstream = silent();
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    let before = proxy.rss();
    client.send_in_background(GET.repeat(2_000_000).into());
    pause(700);
    let grown = proxy.rss().saturating_sub(before);
    assert!(grown < 2_000_000, "{grown} bytes");
    client.abandon();
    upstream.wait_closed_by_proxy(1);
}
