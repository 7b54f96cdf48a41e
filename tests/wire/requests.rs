//! Request heads, byte by byte: what is accepted, what is refused, and that a refusal is an answer and a close.

use crate::status;
use crate::support::*;

/// Sends these bytes and asserts our error with one of the statuses, then the close.
fn refused(proxy: &TestProxy, bytes: impl AsRef<[u8]>, statuses: &[u16]) -> String {
    let bytes = bytes.as_ref();
    let mut client = proxy.connect();
    client.send(bytes);
    let answer = client.try_response("GET").unwrap_or_else(|e| panic!("{e:?} for {}", show(bytes)));
    assert!(statuses.contains(&answer.status), "{} for {}", answer.status, show(bytes));
    let message = answer.error(answer.status);
    assert_eq!(answer.header("connection").as_deref(), Some("close"), "{}", show(bytes));
    client.assert_closed();
    message
}

/// A chat through an upstream that answers `{}`; the answer and what the upstream got.
fn chat_with(headers: impl AsRef<[u8]>) -> (Response, Head) {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = chat(MODEL);
    let plain = chat_request("X-Here: 1\r\n", body.as_bytes());
    let at = memchr::memmem::find(&plain, b"X-Here: 1\r\n").expect("the header");
    let bytes = [&plain[..at], headers.as_ref(), &plain[at..]].concat();
    let answer = proxy.raw(&bytes);
    assert_eq!(answer.status, 200, "{} for {}", answer.text(), show(&bytes));
    (answer, upstream.request().head)
}

#[test]
fn header_values_that_are_not_ascii_are_accepted_and_not_forwarded() {
    for value in ["é".as_bytes(), b"\xe9", b"\xff\x80", "中文".as_bytes(), b"caf\xc3\xa9 ok"] {
        let (_, head) = chat_with([b"X-Odd: ".as_slice(), value, b"\r\n"].concat());
        assert_eq!(head.get("x-odd"), None, "{value:?}");
        assert_eq!(head.get("x-here").as_deref(), Some("1"), "{value:?}");
    }
}

#[test]
fn tabs_and_spaces_around_values_are_no_part_of_them() {
    let (_, head) = chat_with("X-Padded: \t  a b \t \r\nX-Tight:x\r\n");
    assert_eq!(head.get("x-padded").as_deref(), Some("a b"));
    assert_eq!(head.get("x-tight").as_deref(), Some("x"));
}

#[test]
fn bare_line_feeds_are_400_and_close() {
    let proxy = TestProxy::without_providers();
    for bytes in [
        "GET / HTTP/1.1\nHost: t\n\n",
        "GET / HTTP/1.1\r\nHost: t\n\r\n",
        "GET / HTTP/1.1\nHost: t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\n\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        refused(&proxy, bytes, &[400]);
    }
}

#[test]
fn white_space_and_control_bytes_in_the_wrong_place_are_400_and_close() {
    let proxy = TestProxy::without_providers();
    let lines: [&[u8]; 15] = [
        b"X : a",
        b"X\t: a",
        b" X: a",
        b"X: a\r\n folded",
        b"X: a\r\n\tfolded",
        b"X: a\0b",
        b"X: a\x01b",
        b"X: a\x7fb",
        b"X: a\rb",
        b"X\0: a",
        b"X\x80: a",
        b": empty",
        b"no colon",
        b"X(: a",
        b"X Y: a",
    ];
    for line in lines {
        let bytes = [b"GET / HTTP/1.1\r\nHost: t\r\n".as_slice(), line, b"\r\n\r\n"].concat();
        refused(&proxy, bytes, &[400]);
    }
    refused(&proxy, "GET / HTTP/1.1\r\n X: a\r\nHost: t\r\n\r\n", &[400]);
}

#[test]
fn malformed_request_lines_are_400_and_close() {
    let proxy = TestProxy::without_providers();
    let lines = [
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 x",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/11",
        "GET / HTTP/1.1x",
        "GET / HTTPS/1.1",
        "GET  HTTP/1.1",
        "/ HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
    ];
    for line in lines {
        refused(&proxy, format!("{line}\r\nHost: t\r\n\r\n"), &[400]);
    }
    refused(&proxy, "garbage\r\n\r\n", &[400]);
    refused(&proxy, b"\xff\xfe\xfd\r\n\r\n", &[400]);
}

#[test]
fn unknown_versions_are_refused() {
    let proxy = TestProxy::without_providers();
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"] {
        refused(&proxy, format!("GET / {version}\r\nHost: t\r\n\r\n"), &[400, 505]);
    }
}

#[test]
fn missing_and_double_hosts_are_400_and_close() {
    let proxy = TestProxy::without_providers();
    refused(&proxy, "GET / HTTP/1.1\r\n\r\n", &[400]);
    refused(&proxy, "GET / HTTP/1.1\r\nX: y\r\n\r\n", &[400]);
    refused(&proxy, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]);
    refused(&proxy, "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", &[400]);
    refused(&proxy, "GET http://a/ HTTP/1.1\r\n\r\n", &[400]);
}

#[test]
fn a_host_that_is_none_is_400_and_close_and_every_other_is_served() {
    let proxy = TestProxy::without_providers();
    for host in ["a:b", "a:1:2", "[::1", "::1", "[::1]x", "a]", "u@a", "a/b", "a b"] {
        refused(&proxy, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), &[400]);
    }
    for host in
        ["", "a", "my_host:8001", "a:", "[::1]", "[fe80::1%25eth0]:80", "1.2.3.4:5", "x%20y"]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(proxy.connect().send(request).response().status, 200, "{host}");
    }
}

#[test]
fn http2_and_tls_on_the_plain_port_are_answered_at_once() {
    let proxy = TestProxy::without_providers();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut client = proxy.connect();
    client.send(preface);
    assert!(matches!(client.response().status, 400 | 505));
    assert_ne!(client.ending(), Ending::TimedOut);
    // The start of a TLS hello, without a line end in it.
    let hello =
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x5a\x6b\x7c\x8d\x9e\xaf\xb0\xc1\xd2\xe3";
    let mut client = proxy.connect();
    client.send(hello);
    client.set_patience(std::time::Duration::from_secs(5));
    assert_eq!(client.response().status, 400);
    assert_ne!(client.ending(), Ending::TimedOut);
}

#[test]
fn heads_up_to_64_kilobytes_and_128_headers_are_accepted() {
    let (_, head) = chat_with(format!("X-Long: {}\r\n", "y".repeat(60_000)));
    assert_eq!(head.get("x-long").map(|value| value.len()), Some(60_000));
    let proxy = TestProxy::without_providers();
    let headers = |count: usize| "X: y\r\n".repeat(count - 1);
    assert_eq!(status(&proxy, format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", headers(128))), 200);
}

#[test]
fn larger_heads_are_431_and_close() {
    let proxy = TestProxy::without_providers();
    let many = "X: y\r\n".repeat(128);
    refused(&proxy, format!("GET / HTTP/1.1\r\nHost: t\r\n{many}\r\n"), &[431]);
    let mut client = proxy.connect();
    // One endless header and no end of the head.
    client.send_in_background(
        format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}", "y".repeat(70_000)).into(),
    );
    client.response().error(431);
    assert_ne!(client.ending(), Ending::TimedOut);
    let mut client = proxy.connect();
    client.send_in_background(vec![b'G'; 70_000]);
    assert!(matches!(client.response().status, 400 | 414 | 431));
    assert_ne!(client.ending(), Ending::TimedOut);
}

#[test]
fn a_head_may_come_in_any_pieces() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let request = chat_request("X-Odd: é\r\n", chat(MODEL).as_bytes());
    let mut client = proxy.connect();
    for split in 1..request.len() {
        client.send(&request[..split]);
        std::thread::sleep(std::time::Duration::from_micros(500));
        let answer = client.send(&request[split..]).response();
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "split at {split}");
    }
    let bodies = upstream.requests();
    assert!(bodies.iter().all(|request| request.body == chat("m").as_bytes()));
    let mut client = proxy.connect();
    assert_eq!(client.send_in_pieces(&request, 1, 1).response().status, 200);
}
