//! Requests, as clients and fronts send them.

use super::{Case, Claim};
use Claim::{Panics, Refuses, Takes, Waits};

fn post(fields: &str, body: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}")
}

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = vec![
        Case::new(
            "non-ASCII UTF-8 in a field's value",
            post("X-Name: \u{e4}\r\nX-Other: 1", ""),
            Panics,
            Takes("[X-Other: 1]", ""),
        ),
        Case::new(
            "Latin-1 in a field's value",
            b"POST /x HTTP/1.1\r\nHost: a\r\nX-Name: \xe4\r\nX-Other: 1\r\n\r\n",
            Refuses,
            Takes("[X-Other: 1]", ""),
        ),
        Case::new("HTTP/1.0", "GET /x HTTP/1.0\r\nHost: a\r\n\r\n", Refuses, Takes("GET /x", "")),
        Case::new(
            "two different `Content-Length`",
            post("Content-Length: 1\r\nContent-Length: 2", "ab"),
            Takes("POST", "ab"),
            Refuses,
        ),
        Case::new(
            "`Content-Length` with `Transfer-Encoding`",
            post("Content-Length: 2\r\nTransfer-Encoding: chunked", "2\r\nab\r\n0\r\n\r\n"),
            Refuses,
            Refuses,
        ),
        Case::new(
            "`Transfer-Encoding: gzip`",
            post("Transfer-Encoding: gzip", "ab"),
            Takes("POST", ""),
            Refuses,
        ),
        Case::new(
            "`Content-Length: +2`",
            post("Content-Length: +2", "ab"),
            Takes("POST", "ab"),
            Refuses,
        ),
        Case::new(
            "two `Host` fields",
            "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            Takes("GET", ""),
            Refuses,
        ),
        Case::new("bare line feeds", "GET /x HTTP/1.1\nHost: a\n\n", Waits, Refuses),
        Case::new("space before the colon", post("X-Name : 1", ""), Refuses, Refuses),
        Case::new("a folded line", post("X-Name: 1\r\n 2", ""), Refuses, Refuses),
        Case::new("control byte in a value", post("X-Name: \u{1}", ""), Refuses, Refuses),
        Case::new("no HTTP at all", "hello\r\n\r\n", Refuses, Refuses),
        Case::new(
            "percent-encoded dots in the path",
            "GET /v1/%2e%2e/health HTTP/1.1\r\nHost: a\r\n\r\n",
            Takes("GET /health", ""),
            Takes("GET /v1/%2e%2e/health", ""),
        ),
        Case::new(
            "`Transfer-Encoding: Chunked`",
            post("Transfer-Encoding: Chunked", "2\r\nab\r\n0\r\n\r\n"),
            Takes("POST", "ab"),
            Takes("POST", "ab"),
        ),
        Case::new(
            "body shorter than its length, then closed",
            post("Content-Length: 4", "ab"),
            Takes("POST", "ab"),
            Claim::BodyFails,
        )
        .closed(),
        Case::new(
            "chunked body cut after its size line, then closed",
            post("Transfer-Encoding: chunked", "2\r\nab\r\n0\r\n"),
            Takes("POST", "ab"),
            Claim::BodyFails,
        )
        .closed(),
    ];
    let long = format!("X-Name: {}", "a".repeat(9 * 1024));
    cases.push(Case::new("a head of 9 KB", post(&long, ""), Refuses, Takes("POST", "")));
    let longer = format!("X-Name: {}", "a".repeat(65 * 1024));
    cases.push(Case::new("a head of 65 KB", post(&longer, ""), Refuses, Refuses));
    cases
}
