//! Streams: events arrive one by one, framing decides, nothing is held back or added.

use serde_json::json;

use crate::support::*;

#[test]
fn events_arrive_one_by_one() {
    let gates: Vec<Gate> = (0..3).map(|_| Gate::default()).collect();
    let held = gates.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send(SSE_HEAD);
        for (number, gate) in held.iter().enumerate() {
            connection.send(event(&format!("event {number}")));
            gate.wait();
        }
        connection.send(LAST_CHUNK);
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes()));
    for (number, gate) in gates.iter().enumerate() {
        // The upstream sends the next event only after this one is here.
        client.wait_for(&format!("data: event {number}\n\n"));
        gate.open();
    }
    let answer = client.response();
    assert!(answer.complete);
    assert_eq!(answer.text(), "data: event 0\n\ndata: event 1\n\ndata: event 2\n\n");
    assert_eq!(answer.header("content-type").as_deref(), Some("text/event-stream"));
}

#[test]
fn the_head_of_a_stream_does_not_wait_for_its_first_event() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send(SSE_HEAD);
        held.wait();
        connection.send([&event("late"), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("\r\n\r\n");
    gate.open();
    assert_eq!(client.response().text(), "data: late\n\n");
}

#[test]
fn a_part_of_an_event_is_not_held_back() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        // One chunk of 13 bytes, in two halves.
        connection.send(format!("{SSE_HEAD}d\r\ndata: "));
        held.wait();
        connection.send("hello\n\n\r\n0\r\n\r\n");
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: ");
    gate.open();
    let answer = client.response();
    assert!(answer.complete);
    assert_eq!(answer.text(), "data: hello\n\n");
}

#[test]
fn streams_that_end_with_the_connection_arrive_one_by_one_too() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::serve(move |connection| {
        connection.read_request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n");
        held.wait();
        connection.send("data: two\n\n");
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one\n\n");
    gate.open();
    let answer = client.response();
    assert!(answer.complete);
    assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
}

#[test]
fn the_answer_decides_whether_it_streams_and_not_the_request() {
    let upstream = Upstream::sse(&["one", "[DONE]"]);
    let proxy = TestProxy::start(&config_for(&upstream));
    let answer = proxy.chat(chat(MODEL));
    assert!(answer.complete);
    assert_eq!(answer.text(), "data: one\n\ndata: [DONE]\n\n");
    assert_eq!(answer.header("content-type").as_deref(), Some("text/event-stream"));
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let upstream = Upstream::keep_alive(json);
    let answer = TestProxy::start(&config_for(&upstream)).chat(chat_stream(MODEL));
    assert!(answer.complete);
    assert_eq!(answer.text(), "{}");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
}

#[test]
fn streams_get_the_headers_against_buffering_when_the_provider_sent_neither() {
    let upstream = Upstream::sse(&["x"]);
    let answer = TestProxy::start(&config_for(&upstream)).chat(chat_stream(MODEL));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-cache"));
    assert_eq!(answer.header("x-accel-buffering").as_deref(), Some("no"));
}

#[test]
fn the_providers_own_cache_headers_stand() {
    let head = SSE_HEAD
        .replace("\r\n\r\n", "\r\nCache-Control: no-store\r\nX-Accel-Buffering: yes\r\n\r\n");
    let upstream = Upstream::keep_alive([head.as_bytes(), &event("x"), LAST_CHUNK].concat());
    let answer = TestProxy::start(&config_for(&upstream)).chat(chat_stream(MODEL));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(answer.header("x-accel-buffering").as_deref(), Some("yes"));
}

#[test]
fn plain_answers_get_no_stream_headers() {
    let upstream = Upstream::json("200 OK", "{}");
    let answer = TestProxy::start(&config_for(&upstream)).chat(chat(MODEL));
    assert_eq!(answer.header("cache-control"), None);
    assert_eq!(answer.header("x-accel-buffering"), None);
}

#[test]
fn a_stream_cut_by_the_provider_is_cut_for_the_client() {
    let cut: [Vec<Step>; 2] = [vec![Step::Pause(50)], vec![Step::Pause(50), Step::Reset]];
    for end in cut {
        let start_of_stream = [SSE_HEAD.as_bytes(), &event("one")].concat();
        let steps = [vec![Step::ReadRequest, Step::Send(start_of_stream)], end].concat();
        let upstream = Upstream::steps(steps);
        let proxy = TestProxy::start(&config_for(&upstream));
        let mut client = proxy.connect();
        client.send(chat_request("", chat_stream(MODEL).as_bytes()));
        let answer = client.response();
        assert_eq!(answer.status, 200);
        assert!(!answer.complete, "{answer:?}");
        // Between two events there is room for one of ours, in the shape of every error.
        let text = answer.text();
        let ours =
            text.strip_prefix("data: one\n\ndata: ").and_then(|rest| rest.strip_suffix("\n\n"));
        let ours: serde_json::Value =
            serde_json::from_str(ours.expect("an error event")).expect("JSON");
        assert_eq!(ours["error"]["code"], 502, "{ours}");
    }
}

#[test]
fn a_stream_cut_inside_an_event_gets_nothing_added() {
    for half in ["data: half", "data: one\n\ndata: {\"x\":", "data: one\n"] {
        let bytes = [SSE_HEAD.as_bytes(), &chunk(half)].concat();
        let upstream = Upstream::steps(vec![Step::ReadRequest, Step::Send(bytes), Step::Pause(50)]);
        let answer = TestProxy::start(&config_for(&upstream)).chat(chat_stream(MODEL));
        assert!(!answer.complete);
        assert_eq!(answer.text(), half);
    }
}

#[test]
fn connections_are_reused_after_a_whole_stream() {
    let upstream = Upstream::sse(&["one", "two"]);
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    for _ in 0..3 {
        let answer = client.send(chat_request("", chat_stream(MODEL).as_bytes())).response();
        assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn many_streams_run_at_once() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |request, connection| {
        let number = request.json()["n"].to_string();
        connection.send([SSE_HEAD.as_bytes(), &event(&number)].concat());
        held.wait();
        connection.send([&event(&number), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut clients: Vec<_> = (0..50).map(|_| proxy.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let body = format!(r#"{{"model":"{MODEL}","stream":true,"n":{number}}}"#);
        client.send(chat_request("", body.as_bytes()));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.wait_for(&format!("data: {number}\n\n"));
    }
    gate.open();
    for (number, client) in clients.iter_mut().enumerate() {
        let answer = client.response();
        assert!(answer.complete);
        assert_eq!(answer.text(), format!("data: {number}\n\ndata: {number}\n\n"));
    }
}

#[test]
fn a_long_stream_arrives_whole_and_in_order() {
    let upstream = Upstream::each(|_, connection| {
        connection.send(SSE_HEAD);
        for number in 0..20_000 {
            connection.send(event(&format!("{number} {}", "x".repeat(number % 50))));
        }
        connection.send(LAST_CHUNK);
    });
    let answer = TestProxy::start(&config_for(&upstream)).chat(chat_stream(MODEL));
    assert!(answer.complete);
    let text = answer.text();
    let numbers = text.split_terminator("\n\n").map(|e| e.split(' ').nth(1).expect("a number"));
    assert!(numbers.eq((0..20_000).map(|n| n.to_string())), "out of order or incomplete");
}

#[test]
fn a_client_that_does_not_read_makes_the_upstream_wait_and_memory_stays() {
    let upstream = Upstream::each(|_, connection| {
        connection.send(SSE_HEAD);
        let block = chunk(vec![b'x'; 60_000]);
        for _ in 0..1000 {
            if !connection.try_send(&block) {
                return;
            }
        }
        connection.send(LAST_CHUNK);
    });
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"stream_timeout": 60})));
    let before = proxy.rss();
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("\r\n\r\n");
    pause(1000);
    let grown = proxy.rss().saturating_sub(before);
    assert!(grown < 4_000_000, "{grown} bytes for one slow client");
    // It still gets everything once it reads.
    let answer = client.response();
    assert!(answer.complete);
    assert_eq!(answer.body.len(), 1000 * 60_000);
}

#[test]
fn a_stream_of_known_length_arrives_event_by_event_too() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n");
        connection.send("Content-Length: 22\r\n\r\ndata: one\n\n");
        held.wait();
        connection.send("data: two\n\n");
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one\n\n");
    gate.open();
    let answer = client.response();
    assert!(answer.complete);
    assert_eq!(answer.header("content-length").as_deref(), Some("22"));
    assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
}
