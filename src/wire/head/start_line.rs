//! The first line of a head (RFC 9112 §3 and §4).

use super::grammar::{skip_text, LINE_END, TOKEN};
use super::HeadError;
use crate::language::Words;

pub(super) const START: HeadError =
    HeadError::Malformed(&Words("起始行无效", "malformed start line"));
pub(super) const STATUS: HeadError =
    HeadError::Malformed(&Words("状态行无效", "malformed status line"));

/// A request line (RFC 9112 §3): method, target, the minor version, and where it ends.
///
/// # Errors
/// [`HeadError::Version`] for a request of another version; else [`HeadError::Malformed`].
pub(super) fn request_line(bytes: &[u8]) -> Result<(&str, &str, u8, usize), HeadError> {
    let method = bytes.iter().take_while(|byte| TOKEN[usize::from(**byte)]).count();
    let (method, after) = bytes.split_at(method);
    let after = after.strip_prefix(b" ").filter(|_| !method.is_empty()).ok_or(START)?;
    let target = after.iter().take_while(|byte| matches!(**byte, b'!'..=b'~' | 0x80..)).count();
    let (target, after) = after.split_at(target);
    let after = after.strip_prefix(b" ").filter(|_| !target.is_empty()).ok_or(START)?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| START);
    let (method, target) = (text(method)?, text(target)?);
    let (minor, after) = match after.split_first_chunk::<8>().ok_or(START)? {
        (b"HTTP/1.1", after) => (1, after),
        (b"HTTP/1.0", after) => (0, after),
        ([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'], [b'\r', ..]) => {
            return Err(HeadError::Version);
        }
        _ => return Err(START),
    };
    let rest = after.strip_prefix(b"\r\n").ok_or(LINE_END)?;
    Ok((method, target, minor, bytes.len() - rest.len()))
}

/// A status line (RFC 9112 §4): the minor version, the status, its reason, which is empty where it is not
/// ASCII, and where the line ends.
///
/// # Errors
/// [`HeadError::Version`], [`HeadError::Malformed`].
pub(super) fn status_line(bytes: &[u8]) -> Result<(u8, u16, &[u8], usize), HeadError> {
    let (minor, rest) = match bytes.split_first_chunk::<9>() {
        Some((b"HTTP/1.1 ", rest)) => (1, rest),
        Some((b"HTTP/1.0 ", rest)) => (0, rest),
        _ => return Err(HeadError::Version),
    };
    let (status, rest) = match rest {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            let digit = |byte: &u8| u16::from(byte - b'0');
            (digit(a) * 100 + digit(b) * 10 + digit(c), rest)
        }
        _ => return Err(STATUS),
    };
    // Some servers leave out the space where there is no reason.
    let (reason, rest) = match rest.strip_prefix(b" ") {
        Some(reason) => reason.split_at(reason.len() - skip_text(reason).len()),
        None => (&b""[..], rest),
    };
    let rest = rest.strip_prefix(b"\r\n").ok_or(STATUS)?;
    Ok((minor, status, if reason.is_ascii() { reason } else { b"" }, bytes.len() - rest.len()))
}
