//! Uploads whose route stands in the query or in a header: both are for us alone.

use super::*;

/// The ways to name the route: the query and the fields that are sent, and the query that goes on.
const WAYS: [(&str, &str, &str); 8] = [
    ("?model=p/m", "", ""),
    ("?model=p%2Fm", "", ""),
    ("?model=p%2fm&a=%2F&&b", "", "?a=%2F&&b"),
    ("?b=%zz&model=p/m&a[]=\"x\"", "", "?b=%zz&a[]=\"x\""),
    ("?xmodel=q&model=p/m", "", "?xmodel=q"),
    ("?mod%65l=p/m&a=b", "", "?a=b"),
    ("", "X-AI-Proxy-Model: p/m\r\n", ""),
    ("?a=%2F&c", "x-ai-proxy-model: p/m\r\n", "?a=%2F&c"),
];

fn assert_consumed(request: &Request, query: &str) {
    assert_eq!(request.target, format!("{ROW}{query}"));
    assert_eq!(request.head.get("x-ai-proxy-model"), None, "{}", show(&request.head.raw));
}

#[test]
fn a_route_in_query_or_header_is_consumed_and_the_part_gets_the_providers_name() {
    let (upstream, _begun) = taking();
    let proxy = TestProxy::start(&config_for(&upstream));
    for (query, fields, rest) in WAYS {
        for (parts, name) in [
            ("model file", "whisper-1"),
            ("model file", MODEL),
            ("file model", "whisper-1"),
            ("prompt file model prompt", "q/nobody"),
            ("file model", "m"),
            ("file prompt", "-"),
        ] {
            for framing in FRAMINGS {
                let what = format!("{query} {fields} {parts} {name} {framing:?}");
                let target = format!("{ROW}{query}");
                let answer = proxy.raw(&upload(&target, fields, framing, &form(parts, name)));
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                let request = assert_last(&upstream, framing, &form(parts, "m"), &what);
                assert_consumed(&request, rest);
            }
        }
    }
}

#[test]
fn a_route_without_a_name_is_none_and_stays_here_all_the_same() {
    let (upstream, _begun) = taking();
    let proxy = TestProxy::start(&config_for(&upstream));
    for (query, fields, rest) in
        [("?model=&a=b", "", "?a=b"), ("", "x-ai-proxy-model:\r\n", ""), ("?model", "", "?model")]
    {
        let target = format!("{ROW}{query}");
        let body = form("model file", MODEL);
        let answer = proxy.raw(&upload(&target, fields, Framing::Sized, &body));
        assert_eq!(answer.status, 200, "{query} {fields}: {}", answer.text());
        let expected = form("model file", "m");
        assert_consumed(&assert_last(&upstream, Framing::Sized, &expected, query), rest);
    }
}

#[test]
fn a_form_without_a_body_has_a_length() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let kind = form_type();
    let head = format!(
        "POST {ROW}?model=p/m HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {kind}\r\n\r\n"
    );
    assert_eq!(proxy.raw(head.as_bytes()).status, 200);
    assert_last(&upstream, Framing::Sized, b"", "no body");
}

#[test]
fn an_upload_with_a_route_streams() {
    let (upstream, begun) = taking();
    let proxy = small_proxy(&upstream);
    let mut number = 0;
    for (query, fields, rest) in WAYS {
        for (framing, parts) in [
            (Framing::Chunked, "file model"),
            (Framing::Chunked, "file"),
            (Framing::Chunked, "model file"),
            (Framing::Sized, "file prompt"),
            (Framing::Sized, "model file"),
        ] {
            let what = format!("{query} {fields} {parts} {framing:?}");
            let body = form(parts, "whisper-1");
            let request = upload(&format!("{ROW}{query}"), fields, framing, &body);
            let (start, end) = split(&request);
            let mut client = proxy.connect();
            client.send(start);
            number += 1;
            wait_begun(&begun, number);
            let answer = client.send(end).response_to("POST");
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            let request = assert_last(&upstream, framing, &form(parts, "m"), &what);
            assert_consumed(&request, rest);
        }
    }
}

#[test]
fn an_upload_that_is_too_large_to_hold_keeps_the_length_that_was_announced() {
    let (upstream, begun) = taking();
    let proxy = small_proxy(&upstream);
    for (number, name) in ["whisper-1", "p/m", "ab", "x"].into_iter().enumerate() {
        let body = form("prompt file prompt model", name);
        let request = upload(&format!("{ROW}?model=p/m"), "", Framing::Sized, &body);
        let (start, rest) = split(&request);
        let mut client = proxy.connect();
        client.send(start);
        wait_begun(&begun, number + 1);
        let answer = client.send(rest).response_to("POST");
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let got = upstream.requests().pop().expect("a request");
        assert!(got.complete, "{name}");
        assert_eq!(got.head.get("content-length"), Some(body.len().to_string()), "{name}");
        let expected = form("prompt file prompt model", "m");
        assert!(got.body.starts_with(&expected), "{name}: {}", show(&got.body));
        let more = &got.body[expected.len()..];
        assert!(
            more.iter().all(|byte| matches!(byte, b' ' | b'\r' | b'\n')),
            "{name}: {}",
            show(more)
        );
        assert_eq!(client.send(GET).response().status, 200, "{name}: the connection is in step");
    }
}

#[test]
fn a_route_that_names_nothing_is_404_and_two_models_are_two_with_a_route_as_well() {
    let (upstream, _begun) = taking();
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = form("model file", MODEL);
    for (query, fields) in [
        ("?model=p/nope", ""),
        ("?model=nobody%2Fm", ""),
        ("?a=b&model=m", ""),
        ("", "x-ai-proxy-model: p/nope\r\n"),
    ] {
        let mut client = proxy.connect();
        let request = upload(&format!("{ROW}{query}"), fields, Framing::Sized, &body);
        client.send_in_background(request);
        let message = client.response_to("POST").error(404);
        assert!(message.contains("未找到模型"), "{query}: {message}");
    }
    assert!(upstream.requests().is_empty());
    for framing in FRAMINGS {
        for parts in ["model file model", "model model small", "file model model"] {
            let request = upload(&format!("{ROW}?model=p/m"), "", framing, &form(parts, MODEL));
            let mut client = proxy.connect();
            client.send_in_background(request);
            client.response_to("POST").error(400);
            assert!(upstream.requests().iter().all(|request| !request.complete), "{parts}");
        }
    }
}
