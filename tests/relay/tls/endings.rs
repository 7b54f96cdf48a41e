//! Bodies that end with the connection, which ends without `close_notify`; and alerts after the handshake.

use openssl::ssl::SslVerifyMode;

use super::start_trusting;
use crate::support::certificates::{Authority, GOOD};
use crate::support::*;

/// The answer to `request` from a provider that sends these bytes and drops TCP.
fn dropped(bytes: &str, request: String) -> (Response, TestProxy) {
    let authority = Authority::new("ours");
    let bytes = bytes.to_owned();
    let upstream = authority.serve(&GOOD, move |connection| {
        connection.read_request();
        connection.send(&bytes);
        // Read apart from the end.
        pause(20);
    });
    let (_directory, proxy) = start_trusting(&authority, &config_for(&upstream));
    (proxy.chat(request), proxy)
}

#[test]
fn a_document_that_ends_without_close_notify_is_complete_when_it_is() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let long = format!("{{\"x\":[\"{}\"]}}\r\n", "y".repeat(200_000));
    for body in ["{\"a\":[1,{\"b\":\"}\"}]}", "[]", "[{}]\n", &long] {
        for request in [chat(MODEL), chat_stream(MODEL)] {
            let (answer, proxy) = dropped(&format!("{head}{body}"), request);
            assert_eq!(answer.status, 200, "{body:.20}");
            assert!(answer.complete && answer.text() == body, "{body:.20}");
            assert!(proxy.wait_for_log("耗时:").contains("完成 (complete)"));
        }
    }
    for body in ["", "{", "{\"a\":1", "[1,", "{\"a\":1}}", "{} {}", "12", "\"a\"", &long[..100_000]]
    {
        let (answer, _proxy) = dropped(&format!("{head}{body}"), chat(MODEL));
        assert_eq!(answer.status, 502, "{body:.20}: {}", answer.text());
    }
}

#[test]
fn a_list_that_ends_without_close_notify_is_a_list() {
    let authority = Authority::new("ours");
    let upstream = authority.serve(&GOOD, |connection| {
        connection.read_request();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
        connection.send(format!("{head}{{\"data\":[{{\"id\":\"x\"}}]}}"));
        pause(20);
    });
    let (_directory, proxy) = start_trusting(&authority, &config([auto_provider("p", &upstream)]));
    assert_eq!(proxy.get("/v1/models").json()["data"][0]["id"], "p/x");
    assert_eq!(proxy.get("/health").json()["status"], "healthy");
}

#[test]
fn what_names_its_length_is_not_complete_before_it() {
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head}\r\n\r\n");
        let body = if head.contains("chunked") { "2\r\n{}\r\n" } else { "{}" };
        let (answer, _proxy) = dropped(&format!("{head}{body}"), chat(MODEL));
        assert_eq!(answer.status, 502, "{head}");
    }
}

#[test]
fn events_that_end_without_close_notify_are_complete_after_their_final_event() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let (answer, proxy) =
        dropped(&format!("{head}data: one\n\ndata: [DONE]\n\n"), chat_stream(MODEL));
    assert!(answer.complete, "{answer:?}");
    assert_eq!(answer.text(), "data: one\n\ndata: [DONE]\n\n");
    assert!(proxy.wait_for_log("耗时:").contains("完成 (complete)"));
    let (answer, _proxy) = dropped(&format!("{head}data: one\n\n"), chat_stream(MODEL));
    assert!(!answer.complete, "{answer:?}");
}

#[test]
fn an_alert_after_the_handshake_is_told_in_plain_words() {
    let authority = Authority::new("ours");
    let mut builder = authority.openssl(&GOOD);
    builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    let acceptor = builder.build();
    let wrap = move |socket| {
        let refused = |_| pause(1000);
        // The alert must be read before the connection ends.
        let stream = acceptor.accept(socket).map_err(refused).ok()?;
        Some(Box::new(stream) as Box<dyn Duplex>)
    };
    let upstream = Upstream::serve_tls(Box::new(wrap), |_| {});
    let (_directory, proxy) = start_trusting(
        &authority,
        &config([provider("p", &upstream), auto_provider("q", &upstream)]),
    );
    let message = proxy.chat(chat(MODEL)).error(502);
    assert!(message.contains("certificate required"), "{message}");
    proxy.get("/health");
    let said = message + &proxy.wait_for_log("健康检查: q");
    for word in [".c:", "error:0A", "ssl3_", "../", "routines"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
}
