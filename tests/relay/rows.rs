//! Every row of the relay: what the provider and the client get is what they would get without the proxy.

mod anthropic;
mod others;
mod paths;
mod tokens;

use serde_json::json;

use crate::support::*;

/// The rows that relay a JSON body, without `/v1`.
pub const ROWS: [&str; 12] = [
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/moderations",
    "/rerank",
    "/images/generations",
    "/audio/speech",
    "/responses",
    "/responses/compact",
    "/responses/input_tokens",
    "/messages",
    "/messages/count_tokens",
];

/// Fields that either side of the proxy says anew: of the connection, of the framing, or ours.
const SAID_ANEW: [&str; 10] = [
    "host",
    "authorization",
    "x-api-key",
    "x-request-id",
    "accept-encoding",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
];

/// What a client says beside the model: numbers, spaces, and letters that a rewritten JSON would lose.
const REST: &str = ",\"x\":1e400, \"y\" : [ 1.0,\t-0 ] ,\"z\":\"\\u00e9\\/é\",\"x\":2 }\r\n";

/// Fields that must arrive byte for byte.
const FIELDS: &str = "Content-Type: application/json; charset=\"utf-8\"\r\n\
    anthropic-version: 2023-06-01\r\nAnthropic-Beta: a-2024-01-01,b ;c=\"x\"\r\n\
    ANTHROPIC-Dangerous-Direct-Browser-Access: true\r\nX-Stainless-Lang: js\r\n\
    OpenAI-Organization: org-1\r\nAnthropic-Beta: second\r\n";

/// The head's own lines are not all that there is: a provider that does as `X-Script` says.
pub fn scripted() -> Upstream {
    Upstream::each(|request, connection| {
        let script = request.head.get("x-script").expect("each test names its script");
        let bytes = script_bytes(&script);
        connection.send(&bytes);
        if script.starts_with("cut") {
            connection.half_close();
            connection.wait_for_close();
        }
    })
}

const END_TO_END: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nRequest-Id: req_1\r\n\
    anthropic-ratelimit-requests-remaining: 7\r\nX-RateLimit-Limit: 3\r\nopenai-processing-ms:  12 \r\n\
    Set-Cookie: a=b; Path=/\r\nset-cookie: c=d\r\n";

fn audio() -> Vec<u8> {
    (0..70_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn events() -> String {
    let long = "é".repeat(3000);
    format!(
        "event: a\r\ndata: {{\"x\": 1.0}}\r\n\r\n: comment\n\nid: 7\ndata: {{\ndata:  \"y\":\"{long}\"}}\n\n\
         event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n\
         event: response.completed\ndata: {{\"type\":\"response.completed\"}}\n\ndata: [DONE]\n\n"
    )
}

fn script_bytes(script: &str) -> Vec<u8> {
    let stream = SSE_HEAD.replace(
        "\r\n\r\n",
        &format!("\r\n{END_TO_END}Cache-Control: no-store\r\nX-Accel-Buffering: yes\r\n\r\n"),
    );
    let typed = |media: &str| format!("{END_TO_END}Content-Type: {media}\r\n");
    let in_chunks = |body: &[u8]| -> Vec<u8> { body.chunks(997).flat_map(chunk).collect() };
    let chunked =
        format!("HTTP/1.1 200 OK\r\n{}Transfer-Encoding: chunked\r\n\r\n", typed("audio/mpeg"));
    match script {
        "json" => {
            answer("200 Fine", &typed("application/json"), b" {\"a\": 1.0,\n\"b\":1e400}\n\n")
        }
        "events" => [stream.as_bytes(), &in_chunks(events().as_bytes()), LAST_CHUNK].concat(),
        "audio" => answer("200 OK", &typed("audio/mpeg"), &audio()),
        "audio-chunked" => [chunked.as_bytes(), &in_chunks(&audio()), LAST_CHUNK].concat(),
        "error" => {
            let body = b"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"} }";
            answer("529 Overloaded", &(typed("application/json") + "Retry-After: 9\r\n"), body)
        }
        "refused" => answer("422 No", &typed("application/problem+json"), b"{\"detail\":[]}"),
        "cut-json" => {
            let whole = answer("200 OK", &typed("application/json"), b"{\"a\":1,\"b\":[2,3]}");
            whole[..whole.len() - 5].to_vec()
        }
        "cut-events" => [stream.as_bytes(), &chunk("data: {\"a\":1}\n\n")].concat(),
        "cut-audio" => {
            let head = format!("HTTP/1.1 200 OK\r\n{}", typed("audio/mpeg"));
            let head = format!("{head}Content-Length: 3000000\r\n\r\n");
            [head.as_bytes(), &audio()].concat()
        }
        _ => panic!("no script {script}"),
    }
}

fn request(path: &str, model: &str, script: &str) -> Vec<u8> {
    let stream = if script.ends_with("events") { ",\"stream\":true" } else { "" };
    let body = format!(" {{ \"model\" :\t\"{model}\"{stream}{REST}");
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{FIELDS}\
         X-Script: {script}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The end-to-end fields.
pub fn fields(head: &Head) -> Vec<(String, Vec<u8>)> {
    let ours = |name: &str| SAID_ANEW.iter().any(|ours| name.eq_ignore_ascii_case(ours));
    head.headers.iter().filter(|(name, _)| !ours(name)).cloned().collect()
}

/// The same request on both ways; what the client got.
fn compare(
    upstream: &Upstream,
    proxy: &TestProxy,
    row: &str,
    v1: &str,
    script: &str,
) -> [Response; 2] {
    let direct = request(&format!("/v1{row}"), "m", script);
    let direct = Raw::connect(upstream.addr()).send(direct).response_to("POST");
    let relayed = proxy.raw(&request(&format!("{v1}{row}"), MODEL, script));
    let requests = upstream.requests();
    let [.., first, second] = &requests[..] else { panic!("two requests: {requests:?}") };
    assert!(second.complete, "{row}");
    assert_eq!(second.head.start, first.head.start, "{row}");
    assert_eq!(fields(&second.head), fields(&first.head), "{row}");
    assert_eq!(show(&second.body), show(&first.body), "{row}");
    assert_eq!(second.body, first.body, "{row}");
    [direct, relayed]
}

#[test]
fn every_row_relays_every_byte_of_request_and_response() {
    let upstream = scripted();
    let proxy = TestProxy::start(&config_for(&upstream));
    for row in ROWS {
        for v1 in ["/v1", ""] {
            for script in ["json", "events", "audio", "audio-chunked", "error", "refused"] {
                let [direct, relayed] = compare(&upstream, &proxy, row, v1, script);
                let what = format!("{v1}{row} {script}");
                assert!(relayed.complete, "{what}: {relayed:?}");
                assert_eq!(relayed.head.start, direct.head.start, "{what}");
                assert_eq!(fields(&relayed.head), fields(&direct.head), "{what}");
                assert!(relayed.body == direct.body, "{what}: {}", show(&relayed.body));
                assert!(relayed.header("x-request-id").is_some(), "{what}");
            }
        }
    }
}

#[test]
fn a_response_that_is_cut_in_any_row_is_never_taken_for_a_whole_one() {
    let upstream = scripted();
    let proxy = TestProxy::start(&config_for(&upstream));
    for row in ROWS {
        let [direct, relayed] = compare(&upstream, &proxy, row, "/v1", "cut-json");
        assert!(!direct.complete && relayed.complete, "{row}");
        assert_eq!(relayed.status, 502, "{row}: {}", relayed.text());
        for script in ["cut-events", "cut-audio"] {
            let [direct, relayed] = compare(&upstream, &proxy, row, "/v1", script);
            assert!(!direct.complete && !relayed.complete, "{row} {script}");
            assert_eq!(fields(&relayed.head), fields(&direct.head), "{row} {script}");
            assert!(relayed.body.starts_with(&direct.body), "{row} {script}");
            let more = String::from_utf8_lossy(&relayed.body[direct.body.len()..]).into_owned();
            match (script, row.starts_with("/messages")) {
                ("cut-audio", _) => assert_eq!(more, "", "{row}"),
                (_, true) => assert!(more.starts_with("event: error\ndata: {"), "{row}: {more}"),
                (_, false) => assert!(more.starts_with("data: {\"error\":{"), "{row}: {more}"),
            }
        }
    }
}

#[test]
fn the_query_goes_on_behind_the_one_of_the_base_url_as_it_was_sent() {
    let upstream = scripted();
    let plain = upstream.base_url();
    let own = |name: &str, query: &str| {
        let url = format!("{plain}{query}");
        json!({"provider": name, "baseurl": url, "token": KEY, "model_list": ["m"]})
    };
    let proxy =
        TestProxy::start(&config([own("p", ""), own("q", "?api-version=1"), own("r", "?")]));
    for row in ROWS {
        for (model, query, expected) in [
            ("p/m", "?beta=true", "?beta=true"),
            ("q/m", "?beta=true", "?api-version=1&beta=true"),
            ("q/m", "", "?api-version=1"),
            ("q/m", "?", "?api-version=1"),
            ("r/m", "?a", "?a"),
            ("p/m", "", ""),
            (
                "p/m",
                "?a=%zz&&b=%E4&c[]=\"<x>\"&d=/?&key=own%2Fkey&model=x/y",
                "?a=%zz&&b=%E4&c[]=\"<x>\"&d=/?&key=own%2Fkey&model=x/y",
            ),
        ] {
            assert_eq!(proxy.raw(&request(&format!("{row}{query}"), model, "json")).status, 200);
            let target = upstream.requests().pop().expect("a request").target;
            assert_eq!(target, format!("/v1{row}{expected}"), "{model} {query}");
        }
    }
}

#[test]
fn a_client_that_leaves_right_after_the_final_event_of_its_dialect_has_had_a_complete_answer() {
    for (row, last) in [
        ("/messages", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
        ("/responses", "event: response.completed\ndata: {\"a\":{}}\n\n"),
        ("/responses", "event: response.failed\ndata: {\"a\":{}}\n\n"),
        ("/responses", "event: response.incomplete\ndata: {\"a\":{}}\n\n"),
        ("/completions", "data: [DONE]\n\n"),
    ] {
        for resets in [false, true] {
            let gate = Gate::default();
            let held = gate.clone();
            let upstream = Upstream::each(move |request, connection| {
                if !contains(&request.body, "\"stream\":true") {
                    return connection.send(json_answer("200 OK", "{}"));
                }
                connection.send([SSE_HEAD.as_bytes(), &chunk("event: a\ndata: {}\n\n")].concat());
                connection.send(chunk(last));
                held.wait();
                pause(50);
                connection.send(LAST_CHUNK);
            });
            let proxy = TestProxy::start(&config_for(&upstream));
            let mut client = proxy.connect();
            client.send(request(&format!("/v1{row}"), MODEL, "events")).wait_for(last);
            if resets {
                client.reset();
            } else {
                drop(client);
            }
            gate.open();
            let log = proxy.wait_for_log("耗时:");
            assert!(log.contains("完成 (complete)"), "{row} {last}: {log}");
            assert_eq!(proxy.get("/").json()["stats"]["errors"], json!({}));
            let next = proxy.raw(&request(&format!("/v1{row}"), MODEL, "json"));
            assert_eq!((next.status, upstream.connections()), (200, 1), "{row} {last}");
        }
    }
}
