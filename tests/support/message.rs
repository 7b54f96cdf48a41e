//! A strict little reader of HTTP/1.1 messages for both ends of the proxy. It knows no policy: what it cannot
//! read strictly is a failed test.

use std::io::{ErrorKind, Read, Write};

use serde_json::Value;

use super::show;

/// A two-way byte stream: TCP or TLS.
pub trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Bytes came; the stream goes on.
    Open,
    /// A clean end of file.
    Eof,
    /// The peer reset the connection.
    Reset,
    /// Nothing came in time.
    TimedOut,
}

/// A stream and the bytes read from it but not yet consumed.
pub struct Wire {
    pub stream: Box<dyn Duplex>,
    pub pending: Vec<u8>,
}

/// A parsed head of either kind.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The bytes up to and including the empty line.
    pub raw: Vec<u8>,
    /// The request line or status line.
    pub start: String,
    /// Names as sent and values without the white space around them.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    fn parse(raw: Vec<u8>) -> Self {
        let text = raw.strip_suffix(b"\r\n\r\n").expect("ends with an empty line");
        let mut lines = Vec::new();
        let mut rest = text;
        while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
            lines.push(&rest[..at]);
            rest = &rest[at + 2..];
        }
        lines.push(rest);
        let start = String::from_utf8_lossy(lines[0]).into_owned();
        let headers = lines[1..].iter().map(|line| header(line, &raw)).collect();
        Self { raw, start, headers }
    }

    /// All values of a header, lossily decoded.
    pub fn all(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The only value of a header.
    pub fn get(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        assert!(all.len() < 2, "{name} twice in {}", show(&self.raw));
        all.pop()
    }

    fn is_chunked(&self) -> bool {
        self.all("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.get("content-length").map(|value| value.parse().expect("a decimal Content-Length"))
    }
}

fn header(line: &[u8], head: &[u8]) -> (String, Vec<u8>) {
    let colon = memchr::memchr(b':', line);
    let colon = colon.unwrap_or_else(|| panic!("a header without colon in {}", show(head)));
    let name = String::from_utf8(line[..colon].to_vec()).expect("an ASCII header name");
    assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()), "{}", show(head));
    assert!(!line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{}", show(head));
    (name, line[colon + 1..].trim_ascii().to_vec())
}

/// A request as an upstream got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The number of its connection, from 0.
    pub connection: usize,
    pub head: Head,
    pub method: String,
    pub target: String,
    /// The body without chunk framing.
    pub body: Vec<u8>,
    /// Whether the whole body came.
    pub complete: bool,
}

impl Request {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", show(&self.body)))
    }
}

/// An answer as a client got it.
#[derive(Clone, Debug)]
pub struct Response {
    pub head: Head,
    pub version: String,
    pub status: u16,
    pub reason: String,
    /// The body without chunk framing.
    pub body: Vec<u8>,
    /// The body as it came.
    pub raw_body: Vec<u8>,
    /// False when the connection ended before the body did.
    pub complete: bool,
    /// The body ended with the connection.
    pub until_close: bool,
}

impl Response {
    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.get(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The message of an error made by the proxy, after a check of the error's promised shape.
    pub fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(self.complete, "{self:?}");
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "content type {kind}");
        let body = self.json();
        assert_eq!(body["error"]["type"], "http_error", "{body}");
        assert_eq!(body["error"]["code"], status, "{body}");
        body["error"]["message"].as_str().expect("a message").to_owned()
    }
}

impl Wire {
    /// Reads once.
    pub fn fill(&mut self) -> Ending {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ending::Eof,
                Ok(count) => {
                    self.pending.extend_from_slice(&buffer[..count]);
                    return Ending::Open;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ending::TimedOut;
                }
                Err(_) => return Ending::Reset,
            }
        }
    }

    /// Reads up to and including `end`, or says how the stream ended before.
    pub fn take_until(&mut self, end: &[u8]) -> Result<Vec<u8>, Ending> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr::memmem::find(&self.pending[searched..], end) {
                return Ok(self.pending.drain(..searched + at + end.len()).collect());
            }
            searched = self.pending.len().saturating_sub(end.len());
            match self.fill() {
                Ending::Open => {}
                ending => return Err(ending),
            }
        }
    }

    fn take(&mut self, count: usize, into: &mut Vec<u8>) -> Result<(), Ending> {
        let mut missing = count;
        loop {
            let now = missing.min(self.pending.len());
            into.extend(self.pending.drain(..now));
            missing -= now;
            if missing == 0 {
                return Ok(());
            }
            match self.fill() {
                Ending::Open => {}
                ending => return Err(ending),
            }
        }
    }

    /// Reads one head.
    pub fn head(&mut self) -> Result<Head, Ending> {
        Ok(Head::parse(self.take_until(b"\r\n\r\n")?))
    }

    /// Reads a chunked body: what came, decoded and raw, and whether all of it came.
    fn chunked(&mut self, body: &mut Vec<u8>, raw: &mut Vec<u8>) -> Result<(), Ending> {
        loop {
            let line = self.take_until(b"\r\n")?;
            raw.extend_from_slice(&line);
            let digits = line.split(|b| matches!(b, b';' | b'\r')).next().unwrap_or_default();
            let digits = std::str::from_utf8(digits).expect("a chunk size");
            let size = usize::from_str_radix(digits.trim(), 16);
            let size = size.unwrap_or_else(|e| panic!("chunk size {digits:?}: {e}"));
            if size == 0 {
                break;
            }
            let start = body.len();
            self.take(size, body)?;
            raw.extend_from_slice(&body[start..]);
            let end = self.take_until(b"\r\n")?;
            assert_eq!(end, b"\r\n", "no CRLF after a chunk");
            raw.extend_from_slice(&end);
        }
        while !raw.ends_with(b"\r\n\r\n") {
            raw.extend(self.take_until(b"\r\n")?);
        }
        Ok(())
    }

    /// Reads one request.
    pub fn request(&mut self, connection: usize) -> Result<Request, Ending> {
        let mut request = self.request_head(connection)?;
        self.request_body(&mut request);
        Ok(request)
    }

    /// Reads the body of a request whose head was read, or what comes of it.
    pub fn request_body(&mut self, request: &mut Request) {
        let (mut body, mut raw) = (Vec::new(), Vec::new());
        let done = if request.head.is_chunked() {
            self.chunked(&mut body, &mut raw)
        } else {
            self.take(request.head.length().unwrap_or(0), &mut body)
        };
        request.complete = done.is_ok();
        request.body = body;
    }

    /// Reads the head of a request; the body stays unread.
    pub fn request_head(&mut self, connection: usize) -> Result<Request, Ending> {
        let head = self.head()?;
        let mut words = head.start.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let (method, target) = (word(), word());
        Ok(Request { connection, method, target, head, body: Vec::new(), complete: false })
    }

    /// Reads the answer to a request of `method`.
    pub fn response(&mut self, method: &str) -> Result<Response, Ending> {
        let head = self.head()?;
        let mut words = head.start.splitn(3, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let (version, status, reason) = (word(), word(), word());
        let status: u16 = status.parse().unwrap_or_else(|_| panic!("status line {}", head.start));
        let (mut body, mut raw_body, mut until_close) = (Vec::new(), Vec::new(), false);
        let end = if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            Ok(())
        } else if head.is_chunked() {
            self.chunked(&mut body, &mut raw_body)
        } else if let Some(length) = head.length() {
            self.take(length, &mut body)
        } else {
            until_close = true;
            self.rest(&mut body)
        };
        assert_ne!(end, Err(Ending::TimedOut), "hang after {}", show(&[head.raw, body].concat()));
        if !head.is_chunked() {
            raw_body.clone_from(&body);
        }
        let complete = end.is_ok();
        Ok(Response { head, version, status, reason, body, raw_body, complete, until_close })
    }

    fn rest(&mut self, body: &mut Vec<u8>) -> Result<(), Ending> {
        let ending = loop {
            body.append(&mut self.pending);
            match self.fill() {
                Ending::Open => {}
                ending => break ending,
            }
        };
        if ending == Ending::Eof {
            Ok(())
        } else {
            Err(ending)
        }
    }
}
