//! `max_response_size`: checked against what is promised and against what comes; streams are under no such limit.

use serde_json::json;

use crate::limits::start;
use crate::support::*;

#[test]
fn max_response_size_is_checked_against_content_length() {
    let body = format!(r#"{{"x":"{}"}}"#, "y".repeat(1000));
    let upstream = Upstream::json("200 OK", &body);
    let proxy = start(&upstream, json!({"max_response_size": body.len()}));
    assert_eq!(proxy.chat(chat(MODEL)).text(), body);
    let proxy = start(&upstream, json!({"max_response_size": body.len() - 1}));
    let message = proxy.chat(chat(MODEL)).error(502);
    assert!(message.contains("响应过大"), "{message}");
    assert!(message.contains(&(body.len() - 1).to_string()), "{message}");
}

#[test]
fn max_response_size_is_checked_against_the_bytes_really_read() {
    let chunked = |size: usize| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let pieces: Vec<_> = vec![b' '; size].chunks(100).flat_map(chunk).collect();
        [head.as_bytes(), &pieces, LAST_CHUNK].concat()
    };
    let exact = Upstream::keep_alive(chunked(1000));
    let answer = start(&exact, json!({"max_response_size": 1000})).chat(chat(MODEL));
    assert_eq!((answer.status, answer.body.len(), answer.complete), (200, 1000, true));
    let over = Upstream::keep_alive(chunked(1001));
    let message = start(&over, json!({"max_response_size": 1000})).chat(chat(MODEL)).error(502);
    assert!(message.contains("响应过大") && message.contains("1000"), "{message}");
}

#[test]
fn max_response_size_is_checked_on_answers_that_end_with_the_connection() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let upstream = Upstream::script([head.as_bytes(), &vec![b' '; 1001]].concat());
    let message = start(&upstream, json!({"max_response_size": 1000})).chat(chat(MODEL)).error(502);
    assert!(message.contains("响应过大"), "{message}");
}

#[test]
fn an_answer_that_outgrows_the_limit_late_is_cut_and_never_looks_complete() {
    let upstream = Upstream::each(|_, connection| {
        connection.send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        for _ in 0..100 {
            connection.send(chunk(vec![b' '; 10_000]));
            pause(2);
        }
        connection.send(LAST_CHUNK);
    });
    let answer = start(&upstream, json!({"max_response_size": 300_000})).chat(chat(MODEL));
    assert!(answer.status == 502 || !answer.complete, "{} bytes", answer.body.len());
    assert!(answer.body.len() <= 300_000);
}

#[test]
fn a_declared_length_over_the_limit_is_refused_before_the_body_comes() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1001\r\n\r\n";
    let steps = vec![Step::ReadRequest, Step::Send(head.into()), Step::WaitForClose];
    let upstream = Upstream::steps(steps);
    let message = start(&upstream, json!({"max_response_size": 1000})).chat(chat(MODEL)).error(502);
    assert!(message.contains("响应过大"), "{message}");
}

#[test]
fn a_large_answer_over_the_limit_is_502() {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = chunk(vec![b' '; 50_000]).repeat(200);
    let upstream = Upstream::script([head.as_bytes(), &body, LAST_CHUNK].concat());
    let answer = start(&upstream, json!({"max_response_size": 3_000_000})).chat(chat(MODEL));
    assert!(answer.error(502).contains("响应过大"));
}

#[test]
fn streams_may_be_longer_than_max_response_size() {
    let events = vec!["x".repeat(100); 50];
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    let upstream = Upstream::sse(&events);
    let answer = start(&upstream, json!({"max_response_size": 1000})).chat(chat_stream(MODEL));
    assert!(answer.complete && answer.status == 200);
}

#[test]
fn an_answer_without_length_over_the_default_limit_is_502() {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = chunk(vec![b' '; 50_000]).repeat(220);
    let upstream = Upstream::script([head.as_bytes(), &body, LAST_CHUNK].concat());
    let message = start(&upstream, json!({})).chat(chat(MODEL)).error(502);
    assert!(message.contains("响应过大") && message.contains("10485760"), "{message}");
}
