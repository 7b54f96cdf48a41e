//! Request bodies: framing, smuggling, pipelining, `Expect`. A body is never taken for a request.

use serde_json::json;

use crate::support::*;
use crate::{chunked_head, start};

/// Sends these bytes and asserts our error with one of the statuses, the close, and that no other answer came.
fn refused(bytes: impl AsRef<[u8]>, statuses: &[u16]) {
    let (upstream, proxy) = start();
    let bytes = bytes.as_ref();
    let mut client = proxy.connect();
    client.send(bytes);
    let answer =
        client.try_response("POST").unwrap_or_else(|e| panic!("{e:?} for {}", show(bytes)));
    assert!(statuses.contains(&answer.status), "{} for {}", answer.status, show(bytes));
    answer.error(answer.status);
    assert_eq!(answer.header("connection").as_deref(), Some("close"), "{}", show(bytes));
    client.assert_closed();
    assert!(upstream.requests().is_empty());
}

/// A chunked chat is relayed with this body framing; the upstream gets exactly the plain body.
fn accepted_chunked(head: &[u8], framed: &[u8]) {
    let (upstream, proxy) = start();
    let mut client = proxy.connect();
    let answer = client.send([head, framed].concat()).response();
    assert_eq!(answer.status, 200, "{} for {}", answer.text(), show(framed));
    let request = upstream.request();
    assert_eq!(request.body, chat("m").as_bytes(), "{}", show(framed));
    assert_eq!(client.send(GET).response().status, 200, "the connection is in step");
}

#[test]
fn chunked_bodies_are_accepted() {
    let body = chat(MODEL);
    let (a, b) = body.split_at(20);
    let plain = [chunk(a), chunk(b), LAST_CHUNK.to_vec()].concat();
    accepted_chunked(&chunked_head(), &plain);
    accepted_chunked(&chat_head("Transfer-Encoding: Chunked\r\n"), &plain);
    accepted_chunked(&chat_head("transfer-encoding:\tCHUNKED \r\n"), &plain);
    let bytes: Vec<_> =
        body.as_bytes().chunks(1).flat_map(chunk).chain(LAST_CHUNK.iter().copied()).collect();
    accepted_chunked(&chunked_head(), &bytes);
}

#[test]
fn chunk_extensions_and_trailers_are_accepted() {
    let body = chat(MODEL);
    let size = format!("{:X}", body.len());
    for (extension, last, trailer) in [
        (";name=value", "0;last", ""),
        (";a;b=\"q; x\"", "0", "X-Trailer: 1\r\nX-Other: 2\r\n"),
        (" ;spaced", "000", ""),
        ("", "0000000000000000000000000", "odd!#$%&'*+-.^_`|~:\r\nempty:\r\n"),
    ] {
        let framed = format!("0{size}{extension}\r\n{body}\r\n{last}\r\n{trailer}\r\n");
        accepted_chunked(&chunked_head(), framed.as_bytes());
    }
}

#[test]
fn a_chunked_body_may_be_split_anywhere() {
    let (upstream, proxy) = start();
    let body = chat(MODEL);
    let framed = format!("{:x};x\r\n{body}\r\n0\r\nT: 1\r\n\r\n", body.len());
    let bytes = [&chunked_head(), framed.as_bytes()].concat();
    let first = chunked_head().len() - 4;
    let mut client = proxy.connect();
    for split in first..bytes.len() {
        client.send(&bytes[..split]);
        std::thread::sleep(std::time::Duration::from_micros(500));
        let answer = client.send(&bytes[split..]).response();
        assert_eq!(answer.status, 200, "split at {split}");
    }
    let expected = chat("m");
    assert!(upstream.requests().iter().all(|request| request.body == expected.as_bytes()));
}

#[test]
fn malformed_chunks_are_400_and_close() {
    let body = chat(MODEL);
    let size = format!("{:x}", body.len());
    for framed in [
        "x\r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "2\n{}\r\n0\r\n\r\n",
        "2\r\n{}x\r\n0\r\n\r\n",
        "2\r\n{}\n0\r\n\r\n",
        "1 2\r\n{}\r\n0\r\n\r\n",
        ";x\r\n{}\r\n0\r\n\r\n",
        "2 x\r\n{}\r\n0\r\n\r\n",
        "2;a\nb\r\n{}\r\n0\r\n\r\n",
        "2;a\0b\r\n{}\r\n0\r\n\r\n",
        "2;a\rb\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nX: a\nY: b\r\n\r\n",
        "2\r\n{}\r\n0\r\nX: a\rY: b\r\n\r\n",
        "2\r\n{}\r\n0\r\nX: a\0\r\n\r\n",
    ] {
        // A whole chat, so that a lenient reader would relay it.
        let framed = framed.replace('2', &size).replace("{}", &body);
        refused([&chunked_head(), framed.as_bytes()].concat(), &[400]);
    }
    for size in
        ["ffffffffffffffff", "10000000000000000", "fffffffffffffffffffffffff", "7fffffffffffffff"]
    {
        refused([&chunked_head(), format!("{size}\r\n{{").as_bytes()].concat(), &[400, 413]);
    }
}

#[test]
fn endless_extensions_and_trailers_are_refused() {
    let (_upstream, proxy) = start();
    for start in ["2;", "2;x=\"", "0\r\nX: ", "0\r\n"] {
        let mut client = proxy.connect();
        client.send([&chunked_head(), start.as_bytes()].concat());
        client.send_in_background("X: y\r\n".repeat(200_000).into());
        match client.try_response("POST") {
            Ok(answer) => {
                assert!(matches!(answer.status, 400 | 413 | 431), "{start}: {}", answer.status)
            }
            Err(ending) => assert_ne!(ending, Ending::TimedOut, "{start}"),
        }
        assert_ne!(client.ending(), Ending::TimedOut, "{start}");
    }
}

#[test]
fn conflicting_lengths_are_400_and_close() {
    let body = format!("{}{GET}", chat(MODEL));
    let length = chat(MODEL).len();
    for headers in [
        format!("Content-Length: {length}\r\nContent-Length: {}\r\n", body.len()),
        format!("Content-Length: {length}, {}\r\n", body.len()),
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
    ] {
        refused([&chat_head(&headers), body.as_bytes()].concat(), &[400]);
    }
}

#[test]
fn lengths_that_are_no_numbers_are_400_and_close() {
    for value in [
        "+2",
        "-2",
        "0x2",
        "2.0",
        "2 2",
        "",
        "two",
        "18446744073709551616",
        "9".repeat(40).as_str(),
        "2;",
        "2\t,",
    ] {
        refused(
            [&chat_head(&format!("Content-Length: {value}\r\n")), b"{}".as_slice()].concat(),
            &[400],
        );
    }
}

#[test]
fn absurd_lengths_are_refused_from_the_head_alone() {
    let nines = "9".repeat(40);
    for length in ["999999999999", "9223372036854775807", "18446744073709551616", &nines] {
        refused(chat_head(&format!("Content-Length: {length}\r\n")), &[400, 413]);
    }
}

#[test]
fn a_refusal_arrives_although_the_client_still_sends() {
    let (_upstream, proxy) = start();
    let mut client = proxy.connect();
    client.send(chat_head("Content-Length: 999999999\r\n"));
    client.send_in_background(vec![b'x'; 3_000_000]);
    client.response().error(413);
    client.half_close();
    // A close with unread bytes would be a reset, which can take the answer with it.
    assert_eq!(client.ending(), Ending::Eof);
}

#[test]
fn other_transfer_codings_are_501_or_400_and_close() {
    for coding in [
        "gzip",
        "gzip, chunked",
        "identity",
        "chunked, chunked",
        "xchunked",
        "chunked;q=1",
        "\"chunked\"",
        "chunked, gzip",
        "chunked\r\nTransfer-Encoding: gzip",
        "identity\r\nTransfer-Encoding: chunked",
        "\x0bchunked",
        "",
    ] {
        let head = chat_head(&format!("Transfer-Encoding: {coding}\r\n"));
        let body = [chunk(chat(MODEL)).as_slice(), LAST_CHUNK].concat();
        refused([head, body].concat(), &[400, 501]);
    }
}

#[test]
fn an_unknown_coding_alone_is_501() {
    refused([&chat_head("Transfer-Encoding: gzip\r\n"), b"0\r\n\r\n".as_slice()].concat(), &[501]);
}

#[test]
fn chunked_with_http_1_0_is_refused() {
    let head = String::from_utf8(chunked_head()).expect("ASCII").replace("HTTP/1.1", "HTTP/1.0");
    let body = [chunk(chat(MODEL)).as_slice(), LAST_CHUNK].concat();
    refused([head.as_bytes(), &body].concat(), &[400, 501]);
}

#[test]
fn a_body_cut_short_never_reaches_the_provider() {
    let (upstream, proxy) = start();
    let body = chat(MODEL);
    let cut = [
        [&chat_head(&format!("Content-Length: {}\r\n", body.len() + 1)), body.as_bytes()].concat(),
        [&chunked_head(), chunk(&body).as_slice()].concat(),
        [&chunked_head(), chunk(&body).as_slice(), b"0\r\n"].concat(),
    ];
    for bytes in cut {
        let mut client = proxy.connect();
        client.send(bytes).half_close();
        match client.try_response("POST") {
            Ok(answer) => assert_eq!(answer.status, 400),
            Err(ending) => assert_ne!(ending, Ending::TimedOut),
        }
    }
    assert!(upstream.requests().iter().all(|request| !request.complete));
    assert_eq!(proxy.chat(body).status, 200);
}

#[test]
fn a_body_in_single_bytes_is_accepted() {
    let (upstream, proxy) = start();
    let mut client = proxy.connect();
    client.send_in_pieces(&chat_request("", chat(MODEL).as_bytes()), 1, 1);
    assert_eq!(client.response().status, 200);
    assert_eq!(upstream.request().body, chat("m").as_bytes());
}

/// Large bodies are read off the event loop; what read them does not stay and wake up for ever.
#[test]
fn many_large_bodies_at_once_are_answered_and_leave_no_thread_behind() {
    let (_upstream, proxy) = start();
    let threads = proxy.threads();
    let body =
        with(json!({"padding": "x".repeat(200_000)}), serde_json::from_str(&chat(MODEL)).unwrap());
    let mut clients: Vec<_> = (0..40).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send_in_background(chat_request("", body.to_string().as_bytes()));
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    let start = std::time::Instant::now();
    while proxy.threads() > threads {
        assert!(start.elapsed() < PATIENCE, "{} threads", proxy.threads());
        pause(5);
    }
}

#[test]
fn zeros_before_a_chunk_size_are_accepted_but_not_for_ever() {
    let body = chat(MODEL);
    let framed =
        |zeros: usize| format!("{}{:x}\r\n{body}\r\n0\r\n\r\n", "0".repeat(zeros), body.len());
    accepted_chunked(&chunked_head(), framed(30).as_bytes());
    refused([&chunked_head(), framed(64).as_bytes()].concat(), &[400]);
}

#[test]
fn trailer_lines_that_are_no_fields_are_400_and_close() {
    let body = chat(MODEL);
    for line in ["X : y", " fold", "nonsense", ": x", "X", "\tX: y", "X: y\r\n folded"] {
        let framed = format!("{:x}\r\n{body}\r\n0\r\n{line}\r\n\r\n", body.len());
        refused([&chunked_head(), framed.as_bytes()].concat(), &[400]);
    }
}
