//! A stream whose final event went out is complete.

use serde_json::json;

use crate::support::*;

const EVENTS: &str = "data: one\n\ndata: [DONE]\n\n";

fn log_line(proxy: &TestProxy) -> String {
    let log = proxy.wait_for_log("耗时:");
    log.lines().find(|line| line.contains("耗时:")).expect("a line").to_owned()
}

/// Streams to its final event, closes as SDKs do, and returns the proxy after the provider's `last` bytes.
fn left_after_done(last: &'static [u8], resets: bool) -> (Upstream, TestProxy) {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |request, connection| {
        if request.json()["stream"] != true {
            return connection.send(json_answer("200 OK", "{}"));
        }
        connection.send([SSE_HEAD.as_bytes(), &chunk(EVENTS)].concat());
        held.wait();
        pause(50);
        connection.send(last);
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: [DONE]\n\n");
    if resets {
        client.reset();
    } else {
        drop(client);
    }
    gate.open();
    (upstream, proxy)
}

#[test]
fn a_client_that_leaves_after_the_final_event_has_had_a_complete_answer() {
    for resets in [false, true] {
        let (upstream, proxy) = left_after_done(LAST_CHUNK, resets);
        let line = log_line(&proxy);
        assert!(line.contains("完成 (complete)") && line.contains(" INFO "), "{line}");
        assert_eq!(proxy.get("/").json()["stats"]["errors"], json!({}));
        // The provider's connection serves again.
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn a_provider_that_lingers_after_the_final_event_loses_its_connection_and_nothing_else() {
    let (upstream, proxy) = left_after_done(b"", false);
    let line = log_line(&proxy);
    assert!(line.contains("完成 (complete)"), "{line}");
    upstream.wait_closed_by_proxy(1);
    assert_eq!(proxy.get("/").json()["stats"]["errors"], json!({}));
}

#[test]
fn bytes_without_end_behind_the_final_event_end_all_the_same() {
    let upstream = Upstream::each(|_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk(EVENTS)].concat());
        while connection.try_send(chunk(": still here\n\n".repeat(100))) {
            pause(2);
        }
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: [DONE]\n\n");
    drop(client);
    upstream.wait_closed_by_proxy(1);
    let answer = proxy.chat(chat_stream(MODEL));
    assert!(answer.complete, "a clean end for who stays");
    assert!(answer.text().starts_with(EVENTS));
}

#[test]
fn a_client_that_stays_gets_its_clean_end_and_its_connection_serves_on() {
    let upstream = Upstream::each(|_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk(EVENTS)].concat());
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    for _ in 0..2 {
        let answer = client.send(chat_request("", chat_stream(MODEL).as_bytes())).response();
        assert!(answer.complete);
        assert_eq!(answer.text(), EVENTS);
    }
    assert!(log_line(&proxy).contains("完成 (complete)"));
}

#[test]
fn what_comes_behind_the_final_event_still_passes() {
    let more = "data: {\"usage\":1}\n\n";
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk(EVENTS)].concat());
        pause(100);
        connection.send([chunk(more).as_slice(), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    for _ in 0..2 {
        assert_eq!(proxy.chat(chat_stream(MODEL)).text(), format!("{EVENTS}{more}"));
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_promised_length_is_kept_whatever_the_events_say() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\n";
    let upstream = Upstream::script(format!("{head}{EVENTS}"));
    let answer = TestProxy::start(&config_for(&upstream)).chat(chat_stream(MODEL));
    assert!(!answer.complete, "{answer:?}");
}

#[test]
fn a_client_that_leaves_before_the_final_event_is_gone() {
    let upstream = Upstream::each(|_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk("data: one\n\n")].concat());
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one\n\n");
    drop(client);
    assert!(log_line(&proxy).contains("客户端断开"));
    upstream.wait_closed_by_proxy(1);
}

#[test]
fn the_final_event_counts_whatever_the_stream_calls_itself() {
    let typed = |media: &str| SSE_HEAD.replace("text/event-stream", media);
    let untyped = SSE_HEAD.replace("Content-Type: text/event-stream\r\n", "");
    for (head, body) in [
        (typed("text/plain"), EVENTS.to_owned()),
        (untyped, EVENTS.to_owned()),
        (typed("application/json"), format!("\n\n{EVENTS}")),
    ] {
        let bytes = [head.as_bytes(), &chunk(&body)].concat();
        let upstream = Upstream::each(move |_, connection| {
            connection.send(&bytes);
            pause(100);
            connection.reset_on_close();
            connection.half_close();
        });
        let proxy = TestProxy::start(&config_for(&upstream));
        let answer = proxy.chat(chat_stream(MODEL));
        assert!(answer.complete, "{head}: {answer:?}");
        assert_eq!(answer.text(), body, "{head}");
        assert!(log_line(&proxy).contains("完成 (complete)"), "{head}");
    }
}

#[test]
fn a_client_that_only_ends_its_side_gets_the_end_and_nothing_inside_it() {
    let upstream = Upstream::each(|_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk(EVENTS)].concat());
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: [DONE]\n\n");
    client.send(GET).half_close();
    let answer = client.response();
    assert!(answer.complete, "{answer:?}");
    assert_eq!(answer.text(), EVENTS);
    client.assert_closed();
}

/// The provider keeps sending behind the final event, more than a client that does not read can take.
#[test]
fn a_client_that_resets_with_bytes_on_their_way_behind_the_final_event_has_had_it_all() {
    let upstream = Upstream::each(|_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk(EVENTS)].concat());
        pause(100);
        let filler = chunk(": filler\n\n".repeat(6000));
        for _ in 0..400 {
            if !connection.try_send(&filler) {
                break;
            }
        }
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: [DONE]\n\n");
    pause(400);
    client.reset();
    let line = log_line(&proxy);
    assert!(line.contains("完成 (complete)"), "{line}");
    upstream.wait_closed_by_proxy(1);
}

/// The end of the client and more of the provider are found at the same time.
#[test]
fn a_client_that_resets_while_more_bytes_come_behind_the_final_event_has_had_it_all() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk(EVENTS)].concat());
        held.wait();
        connection.send([chunk(": more\n\n").as_slice(), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: [DONE]\n\n");
    pause(50);
    proxy.signal("STOP");
    client.reset();
    gate.open();
    pause(200);
    proxy.signal("CONT");
    let line = log_line(&proxy);
    assert!(line.contains("完成 (complete)"), "{line}");
}

#[test]
fn no_comment_of_ours_stands_behind_the_final_event() {
    let upstream = Upstream::each(|_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk(EVENTS)].concat());
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"sse_keepalive": 0.1})));
    let answer = proxy.chat(chat_stream(MODEL));
    assert!(answer.complete);
    assert_eq!(answer.text(), EVENTS);
}

#[test]
fn what_is_too_large_behind_the_final_event_is_cut() {
    let upstream = Upstream::each(|_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk(EVENTS)].concat());
        pause(200);
        connection.try_send([chunk("x".repeat(3000)).as_slice(), LAST_CHUNK].concat());
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"max_response_size": 1000})));
    let answer = proxy.chat(chat(MODEL));
    assert!(!answer.complete, "{}", answer.text());
}

#[test]
fn the_log_tells_the_size_that_the_client_had() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk(EVENTS)].concat());
        held.wait();
        pause(50);
        connection.send([chunk(": more\n\n").as_slice(), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: [DONE]\n\n");
    drop(client);
    pause(50);
    gate.open();
    let log = log_line(&proxy);
    assert!(log.contains("大小: 25 字节"), "{log}");
}

#[test]
fn a_final_event_in_a_piece_of_its_own_counts() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &chunk("data: one\n\n")].concat());
        held.wait();
        connection.send(event("[DONE]"));
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one\n\n");
    gate.open();
    let answer = client.response();
    assert!(answer.complete, "{answer:?}");
    assert_eq!(answer.text(), EVENTS);
}
