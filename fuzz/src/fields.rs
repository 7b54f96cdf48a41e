//! A second opinion on heads: the strictest reading of RFC 9110 and 9112, of bytes and nothing else.

use ai_proxy::wire::{Framing, FIELDS_MAX, HEAD_BYTES_MAX};

/// One field line.
pub type Field<'h> = (&'h str, &'h [u8]);

/// Never forwarded: RFC 9110 §7.6.1, and what RFC 9112 and usage add to it.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where a head ends, byte by byte: `Ok(None)` when more bytes are needed, `Err(true)` when it is
/// over the limit, `Err(false)` when it is malformed.
pub fn end_of_head(bytes: &[u8]) -> Result<Option<usize>, bool> {
    let mut line = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let length = at + 1;
        if *byte == b'\n' {
            if at == 0 || bytes[at - 1] != b'\r' {
                return Err(false);
            }
            if at - line == 1 {
                return Ok(Some(length));
            }
            line = length;
        }
        if length >= HEAD_BYTES_MAX {
            return Err(true);
        }
    }
    Ok(None)
}

/// The start line and the fields of a head that ends with its empty line. Panics on anything that
/// some parser could read in another way.
pub fn read(head: &[u8]) -> (&[u8], Vec<Field<'_>>) {
    read_with(head, field)
}

/// The same for an answer: white space before a colon is to be taken out (RFC 9112 §5.1).
pub fn read_answer(head: &[u8]) -> (&[u8], Vec<Field<'_>>) {
    read_with(head, |line| {
        let colon = line.iter().position(|byte| *byte == b':').expect("a field line has a colon");
        let name = line[..colon].trim_ascii_end();
        assert!(line[name.len()..colon].iter().all(|byte| b" \t".contains(byte)));
        checked(name, &line[colon + 1..])
    })
}

fn read_with<'h>(
    head: &'h [u8],
    field: impl Fn(&'h [u8]) -> Field<'h>,
) -> (&'h [u8], Vec<Field<'h>>) {
    let lines = head.strip_suffix(b"\r\n\r\n").expect("a head ends with an empty line");
    assert!(!lines.iter().any(|byte| *byte == 0), "NUL in an accepted head");
    let mut lines = split_lines(lines).into_iter();
    let start = lines.next().expect("a start line");
    (start, lines.map(field).collect())
}

fn split_lines(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    lines
}

fn field(line: &[u8]) -> Field<'_> {
    let colon = line.iter().position(|byte| *byte == b':').expect("a field line has a colon");
    checked(&line[..colon], &line[colon + 1..])
}

fn checked<'h>(name: &'h [u8], value: &'h [u8]) -> Field<'h> {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    assert!(!name.is_empty() && name.iter().all(token), "no name: {}", name.escape_ascii());
    assert_plain(value);
    (std::str::from_utf8(name).expect("ASCII"), trim(value))
}

/// RFC 9110 §5.5: no control characters but the tab.
fn assert_plain(value: &[u8]) {
    let plain = |byte: &u8| !byte.is_ascii_control() || *byte == b'\t';
    assert!(value.iter().all(plain), "control character in {}", value.escape_ascii());
}

/// Without the optional white space around it (RFC 9110 §5.6.3).
pub fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The values of all fields of this name.
pub fn values<'h>(fields: &[Field<'h>], name: &str) -> Vec<&'h [u8]> {
    fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, v)| *v).collect()
}

/// The members of all lists of this name, in lower case.
pub fn members(fields: &[Field<'_>], name: &str) -> Vec<Vec<u8>> {
    let lists = values(fields, name);
    let members = lists.iter().flat_map(|value| value.split(|byte| *byte == b','));
    members.map(|m| trim(m).to_ascii_lowercase()).filter(|m| !m.is_empty()).collect()
}

/// The one framing that the fields can mean, `None` when they name none; or why there is more than
/// one way to read them.
pub fn framing(fields: &[Field<'_>], minor: u8) -> Result<Option<Framing>, &'static str> {
    let codings = values(fields, "transfer-encoding");
    let lengths = values(fields, "content-length");
    if let Some(first) = codings.first() {
        return match members(fields, "transfer-encoding") {
            _ if !lengths.is_empty() => Err("a length beside a coding"),
            _ if minor == 0 => Err("a coding in HTTP/1.0"),
            // Empty members are passed over (RFC 9110 §5.6.1.2), but not instead of a first one.
            _ if first.iter().all(|byte| b", \t".contains(byte)) => Err("no coding"),
            codings if codings == [b"chunked"] => Ok(Some(Framing::Chunked)),
            _ => Err("an unknown coding"),
        };
    }
    let mut found = None;
    for value in lengths.iter().flat_map(|value| value.split(|byte| *byte == b',')) {
        let digits = trim(value);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err("no number");
        }
        let text = std::str::from_utf8(digits).expect("ASCII");
        let length: u64 = text.parse().map_err(|_| "a length that does not fit")?;
        if found.is_some_and(|other| other != length) {
            return Err("two lengths");
        }
        found = Some(length);
    }
    Ok(found.map(Framing::Length))
}

/// The fields that `Connection` names, as often as it does (RFC 9110 §7.6.1); the other members of its
/// list are options.
pub fn named(fields: &[Field<'_>]) -> Vec<Vec<u8>> {
    let mut named = members(fields, "connection");
    named.retain(|name| name != b"close" && name != b"keep-alive");
    named
}

/// Whether the connection stays open (RFC 9112 §9.3).
pub fn persists(fields: &[Field<'_>], minor: u8) -> bool {
    let options = members(fields, "connection");
    let says = |option: &[u8]| options.iter().any(|other| other == option);
    !says(b"close") && (minor > 0 || says(b"keep-alive"))
}

/// The end-to-end fields: all but the hop-by-hop ones and those whose name, in lower case, `is_private`.
pub fn end_to_end<'h>(fields: &[Field<'h>], is_private: impl Fn(&str) -> bool) -> Vec<Field<'h>> {
    let named = named(fields);
    let stays = |name: &str| {
        let name = name.to_ascii_lowercase();
        HOP_BY_HOP.contains(&name.as_str())
            || is_private(&name)
            || named.iter().any(|other| other == name.as_bytes())
    };
    fields.iter().filter(|(name, _)| !stays(name)).copied().collect()
}

/// A head as httparse reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Foreign<'h> {
    /// Method and target, or status and reason.
    pub start: (String, &'h str),
    /// Of HTTP/1.
    pub minor: u8,
    /// In their order, without white space around the values.
    pub fields: Vec<Field<'h>>,
}

/// What httparse says of a head that is all of `head`; `None` when it refuses it.
pub fn request_by_httparse(head: &[u8]) -> Option<Foreign<'_>> {
    let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut room);
    complete(request.parse(head), head)?;
    let start = (request.method?.to_owned(), request.path?);
    Some(Foreign { start, minor: request.version?, fields: trimmed(request.headers) })
}

/// The same of an answer, in which white space may stand before a colon.
pub fn answer_by_httparse(head: &[u8]) -> Option<Foreign<'_>> {
    let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut room);
    let mut parser = httparse::ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true);
    complete(parser.parse_response(&mut answer, head), head)?;
    let start = (answer.code?.to_string(), answer.reason?);
    Some(Foreign { start, minor: answer.version?, fields: trimmed(answer.headers) })
}

/// Half a head is none, and neither is one behind empty lines, which are passed over elsewhere.
fn complete(found: httparse::Result<usize>, head: &[u8]) -> Option<()> {
    (found == Ok(httparse::Status::Complete(head.len())) && !head.starts_with(b"\r")).then_some(())
}

fn trimmed<'h>(fields: &[httparse::Header<'h>]) -> Vec<Field<'h>> {
    fields.iter().map(|field| (field.name, trim(field.value))).collect()
}

/// Reads a relayed head with httparse, as a stranger would, and with [`read`].
pub fn read_relayed(head: &[u8]) -> (&[u8], Vec<Field<'_>>) {
    let ours = read(head);
    let theirs = match ours.0.starts_with(b"HTTP/") {
        true => answer_by_httparse(head),
        false => request_by_httparse(head),
    };
    let theirs = theirs.expect("httparse takes a relayed head");
    assert_eq!(ours.1, theirs.fields, "a relayed head is read in two ways");
    ours
}
