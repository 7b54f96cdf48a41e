//! The head of a provider's response, checked.

use super::fields::Known;
use super::grammar::{Field, Fields, NO_PLACES};
use super::start_line::status_line;
use super::{push_field, trim, Control, HeadError};
use crate::language::Words;
use crate::wire::body::Framing;

/// Room behind a relayed head for our own fields and the beginning of a body.
const ROOM_BYTES: usize = 640;
/// The same for a body whose length is known.
const BODY_ROOM_BYTES_MAX: u64 = 4096;

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
    /// Reads the head at the beginning of `bytes`, all of which must be there, and tells its length.
    ///
    /// # Errors
    /// See [`HeadError`].
    pub fn parse(bytes: &[u8]) -> Result<(ResponseHead, usize), HeadError> {
        let (minor, status, reason, start) = status_line(bytes)?;
        // White space before a colon is taken out (RFC 9112 §5.1).
        let mut places = NO_PLACES;
        let fields = Fields::read(bytes, start, true, &mut places)?;
        if status < 100 {
            return Err(HeadError::Malformed(&Words("状态码无效", "malformed status code")));
        }
        let control = Control::read(&fields)?;
        let framing = control.framing(minor)?;
        let bodiless = status < 200 || status == 204 || status == 304;
        let room = match framing {
            Some(Framing::Length(length)) => length.min(BODY_ROOM_BYTES_MAX) as usize,
            _ => 0,
        };
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
            relayed: Vec::with_capacity(fields.length + ROOM_BYTES + room),
        };
        head.push_status_line(reason);
        for field in fields.of(|known| known != Known::Nothing) {
            head.take_note(&field);
        }
        let goes_on = |known: Known| !known.stays_of_response();
        fields.push_lines(&mut head.relayed, goes_on, |field| !control.names(*field));
        // It tells the length of what the client has already (RFC 9110 §15.4.5).
        if let (304, Some(Framing::Length(length))) = (status, framing) {
            push_field(&mut head.relayed, "content-length", length.to_string().as_bytes());
        }
        Ok((head, fields.length))
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

    fn push_status_line(&mut self, reason: &[u8]) {
        let digit = |value: u16| b'0' + (value % 10) as u8;
        self.relayed.extend_from_slice(b"HTTP/1.1 ");
        let status = self.status;
        self.relayed.extend([digit(status / 100), digit(status / 10), digit(status), b' ']);
        self.relayed.extend_from_slice(reason);
        self.relayed.extend_from_slice(b"\r\n");
    }

    fn take_note(&mut self, field: &Field<'_>) {
        let value = field.value();
        match field.known() {
            Known::ContentType => self.take_type(value),
            Known::ContentEncoding => {
                self.encoded |= !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
            }
            Known::CacheControl => self.has_cache_control = true,
            Known::RequestId => self.has_request_id = true,
            Known::XAccelBuffering => self.has_accel_buffering = true,
            Known::Location if self.is_redirect() => {
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
        ResponseHead::parse(text).map(|(head, _)| head)
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
