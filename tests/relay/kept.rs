//! Every way in which an exchange can end, and whether the provider's connection serves again; with plain HTTP
//! and with TLS alike.

mod ends;
mod opening;

use serde_json::{json, Value};

use crate::passthrough::{authorised, open};
use crate::support::certificates::{Authority, GOOD};
use crate::support::*;
use crate::tls::start_trusting;

/// What a script waits for, and what it tells by the last one.
type Gates = [Gate; 3];

/// Runs `test` for each scheme with an upstream of this script, and a proxy that has it as `p` and
/// open for pass-through.
fn each_scheme<S: Fn(&mut Connection) + Send + Sync + 'static>(
    script: impl Fn(Gates) -> S,
    changes: &Value,
    test: impl Fn(&Upstream, &TestProxy, &Gates),
) {
    let authority = Authority::new("ours");
    for tls in [false, true] {
        let gates = Gates::default();
        let script = script(gates.clone());
        let upstream = if tls { authority.serve(&GOOD, script) } else { Upstream::serve(script) };
        let config = with(config([open("p", &upstream)]), changes.clone());
        let (_directory, proxy) = start_trusting(&authority, &config);
        test(&upstream, &proxy, &gates);
    }
}

/// Whether the connection of the exchange before serves the next one. Nobody else asks.
#[track_caller]
fn serves_again(upstream: &Upstream, proxy: &TestProxy) -> bool {
    let before = upstream.connections();
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    upstream.connections() == before
}

/// `upstream_connections.idle` of the counters.
fn idle(proxy: &TestProxy) -> u64 {
    let counters = proxy.get("/").json();
    counters["stats"]["upstream_connections"]["idle"].as_u64().expect("a number")
}

/// The first word says how it is asked for: by a chat, by one that streams, or by a method. Then come the status that
/// the client gets, whether the connection serves again, and the answer, behind `HTTP/`.
fn cases() -> Vec<(&'static str, u16, bool, String)> {
    let body = |length: usize| format!("Content-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let chunks = |length: usize| {
        let (text, end) = ("x".repeat(length), "0\r\nX-Trailer: 1\r\n\r\n");
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{text}\r\n{end}")
    };
    let sse = "1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
    let done = "Transfer-Encoding: chunked\r\n\r\n10\r\ndata: [DONE]\n\n\n\n\r\n0\r\n\r\n";
    let moved = "1.1 307 Temporary Redirect\r\nLocation: /v2\r\n";
    let interim =
        "1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\
                   Link: </x>\r\n\r\nHTTP/";
    let mut cases = vec![
        ("POST", 200, true, format!("1.1 200 OK\r\n{}", body(2))),
        ("POST", 200, true, format!("1.1 200 OK\r\n{}", body(0))),
        ("POST", 200, true, format!("1.1 200 OK\r\n{}", chunks(2))),
        // Longer than what is held.
        ("POST", 200, true, format!("1.1 200 OK\r\n{}", body(3_000_000))),
        ("POST", 200, true, format!("1.1 200 OK\r\n{}", chunks(300_000))),
        ("STREAM", 200, true, format!("{sse}{done}")),
        ("STREAM", 200, true, format!("{sse}{}", body(300_000))),
        ("POST", 204, true, "1.1 204 No Content\r\n\r\n".to_owned()),
        ("GET", 304, true, "1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".to_owned()),
        ("HEAD", 200, true, "1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_owned()),
        ("HEAD", 200, true, "1.1 200 OK\r\n\r\n".to_owned()),
        ("HEAD", 404, true, "1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        ("POST", 200, true, format!("{interim}1.1 200 OK\r\n{}", body(2))),
        ("POST", 502, true, format!("{moved}{}", body(0))),
        ("POST", 502, true, format!("{moved}{}", body(2000))),
        ("STREAM", 502, true, format!("{moved}{}", chunks(2000))),
        ("HEAD", 502, true, format!("{moved}\r\n")),
        ("POST", 200, true, format!("1.0 200 OK\r\nConnection: keep-alive\r\n{}", body(2))),
        // It cannot, or nobody can be sure.
        ("POST", 200, false, format!("1.0 200 OK\r\n{}", body(2))),
        ("POST", 200, false, format!("1.1 200 OK\r\nConnection: close\r\n{}", body(2))),
        (
            "POST",
            200,
            false,
            format!("1.1 200 OK\r\nConnection: keep-alive, close\r\n{}", chunks(2)),
        ),
        ("STREAM", 200, false, format!("{sse}Connection: close\r\n{done}")),
        ("HEAD", 200, false, "1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned()),
        ("HEAD", 200, false, "1.0 200 OK\r\n\r\n".to_owned()),
        ("POST", 502, false, format!("{moved}Connection: close\r\n{}", body(2))),
        ("POST", 502, false, format!("{moved}{}", body(90_000))),
        ("POST", 502, false, format!("{moved}{}tail", chunks(2))),
        ("POST", 200, false, format!("1.1 200 OK\r\n{}tail", body(2))),
        ("STREAM", 200, false, format!("{sse}{done}tail")),
        ("HEAD", 200, false, format!("1.1 200 OK\r\n{}", body(2))),
        ("POST", 204, false, "1.1 204 No Content\r\n\r\ntail".to_owned()),
        ("POST", 502, false, "1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno".to_owned()),
        (
            "POST",
            502,
            false,
            "1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n".to_owned(),
        ),
        ("POST", 502, false, "1.1 101 Switching Protocols\r\n\r\n".to_owned()),
        // Over `max_response_size`.
        ("POST", 502, false, format!("1.1 200 OK\r\n{}", body(4_000_001))),
    ];
    for status in [400, 401, 404, 429, 500, 529] {
        for body in [body(20), chunks(20), body(3_000_000), chunks(300_000)] {
            for how in ["POST", "STREAM"] {
                cases.push((how, status, true, format!("1.1 {status} Oops\r\n{body}")));
            }
        }
    }
    cases
}

fn request(how: &str, number: usize) -> Vec<u8> {
    let field = format!("X-Case: {number}\r\n");
    match how {
        "POST" => chat_request(&field, chat(MODEL).as_bytes()),
        "STREAM" => chat_request(&field, chat_stream(MODEL).as_bytes()),
        method => {
            let fields = authorised(&field);
            format!("{method} /p/p/x HTTP/1.1\r\nHost: t\r\n{fields}\r\n").into_bytes()
        }
    }
}

#[test]
fn a_connection_serves_again_if_its_answer_was_framed_and_complete_and_it_may_stay() {
    let script = |_| {
        let answers: Vec<_> = cases().into_iter().map(|case| case.3).collect();
        move |connection: &mut Connection| {
            while let Some(request) = connection.read_request() {
                match request.head.get("x-case").map(|number| number.parse::<usize>()) {
                    Some(number) => {
                        connection.send(format!("HTTP/{}", answers[number.expect("a number")]));
                    }
                    None => connection.send(json_answer("200 OK", "{}")),
                }
            }
        }
    };
    let changes = json!({"max_response_size": 4_000_000});
    each_scheme(script, &changes, |upstream, proxy, _| {
        for (number, (how, status, again, answer)) in cases().into_iter().enumerate() {
            let what = format!("{} {how} {answer:.100}", upstream.base_url());
            let method = if how == "STREAM" { "POST" } else { how };
            let got = proxy.connect().send(request(how, number)).response_to(method);
            assert_eq!((got.status, got.complete), (status, true), "{what}");
            assert_eq!(serves_again(upstream, proxy), again, "{what}");
        }
    });
}
