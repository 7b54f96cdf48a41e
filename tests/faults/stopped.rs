//! A process that could not run for a while: that time is nobody else's fault.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use serde_json::json;

use crate::support::*;

/// Longer than any patience nothing runs: what came in the meantime was in time.
#[test]
fn a_process_that_was_stopped_blames_nobody() {
    let upstream = Upstream::each(|request, connection| {
        if request.json()["stream"] != true {
            pause(300);
            return connection.send(json_answer("200 OK", "{}"));
        }
        connection.send(SSE_HEAD);
        for _ in 0..15 {
            connection.send(event("tick"));
            pause(100);
        }
        connection.send(LAST_CHUNK);
    });
    let patience = json!({"stream_timeout": 2.0, "non_stream_timeout": 2.0});
    let proxy = TestProxy::start(&with(config_for(&upstream), patience));
    let mut stream = proxy.connect();
    stream.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: tick");
    let mut plain = proxy.connect();
    plain.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(2);
    proxy.signal("STOP");
    pause(2600);
    proxy.signal("CONT");
    let answer = stream.response();
    assert!(answer.complete, "{answer:?}");
    assert_eq!(answer.text(), "data: tick\n\n".repeat(15));
    assert_eq!(plain.response().status, 200);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
}

/// The kernel holds only so much for a process that does not run: the provider had to wait with the rest.
#[test]
fn a_process_that_was_stopped_waits_for_what_could_not_be_sent_to_it() {
    let body = json!({ "text": "x".repeat(8 * 1024 * 1024) }).to_string();
    let (gate, text) = (Gate::default(), body.clone());
    let opened = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        opened.wait();
        connection.send(json_answer("200 OK", &text));
    });
    let patience = json!({"non_stream_timeout": 2.0});
    let proxy = TestProxy::start(&with(config_for(&upstream), patience));
    let mut client = proxy.connect();
    client.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    proxy.signal("STOP");
    gate.open();
    pause(2500);
    proxy.signal("CONT");
    let answer = client.response();
    assert!(answer.complete && answer.status == 200, "{} {}", answer.status, proxy.log());
    assert!(answer.text() == body);
}

/// More sockets have news than are taken from the kernel in one visit.
#[test]
fn a_process_that_was_stopped_blames_none_of_many() {
    const STREAMS: usize = 200;
    let over = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&over);
    let upstream = Upstream::each(move |_, connection| {
        connection.send(SSE_HEAD);
        while !flag.load(Ordering::SeqCst) {
            connection.send(event("tick"));
            pause(200);
        }
        connection.send(LAST_CHUNK);
    });
    let limits = json!({"stream_timeout": 3.0, "max_connections": STREAMS});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    let mut streams: Vec<_> = (0..STREAMS).map(|_| proxy.connect()).collect();
    for client in &mut streams {
        client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: tick");
    }
    proxy.signal("STOP");
    pause(3500);
    proxy.signal("CONT");
    over.store(true, Ordering::SeqCst);
    for client in &mut streams {
        let answer = client.response();
        assert!(answer.complete, "{}", answer.text());
    }
}
