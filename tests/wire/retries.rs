//! The one retry: only on a connection that had served before, and only when the provider cannot have begun.

use crate::support::*;

/// An upstream whose first connection answers once and then does `second` with the next request.
fn dying_on_reuse(second: impl Fn(&mut Connection) + Send + Sync + 'static) -> Upstream {
    Upstream::serve(move |connection| {
        let mut count = 0;
        while connection.read_request().is_some() {
            count += 1;
            if connection.number == 0 && count == 2 {
                return second(connection);
            }
            connection
                .send(json_answer("200 OK", &format!(r#"{{"connection":{}}}"#, connection.number)));
        }
    })
}

/// The news that a connection was dead is believed for 20 ms, which a busy machine may need for itself:
/// tries until it comes in time.
fn soon_enough(attempt: impl Fn() -> bool) {
    assert!((0..50).any(|_| attempt()), "never in time");
}

/// Sends a chat and then `body` on the same connection, which dies of it. Returns what was sent to the
/// provider, and the second answer unless it is the 502 of a repeat that came too late.
fn repeated(body: &str) -> Option<(Vec<Request>, Response)> {
    let upstream = dying_on_reuse(|_| {});
    let proxy = TestProxy::start(&config_for(&upstream));
    assert_eq!(proxy.chat(chat(MODEL)).json()["connection"], 0);
    let answer = proxy.chat(body);
    let requests = upstream.requests();
    if answer.status == 502 {
        assert_eq!(requests.len(), 2, "too late is not at all");
        return None;
    }
    assert_eq!(requests.len(), 3);
    Some((requests, answer))
}

#[test]
fn a_reused_connection_that_dies_before_any_answer_byte_is_retried_once() {
    soon_enough(|| {
        let Some((requests, answer)) = repeated(&chat(MODEL)) else { return false };
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"connection":1}"#));
        assert_eq!(requests[2].body, chat("m").as_bytes(), "the whole body is sent again");
        true
    });
}

#[test]
fn a_retry_sends_a_large_body_again() {
    let body = format!(r#"{{"model":"p/m","x":"{}"}}"#, "0123456789".repeat(20_000));
    soon_enough(|| {
        let Some((requests, answer)) = repeated(&body) else { return false };
        assert_eq!(answer.status, 200);
        assert!(requests[2].body == body.replace("p/m", "m").into_bytes());
        true
    });
}

#[test]
fn a_request_that_the_provider_may_have_worked_on_is_not_sent_again() {
    for milliseconds in [100, 600] {
        for resets in [false, true] {
            let upstream = dying_on_reuse(move |connection| {
                pause(milliseconds);
                if resets {
                    connection.reset_on_close();
                }
            });
            let proxy = TestProxy::start(&config_for(&upstream));
            assert_eq!(proxy.chat(chat(MODEL)).status, 200);
            proxy.chat(chat(MODEL)).error(502);
            assert_eq!(upstream.requests().len(), 2, "after {milliseconds} ms");
        }
    }
}

#[test]
fn nothing_is_retried_after_the_first_answer_byte() {
    for first in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let upstream = dying_on_reuse(move |connection| connection.send(first));
        let proxy = TestProxy::start(&config_for(&upstream));
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
        proxy.chat(chat(MODEL)).error(502);
        assert_eq!(upstream.requests().len(), 2, "{first:?}");
    }
}

#[test]
fn nothing_is_retried_when_a_reset_follows_the_first_answer_byte() {
    let upstream = dying_on_reuse(|connection| {
        connection.send("HTTP/1.1 200 OK\r\n");
        pause(100);
        connection.reset_on_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    proxy.chat(chat(MODEL)).error(502);
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn the_retry_goes_over_a_fresh_connection() {
    // Two idle connections, both about to die: a retry over the other one would fail too.
    soon_enough(|| {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::serve(move |connection| {
            if connection.read_request().is_some() {
                if connection.number < 2 {
                    held.wait();
                }
                connection.send(json_answer("200 OK", "{}"));
                connection.read_request();
            }
        });
        let proxy = TestProxy::start(&config_for(&upstream));
        let mut clients = [proxy.connect(), proxy.connect()];
        for client in &mut clients {
            client.send(chat_request("", chat(MODEL).as_bytes()));
        }
        upstream.wait_requests(2);
        gate.open();
        for client in &mut clients {
            assert_eq!(client.response().status, 200);
        }
        let answer = proxy.chat(chat(MODEL));
        let seen = (upstream.requests().len(), upstream.connections());
        if answer.status == 502 {
            assert_eq!(seen, (3, 2), "too late is not at all");
            return false;
        }
        assert_eq!((answer.status, seen), (200, (4, 3)));
        true
    });
}

#[test]
fn a_fresh_connection_that_dies_is_not_retried() {
    let upstream = Upstream::steps(vec![Step::ReadRequest]);
    let proxy = TestProxy::start(&config_for(&upstream));
    proxy.chat(chat(MODEL)).error(502);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn nothing_is_retried_twice() {
    // The first connection serves one request; from then on every connection dies on its request.
    soon_enough(|| {
        let upstream = Upstream::serve(|connection| {
            if connection.read_request().is_some() && connection.number == 0 {
                connection.send(json_answer("200 OK", "{}"));
                connection.read_request();
            }
        });
        let proxy = TestProxy::start(&config_for(&upstream));
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
        proxy.chat(chat(MODEL)).error(502);
        assert!(upstream.requests().len() <= 3);
        upstream.requests().len() == 3
    });
}

#[test]
fn nothing_is_retried_after_a_time_out() {
    let upstream = dying_on_reuse(|connection| {
        connection.wait_for_close();
    });
    let config = with(config_for(&upstream), serde_json::json!({"non_stream_timeout": 2}));
    let proxy = TestProxy::start(&config);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    proxy.chat(chat(MODEL)).error(504);
    pause(100);
    assert_eq!(upstream.requests().len(), 2);
}
