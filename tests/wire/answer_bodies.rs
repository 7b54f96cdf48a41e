//! Answer bodies: RFC 9112 section 6.3 in full. What is broken never looks complete.

use crate::support::*;
use crate::through;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Asserts that the client learns of a broken body: 502 while possible, a cut connection otherwise.
fn broken(bytes: impl Into<Vec<u8>>) {
    let bytes = bytes.into();
    let answer = through(bytes.clone());
    assert!(answer.status == 502 || !answer.complete, "{} became {answer:?}", show(&bytes));
}

#[test]
fn chunk_sizes_extensions_and_trailers_are_understood() {
    for framed in [
        "5\r\nhello\r\n0\r\n\r\n",
        "05\r\nhello\r\n00\r\n\r\n",
        "5;a=b\r\nhello\r\n0;last\r\n\r\n",
        "5 ;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
        "1\r\nh\r\n4\r\nello\r\n0\r\nX-Trailer: 1\r\n\r\n",
    ] {
        let answer = through(format!("{CHUNKED}{framed}"));
        assert!(answer.complete, "{framed:?}");
        assert_eq!(answer.text(), "hello", "{framed:?}");
    }
    let body = "x".repeat(0xABCD);
    let answer = through(format!("{CHUNKED}aBcD\r\n{body}\r\n0\r\n\r\n"));
    assert!(answer.complete && answer.text() == body);
}

#[test]
fn malformed_chunks_never_look_complete() {
    for framed in [
        "x\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: a\0\r\n\r\n",
        "5\r\nhello\r\n0\r\nno colon and no end",
        "5\r\nhello\r\n0\r\n",
    ] {
        broken(format!("{CHUNKED}{framed}"));
    }
}

#[test]
fn malformed_chunks_late_in_a_stream_cut_the_client() {
    for end in ["x\r\n", "5\r\nhelloXX", "fffffffffffffffff\r\n", "\r\n"] {
        let end = end.to_owned();
        let upstream = Upstream::each(move |_, connection| {
            connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
            pause(50);
            connection.send(&end);
            connection.wait_for_close();
        });
        let answer = TestProxy::start(&config_for(&upstream)).chat(chat_stream(MODEL));
        assert!(!answer.complete);
        assert!(answer.text().starts_with("data: one\n\n"));
        upstream.wait_closed_by_proxy(1);
    }
}

#[test]
fn endless_extensions_and_trailers_never_look_complete() {
    for start in ["5;", "5\r\nhello\r\n0\r\nX: "] {
        let start = format!("{CHUNKED}{start}");
        let upstream = Upstream::each(move |_, connection| {
            connection.send(&start);
            while connection.try_send([b'y'; 10_000]) {}
        });
        let answer = TestProxy::start(&config_for(&upstream)).chat(chat(MODEL));
        assert!(answer.status == 502 || !answer.complete, "{answer:?}");
    }
}

#[test]
fn chunks_from_http_1_0_are_502() {
    // RFC 9112 section 6.1: the framing is faulty, whatever it says.
    let answer = through(CHUNKED.replace("HTTP/1.1", "HTTP/1.0") + "2\r\n{}\r\n0\r\n\r\n");
    assert_eq!(answer.status, 502, "{}", answer.text());
}

#[test]
fn conflicting_framing_is_502() {
    for headers in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2, 3\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: -2\r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: two\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551618\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ] {
        let answer = through(format!("HTTP/1.1 200 OK\r\n{headers}\r\n{{}}"));
        assert_eq!(answer.status, 502, "{headers:?}: {}", answer.text());
    }
}
