//! Answers, as providers give them.

use super::{Case, Claim};
use Claim::{BodyFails, Hangs, Panics, Refuses, Takes, Waits};

fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}")
}

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = heads();
    cases.extend(bodies());
    cases
}

fn heads() -> Vec<Case> {
    vec![
        Case::new(
            "non-ASCII UTF-8 in a field's value",
            ok("X-Name: \u{e4}\r\nContent-Length: 2", "ab"),
            Panics,
            Takes("X-Name: \u{e4}", "ab"),
        ),
        Case::new(
            "Latin-1 in a field's value",
            b"HTTP/1.1 200 OK\r\nX-Name: \xe4\r\nContent-Length: 2\r\n\r\nab",
            Refuses,
            Takes("X-Name", "ab"),
        ),
        Case::new(
            "status 520",
            "HTTP/1.1 520 \r\nContent-Length: 2\r\n\r\nab",
            Refuses,
            Takes("520", "ab"),
        ),
        Case::new(
            "status 529",
            "HTTP/1.1 529 Site Overloaded\r\nContent-Length: 2\r\n\r\nab",
            Refuses,
            Takes("529", "ab"),
        ),
        Case::new(
            "HTTP/1.0",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
            Refuses,
            Takes("200", "ab"),
        ),
        Case::new(
            "100 before the answer",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
            Takes("100", ""),
            Takes("200", "ab"),
        ),
        Case::new(
            "103 before the answer",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
            Takes("103", ""),
            Takes("200", "ab"),
        ),
        Case::new(
            "304 with the length of what it stands for",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
            Waits,
            Takes("304", ""),
        ),
        Case::new(
            "two different `Content-Length`",
            ok("Content-Length: 1\r\nContent-Length: 2", "ab"),
            Takes("200", "ab"),
            Refuses,
        ),
        Case::new(
            "`Content-Length` with `Transfer-Encoding`",
            ok("Content-Length: 2\r\nTransfer-Encoding: chunked", "2\r\nab\r\n0\r\n\r\n"),
            Refuses,
            Refuses,
        ),
        Case::new(
            "`Transfer-Encoding: gzip`",
            ok("Transfer-Encoding: gzip", "ab"),
            Takes("200", ""),
            Refuses,
        )
        .closed(),
    ]
}

fn bodies() -> Vec<Case> {
    let chunked = |body: &str| ok("Transfer-Encoding: chunked", body);
    vec![
        Case::new(
            "delimited by close",
            ok("Content-Type: text/plain", "ab"),
            Takes("200", ""),
            Takes("200", "ab"),
        )
        .closed(),
        Case::new(
            "`Transfer-Encoding: Chunked`",
            ok("Transfer-Encoding: Chunked", "2\r\nab\r\n0\r\n\r\n"),
            Takes("200", ""),
            Takes("200", "ab"),
        ),
        Case::new(
            "chunk extension",
            chunked("2;a=b\r\nab\r\n0\r\n\r\n"),
            BodyFails,
            Takes("200", "ab"),
        ),
        Case::new(
            "last line end of a chunked body in a read of its own",
            chunked("2\r\nab\r\n0\r\n\r\n"),
            Hangs,
            Takes("200", "ab"),
        )
        .cut(1),
        Case::new(
            "body shorter than its length, then closed",
            ok("Content-Length: 4", "ab"),
            Takes("200", "ab"),
            BodyFails,
        )
        .closed(),
        Case::new(
            "chunked body cut within a chunk, then closed",
            chunked("4\r\nab"),
            BodyFails,
            BodyFails,
        )
        .closed(),
        Case::new(
            "chunked body cut before its last chunk, then closed",
            chunked("2\r\nab\r\n"),
            BodyFails,
            BodyFails,
        )
        .closed(),
        Case::new(
            "chunked body cut within its last chunk, then closed",
            chunked("2\r\nab\r\n0\r\n"),
            Takes("200", "ab"),
            BodyFails,
        )
        .closed(),
    ]
}
