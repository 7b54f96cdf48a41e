//! `x-ai-proxy-explain: 1`: the head of a response says where the time went.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::json;

use crate::support::certificates::{Authority, GOOD};
use crate::support::*;

const ASKED: &str = "x-ai-proxy-explain: 1\r\n";
const PARTS: [&str; 5] = ["queue", "connect", "tls", "first_byte", "proxy"];

/// The milliseconds of each part; the parts are in their order.
fn parts(answer: &Response) -> BTreeMap<String, f64> {
    let value = answer.header("server-timing").expect("it is explained");
    let part = |part: &str| {
        let (name, length) = part.split_once(";dur=").expect("a part with a length");
        (name.to_owned(), length.parse().expect("a number"))
    };
    let parts: Vec<(String, f64)> = value.split(", ").map(part).collect();
    let named = parts.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "body");
    assert!(named.eq(PARTS), "{value}");
    parts.into_iter().collect()
}

/// Waits so long before its head, and again before its body.
fn slow(before_head: u64, before_body: u64) -> Upstream {
    Upstream::serve(move |connection| {
        while connection.read_request().is_some() {
            pause(before_head);
            connection.send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n",
            );
            pause(before_body);
            connection.send("{}");
        }
    })
}

#[test]
fn the_parts_are_where_the_time_went_and_together_no_more_than_it() {
    let upstream = slow(60, 40);
    let proxy = TestProxy::start(&config_for(&upstream));
    let begun = Instant::now();
    let answer = proxy.chat_with(ASKED, chat(MODEL));
    let elapsed = begun.elapsed().as_secs_f64() * 1000.0;
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert_eq!(answer.header("x-ai-proxy-model").as_deref(), Some(MODEL));
    let parts = parts(&answer);
    // A timer may be early by a tick of the clock, and nothing by more.
    assert!(parts["first_byte"] > 58.0 && parts["body"] > 38.0, "{parts:?}");
    assert!(parts["tls"] == 0.0, "{parts:?}");
    // A visit of the event loop has one time, and may begin before the request comes; no part is counted
    // twice.
    assert!(parts.values().sum::<f64>() < elapsed + 30.0, "{parts:?} in {elapsed}");
    assert_eq!(upstream.request().head.get("x-ai-proxy-explain"), None, "it is for us");
}

#[test]
fn waiting_for_a_connection_is_the_queue_and_a_handshake_is_tls() {
    let authority = Authority::new("ours");
    let upstream = authority.serve(&GOOD, |connection| {
        while connection.read_request().is_some() {
            pause(50);
            connection.send(json_answer("200 OK", "{}"));
        }
    });
    let directory = TempDir::new();
    let path = directory.write("ca.pem", authority.pem());
    let config = with(config_for(&upstream), json!({"max_connections": 1}));
    let proxy = TestProxy::with_environment(&config, &[("SSL_CERT_FILE", path)]);
    let (mut first, mut second) = (proxy.connect(), proxy.connect());
    first.send(chat_request(ASKED, chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    second.send(chat_request(ASKED, chat(MODEL).as_bytes()));
    let (first, second) = (parts(&first.response()), parts(&second.response()));
    assert!(first["tls"] > 0.0 && first["queue"] < first["first_byte"], "{first:?}");
    assert!(second["queue"] > 0.0, "{second:?}");
    assert!(second["connect"] == 0.0 && second["tls"] == 0.0, "reused: {second:?}");
}

#[test]
fn streams_and_errors_of_both_sides_are_explained() {
    let events = Upstream::sse(&["one", "[DONE]"]);
    let refusing = Upstream::keep_alive(json_answer("429 Too Many Requests", "{}"));
    let dead = json!({"provider": "dead", "baseurl": "http://127.0.0.1:1/v1", "model_list": ["m"]});
    let config = config([provider("p", &events), provider("q", &refusing), dead]);
    let proxy = TestProxy::start(&config);
    let stream = proxy.chat_with(ASKED, chat_stream("p/m"));
    assert!(stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    for (answer, status, model) in [
        (stream, 200, Some("p/m")),
        (proxy.chat_with(ASKED, chat("q/m")), 429, Some("q/m")),
        (proxy.chat_with(ASKED, chat("dead/m")), 502, Some("dead/m")),
        (proxy.chat_with(ASKED, chat("none/m")), 404, Some("none/m")),
        (proxy.chat_with(ASKED, "{"), 400, None),
    ] {
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-ai-proxy-model").as_deref(), model);
        parts(&answer);
    }
}

#[test]
fn nobody_else_is_told_anything_and_the_configuration_can_tell_everybody() {
    let upstream = Upstream::keep_alive(json_answer("200 OK", "{}"));
    let proxy = TestProxy::start(&config_for(&upstream));
    let told = |answer: &Response| {
        ["server-timing", "x-ai-proxy-model"].map(|name| answer.header(name).is_some())
    };
    for fields in ["", "x-ai-proxy-explain: 0\r\n", "x-ai-proxy-explain: \r\n"] {
        assert_eq!(told(&proxy.chat_with(fields, chat(MODEL))), [false; 2], "{fields}");
    }
    let stranger = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\n{ASKED}Content-Length: 2\r\n\r\n{{}}"
    );
    let stranger = proxy.raw(stranger.as_bytes());
    assert_eq!((stranger.status, told(&stranger)), (401, [false; 2]));
    assert_eq!(
        told(&proxy.request("GET", "/v1/models", ASKED)),
        [false; 2],
        "no provider is asked"
    );
    let explained = with(config_for(&upstream), json!({"explain": true}));
    assert_eq!(proxy.reload(&explained).status, 200);
    assert_eq!(told(&proxy.chat(chat(MODEL))), [true; 2]);
}

#[test]
fn what_a_provider_says_of_its_own_time_stays() {
    let head = "Server-Timing: db;dur=1\r\nX-AI-Proxy-Model: theirs\r\n";
    let upstream = Upstream::keep_alive(answer("200 OK", head, b"{}"));
    let proxy = TestProxy::start(&config_for(&upstream));
    let got = proxy.chat_with(ASKED, chat(MODEL));
    let timings = got.head.all("server-timing");
    assert_eq!((timings.len(), timings[0].as_str()), (2, "db;dur=1"), "{timings:?}");
    assert_eq!(got.head.all("x-ai-proxy-model"), [MODEL]);
}
