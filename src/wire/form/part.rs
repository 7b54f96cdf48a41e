//! What the fields of a part say, and the boundary that `Content-Type` names. Where readers are known to differ about
//! a part `model`, it is refused: a provider must find the same one as the proxy.

use std::ops::Range;

use memchr::{memchr, memchr2, memmem};

use super::FormError;

/// Bytes of a boundary. RFC 2046 §5.1.1 allows 70.
const BOUNDARY_BYTES_MAX: usize = 200;
/// In these, ASCII is ASCII. Starlette decodes the names of parts with the one that `Content-Type` names.
const CHARSETS: [&[u8]; 5] = [b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1"];
const MODEL: &[u8] = b"model";
/// What an encoded word begins with (RFC 2047 §2).
const ENCODED: &[u8] = b"=?";

/// The name of a part, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Model,
    Stream,
    Other,
}

/// What the fields of a part say.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: Name,
    pub(super) has_file: bool,
    /// Where the digits of `Content-Length` are. Old versions of okhttp send it, aiohttp reads by it.
    pub(super) length: Option<Range<usize>>,
    /// Whether some readers would find `model` here, and others not.
    pub(super) is_ambiguous: bool,
}

/// Reads the fields of a part, with the empty line.
pub(super) fn read(head: &[u8]) -> Part {
    let mut part = Part { name: Name::Other, has_file: false, length: None, is_ambiguous: false };
    let mut names: Option<Disposition> = None;
    // Whether all readers take these fields apart alike, and whether they read the data alike.
    let (mut is_sound, mut is_plain) = (true, true);
    let mut start = 0;
    for end in memmem::find_iter(head, b"\r\n") {
        let line = &head[start..end];
        let line_start = start;
        start = end + 2;
        if line.is_empty() {
            continue;
        }
        is_sound &= memchr2(b'\r', b'\n', line).is_none();
        // The first byte of a folded line is no token (RFC 822 §3.1.1).
        let colon = memchr(b':', line).unwrap_or(line.len());
        is_sound &= colon < line.len() && is_token(&line[..colon]);
        let name = line[..colon].trim_ascii();
        let raw = line.get(colon + 1..).unwrap_or_default();
        let value = raw.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-disposition") {
            is_sound &= names.is_none();
            let disposition = Disposition::read(value);
            is_sound &= disposition.is_sound;
            is_plain &= disposition.is_form_data;
            part.is_ambiguous |= disposition.has_extended_name;
            part.has_file |= disposition.has_file;
            names = names.or(Some(disposition));
        } else if name.eq_ignore_ascii_case(b"content-length") {
            is_plain &= part.length.is_none() && decimal(value).is_some();
            let digits = line_start + line.len() - raw.trim_ascii_start().len();
            part.length = Some(digits..digits + value.len());
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            // Go decodes quoted-printable.
            let same = [&b"7bit"[..], b"8bit", b"binary"];
            is_plain &= same.iter().any(|coding| value.eq_ignore_ascii_case(coding));
        }
    }
    let name = names.and_then(|names| names.name).unwrap_or_default();
    part.name = match name {
        MODEL => Name::Model,
        b"stream" if is_sound && is_plain => Name::Stream,
        _ => Name::Other,
    };
    part.is_ambiguous |= match part.name {
        _ if !is_sound => memmem::find(&lower(head), b"disposition").is_some(),
        Name::Model => part.has_file || !is_plain,
        _ => resembles_model(name),
    };
    part
}

/// What one `Content-Disposition` says (RFC 7578 §4.2).
struct Disposition<'a> {
    name: Option<&'a [u8]>,
    has_file: bool,
    /// Extended or continued (RFC 2231): few read it, and all in their own way.
    has_extended_name: bool,
    is_form_data: bool,
    /// Whether all readers find the same parameters.
    is_sound: bool,
}

impl<'a> Disposition<'a> {
    fn read(value: &'a [u8]) -> Disposition<'a> {
        let (kind, parameters) = split_parameters(value);
        let is_form_data = kind.eq_ignore_ascii_case(b"form-data");
        let (name, has_file, has_extended_name) = (None, false, false);
        let is_sound = is_token(kind);
        let mut found = Disposition { name, has_file, has_extended_name, is_form_data, is_sound };
        for parameter in parameters {
            let Some(parameter) = parameter else {
                found.is_sound = false;
                found.has_file |= memmem::find(value, b"filename").is_some();
                break;
            };
            let name = lower(parameter.name);
            match &name[..] {
                b"name" => {
                    found.is_sound &= found.name.is_none()
                        && (parameter.is_quoted || is_token(parameter.value))
                        && memmem::find(parameter.value, b"\\\"").is_none();
                    found.name = found.name.or(Some(parameter.value));
                }
                b"filename" => found.has_file = true,
                name if name.starts_with(b"name*") => found.has_extended_name = true,
                name if name.starts_with(b"filename*") => found.has_file = true,
                name => found.is_sound &= !name.ends_with(b"name"),
            }
            // Some readers look for a name anywhere; some end a quoted string at a quote with a backslash before it.
            let value = lower(parameter.value);
            let ends_early = memmem::find(&value, b"\\\"").is_some();
            let mut names = memmem::find_iter(&value, b"name");
            found.is_sound &= !names.any(|at| {
                let behind = &value[at + b"name".len()..];
                ends_early || matches!(behind.trim_ascii_start(), [b'=' | b'*', ..])
            });
        }
        found
    }
}

/// Whether some reader could take this name for `model`: it takes off what is not visible ASCII, leaves out what
/// stands behind a zero, or decodes what RFC 2047 encodes.
fn resembles_model(name: &[u8]) -> bool {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let bare: Vec<u8> = name[..end].iter().copied().filter(|byte| !is_around(*byte)).collect();
    let is_odd = !name.iter().all(|byte| matches!(byte, b' '..=b'~'));
    bare == MODEL
        || is_odd && memmem::find(&lower(name), MODEL).is_some()
        || memmem::find(name, ENCODED).is_some()
}

/// What some readers take off a name: backslashes, white space, quotes of all kinds.
fn is_around(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"'<>\"\\".contains(&byte)
}

/// The boundary that a `Content-Type` names; `None` when it is another type than `multipart/form-data`.
/// And whether some readers would find another one, or read the names in the form in another charset.
pub(super) fn form_boundary(content_type: &[u8]) -> Option<Result<(Vec<u8>, bool), FormError>> {
    let (kind, parameters) = split_parameters(content_type.trim_ascii());
    kind.eq_ignore_ascii_case(b"multipart/form-data").then(|| boundary(parameters))
}

fn boundary(parameters: Parameters) -> Result<(Vec<u8>, bool), FormError> {
    let mut is_odd = false;
    let mut found: Option<Vec<u8>> = None;
    for parameter in parameters {
        let parameter = parameter.ok_or(FormError::Boundary)?;
        let name = lower(parameter.name);
        if name == b"boundary" {
            let value = parameter.unescaped();
            if found.as_ref().is_some_and(|found| *found != value) {
                return Err(FormError::Boundary);
            }
            // Some take off white space, or decode what RFC 2047 encodes.
            is_odd |= !parameter.value.iter().all(|byte| is_usual(*byte, parameter.is_quoted))
                || parameter.value.starts_with(b" ")
                || parameter.value.starts_with(ENCODED);
            found = Some(value);
        } else if name.starts_with(b"boundary*") {
            // Go joins the pieces of RFC 2231, others do not.
            return Err(FormError::Boundary);
        } else if name == b"charset" {
            is_odd |= !CHARSETS.contains(&&*lower(parameter.value));
        } else {
            // Some readers look for it anywhere.
            is_odd |= memmem::find(&name, b"boundary").is_some()
                || memmem::find(&lower(parameter.value), b"boundary").is_some();
        }
    }
    let good = |value: &Vec<u8>| {
        (1..=BOUNDARY_BYTES_MAX).contains(&value.len())
            && !value.iter().any(u8::is_ascii_control)
            && !value.ends_with(b" ")
    };
    let found = found.filter(good).ok_or(FormError::Boundary)?;
    Ok((found, is_odd))
}

/// Whether all readers read this byte of a boundary as itself.
fn is_usual(byte: u8, is_quoted: bool) -> bool {
    byte.is_ascii_alphanumeric()
        || b"-_.+".contains(&byte)
        || is_quoted && b"'(),/:=? ".contains(&byte)
}

struct Parameter<'a> {
    name: &'a [u8],
    /// Without the quotes, with the backslashes.
    value: &'a [u8],
    is_quoted: bool,
}

impl Parameter<'_> {
    fn unescaped(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.value.len());
        let mut bytes = self.value.iter();
        while let Some(byte) = bytes.next() {
            let escaped = if self.is_quoted && *byte == b'\\' { bytes.next() } else { None };
            value.push(*escaped.unwrap_or(byte));
        }
        value
    }
}

/// Parameters one by one, each with its semicolon before it; `None` where the rest is malformed.
struct Parameters<'a>(&'a [u8]);

/// What stands before the first semicolon, and the rest.
fn split_parameters(value: &[u8]) -> (&[u8], Parameters<'_>) {
    let (kind, rest) = value.split_at(memchr(b';', value).unwrap_or(value.len()));
    (kind.trim_ascii_end(), Parameters(rest))
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Option<Parameter<'a>>;

    fn next(&mut self) -> Option<Option<Parameter<'a>>> {
        let rest = self.0.trim_ascii();
        self.0 = &[];
        // One at the end separates nothing.
        if rest.is_empty() || rest == b";" {
            return None;
        }
        Some(rest.strip_prefix(b";").and_then(|rest| {
            let (parameter, rest) = parameter(rest.trim_ascii_start())?;
            self.0 = rest;
            Some(parameter)
        }))
    }
}

/// The parameter at the start of `text`, and what follows it.
fn parameter(text: &[u8]) -> Option<(Parameter<'_>, &[u8])> {
    let (name, rest) = text.split_at(memchr(b'=', text)?);
    if !is_token(name) {
        return None;
    }
    let rest = &rest[1..];
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let (value, rest) = rest.split_at(memchr(b';', rest).unwrap_or(rest.len()));
        let value = value.trim_ascii_end();
        let good = !value.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b'"');
        return good.then_some((Parameter { name, value, is_quoted: false }, rest));
    };
    let mut end = 0;
    while *quoted.get(end)? != b'"' {
        end += if quoted[end] == b'\\' { 2 } else { 1 };
    }
    Some((Parameter { name, value: &quoted[..end], is_quoted: true }, &quoted[end + 1..]))
}

fn lower(text: &[u8]) -> Vec<u8> {
    text.to_ascii_lowercase()
}

/// A token (RFC 9110 §5.6.2).
fn is_token(text: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(good)
}

/// A decimal number; `None` when it is something else, or larger than any that matters.
pub(super) fn decimal(digits: &[u8]) -> Option<usize> {
    let good = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    good.then(|| digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}
