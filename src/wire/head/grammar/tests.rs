use super::super::start_line::{request_line, status_line, START, STATUS};
use super::super::HeadScanner;
use super::*;

/// What httparse, which async-h1 reads heads with, says of a head that ends with its empty line.
#[derive(Debug, PartialEq)]
struct Read {
    start: (Vec<u8>, Vec<u8>, u8),
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    length: usize,
}

fn owned(fields: &[httparse::Header<'_>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|field| (field.name.into(), field.value.to_vec())).collect()
}

fn refused(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooLarge,
        httparse::Error::Version => HeadError::Version,
        httparse::Error::HeaderName => NAME,
        httparse::Error::HeaderValue => VALUE,
        httparse::Error::NewLine => LINE_END,
        httparse::Error::Status => STATUS,
        httparse::Error::Token => START,
    }
}

fn request_by_httparse(bytes: &[u8]) -> Result<Read, HeadError> {
    let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut room);
    match request.parse(bytes).map_err(refused)? {
        httparse::Status::Partial => Err(INCOMPLETE),
        httparse::Status::Complete(length) => Ok(Read {
            start: (
                request.method.unwrap().into(),
                request.path.unwrap().into(),
                request.version.unwrap(),
            ),
            fields: owned(request.headers),
            length,
        }),
    }
}

fn response_by_httparse(bytes: &[u8]) -> Result<Read, HeadError> {
    let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut room);
    let mut parser = httparse::ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true);
    match parser.parse_response(&mut response, bytes).map_err(refused)? {
        httparse::Status::Partial => Err(INCOMPLETE),
        httparse::Status::Complete(length) => Ok(Read {
            start: (
                response.code.unwrap().to_string().into(),
                response.reason.unwrap().into(),
                response.version.unwrap(),
            ),
            fields: owned(response.headers),
            length,
        }),
    }
}

fn read(bytes: &[u8], is_request: bool) -> Result<Read, HeadError> {
    let (start, end) = if is_request {
        let (method, target, minor, end) = request_line(bytes)?;
        ((method.into(), target.into(), minor), end)
    } else {
        let (minor, status, reason, end) = status_line(bytes)?;
        ((status.to_string().into(), reason.to_vec(), minor), end)
    };
    let mut places = NO_PLACES;
    let fields = Fields::read(bytes, end, !is_request, &mut places)?;
    let length = fields.length;
    let fields = fields.of(|_| true).map(|field| (field.name().to_vec(), field.value().to_vec()));
    Ok(Read { start, fields: fields.collect(), length })
}

/// Both readers take a head in the same way, or refuse it for the same reason.
fn check(bytes: &[u8]) {
    // Line feeds on their own are refused before anybody reads.
    if HeadScanner::default().scan(bytes).is_err() {
        return;
    }
    let shown = bytes.escape_ascii().to_string();
    // What is behind a head is not looked at, and what is no head is none for both.
    let of_request = (read(bytes, true), request_by_httparse(bytes));
    let of_response = (read(bytes, false), response_by_httparse(bytes));
    for (is_request, (ours, theirs)) in [(true, of_request), (false, of_response)] {
        match (&ours, &theirs) {
            // A version that is none, and one of another protocol, are told apart.
            (Err(START), Err(HeadError::Version)) if is_request => {}
            // Empty lines before a head are not its own.
            (Err(_), _) if bytes.starts_with(b"\r") => {}
            // Half a line may be called incomplete or wrong.
            (Err(_), Err(INCOMPLETE)) | (Err(INCOMPLETE), Err(_)) => {}
            _ => assert_eq!(ours, theirs, "{shown}"),
        }
    }
}

const HEADS: [&str; 8] = [
    "POST /v1/chat/completions?a=%20 HTTP/1.1\r\nHost: a:1\r\nX-Stainless-Runtime-Version: 3.12.1\r\nA:b\r\nEmpty:\r\nTabs:\t a\tb \t\r\nContent-Length: 2\r\n\r\n{}",
    "GET / HTTP/1.0\r\n\r\n",
    "M-SEARCH * HTTP/1.1\r\nX_under~score: \u{e4}\r\nx-1234567890-abcdefghijklmnopqrstuvwxyz: 1\r\n\r\nmore",
    "GET /\u{e4} HTTP/1.1\r\nAccept-Encoding: gzip, br\r\n\r\n",
    "HTTP/1.1 200 OK\r\nDate: Sun, 23 Nov 2025 10:00:00 GMT\r\nServer : mock\r\nx-request-id: 1\r\n\r\nbody",
    "HTTP/1.0 529 Site is overloaded\r\nRetry-After:  1  \r\n\r\n",
    "HTTP/1.1 404\r\nA: b\r\n\r\n",
    "HTTP/1.1 200 \u{e4}\r\nName\t :v\r\n\r\n",
];

#[test]
fn heads_are_read_as_httparse_reads_them() {
    for head in HEADS {
        for end in 0..=head.len() {
            check(&head.as_bytes()[..end]);
        }
    }
    // Every byte at every place.
    for head in HEADS {
        for at in 0..head.len() {
            let mut bytes = head.as_bytes().to_vec();
            for byte in 0..=u8::MAX {
                bytes[at] = byte;
                check(&bytes);
            }
        }
    }
}

#[test]
fn heads_that_are_changed_by_chance_are_read_as_httparse_reads_them() {
    let mut random = fastrand::Rng::with_seed(16);
    let pieces = [
        "\r\n", " ", "\t", ":", "\r", "\0", "\u{7f}", "-", "é", "HTTP/1.1", "HTTP/2.0", "A: 1\r\n",
    ];
    for round in 0..40_000 {
        let mut bytes = HEADS[round % HEADS.len()].as_bytes().to_vec();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..bytes.len().max(1));
            match random.u8(0..3) {
                0 => drop(bytes.drain(at..(at + 1).min(bytes.len()))),
                1 => drop(bytes.splice(at..at, random.choice(pieces).unwrap().bytes())),
                _ => bytes.truncate(at),
            }
        }
        check(&bytes);
    }
}

#[test]
fn as_many_fields_as_are_allowed_are_read() {
    for (count, fits) in [(FIELDS_MAX, true), (FIELDS_MAX + 1, false)] {
        let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a: 1\r\n".repeat(count));
        check(head.as_bytes());
        assert_eq!(read(head.as_bytes(), true).is_ok(), fits);
    }
}

#[test]
fn a_head_may_be_as_long_as_is_allowed() {
    for (length, fits) in [(HEAD_BYTES_MAX, true), (HEAD_BYTES_MAX + 1, false)] {
        let around = "GET / HTTP/1.1\r\na: \r\n\r\n".len();
        let head = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(length - around));
        assert_eq!(
            read(head.as_bytes(), true).map(|read| read.length).ok(),
            fits.then_some(length)
        );
    }
}

#[test]
fn a_line_goes_on_as_if_it_were_written_anew() {
    const LINES: [&str; 9] = [
        "Name: value\r\n",
        "Name:value\r\n",
        "Name:  value\r\n",
        "Name: value \r\n",
        "Name:\tvalue\r\n",
        "Name: \r\n",
        "Name:\r\n",
        "N: a: b\r\n",
        "Drop: value\r\n",
    ];
    // Each beside each, and between two others.
    let both = |one: &'static str| LINES.map(|other| format!("{one}{other}A: 1\r\n{one}"));
    for lines in LINES.into_iter().flat_map(both) {
        let bytes = format!("{lines}\r\n").into_bytes();
        let mut places = NO_PLACES;
        let fields = Fields::read(&bytes, 0, false, &mut places).ok().unwrap();
        let (mut anew, mut as_it_is) = (Vec::new(), Vec::new());
        let goes_on = |field: &Field<'_>| field.name() != b"Drop";
        for field in fields.of(|_| true).filter(goes_on) {
            push_line(&mut anew, field.name(), field.value());
        }
        fields.push_lines(&mut as_it_is, |_| true, goes_on);
        assert_eq!(as_it_is.escape_ascii().to_string(), anew.escape_ascii().to_string());
    }
}
