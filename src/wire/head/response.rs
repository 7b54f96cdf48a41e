//! The head of a provider's response, checked.

use super::fields::stays_of_response;
use super::{push_field, push_line, trim, Control, HeadError, FIELDS_MAX};
use crate::language::Words;
use crate::wire::body::Framing;

/// Room behind a relayed head for our own fields and a small body.
const ROOM_BYTES: usize = 640;

/// What kind of body a response has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `text/event-stream`: relayed as it comes.
    Events,
    /// JSON, or anything whose length is known: of use only when whole.
    Whole,
    /// Anything else of unknown length: relayed as it comes.
    Other,
}

/// What the program needs to know of a response head; nothing in it borrows from the wire.
pub struct ResponseHead {
    /// Any three-digit code from 100 up.
    pub status: u16,
    /// How the body is framed.
    pub framing: Framing,
    /// What the body is.
    pub content: Content,
    /// Whether the provider keeps the connection open, unless that is what ends the body.
    pub keep_alive: bool,
    /// Whether the body is compressed or otherwise encoded: nothing of ours can stand in it.
    pub encoded: bool,
    /// `X-Request-Id` is there.
    pub has_request_id: bool,
    /// `Cache-Control` is there.
    pub has_cache_control: bool,
    /// `X-Accel-Buffering` is there.
    pub has_accel_buffering: bool,
    /// Where a redirect leads, as it was said.
    pub location: Option<Box<str>>,
    /// The status line and the end-to-end field lines for the client, bytes as they came; without
    /// the fields that frame the body and without the empty line at the end.
    pub relayed: Vec<u8>,
}

impl ResponseHead {
    /// Reads a complete head, as [`super::HeadScanner`] found it.
    ///
    /// # Errors
    /// See [`HeadError`].
    pub fn parse(bytes: &[u8]) -> Result<ResponseHead, HeadError> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut raw = httparse::Response::new(&mut fields);
        // White space before a colon is taken out (RFC 9112 §5.1).
        let mut parser = httparse::ParserConfig::default();
        parser.allow_spaces_after_header_name_in_responses(true);
        if parser.parse_response(&mut raw, bytes)?.is_partial() {
            return Err(HeadError::Malformed(&Words("消息头不完整", "incomplete head")));
        }
        let (Some(status), Some(minor)) = (raw.code, raw.version) else {
            return Err(HeadError::Malformed(&Words("状态行无效", "malformed status line")));
        };
        if status < 100 {
            return Err(HeadError::Malformed(&Words("状态码无效", "malformed status code")));
        }
        let control = Control::read(raw.headers)?;
        let framing = control.framing(minor)?;
        let bodiless = status < 200 || status == 204 || status == 304;
        let mut head = ResponseHead {
            status,
            framing: match framing {
                _ if bodiless => Framing::None,
                Some(framing) => framing,
                None => Framing::UntilClose,
            },
            content: if matches!(framing, Some(Framing::Length(_))) || bodiless {
                Content::Whole
            } else {
                Content::Other
            },
            keep_alive: control.persists(minor),
            encoded: false,
            has_request_id: false,
            has_cache_control: false,
            has_accel_buffering: false,
            location: None,
            relayed: Vec::with_capacity(bytes.len() + ROOM_BYTES),
        };
        head.push_status_line(raw.reason.unwrap_or(""));
        for field in raw.headers.iter() {
            head.take_note(field.name, trim(field.value));
            if !stays_of_response(field.name) && !control.names(field.name) {
                push_line(&mut head.relayed, bytes, field.name, trim(field.value));
            }
        }
        // It tells the length of what the client has already (RFC 9110 §15.4.5).
        if let (304, Some(Framing::Length(length))) = (status, framing) {
            push_field(&mut head.relayed, "content-length", length.to_string().as_bytes());
        }
        Ok(head)
    }

    /// Takes note that this answers a `HEAD`: no body follows, whatever length it tells (RFC 9110
    /// §9.3.2).
    pub fn set_bodiless(&mut self) {
        if let Framing::Length(length) = self.framing {
            push_field(&mut self.relayed, "content-length", length.to_string().as_bytes());
        }
        (self.framing, self.content) = (Framing::None, Content::Whole);
    }

    /// Whether the response only says where else to ask (RFC 9110 §15.4). An SDK that follows it
    /// leaves us, with prompt and headers.
    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 300..=303 | 305 | 307 | 308)
    }

    fn push_status_line(&mut self, reason: &str) {
        let digit = |value: u16| b'0' + (value % 10) as u8;
        self.relayed.extend_from_slice(b"HTTP/1.1 ");
        let status = self.status;
        self.relayed.extend([digit(status / 100), digit(status / 10), digit(status), b' ']);
        self.relayed.extend_from_slice(reason.as_bytes());
        self.relayed.extend_from_slice(b"\r\n");
    }

    fn take_note(&mut self, name: &str, value: &[u8]) {
        let is = |other| name.eq_ignore_ascii_case(other);
        // One look at the first letter: this runs for every field.
        match name.as_bytes().first() {
            Some(b'c' | b'C') if is("content-type") => self.take_type(value),
            Some(b'c' | b'C') if is("content-encoding") => {
                self.encoded |= !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
            }
            Some(b'c' | b'C') if is("cache-control") => self.has_cache_control = true,
            Some(b'x' | b'X') if is("x-request-id") => self.has_request_id = true,
            Some(b'x' | b'X') if is("x-accel-buffering") => self.has_accel_buffering = true,
            Some(b'l' | b'L') if self.is_redirect() && is("location") => {
                self.location = Some(String::from_utf8_lossy(value).into());
            }
            _ => {}
        }
    }

    fn take_type(&mut self, value: &[u8]) {
        let media = value.split(|byte| *byte == b';').next().map_or(value, trim);
        if media.eq_ignore_ascii_case(b"text/event-stream") {
            self.content = Content::Events;
        } else if media.eq_ignore_ascii_case(b"application/json") && self.content == Content::Other
        {
            self.content = Content::Whole;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<ResponseHead, HeadError> {
        ResponseHead::parse(text)
    }

    #[test]
    fn any_three_digit_status_and_any_bytes_pass() {
        let head =
            parse(b"HTTP/1.0 529 Site Overloaded\r\nX-Name: \xe4\xff\r\nKeep-Alive: 5\r\n\r\n");
        let head = head.ok().unwrap();
        assert_eq!(head.relayed, b"HTTP/1.1 529 Site Overloaded\r\nX-Name: \xe4\xff\r\n");
        assert_eq!((head.framing, head.keep_alive), (Framing::UntilClose, false));
    }

    #[test]
    fn a_response_that_can_be_read_in_two_ways_is_refused() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 2\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip",
            "Content-Length: -1",
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            assert!(parse(head.as_bytes()).is_err(), "{fields}");
        }
    }

    #[test]
    fn responses_without_body_leave_the_connection_usable() {
        for status in ["204 No Content", "304 Not Modified"] {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");
            let head = parse(head.as_bytes()).ok().unwrap();
            assert_eq!((head.framing, head.keep_alive), (Framing::None, true));
        }
    }
}
