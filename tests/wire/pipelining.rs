//! Requests behind requests: all are answered, in order, and a body is never taken for one.

use crate::support::*;
use crate::{chunked_head, start};

#[test]
fn pipelined_requests_are_all_answered_in_order() {
    let upstream = Upstream::each(|request, connection| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        pause(if body.contains("\"n\":0") { 100 } else { 0 });
        connection.send(json_answer("200 OK", &body));
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let chat = |number: usize| format!(r#"{{"model":"{MODEL}","n":{number}}}"#);
    let mut bytes = Vec::new();
    for number in 0..20 {
        bytes.extend(chat_request("", chat(number).as_bytes()));
        bytes.extend_from_slice(
            b"GET /nope HTTP/1.1\r\nHost: t\r\n\r\nHEAD / HTTP/1.1\r\nHost: t\r\n\r\n",
        );
        bytes.extend(chunked_head());
        bytes.extend([chunk(chat(number + 100)).as_slice(), LAST_CHUNK].concat());
    }
    let mut client = proxy.connect();
    client.send(&bytes);
    for number in 0..20 {
        assert_eq!(client.response().text(), chat(number).replace(MODEL, "m"));
        assert_eq!(client.response().status, 404);
        assert_eq!(client.response_to("HEAD").status, 200);
        assert_eq!(client.response().text(), chat(number + 100).replace(MODEL, "m"));
    }
    // The same in pieces that respect no boundary.
    let mut client = proxy.connect();
    client.send_in_pieces(&bytes[..bytes.len() / 4], 61, 1);
    for number in 0..5 {
        assert_eq!(client.response().text(), chat(number).replace(MODEL, "m"));
        assert_eq!(client.response().status, 404);
        assert_eq!(client.response_to("HEAD").status, 200);
        assert_eq!(client.response().text(), chat(number + 100).replace(MODEL, "m"));
    }
}

#[test]
fn requests_pipelined_behind_a_stream_are_answered_after_it() {
    let upstream = Upstream::sse(&["one", "two"]);
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send([chat_request("", chat_stream(MODEL).as_bytes()), GET.into(), GET.into()].concat());
    assert_eq!(client.response().text(), "data: one\n\ndata: two\n\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(client.response().status, 200);
}

#[test]
fn requests_behind_connection_close_are_not_answered() {
    let (_upstream, proxy) = start();
    let mut client = proxy.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n{GET}"));
    assert_eq!(client.response().status, 200);
    let rest = client.ending();
    assert_ne!(rest, Ending::TimedOut);
    assert!(client.pending().is_empty(), "{}", show(client.pending()));
}

#[test]
fn a_body_is_never_taken_for_a_request() {
    let (_upstream, proxy) = start();
    let smuggled = "DELETE /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";
    for line in [
        "GET / HTTP/1.1",
        "HEAD / HTTP/1.1",
        "POST /nope HTTP/1.1",
        "DELETE /health HTTP/1.1",
        "POST /v1/reload HTTP/1.1",
        "POST /v1/chat/completions HTTP/1.1",
        "POST /v1/models HTTP/1.1",
    ] {
        let method = line.split(' ').next().expect("a method");
        let framings = [
            format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
            format!(
                "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
                smuggled.len()
            ),
        ];
        for framing in framings {
            let mut client = proxy.connect();
            client.send(format!("{line}\r\nHost: t\r\n{framing}{GET}"));
            client.try_response(method).expect("an answer to the first request");
            // Either the GET behind the body is answered or the connection is closed; nothing else.
            if let Ok(next) = client.try_response("GET") {
                assert_eq!(next.status, 200, "{line}: {}", next.text());
                client.half_close();
                assert_ne!(client.ending(), Ending::TimedOut);
                assert!(client.pending().is_empty(), "{line}: {}", show(client.pending()));
            }
        }
    }
}

#[test]
fn empty_lines_before_a_request_hang_nothing() {
    let (_upstream, proxy) = start();
    let mut client = proxy.connect();
    client.send(format!("\r\n\r\n{GET}"));
    assert!(matches!(client.response().status, 200 | 400));
}
