//! The field lines of a head (RFC 9112 §5), read in one pass over its bytes.
//!
//! httparse 1.10.1, with which async-h1 reads heads, tells names and values and nothing else: whether the
//! head is all here, what a name means and which lines can go on as they are took passes of their own. A
//! chat's two heads, 21 fields, took 16 k instructions with it, of 42.5 k in all, and take 11 k with this. What
//! is accepted, and what is refused for which reason, is the same (the tests hold both side by side).

use super::fields::{Known, Name};
use super::{push_line, HeadError, FIELDS_MAX, HEAD_BYTES_MAX};
use crate::language::Words;
use crate::wire::eight::{before, controls, equal, first, first_eight, lowered, no_letters};

const _: () = assert!(HEAD_BYTES_MAX <= u16::MAX as usize + 1);

/// What is wrong with a field line.
const NAME: HeadError = HeadError::Malformed(&Words("字段名无效", "malformed header name"));
const VALUE: HeadError = HeadError::Malformed(&Words("字段值无效", "malformed header value"));
pub(super) const LINE_END: HeadError =
    HeadError::Malformed(&Words("换行无效", "malformed line end"));
const INCOMPLETE: HeadError = HeadError::Malformed(&Words("消息头不完整", "incomplete head"));

/// A field of a head.
#[derive(Clone, Copy)]
pub(super) struct Field<'b> {
    bytes: &'b [u8],
    place: &'b Place,
}

impl<'b> Field<'b> {
    /// The name, a token (RFC 9110 §5.1).
    pub fn name(&self) -> &'b [u8] {
        &self.bytes[usize::from(self.place.start)..usize::from(self.place.name_end)]
    }

    /// What the program knows by its name.
    pub fn known(&self) -> Known {
        self.place.known
    }

    /// The value, without white space around it: no control characters but the tab.
    pub fn value(&self) -> &'b [u8] {
        &self.bytes[usize::from(self.place.value)..usize::from(self.place.value_end)]
    }
}

/// Where a field stands in its head.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    start: u16,
    name_end: u16,
    value: u16,
    value_end: u16,
    end: u16,
    known: Known,
    /// Whether the line is `name: value` to the byte.
    plain: bool,
}

/// Room for the places of all fields that a head may have.
pub(super) type Places = [Place; FIELDS_MAX];

/// Room without places.
pub(super) const NO_PLACES: Places = [Place {
    start: 0,
    name_end: 0,
    value: 0,
    value_end: 0,
    end: 0,
    known: Known::Nothing,
    plain: false,
}; FIELDS_MAX];

/// The fields of a head, in their order.
pub(super) struct Fields<'b> {
    bytes: &'b [u8],
    places: &'b [Place],
    /// The length of the head, its empty line included.
    pub length: usize,
}

impl<'b> Fields<'b> {
    /// Reads field lines from `start` to the empty line. White space before a colon is refused, or
    /// passed over, as a proxy must do in responses (RFC 9112 §5.1).
    ///
    /// # Errors
    /// [`HeadError::Malformed`], also without an empty line; [`HeadError::TooLarge`].
    pub fn read(
        bytes: &'b [u8],
        start: usize,
        space_before_colon: bool,
        places: &'b mut Places,
    ) -> Result<Fields<'b>, HeadError> {
        // What is beyond is of no interest, and places are short.
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        let (mut at, mut count) = (start, 0);
        loop {
            match bytes.get(at..).unwrap_or_default() {
                [b'\r', b'\n', ..] => break,
                [] | [b'\r'] => return Err(INCOMPLETE),
                [b'\r', ..] => return Err(LINE_END),
                _ => {}
            }
            let place = places.get_mut(count).ok_or(HeadError::TooLarge)?;
            read_line(bytes, at, space_before_colon, place)?;
            at = usize::from(place.end);
            count += 1;
        }
        Ok(Fields { bytes, places: &places[..count], length: at + 2 })
    }

    /// Those of which something is known that `wanted` wants.
    pub fn of<'f>(
        &'f self,
        wanted: impl Fn(Known) -> bool + 'f,
    ) -> impl Iterator<Item = Field<'b>> + 'f {
        self.places.iter().filter(move |place| wanted(place.known)).map(|place| self.field(place))
    }

    fn field(&self, place: &'b Place) -> Field<'b> {
        Field { bytes: self.bytes, place }
    }

    /// Appends the lines, as `name: value`, of those of which what is known lets them go on and which
    /// `may_go_on`. Lines that are written like this already, as most are, go on with their neighbours
    /// in one piece.
    pub fn push_lines(
        &self,
        head: &mut Vec<u8>,
        goes_on: impl Fn(Known) -> bool,
        may_go_on: impl Fn(&Field<'b>) -> bool,
    ) {
        let mut run = 0..0;
        for place in self.places.iter().filter(|place| goes_on(place.known)) {
            let field = self.field(place);
            if !may_go_on(&field) {
                continue;
            }
            let line = usize::from(place.start)..usize::from(place.end);
            if place.plain && run.end == line.start {
                run.end = line.end;
                continue;
            }
            head.extend_from_slice(&self.bytes[std::mem::replace(&mut run, 0..0)]);
            match place.plain {
                true => run = line,
                false => push_line(head, field.name(), field.value()),
            }
        }
        head.extend_from_slice(&self.bytes[run]);
    }
}

/// Reads the field line that begins at `start`.
fn read_line(
    bytes: &[u8],
    start: usize,
    space_before_colon: bool,
    place: &mut Place,
) -> Result<(), HeadError> {
    let line = &bytes[start..];
    let mut name = Name::default();
    let length = read_name(line, &mut name);
    let mut before = &line[length..];
    if space_before_colon && before.first().is_some_and(|byte| is_blank(*byte)) {
        before = skip_blanks(before);
    }
    let after = match before {
        [b':', after @ ..] if length > 0 => after,
        [] => return Err(INCOMPLETE),
        _ => return Err(NAME),
    };
    let spaced = after.strip_prefix(b" ");
    let mut value = spaced.unwrap_or(after);
    place.plain = spaced.is_some() && before.len() + length == line.len();
    if value.first().is_some_and(|byte| is_blank(*byte)) {
        value = skip_blanks(value);
        place.plain = false;
    }
    let rest = skip_text(value);
    match rest {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] => return Err(INCOMPLETE),
        _ => return Err(VALUE),
    }
    // A line that ends where a head must end leaves no room for the empty line.
    let end = bytes.len() - rest.len() + 2;
    place.end = u16::try_from(end).map_err(|_| HeadError::TooLarge)?;
    place.start = start as u16;
    place.name_end = (start + length) as u16;
    place.value = (bytes.len() - value.len()) as u16;
    place.value_end = (end - 2) as u16;
    while place.value_end > place.value && is_blank(bytes[usize::from(place.value_end) - 1]) {
        place.value_end -= 1;
        place.plain = false;
    }
    place.known = Known::by_name(length, &name);
    Ok(())
}

/// Reads the token (RFC 9110 §5.6.2) that `bytes` begins with, and returns its length.
fn read_name(bytes: &[u8], name: &mut Name) -> usize {
    let mut rest = bytes;
    for word in &mut name.0 {
        let Some((eight, after)) = first_eight(rest) else { break };
        let other = no_letters(eight);
        *word = lowered(eight);
        if other != 0 {
            *word = before(*word, other);
            rest = &rest[first(other)..];
            // Mostly that was all.
            if TOKEN[usize::from(rest[0])] {
                break;
            }
            return bytes.len() - rest.len();
        }
        rest = after;
    }
    read_other_name(bytes, name)
}

/// The same for names with other characters than letters and hyphens, for long ones, and for those near
/// the end of what there is.
#[cold]
fn read_other_name(bytes: &[u8], name: &mut Name) -> usize {
    let length = bytes.iter().take_while(|byte| TOKEN[usize::from(**byte)]).count();
    *name = Name::new(&bytes[..length]);
    length
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// What follows optional white space (RFC 9110 §5.6.3).
fn skip_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', after @ ..] = bytes {
        bytes = after;
    }
    bytes
}

/// What follows the bytes that a field value may have (RFC 9110 §5.5): visible ones, white space, and
/// those beyond ASCII.
#[inline]
pub(super) fn skip_text(mut bytes: &[u8]) -> &[u8] {
    while let Some((eight, after)) = first_eight(bytes) {
        match controls(eight) | equal(eight, 0x7f) {
            0 => bytes = after,
            found => {
                bytes = &bytes[first(found)..];
                match bytes {
                    [b'\t', after @ ..] => bytes = after,
                    _ => return bytes,
                }
            }
        }
    }
    while let [b'\t' | b' '..=b'~' | 0x80.., after @ ..] = bytes {
        bytes = after;
    }
    bytes
}

/// The characters of a token (RFC 9110 §5.6.2).
pub(super) const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        token[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        token[others[at] as usize] = true;
        at += 1;
    }
    token
};

#[cfg(test)]
mod tests;
