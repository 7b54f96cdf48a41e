//! A second opinion on heads: the strictest reading of RFC 9110 and 9112, of bytes and nothing else.

use ai_proxy::wire::Framing;
use ai_proxy::wire::HEAD_BYTES_MAX;

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

/// The one framing that the fields of an accepted head can mean; `None` when they name none.
/// Panics when there is more than one way to read them.
pub fn framing(fields: &[Field<'_>], minor: u8) -> Option<Framing> {
    let codings = values(fields, "transfer-encoding");
    let lengths = values(fields, "content-length");
    if !codings.is_empty() {
        assert!(lengths.is_empty(), "a length beside a coding was accepted");
        assert_eq!(minor, 1, "a coding in HTTP/1.0 was accepted");
        assert_eq!(members(fields, "transfer-encoding"), [b"chunked"], "an unknown coding");
        return Some(Framing::Chunked);
    }
    let mut found = None;
    for value in lengths.iter().flat_map(|value| value.split(|byte| *byte == b',')) {
        let digits = trim(value);
        assert!(!digits.is_empty() && digits.iter().all(u8::is_ascii_digit), "no number");
        let text = std::str::from_utf8(digits).expect("ASCII");
        let length: u64 = text.parse().expect("a length that fits");
        assert!(found.is_none_or(|other| other == length), "two lengths were accepted");
        found = Some(length);
    }
    found.map(Framing::Length)
}

/// Whether the connection stays open (RFC 9112 §9.3).
pub fn persists(fields: &[Field<'_>], minor: u8) -> bool {
    let options = members(fields, "connection");
    let says = |option: &[u8]| options.iter().any(|other| other == option);
    !says(b"close") && (minor > 0 || says(b"keep-alive"))
}

/// The end-to-end fields: all but the hop-by-hop ones and those named in `private`.
pub fn end_to_end<'h>(fields: &[Field<'h>], private: &[&str]) -> Vec<Field<'h>> {
    let named = members(fields, "connection");
    let stays = |name: &str| {
        let name = name.to_ascii_lowercase();
        HOP_BY_HOP.contains(&name.as_str())
            || private.contains(&name.as_str())
            // These two are options, not names (RFC 9110 §7.6.1).
            || named.iter().any(|n| n == name.as_bytes() && n != b"close" && n != b"keep-alive")
    };
    fields.iter().filter(|(name, _)| !stays(name)).copied().collect()
}

/// Reads a relayed head with httparse, as a stranger would, and with [`read`].
pub fn read_relayed<'h>(head: &'h [u8]) -> (&'h [u8], Vec<Field<'h>>) {
    let ours = read(head);
    let mut room = [httparse::EMPTY_HEADER; 256];
    let start = std::str::from_utf8(ours.0).expect("a relayed start line is UTF-8");
    let theirs: Vec<Field<'h>> = if start.starts_with("HTTP/") {
        let mut answer = httparse::Response::new(&mut room);
        assert_eq!(answer.parse(head), Ok(httparse::Status::Complete(head.len())));
        answer.headers.iter().map(|field| (field.name, trim(field.value))).collect()
    } else {
        let mut request = httparse::Request::new(&mut room);
        assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())));
        request.headers.iter().map(|field| (field.name, trim(field.value))).collect()
    };
    assert_eq!(ours.1, theirs, "a relayed head is read in two ways");
    ours
}
