//! One look over a request body that is as most are: what serde_json would find, or that it has to look.
//!
//! serde_json 1.0.154 takes 4.5 k of the 33 k instructions of a small chat, most of it to begin and end values
//! that nobody asks for; this takes 2.6 k. It accepts nothing that serde_json would refuse: whatever it does
//! not know, an error above all, is left to serde_json, which says what is wrong and where.

use std::ops::Range;

use super::DEPTH_MAX;

/// What a body says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Skimmed {
    /// Where the string `model` lies, quotes included.
    pub model: Option<Range<usize>>,
    pub stream: bool,
    pub like_model: bool,
}

/// Reads a whole JSON document, in UTF-8. `None` where it is no object or no JSON, where a `model` is no
/// string, has escapes or comes twice, where a key has escapes or names a stored object, and where values
/// are nested deeper than [`DEPTH_MAX`].
pub(super) fn skim(json: &[u8]) -> Option<Skimmed> {
    let mut skimmed = Skimmed::default();
    let mut rest = blank(json).strip_prefix(b"{")?;
    rest = blank(rest);
    if let Some(after) = rest.strip_prefix(b"}") {
        return blank(after).is_empty().then_some(skimmed);
    }
    loop {
        let (key, value) = key(rest)?;
        let after = skip_value(value)?;
        let raw = &value[..value.len() - after.len()];
        match key {
            b"model" if skimmed.model.is_none() && raw[0] == b'"' && !raw.contains(&b'\\') => {
                let start = json.len() - value.len();
                skimmed.model = Some(start..start + raw.len());
            }
            b"model" | b"previous_response_id" | b"conversation" => return None,
            // Some senders repeat it; like most parsers, the last one counts.
            b"stream" => skimmed.stream = raw == b"true",
            _ if key.eq_ignore_ascii_case(b"model") => skimmed.like_model |= raw[0] == b'"',
            _ => {}
        }
        match blank(after) {
            [b',', after @ ..] => rest = blank(after),
            [b'}', after @ ..] => return blank(after).is_empty().then_some(skimmed),
            _ => return None,
        }
    }
}

/// A key without escapes, and the value behind its colon.
fn key(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let begin = json.strip_prefix(b"\"")?;
    let (end, is_plain) = skip_string(begin)?;
    let key = &begin[..begin.len() - end.len() - 1];
    let value = blank(blank(end).strip_prefix(b":")?);
    is_plain.then_some((key, value))
}

/// What follows the value that `json` begins with, whose members are not looked at.
fn skip_value(json: &[u8]) -> Option<&[u8]> {
    const _: () = assert!(DEPTH_MAX <= u128::BITS as usize);
    // A bit for each array or object that is open, the innermost lowest: whether it is an object.
    let (mut objects, mut depth) = (0_u128, 0);
    let mut rest = json;
    loop {
        // A value begins here.
        let (first, after) = rest.split_first()?;
        rest = match first {
            b'"' => skip_string(after)?.0,
            b'{' | b'[' => {
                // The body's own object is one of them.
                depth += 1;
                if depth == DEPTH_MAX {
                    return None;
                }
                let is_object = *first == b'{';
                objects = objects << 1 | u128::from(is_object);
                let inner = blank(after);
                if !inner.starts_with(if is_object { b"}" } else { b"]" }) {
                    rest = if is_object { skip_key(inner)? } else { inner };
                    continue;
                }
                inner
            }
            b't' => after.strip_prefix(b"rue")?,
            b'f' => after.strip_prefix(b"alse")?,
            b'n' => after.strip_prefix(b"ull")?,
            _ => skip_number(rest)?,
        };
        // A value has ended here, and perhaps those around it.
        loop {
            if depth == 0 {
                return Some(rest);
            }
            let is_object = objects & 1 == 1;
            match blank(rest) {
                [b',', after @ ..] => {
                    let next = blank(after);
                    rest = if is_object { skip_key(next)? } else { next };
                    break;
                }
                [b'}', after @ ..] if is_object => rest = after,
                [b']', after @ ..] if !is_object => rest = after,
                _ => return None,
            }
            objects >>= 1;
            depth -= 1;
        }
    }
}

/// What follows a key and its colon.
fn skip_key(json: &[u8]) -> Option<&[u8]> {
    let (end, _) = skip_string(json.strip_prefix(b"\"")?)?;
    Some(blank(blank(end).strip_prefix(b":")?))
}

/// What follows a string, behind whose opening quote `json` begins, and whether it has no escapes.
fn skip_string(json: &[u8]) -> Option<(&[u8], bool)> {
    const EACH: u64 = u64::MAX / 0xff;
    let mut is_plain = true;
    let mut rest = json;
    loop {
        while let Some((eight, after)) = rest.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*eight);
            let (quote, escape) = (word ^ (EACH * b'"' as u64), word ^ (EACH * b'\\' as u64));
            // The lowest mark is true; those above it may come of borrowing (src/wire/eight.rs).
            let marks = (word.wrapping_sub(EACH * 0x20) & !word)
                | (quote.wrapping_sub(EACH) & !quote)
                | (escape.wrapping_sub(EACH) & !escape);
            match marks & (EACH * 0x80) {
                0 => rest = after,
                marks => {
                    rest = &rest[marks.trailing_zeros() as usize / 8..];
                    break;
                }
            }
        }
        rest = match rest {
            [b'"', after @ ..] => return Some((after, is_plain)),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', after @ ..] => after,
            [b'\\', b'u', a, b, c, d, after @ ..]
                if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
            {
                after
            }
            [b' '..=b'[' | b']'.., after @ ..] => {
                rest = after;
                continue;
            }
            _ => return None,
        };
        is_plain = false;
    }
}

/// What follows a number (RFC 8259 §6).
fn skip_number(json: &[u8]) -> Option<&[u8]> {
    let digits = |json: &'_ [u8]| json.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = json.strip_prefix(b"-").unwrap_or(json);
    match (digits(rest), rest.first()) {
        (0, _) => return None,
        (2.., Some(b'0')) => return None,
        (count, _) => rest = &rest[count..],
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = fraction.get(digits(fraction)..).filter(|_| digits(fraction) > 0)?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', after @ ..] => after,
            unsigned => unsigned,
        };
        rest = exponent.get(digits(exponent)..).filter(|_| digits(exponent) > 0)?;
    }
    Some(rest)
}

/// What follows white space (RFC 8259 §2).
fn blank(mut json: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', after @ ..] = json {
        json = after;
    }
    json
}

#[cfg(test)]
mod tests;
