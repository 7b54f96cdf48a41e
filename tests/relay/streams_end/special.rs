//! Endings that need a test of their own, and streams that must not end.

use serde_json::json;

use super::{die, ended, error_event, mortal, start, stream_request, End, Framed};
use crate::support::*;

#[test]
fn the_last_chunk_without_its_end_is_a_cut() {
    let first = [event("one").as_slice(), b"0\r\n"].concat();
    for end in [End::Fin, End::Reset, End::Stall] {
        for minor in [1, 0] {
            let (gate, upstream) = mortal(SSE_HEAD.into(), first.clone(), end);
            let proxy = start(&upstream, end);
            let mut client = proxy.connect();
            client.send(stream_request(minor)).wait_for("data: one\n\n");
            gate.open();
            let answer = client.response();
            assert!(!answer.complete, "{end:?} to HTTP/1.{minor}: {answer:?}");
        }
    }
}

#[test]
fn a_stream_whose_final_event_went_out_is_complete_however_the_provider_ends_it() {
    for first in ["data: one\n\ndata: [DONE]\n\n", "data: [DONE]\r\n\r\n: bye\r\n\r\n"] {
        for end in [End::Fin, End::Reset, End::Stall] {
            for minor in [1, 0] {
                let answer = ended(Framed::Chunked, first, end, minor);
                assert!(answer.complete, "{end:?} to HTTP/1.{minor}: {answer:?}");
                assert_eq!(answer.text(), first, "{end:?} to HTTP/1.{minor}");
            }
        }
    }
}

#[test]
fn what_only_mentions_the_final_event_is_cut_all_the_same() {
    for first in ["data: \"data: [DONE]\"\n\n", ": [DONE]\n\n", "data: [DONE]x\n\n"] {
        let answer = ended(Framed::Chunked, first, End::Fin, 1);
        assert!(!answer.complete, "{answer:?}");
        assert_eq!(error_event(&answer.text(), first)["error"]["code"], 502);
    }
}

#[test]
fn nothing_is_added_to_a_stream_that_is_compressed_or_holds_no_events() {
    let heads = [
        SSE_HEAD.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n"),
        SSE_HEAD.replace("text/event-stream", "text/plain"),
        SSE_HEAD.replace("text/event-stream", "application/x-ndjson"),
    ];
    for head in heads {
        for minor in [1, 0] {
            let (gate, upstream) = mortal(head.clone(), chunk("bytes\n\n"), End::Fin);
            let proxy = start(&upstream, End::Fin);
            let mut client = proxy.connect();
            client.send(stream_request(minor)).wait_for("bytes\n\n");
            gate.open();
            let answer = client.response();
            assert!(!answer.complete, "{head}: {answer:?}");
            assert_eq!(answer.text(), "bytes\n\n", "{head}");
        }
    }
}

#[test]
fn the_error_event_names_the_provider_and_no_secret() {
    for end in [End::Fin, End::Stall] {
        let first = "data: one\n\n";
        let (gate, upstream) = mortal(SSE_HEAD.into(), chunk(first), end);
        let changes = json!({ "stream_timeout": 1.0 });
        let proxy = TestProxy::start(&with(config([provider("acme", &upstream)]), changes));
        let mut client = proxy.connect();
        client.send(chat_request("", chat_stream("acme/m").as_bytes())).wait_for(first);
        gate.open();
        let error = error_event(&client.response().text(), first);
        let message = error["error"]["message"].as_str().expect("a message");
        assert!(message.contains("acme"), "{message}");
        assert!(!message.contains(KEY) && !message.contains(TOKEN), "{message}");
        if end == End::Stall {
            assert!(message.contains("1 s"), "{message}");
        }
    }
}

#[test]
fn the_error_event_stands_behind_keep_alive_comments_too() {
    let (gate, upstream) = mortal(SSE_HEAD.into(), event("one"), End::Stall);
    let changes = json!({"stream_timeout": 1.5, "sse_keepalive": 0.15});
    let proxy = TestProxy::start(&with(config_for(&upstream), changes));
    let mut client = proxy.connect();
    client.send(stream_request(1)).wait_for("data: one\n\n");
    gate.open();
    let answer = client.response();
    assert!(!answer.complete);
    let text = answer.text().replace(": keep-alive\n\n", "");
    assert_eq!(error_event(&text, "data: one\n\n")["error"]["code"], 504);
    assert!(answer.text().contains(": keep-alive\n\n"), "{answer:?}");
}

/// The client reads nothing until the provider is dead: it gets all that was sent, then the truth.
#[test]
fn a_slow_client_gets_everything_and_then_learns_of_the_cut() {
    const EVENTS: usize = 2000;
    let data = "x".repeat(500);
    let sent = data.clone();
    let upstream = Upstream::serve(move |connection| {
        connection.read_request();
        connection.send(SSE_HEAD);
        for number in 0..EVENTS {
            connection.send(event(&format!("{number} {sent}")));
        }
        connection.half_close();
        connection.wait_for_close();
    });
    for minor in [1, 0] {
        let proxy = start(&upstream, End::Fin);
        let mut client = proxy.connect();
        client.send(stream_request(minor)).wait_for("\r\n\r\n");
        pause(300);
        let answer = client.response();
        assert!(!answer.complete);
        let all: String = (0..EVENTS).map(|number| format!("data: {number} {data}\n\n")).collect();
        let text = answer.text();
        assert!(text.starts_with(&all) || minor == 0, "{} of {} bytes", text.len(), all.len());
        if minor == 1 {
            assert_eq!(error_event(&text, &all)["error"]["code"], 502);
        } else {
            // A reset may overtake bytes that the client has not read yet; it never looks complete.
            assert!(all.starts_with(&text) || text.starts_with(&all), "{} bytes", text.len());
        }
    }
}

/// `stream_timeout` counts from the last byte, whatever the byte is: half an event, a comment.
#[test]
fn a_healthy_slow_stream_outlives_many_stream_timeouts() {
    let pieces = ["data: ti", "ck\n\n", ": still here\n\n", "\n", "data", ":\n\n"];
    let outlives = |framed: Framed| {
        let upstream = Upstream::serve(move |connection| {
            connection.read_request();
            connection.send(framed.head());
            for piece in pieces.iter().cycle().take(18) {
                pause(300);
                connection.send(framed.body(piece));
            }
            if framed == Framed::Chunked {
                connection.send(LAST_CHUNK);
            }
        });
        let changes = json!({"stream_timeout": 1.8, "non_stream_timeout": 0.3});
        let proxy = TestProxy::start(&with(config_for(&upstream), changes));
        let answer = proxy.chat(chat_stream(MODEL));
        assert!(answer.complete, "{framed:?}: {answer:?}");
        assert_eq!(answer.text(), pieces.concat().repeat(3));
    };
    std::thread::scope(|scope| {
        for framed in [Framed::Chunked, Framed::UntilClose] {
            scope.spawn(move || outlives(framed));
        }
    });
}

/// A request that did not ask for a stream and gets one is held to the same honesty.
#[test]
fn a_stream_nobody_asked_for_ends_honestly_too() {
    for end in [End::Fin, End::Reset, End::Garbage] {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::serve(move |connection| {
            connection.read_request();
            connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
            held.wait();
            die(end, connection);
        });
        let proxy = start(&upstream, end);
        let mut client = proxy.connect();
        client.send(chat_request("", chat(MODEL).as_bytes())).wait_for("data: one\n\n");
        gate.open();
        let answer = client.response();
        assert!(!answer.complete, "{end:?}: {answer:?}");
        assert_eq!(error_event(&answer.text(), "data: one\n\n")["error"]["code"], 502);
    }
}
