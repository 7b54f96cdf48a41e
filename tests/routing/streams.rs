//! R4: streams, early heads, and answers that have begun.

use serde_json::{json, Value};

use crate::row::{run, Row};
use crate::support::*;

#[test]
fn a_stream_may_begin_at_the_second_attempt_and_is_never_begun_twice() {
    run(vec![
        Row::new("429, then the events of the next key", "anna:2")
            .up("anna#1", "429")
            .up("anna#2", "200 | sse")
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .streamed()
            .has("content-type: text/event-stream"),
        Row::new("a stream that is cut is not tried again", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .file(json!({"retries": 5}))
            .up("anna", "200 | sse-cut")
            .ask("a", 200, "anna=200")
            .streamed()
            .cut(),
        Row::new("… nor at the second attempt", "anna:2 bert")
            .alias(&["anna/m", "bert/m"])
            .up("anna#1", "429")
            .up("anna#2", "200 | sse-cut")
            .ask("a", 200, "anna#1=429, anna#2=200")
            .streamed()
            .cut(),
        Row::new("Anthropic's stream", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .up("anna", "529")
            .up(
                "bert",
                "200 | sse | body event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            )
            .ask("a", 200, "anna=529, bert=200")
            .to("/v1/messages")
            .streamed(),
        Row::new("a whole answer to a stream's request", "anna:2")
            .up("anna#1", "429")
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .streamed(),
        Row::new("a refusal of a stream's request", "anna:2")
            .up("anna", "429 | retry-after: 30")
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .streamed()
            .has("retry-after: 30~"),
        Row::new("a large body is sent again whole", "anna:2")
            .up("anna#1", "429")
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .body(format!(
                "{{\"model\":\"anna/m\", \"x\":1e400,\t\"y\":\"{}\"}}\r\n",
                "0123456789".repeat(50_000)
            )),
        Row::new("bodies whose names differ in length", "anna* bert*")
            .alias(&["anna/a-very-long-name-of-a-model", "bert/b"])
            .up("anna", "503")
            .ask("a", 200, "anna/a-very-long-name-of-a-model=503, bert/b=200")
            .body("{ \"x\":\"\\u00e9\", \"model\":\"a\" ,\"z\":[1.0, 2]}"),
    ]);
}

#[test]
fn comments_that_go_out_early_do_not_end_trying() {
    run(vec![
        Row::new("early comments, then the second attempt's events", "anna:2")
            .file(json!({"early_keepalive": 0.1}))
            .up("anna#1", "429 | after 400")
            .up("anna#2", "200 | sse | after 300")
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .streamed()
            .early()
            .has("content-type: text/event-stream")
            .logged(" 尝试: anna#1=429, anna#2=200 结束:"),
        Row::new("early comments and a wait", "anna")
            .file(json!({"early_keepalive": 0.1, "retries": 1}))
            .up("anna", "429 | retry-after: 1 ; 200 | sse")
            .ask("anna/m", 200, "anna=429, anna=200")
            .streamed()
            .early(),
    ]);
}

#[test]
fn a_refusal_behind_early_comments_is_the_one_that_helps() {
    let row = Row::new("early refusal", "anna bert")
        .alias(&["anna/m", "bert/m"])
        .file(json!({"early_keepalive": 0.1}))
        .up("anna", "429 | after 400 | body {\"error\":{\"message\":\"first\"}}")
        .up("bert", "500");
    let world = row.world();
    let answer = world.proxy.chat(chat_stream("a"));
    assert_eq!(answer.status, 200);
    let text = answer.text().replace(": keep-alive\n\n", "");
    let data = text.strip_prefix("data: ").unwrap_or_else(|| panic!("no event: {text}"));
    let error: Value = serde_json::from_str(data.trim_end()).expect("JSON");
    assert_eq!(error["error"]["code"], 429, "{error}");
    assert_eq!(error["error"]["upstream"]["error"]["message"], "first", "{error}");
    assert_eq!(world.course(0), "anna bert");
}

#[test]
fn a_repeat_on_an_idle_connection_that_died_is_no_attempt() {
    // The news that a connection was dead is believed for 20 ms: tried until it comes in time.
    let in_time = (0..50).any(|_| {
        let world = Row::new("repeat", "anna:2").up("anna#1", "200 ; close ; 200").world();
        let chat = |fields: &str| world.proxy.chat_with(fields, chat("anna/m"));
        assert_eq!(chat("").status, 200);
        let answer = chat("x-ai-proxy-retries: 0\r\n");
        if answer.status == 502 {
            return false;
        }
        assert_eq!((answer.status, answer.header("x-ai-proxy-attempts")), (200, None));
        assert_eq!(world.course(0), "anna#1 anna#1 anna#1");
        true
    });
    assert!(in_time, "never in time");
}

#[test]
fn a_compressed_request_is_sent_again_plain() {
    let world = Row::new("gzip", "anna:2").up("anna#1", "429").world();
    let plain = chat("anna/m");
    let mut coded = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut coded, plain.as_bytes()).expect("memory");
    let coded = coded.finish().expect("memory");
    assert_eq!(world.proxy.chat_with("Content-Encoding: gzip\r\n", coded).status, 200);
    let calls = world.calls();
    assert_eq!(world.course(0), "anna#1 anna#2");
    for call in &calls {
        assert_eq!(call.request.body, chat("m").into_bytes(), "{}", call.label);
        assert_eq!(call.request.head.get("content-encoding"), None, "{}", call.label);
    }
}

#[test]
fn pages_of_browsers_may_read_what_was_tried() {
    let row = Row::new("page", "anna bert")
        .file(json!({"cors_origins": ["http://page.example"]}))
        .alias(&["anna/m", "bert/m"])
        .up("*", "429 | retry-after: 30");
    let world = row.world();
    let answer = world.proxy.chat_with("Origin: http://page.example\r\n", chat("a"));
    assert_eq!(answer.status, 429);
    let exposed = answer.header("access-control-expose-headers").expect("a list").to_lowercase();
    let exposed: Vec<&str> = exposed.split(',').map(str::trim).collect();
    for name in [
        "x-ai-proxy-attempts",
        "x-ai-proxy-model",
        "x-ai-proxy-upstream-retry-after",
        "retry-after",
    ] {
        assert!(answer.header(name).is_some(), "{name}: {answer:?}");
        assert!(exposed.contains(&name), "{name}: {exposed:?}");
    }
}
