//! Uploads: forms whose part `model` names the route. They stream through, or are held within the limit.

mod bytes;
mod endings;
mod forms;
mod refusals;
mod routed;
mod streaming;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use serde_json::json;

use crate::support::*;

/// The rows that take forms, without `/v1`.
pub const ROWS: [&str; 4] =
    ["/audio/transcriptions", "/audio/translations", "/images/edits", "/images/variations"];
/// The row of the tests that need only one.
pub const ROW: &str = "/v1/audio/transcriptions";
const BOUNDARY: &str = "------------------------d74496d66958873e";
/// What a file begins with.
pub const BEGIN: &str = "The file begins.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Sized,
    Chunked,
}

pub const FRAMINGS: [Framing; 2] = [Framing::Sized, Framing::Chunked];

/// 200 kB of all bytes.
pub fn file() -> Vec<u8> {
    let noise = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 23) as u8);
    BEGIN.bytes().chain(noise).collect()
}

/// A form of these parts: `model`, `prompt`, `long` (a text of 100 kB), `file`, `small` (a file).
pub fn form(parts: &str, model: &str) -> Vec<u8> {
    let mut form = Vec::new();
    for part in parts.split(' ') {
        let (name, value) = match part {
            "model" => (r#""model""#, model.as_bytes().to_vec()),
            "prompt" => (r#""prompt""#, "p/m\r\nmodel\u{e9}".as_bytes().to_vec()),
            "long" => (r#""prompt""#, vec![b'l'; 100_000]),
            "small" => (r#""file"; filename="s""#, BEGIN.as_bytes().to_vec()),
            _ => ("\"file\"; filename=\"p/m.mp3\"\r\nContent-Type: audio/mpeg", file()),
        };
        form.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name={name}").bytes());
        form.extend([b"\r\n\r\n", &value[..], b"\r\n"].concat());
    }
    form.extend(format!("--{BOUNDARY}--\r\n").bytes());
    form
}

/// The type of [`form`], as a client says it.
pub fn form_type() -> String {
    format!("Multipart/form-data;  boundary=\"{BOUNDARY}\"; charset=utf-8")
}

/// An authorised upload; `fields` are whole lines with CRLF.
pub fn upload(target: &str, fields: &str, framing: Framing, body: &[u8]) -> Vec<u8> {
    let fields = format!("Content-Type: {}\r\n{fields}", form_type());
    framed("POST", target, &fields, framing, body)
}

/// Any authorised request with a body.
pub fn framed(method: &str, target: &str, fields: &str, framing: Framing, body: &[u8]) -> Vec<u8> {
    let (length, body) = match framing {
        Framing::Sized => (format!("Content-Length: {}", body.len()), body.to_vec()),
        Framing::Chunked => (
            "Transfer-Encoding: chunked".to_owned(),
            body.chunks(4999).flat_map(chunk).chain(LAST_CHUNK.iter().copied()).collect(),
        ),
    };
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\n{fields}{length}\r\n\r\n"
    );
    [head.as_bytes(), &body].concat()
}

/// Splits a request within its file, some way behind the beginning.
pub fn split(request: &[u8]) -> (&[u8], &[u8]) {
    let at = memchr::memmem::find(request, BEGIN.as_bytes()).expect("a file");
    request.split_at(at + 20_000)
}

/// A provider that counts the files whose beginning has come, takes them whole and answers `{}`.
pub fn taking() -> (Upstream, Arc<AtomicUsize>) {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let upstream = Upstream::serve(move |connection| {
        while let Some(mut request) = connection.read_head() {
            if connection.wait_for(BEGIN) {
                count.fetch_add(1, Ordering::SeqCst);
            }
            connection.read_body(&mut request);
            if !request.complete {
                return;
            }
            connection.send(json_answer("200 OK", "{}"));
        }
    });
    (upstream, begun)
}

/// Waits until the beginning of so many files has reached the provider.
pub fn wait_begun(begun: &AtomicUsize, count: usize) {
    eventually("the beginning of the file reaches the provider", || {
        begun.load(Ordering::SeqCst) >= count
    });
}

/// A proxy that may hold 150 kB: less than [`file`].
pub fn small_proxy(upstream: &Upstream) -> TestProxy {
    TestProxy::start(&with(config_for(upstream), json!({"max_request_size": 150_000})))
}

/// Asserts that the last request is this form, framed like this; it is returned.
pub fn assert_last(upstream: &Upstream, framing: Framing, expected: &[u8], what: &str) -> Request {
    let request = upstream.requests().pop().expect("a request");
    assert!(request.complete, "{what}: {}", show(&request.head.raw));
    assert!(request.body == expected, "{what}:\n{}\n{}", show(&request.body), show(expected));
    let length = request.head.get("content-length");
    let coding = request.head.get("transfer-encoding");
    match framing {
        Framing::Sized => {
            assert_eq!((length, coding), (Some(expected.len().to_string()), None), "{what}");
        }
        Framing::Chunked => {
            assert_eq!((length, coding.as_deref()), (None, Some("chunked")), "{what}");
        }
    }
    request
}
