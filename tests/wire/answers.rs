//! Answer heads, byte by byte: what a provider may send, and that anything else is a clean 502.

use crate::support::*;
use crate::through;

/// Asserts that these bytes become our 502, and that the proxy goes on.
pub fn bad_gateway(proxy: &TestProxy, bytes: &[u8]) {
    let answer = proxy.chat(chat(MODEL));
    assert_eq!(answer.status, 502, "{} for {}", answer.text(), show(bytes));
    answer.error(502);
}

/// Asserts that each of these answers becomes a 502.
pub fn all_refused<'a>(answers: impl IntoIterator<Item = &'a [u8]>) {
    for bytes in answers {
        let upstream = Upstream::script(bytes);
        bad_gateway(&TestProxy::start(&config_for(&upstream)), bytes);
    }
}

#[test]
fn unusual_but_whole_answers_are_relayed() {
    let whole: [(&[u8], u16, &str); 10] = [
        (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}", 200, ""),
        (
            b"HTTP/1.1 200 OK and more: words\r\nContent-Length: 2\r\n\r\n{}",
            200,
            "OK and more: words",
        ),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "OK"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", 200, "OK"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", 200, "OK"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", 200, "OK"),
        (b"HTTP/1.1 520 \r\ncontent-length:2\r\n\r\n{}", 520, ""),
        (b"HTTP/1.1 200 OK\r\nX: \t \r\nContent-Length: \t2 \r\n\r\n{}", 200, "OK"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, "OK"),
        (b"HTTP/1.1 299 Odd\r\nContent-Length: 0002\r\n\r\n{}", 299, "Odd"),
    ];
    for (bytes, status, reason) in whole {
        let answer = through(bytes);
        assert_eq!((answer.status, answer.text().as_str()), (status, "{}"), "{}", show(bytes));
        assert!(answer.complete, "{}", show(bytes));
        assert_eq!(answer.reason, reason);
    }
}

#[test]
fn http_1_0_answers_are_relayed_and_their_connection_is_not_reused() {
    for bytes in [
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        // The upstream keeps the connection open all the same; it must not be used again.
        let upstream = Upstream::keep_alive(bytes);
        let proxy = TestProxy::start(&config_for(&upstream));
        let mut client = proxy.connect();
        for _ in 0..2 {
            let answer = client.send(chat_request("", chat(MODEL).as_bytes())).response();
            assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
            assert_ne!(answer.header("connection").as_deref(), Some("close"), "ours stays open");
        }
        assert_eq!(upstream.connections(), 2);
    }
}

#[test]
fn answers_that_end_with_the_connection_are_relayed_whole() {
    let body = "x".repeat(300_000);
    let upstream =
        Upstream::script(format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{body}"));
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    for _ in 0..2 {
        let answer = client.send(chat_request("", chat(MODEL).as_bytes())).response();
        assert!(answer.complete && !answer.until_close, "HTTP/1.1 clients get chunks");
        assert!(answer.text() == body);
    }
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn an_answer_that_ends_with_a_reset_never_looks_complete() {
    let steps = vec![
        Step::ReadRequest,
        Step::Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf of it".to_vec()),
        Step::Pause(100),
        Step::Reset,
    ];
    let answer = TestProxy::start(&config_for(&Upstream::steps(steps))).chat(chat(MODEL));
    assert!(answer.status == 502 || !answer.complete, "{answer:?}");
}

#[test]
fn malformed_status_lines_are_502() {
    all_refused([
        b"HTTP/1.1\r\n\r\n".as_slice(),
        b"HTTP/1.1 \r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 Interim?\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
        b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    ]);
}

#[test]
fn malformed_headers_are_502() {
    for line in [
        b"X\0: a".as_slice(),
        b"X: a\0b",
        b"X: a\x01",
        b"X: a\rb",
        b": a",
        b"no colon",
        b"X\x80: a",
        b"X Y: a",
    ] {
        let bytes = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", line, b"\r\n\r\n{}"].concat();
        all_refused([bytes.as_slice()]);
    }
}

#[test]
fn white_space_around_names_and_folded_lines_are_refused_or_cleaned() {
    for line in ["X-Odd : a", "X-Odd: a\r\n folded", "X-Odd: a\r\n\tfolded"] {
        let answer = through(format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 2\r\n\r\n{{}}"));
        assert!(matches!(answer.status, 200 | 502), "{line:?}");
        // The strict reader of these tests has checked the head; the body must be right as well.
        assert!(answer.status == 502 || answer.text() == "{}", "{line:?}");
    }
    let answer = through("HTTP/1.1 200 OK\r\nContent-Length : 2\r\nX-Odd \t: a\r\n\r\n{}");
    assert_eq!((answer.status, &*answer.text()), (200, "{}"));
    assert_eq!(answer.header("x-odd").as_deref(), Some("a"));
    // What frames the body must not hide behind such a line.
    for line in
        ["Content-Length: 1\r\n 0", "Transfer-Encoding : chunked", "Transfer-Encoding:\r\n chunked"]
    {
        let answer = through(format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n{{}}"));
        assert_eq!(answer.status, 502, "{line:?}");
    }
}

#[test]
fn bare_line_feeds_hang_nothing() {
    for bytes in [
        "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\n{}",
        "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n{}",
    ] {
        // The upstream stays open and says nothing more.
        let steps = vec![Step::ReadRequest, Step::Send(bytes.into()), Step::WaitForClose];
        let answer = TestProxy::start(&config_for(&Upstream::steps(steps))).chat(chat(MODEL));
        assert!(
            answer.status == 502 || (answer.status == 200 && answer.text() == "{}"),
            "{answer:?}"
        );
    }
}

#[test]
fn heads_that_never_end_are_502() {
    let upstream = Upstream::each(|_, connection| {
        connection.send("HTTP/1.1 200 OK\r\n");
        while connection
            .try_send("X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(100))
        {
        }
    });
    bad_gateway(&TestProxy::start(&config_for(&upstream)), b"endless headers");
    let upstream = Upstream::each(|_, connection| while connection.try_send([b'y'; 4000]) {});
    bad_gateway(&TestProxy::start(&config_for(&upstream)), b"endless status line");
}

#[test]
fn heads_up_to_60_kilobytes_and_128_headers_are_relayed() {
    let answer = through(format!(
        "HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: 2\r\n\r\n{{}}",
        "y".repeat(60_000)
    ));
    assert_eq!(answer.header("x-long").map(|value| value.len()), Some(60_000));
    let many = (0..127).map(|n| format!("X-{n}: {n}\r\n")).collect::<String>();
    let answer = through(format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 2\r\n\r\n{{}}"));
    assert_eq!(answer.header("x-126").as_deref(), Some("126"));
    assert_eq!(answer.text(), "{}");
}

#[test]
fn larger_heads_are_502() {
    let long =
        format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 2\r\n\r\n{{}}", "y".repeat(66_000));
    let many =
        format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\n{{}}", "X: y\r\n".repeat(128));
    all_refused([long.as_bytes(), many.as_bytes()]);
}

#[test]
fn an_answer_may_come_in_any_pieces() {
    let answers: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nX-Odd: \xe9\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: u\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 529 Full\r\nContent-Length: 5\r\n\r\nhello",
    ];
    for bytes in answers {
        let upstream = Upstream::each(move |request, connection| {
            let split = request.json()["split"]
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .expect("a split");
            connection.send(&bytes[..split]);
            std::thread::sleep(std::time::Duration::from_micros(500));
            connection.send(&bytes[split..]);
        });
        let proxy = TestProxy::start(&config_for(&upstream));
        let mut client = proxy.connect();
        for split in 1..bytes.len() {
            let body = format!(r#"{{"model":"{MODEL}","split":{split}}}"#);
            let answer = client.send(chat_request("", body.as_bytes())).response();
            assert!(answer.complete, "split at {split} of {}", show(bytes));
            assert_eq!(answer.text(), "hello", "split at {split} of {}", show(bytes));
        }
        assert_eq!(upstream.connections(), 1, "whatever the split, the connection is reusable");
    }
}

#[test]
fn an_answer_may_come_in_single_bytes() {
    let upstream = Upstream::each(|_, connection| {
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nT: u\r\n\r\n" {
            connection.send([*byte]);
            pause(1);
        }
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    for _ in 0..2 {
        assert_eq!(proxy.chat(chat(MODEL)).text(), "hello");
    }
    assert_eq!(upstream.connections(), 1);
}
