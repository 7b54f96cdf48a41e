//! Ends that take two steps: of clients that leave, of answers that nobody wants, and of early ones.

use super::*;
use crate::cancel::{leave, WAYS};

/// The endpoints that stream, how the first request of a connection asks, and their final events.
const STREAMS: [(&str, &str); 4] = [
    ("/v1/chat/completions", "data: [DONE]\n\n"),
    ("/v1/responses", "event: response.completed\ndata: {}\n\n"),
    ("/v1/messages", "event: message_stop\ndata: {}\n\n"),
    ("/p/p/runs", "data: [DONE]\n\n"),
];

fn stream_request(path: &str) -> String {
    let body = chat_stream(MODEL);
    let fields = authorised(&format!("Content-Length: {}\r\n", body.len()));
    format!("POST {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n{body}")
}

/// Sends an event, and the final one and the last chunk as each gate opens; answers everything else at once.
fn in_steps(last: &'static str, gates: Gates) -> impl Fn(&mut Connection) + Send + Sync {
    move |connection| {
        while let Some(request) = connection.read_request() {
            if request.json()["stream"] != true {
                connection.send(json_answer("200 OK", "{}"));
                continue;
            }
            connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
            gates[0].wait();
            connection.send(chunk(last));
            gates[2].open();
            gates[1].wait();
            connection.send(LAST_CHUNK);
        }
    }
}

#[test]
fn a_client_that_leaves_at_the_final_event_leaves_the_connection_to_the_next() {
    for (path, last) in STREAMS {
        for way in WAYS {
            each_scheme(
                |gates| in_steps(last, gates),
                &json!({}),
                |upstream, proxy, gates| {
                    let mut client = proxy.connect();
                    client.send(stream_request(path)).wait_for("data: one\n\n");
                    gates[0].open();
                    client.wait_for(last);
                    let _half_closed = leave(client, way);
                    gates[1].open();
                    eventually("it is idle", || idle(proxy) == 1);
                    assert!(serves_again(upstream, proxy), "{path} {way:?}");
                },
            );
        }
    }
}

/// Whether the client had the final event or not: the provider has nothing more to do for it.
#[test]
fn a_client_that_leaves_while_the_final_event_comes_leaves_the_connection_to_the_next() {
    for (path, last) in STREAMS {
        for way in WAYS {
            each_scheme(
                |gates| in_steps(last, gates),
                &json!({}),
                |upstream, proxy, gates| {
                    let mut client = proxy.connect();
                    client.send(stream_request(path)).wait_for("data: one\n\n");
                    // The proxy hears of both at once.
                    proxy.stop();
                    let _half_closed = leave(client, way);
                    gates[0].open();
                    gates[2].wait();
                    proxy.signal("CONT");
                    gates[1].open();
                    eventually("it is idle", || idle(proxy) == 1);
                    assert!(serves_again(upstream, proxy), "{path} {way:?}");
                },
            );
        }
    }
}

#[test]
fn a_client_that_leaves_before_the_final_event_costs_the_connection() {
    each_scheme(
        |gates| in_steps("data: [DONE]\n\n", gates),
        &json!({}),
        |upstream, proxy, gates| {
            let mut client = proxy.connect();
            client.send(stream_request(STREAMS[0].0)).wait_for("data: one\n\n");
            drop(client);
            proxy.wait_for_log("客户端断开");
            gates.iter().for_each(Gate::open);
            assert!(!serves_again(upstream, proxy));
        },
    );
}

/// Answers with `first` to the first key and with `second` to the second one, whose rest comes when a gate opens.
fn refusing(rest: &'static str, gates: Gates) -> impl Fn(&mut Connection) + Send + Sync {
    let answer = |status: &str| format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n");
    move |connection| {
        while let Some(request) = connection.read_request() {
            match request.head.get("authorization").as_deref() {
                Some("Bearer key-1") => {
                    connection.send(answer("429 Slow Down") + "2\r\n{}\r\n0\r\n\r\n")
                }
                Some("Bearer key-2") => {
                    if rest.is_empty() {
                        connection.send(answer("401 No") + "2\r\n{}\r\n0\r\n\r\n");
                        continue;
                    }
                    connection.send(answer("401 No") + "2\r\n{}\r\n");
                    gates[0].wait();
                    connection.send(format!("{rest}0\r\n\r\n"));
                }
                _ => connection.send(json_answer("200 OK", "{}")),
            }
        }
    }
}

/// Keys that are asked one after the other.
fn three_keys(upstream: &Upstream) -> Value {
    let keys = json!({"token": ["key-1", "key-2", "key-3"], "key_order": "in_order"});
    config([with(open("p", upstream), keys)])
}

#[test]
fn refusals_that_nobody_gets_leave_their_connection_to_the_next_attempt() {
    each_scheme(
        |gates| refusing("", gates),
        &json!({}),
        |upstream, proxy, _| {
            assert_eq!(proxy.reload(&three_keys(upstream)).status, 200);
            assert_eq!(proxy.chat(chat(MODEL)).status, 200);
            assert_eq!(upstream.requests().len(), 3);
            assert_eq!((upstream.connections(), idle(proxy)), (1, 1));
        },
    );
}

#[test]
fn a_refusal_that_nobody_gets_is_read_in_the_background_if_it_is_slow() {
    each_scheme(
        |gates| refusing("4\r\nrest\r\n", gates),
        &json!({}),
        |upstream, proxy, gates| {
            assert_eq!(proxy.reload(&three_keys(upstream)).status, 200);
            assert_eq!(proxy.chat(chat(MODEL)).status, 200);
            assert_eq!((upstream.requests().len(), upstream.connections()), (3, 2));
            gates[0].open();
            eventually("both are idle", || idle(proxy) == 2);
            assert_eq!(upstream.closed_by_proxy(), 0);
        },
    );
}

#[test]
fn an_answer_under_an_early_head_leaves_its_connection_to_the_next() {
    for body in ["{}".to_owned(), "x".repeat(300_000)] {
        let answer = answer("429 Slow Down", "", body.as_bytes());
        let script = |gates: Gates| {
            let answer = answer.clone();
            move |connection: &mut Connection| {
                while let Some(request) = connection.read_request() {
                    if request.json()["stream"] == true {
                        gates[0].wait();
                        connection.send(&answer);
                    } else {
                        connection.send(json_answer("200 OK", "{}"));
                    }
                }
            }
        };
        each_scheme(script, &json!({"early_keepalive": 0.01}), |upstream, proxy, gates| {
            let mut client = proxy.connect();
            client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for(": keep-alive");
            gates[0].open();
            assert!(client.response().text().contains("429"));
            // More than is told is not read to its end.
            assert_eq!(serves_again(upstream, proxy), body.len() < 100_000);
        });
    }
}

/// A chat body that fills every socket buffer on the way.
fn large_chat(model: &str) -> Vec<u8> {
    format!(r#"{{"model":"{model}","stream":true,"x":"{}"}}"#, "0123456789".repeat(1_600_000))
        .into_bytes()
}

#[test]
fn an_answer_that_begins_before_the_end_of_its_request_leaves_the_connection_to_the_next() {
    let script = |gates: Gates| {
        move |connection: &mut Connection| {
            while let Some(mut request) = connection.read_head() {
                if request.head.get("content-length").is_none_or(|length| length.len() < 5) {
                    // The kernel had all of it.
                    connection.send(json_answer("400 Bad Request", "{}"));
                    connection.read_body(&mut request);
                    continue;
                }
                connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
                gates[0].wait();
                connection.read_body(&mut request);
                connection.send([&event("[DONE]")[..], LAST_CHUNK].concat());
            }
        }
    };
    each_scheme(script, &json!({}), |upstream, proxy, gates| {
        let mut client = proxy.connect();
        client.send_in_background(chat_request("", &large_chat(MODEL)));
        client.wait_for("data: one\n\n");
        gates[0].open();
        assert!(client.response().complete);
        for _ in 0..3 {
            assert_eq!(proxy.chat(chat(MODEL)).status, 400);
        }
        assert_eq!(upstream.connections(), 1);
        let short = chat("m").len();
        let lengths = [large_chat("m").len(), short, short, short];
        // The last one is read behind its answer.
        eventually("all requests have come whole", || {
            upstream.requests().into_iter().map(|request| request.body.len()).eq(lengths)
        });
    });
}

#[test]
fn an_answer_that_is_over_before_its_request_costs_the_connection_if_much_is_left() {
    for (status, fields) in [(200, ""), (400, ""), (400, "Connection: close\r\n")] {
        let script = |gates: Gates| {
            let answer = answer(&format!("{status} X"), fields, b"{}");
            move |connection: &mut Connection| {
                if connection.number == 0 && connection.read_head().is_some() {
                    connection.send(&answer);
                    gates[0].wait();
                    connection.wait_for_close();
                }
                while connection.read_request().is_some() {
                    connection.send(json_answer("200 OK", "{}"));
                }
            }
        };
        each_scheme(script, &json!({}), |upstream, proxy, gates| {
            let mut client = proxy.connect();
            client.send_in_background(chat_request("", &large_chat(MODEL)));
            assert_eq!(client.response().status, status);
            gates[0].open();
            upstream.wait_closed_by_proxy(1);
            assert!(!serves_again(upstream, proxy));
        });
    }
}

#[test]
fn lists_and_probes_leave_their_connection_to_the_next() {
    let script = |_| {
        |connection: &mut Connection| {
            while connection.read_request().is_some() {
                connection.send(json_answer("200 OK", r#"{"data":[{"id":"m"}]}"#));
            }
        }
    };
    each_scheme(script, &json!({}), |upstream, proxy, _| {
        assert_eq!(proxy.reload(&config([auto_provider("p", upstream)])).status, 200);
        assert_eq!(proxy.get("/v1/models").json()["data"][0]["id"], MODEL);
        assert_eq!(proxy.get("/health").json()["status"], "healthy");
        assert!(serves_again(upstream, proxy));
        assert_eq!(upstream.connections(), 1);
    });
}
