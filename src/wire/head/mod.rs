//! Message heads: where one ends, what it says about its body and connection, what passes on.
//!
//! A relayed head is never rebuilt: its fields go out in the order and spelling in which they came.
//! async-h1 2.3.4 panics on non-ASCII values, knows no status beyond its enum (520, 529 …), loses order
//! and spelling in a hash map, takes `%2e%2e` for a parent folder and keeps 8 KB per message. Heads that
//! we write for ourselves go through it.

mod credentials;
mod cross_origin;
mod fields;
mod grammar;
mod host;
mod lines;
mod request;
mod response;
mod sharing;
mod start_line;

pub use cross_origin::CrossOrigin;
pub use lines::{fields, remove_field};
pub use request::{RequestHead, NAMED_MODEL};
pub use response::{Content, ResponseHead};
pub use sharing::Sharing;

use std::fmt;

use memchr::memchr;

use self::fields::Known;
use self::grammar::{Field, Fields};

use crate::language::Words;
use crate::message;
use crate::wire::body::Framing;

/// Bytes of a head, line ends included.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Fields of a head.
pub const FIELDS_MAX: usize = 128;
/// Fields that `Connection` names. Every field is compared with all of them, and no message names
/// many.
const NAMED_MAX: usize = 16;

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Against the grammar; the reason in Chinese and English.
    Malformed(&'static Words),
    /// More than [`HEAD_BYTES_MAX`] bytes or [`FIELDS_MAX`] fields, or a `Connection` that names
    /// more than `NAMED_MAX` of them.
    TooLarge,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    Version,
    /// Another protocol: HTTP/2.
    Http2,
    /// Another protocol: TLS.
    Tls,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1).
    Coding,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    Expectation,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadError::Malformed(reason) => reason.fmt(f),
            HeadError::TooLarge => message!(
                "消息头过大，上限 {HEAD_BYTES_MAX} 字节和 {FIELDS_MAX} 个字段",
                "head too large: limit {HEAD_BYTES_MAX} bytes and {FIELDS_MAX} fields"
            )
            .fmt(f),
            HeadError::Version => Words("不支持的HTTP版本", "unsupported HTTP version").fmt(f),
            HeadError::Http2 => {
                Words("对方只说 HTTP/2，不是 HTTP/1.1", "speaks HTTP/2, not HTTP/1.1").fmt(f)
            }
            HeadError::Tls => {
                Words("对方使用 TLS，请改用 https://", "speaks TLS: use https://").fmt(f)
            }
            HeadError::Coding => Words("不支持的传输编码", "unsupported transfer coding").fmt(f),
            HeadError::Expectation => Words("不支持的Expect", "unknown expectation").fmt(f),
        }
    }
}

impl HeadError {
    /// What the first bytes of an answer that is not HTTP/1 give away: a frame of HTTP/2, which a
    /// server sends at once (RFC 9113 §3.4: SETTINGS, type 4; to a request that it cannot read
    /// GOAWAY, type 7), or a record of TLS (RFC 8446 §5.1: alert, type 21; handshake, type 22).
    pub fn of_other_protocol(bytes: &[u8]) -> HeadError {
        match bytes {
            [0, _, _, 4 | 7, _, 0, 0, 0, 0, ..] => HeadError::Http2,
            [21 | 22, 3, ..] => HeadError::Tls,
            _ => HeadError::Malformed(&Words("不是HTTP/1响应", "not an HTTP/1 answer")),
        }
    }
}

/// Finds the end of a head in bytes that come piece by piece, looking at each byte once.
#[derive(Default)]
pub struct HeadScanner {
    seen: usize,
    line: usize,
}

impl HeadScanner {
    /// Has `parse` read the head once it is complete. `bytes` is all that has come so far.
    ///
    /// # Errors
    /// Those of [`HeadScanner::scan`] and of `parse`.
    pub fn read<H>(
        &mut self,
        bytes: &[u8],
        parse: impl Fn(&[u8]) -> Result<H, HeadError>,
    ) -> Result<Option<H>, HeadError> {
        // Mostly it comes as a whole: then its end need not be found first.
        if self.seen == 0 {
            if let Ok(head) = parse(bytes) {
                return Ok(Some(head));
            }
        }
        self.scan(bytes)?.map(|length| parse(&bytes[..length])).transpose()
    }

    /// The length of the head once it is complete. `bytes` is all that has come so far.
    ///
    /// # Errors
    /// A line feed without its carriage return, which other parsers read differently (RFC 9112
    /// §2.2 leaves it open), or a head over its limit.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        let within = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        while let Some(found) = memchr(b'\n', &within[self.seen..]) {
            let feed = self.seen + found;
            if feed == 0 || bytes[feed - 1] != b'\r' {
                return Err(HeadError::Malformed(&Words("行尾必须是CRLF", "bare line feed")));
            }
            let empty = feed - 1 == self.line;
            self.seen = feed + 1;
            self.line = self.seen;
            if empty {
                return Ok(Some(self.seen));
            }
        }
        self.seen = within.len();
        if self.seen == HEAD_BYTES_MAX {
            return Err(HeadError::TooLarge);
        }
        Ok(None)
    }
}

/// The fields that frame a message or manage its connection.
#[derive(Default)]
struct Control<'b> {
    length: Option<u64>,
    codings: usize,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    /// Named by `Connection`, so not for the next hop.
    named: Vec<&'b [u8]>,
}

impl<'b> Control<'b> {
    fn read(fields: &Fields<'b>) -> Result<Control<'b>, HeadError> {
        let mut control = Control::default();
        let is_control = |known| {
            matches!(known, Known::ContentLength | Known::TransferEncoding | Known::Connection)
        };
        for field in fields.of(is_control) {
            match field.known() {
                Known::ContentLength => {
                    for value in field.value().split(|byte| *byte == b',') {
                        control.add_length(trim(value))?;
                    }
                }
                Known::TransferEncoding => control.add_codings(field.value())?,
                Known::Connection => control.add_options(field.value())?,
                _ => {}
            }
        }
        Ok(control)
    }

    fn add_codings(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for coding in list(value) {
            self.codings += 1;
            self.chunked = coding.eq_ignore_ascii_case(b"chunked");
        }
        match self.codings {
            0 => Err(HeadError::Coding),
            _ => Ok(()),
        }
    }

    fn add_options(&mut self, value: &'b [u8]) -> Result<(), HeadError> {
        for option in list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if self.named.len() < NAMED_MAX {
                self.named.push(option);
            } else {
                return Err(HeadError::TooLarge);
            }
        }
        Ok(())
    }

    fn add_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        // `str::parse` would accept a sign.
        let digit = |length: u64, byte: &u8| match byte {
            b'0'..=b'9' => length.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
            _ => None,
        };
        let parsed = value.iter().try_fold(0, digit).filter(|_| !value.is_empty());
        match parsed {
            Some(length) if self.length.is_none_or(|other| other == length) => {
                self.length = Some(length);
                Ok(())
            }
            _ => Err(HeadError::Malformed(&Words("Content-Length无效", "invalid Content-Length"))),
        }
    }

    /// The framing that the fields ask for (RFC 9112 §6.3), `None` when they name none.
    fn framing(&self, minor: u8) -> Result<Option<Framing>, HeadError> {
        if self.codings == 0 {
            return Ok(self.length.map(Framing::Length));
        }
        if self.length.is_some() || minor == 0 {
            return Err(HeadError::Malformed(&Words(
                "Transfer-Encoding与Content-Length或HTTP/1.0冲突",
                "conflicting message length",
            )));
        }
        if self.codings > 1 || !self.chunked {
            return Err(HeadError::Coding);
        }
        Ok(Some(Framing::Chunked))
    }

    fn persists(&self, minor: u8) -> bool {
        !self.close && (minor > 0 || self.keep_alive)
    }

    /// Whether `Connection` names this field.
    #[inline]
    fn names(&self, field: Field<'_>) -> bool {
        !self.named.is_empty()
            && self.named.iter().any(|named| field.name().eq_ignore_ascii_case(named))
    }
}

/// The members of a comma-separated field value (RFC 9110 §5.6.1), empty ones left out.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// Appends one field line.
pub fn push_field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    push_line(head, name.as_bytes(), value);
}

fn push_line(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_at_the_same_place_in_any_split() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for cut in 0..bytes.len() {
            let mut scanner = HeadScanner::default();
            let early = scanner.scan(&bytes[..cut]).unwrap();
            let found = early.or_else(|| scanner.scan(bytes).unwrap());
            assert_eq!(found, Some(27), "cut at {cut}");
        }
    }

    #[test]
    fn a_bare_line_feed_is_refused() {
        assert!(HeadScanner::default().scan(b"GET / HTTP/1.1\nHost: a\n\n").is_err());
    }

    #[test]
    fn a_head_over_the_limit_is_refused_before_it_ends() {
        assert_eq!(HeadScanner::default().scan(&[b'a'; HEAD_BYTES_MAX]), Err(HeadError::TooLarge));
    }
}
