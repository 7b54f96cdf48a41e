//! An answer's head and body: the same bytes in any split are the same answer.
#![no_main]

use ai_proxy::wire::{BodyError, Content, Decoder, Framing, HeadError, HeadScanner, ResponseHead};
use ai_proxy_fuzz::fields::{self, Foreign};
use ai_proxy_fuzz::names;
use ai_proxy_fuzz::plan::Plan;
use ai_proxy_fuzz::unframe::{unframe, End};
use libfuzzer_sys::fuzz_target;

/// The proxy's own limits, which the grammar does not know.
const EXTENSION_BYTES_MAX: usize = 4 * 1024;
const TRAILER_BYTES_MAX: usize = 16 * 1024;
/// What `Connection` may name.
const NAMED_MAX: usize = 16;

fuzz_target!(|input: &[u8]| {
    let Some(plan) = Plan::new(input) else { return };
    let message = &plan.message;
    let first = ResponseHead::parse(message).map(|(_, length)| length);
    if let Ok(length) = first {
        assert_eq!(fields::end_of_head(message), Ok(Some(length)));
    }

    let whole = read(message, &[message.len()]);
    let pieces = read(message, &plan.ends());
    let bytes = read(message, &plan.every_byte());
    for other in [&pieces, &bytes] {
        assert_eq!(other.head, whole.head);
        assert_eq!((&other.data, other.end), (&whole.data, whole.end));
        assert_eq!(other.chunks, whole.chunks);
        if whole.end != Err(BodyError::Chunk) {
            assert_eq!(other.consumed, whole.consumed);
        }
    }

    let mut from = 0;
    while let Ok(Some(length)) = fields::end_of_head(&message[from..]) {
        let head = &message[from..from + length];
        let foreign = fields::answer_by_httparse(head);
        let (parsed, parsed_length) = match ResponseHead::parse(head) {
            Ok(parsed) => parsed,
            Err(reason) => {
                let why = foreign.as_ref().map(refusal);
                assert_ne!(why, Some(None), "refused without need: {reason}");
                break;
            }
        };
        assert_eq!(parsed_length, length);
        check_head(head, &foreign.expect("httparse takes what was accepted"), &parsed);
        check_bodiless(head, &parsed);
        from += length;
        if parsed.status >= 200 {
            check_body(parsed.framing, &message[from..], &bytes);
            break;
        }
    }
});

/// What was read from one connection.
#[derive(Debug)]
struct Read {
    /// Status, framing and relayed bytes of the final head, `None` when it is incomplete.
    head: Result<Option<(u16, Framing, Vec<u8>)>, HeadError>,
    data: Vec<u8>,
    consumed: usize,
    chunks: u64,
    /// How the body ends when the connection does.
    end: Result<(), BodyError>,
}

/// Reads an answer in pieces, as `upstream` does: interim answers are skipped.
fn read(message: &[u8], ends: &[usize]) -> Read {
    let mut read = Read { head: Ok(None), data: Vec::new(), consumed: 0, chunks: 0, end: Ok(()) };
    let mut scanner = HeadScanner::default();
    let mut decoder: Option<Decoder> = None;
    let mut buffer = Vec::new();
    let mut taken = 0;
    for end in ends {
        buffer.extend_from_slice(&message[taken..*end]);
        taken = *end;
        while decoder.is_none() {
            match next_head(&mut scanner, &mut buffer) {
                Ok(None) => break,
                Ok(Some(head)) if head.status < 200 => scanner = HeadScanner::default(),
                Ok(Some(head)) => {
                    decoder = Some(Decoder::new(head.framing));
                    read.head = Ok(Some((head.status, head.framing, head.relayed)));
                }
                Err(error) => {
                    read.head = Err(error);
                    return read;
                }
            }
        }
        if let Some(decoder) = &mut decoder {
            if take_body(decoder, &mut buffer, &mut read).is_err() {
                break;
            }
        }
    }
    if let Some(mut decoder) = decoder {
        read.chunks = decoder.chunks();
        finish(&mut decoder, &mut read);
    }
    read
}

fn next_head(
    scanner: &mut HeadScanner,
    buffer: &mut Vec<u8>,
) -> Result<Option<ResponseHead>, HeadError> {
    let Some((head, length)) = scanner.read(buffer, ResponseHead::parse)? else { return Ok(None) };
    buffer.drain(..length);
    Ok(Some(head))
}

/// Decodes what has come, and holds the decoder to what it says of itself.
fn take_body(
    decoder: &mut Decoder,
    buffer: &mut Vec<u8>,
    read: &mut Read,
) -> Result<(), BodyError> {
    let input = std::mem::take(buffer);
    let (announced, left, was_done) = (decoder.announced(), decoder.left(), decoder.is_done());
    assert!(left.is_none_or(|left| left >= announced));
    assert_eq!(was_done, left == Some(0));
    let mut output = input.clone();
    let piece = decoder.decode(&mut output).inspect_err(|error| {
        assert_eq!(decoder.failure(), Some(*error));
    })?;
    assert!(piece.data.start <= piece.data.end && piece.data.end <= piece.consumed);
    assert!(piece.consumed <= input.len());
    // Behind the body nothing is touched.
    assert_eq!(output[piece.consumed..], input[piece.consumed..]);
    let data = &output[piece.data];
    // What was announced comes first.
    let sure = usize::try_from(announced).unwrap_or(usize::MAX).min(input.len());
    assert!(data.starts_with(&input[..sure]));
    if let Some(left) = left {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        assert_eq!((data, piece.consumed), (&input[..here], here));
        assert_eq!(decoder.left(), Some(left - here as u64));
    }
    let failure = decoder.failure();
    assert!(piece.consumed == input.len() || decoder.is_done() || failure.is_some());
    read.data.extend_from_slice(data);
    read.consumed += piece.consumed;
    failure.map_or(Ok(()), Err)
}

/// The connection ends. Afterwards nothing changes any more.
fn finish(decoder: &mut Decoder, read: &mut Read) {
    let was_done = decoder.is_done();
    read.end = decoder.end();
    assert_eq!(decoder.is_done(), read.end.is_ok());
    assert!(!was_done || read.end.is_ok());
    assert_eq!(decoder.failure(), read.end.err());
    assert_eq!(decoder.end(), read.end);
    let mut more = *b"0\r\n\r\n";
    match read.end {
        Ok(()) => assert_eq!(decoder.decode(&mut more).map(|piece| piece.consumed), Ok(0)),
        Err(error) => assert_eq!(decoder.decode(&mut more).map(|_| ()), Err(error)),
    }
    assert_eq!(decoder.end(), read.end, "an end is an end");
    assert_eq!(decoder.chunks(), read.chunks);
}

/// Why a head is refused that httparse takes, `None` where there is no reason.
fn refusal(head: &Foreign<'_>) -> Option<&'static str> {
    match &head.start.0 {
        status if status.len() < 3 => Some("status"),
        _ if fields::named(&head.fields).len() > NAMED_MAX => Some("names in Connection"),
        _ => fields::framing(&head.fields, head.minor).err(),
    }
}

fn check_head(head: &[u8], foreign: &Foreign<'_>, parsed: &ResponseHead) {
    let (start, all) = fields::read_answer(head);
    assert_eq!(all, foreign.fields, "a head is read in two ways");
    let minor = u8::from(start.starts_with(b"HTTP/1.1 "));
    let (version, rest) = start.split_at(b"HTTP/1.x ".len());
    assert!(minor == 1 || version == b"HTTP/1.0 ");
    assert!(rest.starts_with(parsed.status.to_string().as_bytes()));
    assert!((100..=999).contains(&parsed.status));
    assert_eq!((parsed.status.to_string(), minor), (foreign.start.0.clone(), foreign.minor));
    assert_eq!(refusal(foreign), None);

    let framing = fields::framing(&all, minor).expect("one framing");
    let bodiless = parsed.status < 200 || matches!(parsed.status, 204 | 304);
    let expected = if bodiless { Framing::None } else { framing.unwrap_or(Framing::UntilClose) };
    assert_eq!(parsed.framing, expected);
    assert_eq!(parsed.keep_alive, fields::persists(&all, minor));
    let there = |name: &str| !fields::values(&all, name).is_empty();
    assert_eq!(parsed.has_request_id, there("x-request-id"));
    assert_eq!(parsed.has_cache_control, there("cache-control"));
    assert_eq!(parsed.has_accel_buffering, there("x-accel-buffering"));
    let plain = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    assert_eq!(parsed.encoded, !fields::values(&all, "content-encoding").into_iter().all(plain));
    let redirects = matches!(parsed.status, 300..=303 | 305 | 307 | 308);
    let location = fields::values(&all, "location").pop().filter(|_| redirects);
    let location = location.map(|value| String::from_utf8_lossy(value).into_owned());
    assert_eq!(
        (parsed.is_redirect(), parsed.location.as_deref()),
        (redirects, location.as_deref())
    );

    let types = fields::values(&all, "content-type");
    let is_of = |media: &str| {
        let parts = types.iter().filter_map(|value| value.split(|byte| *byte == b';').next());
        { parts }.any(|part| fields::trim(part).eq_ignore_ascii_case(media.as_bytes()))
    };
    let known = bodiless || matches!(framing, Some(Framing::Length(_)));
    let content = match parsed.content {
        Content::Events => is_of("text/event-stream"),
        Content::Whole => !is_of("text/event-stream") && (known || is_of("application/json")),
        Content::Other => !is_of("text/event-stream") && !known && !is_of("application/json"),
    };
    assert!(content, "{:?}", parsed.content);

    let relayed = [&parsed.relayed[..], b"\r\n"].concat();
    let (start, passed) = fields::read_relayed(&relayed);
    let wanted_start = format!("HTTP/1.1 {} {}", parsed.status, foreign.start.1);
    assert_eq!(start, wanted_start.as_bytes());
    let mut wanted = fields::end_to_end(&all, names::is_private_of_answer);
    // The length of what the client has already.
    let length = match (parsed.status, framing) {
        (304, Some(Framing::Length(length))) => Some(length.to_string()),
        _ => None,
    };
    wanted.extend(length.iter().map(|length| ("content-length", length.as_bytes())));
    assert_eq!(passed, wanted);
}

/// The same head in answer to `HEAD`: it tells the length, and nothing follows.
fn check_bodiless(head: &[u8], parsed: &ResponseHead) {
    let (mut bodiless, _) = ResponseHead::parse(head).ok().expect("it was accepted before");
    bodiless.set_bodiless();
    assert_eq!((bodiless.framing, bodiless.content), (Framing::None, Content::Whole));
    let length = match parsed.framing {
        Framing::Length(length) => format!("content-length: {length}\r\n"),
        _ => String::new(),
    };
    assert_eq!(bodiless.relayed, [&parsed.relayed[..], length.as_bytes()].concat());
}

/// Compares with the second opinion.
fn check_body(framing: Framing, bytes: &[u8], read: &Read) {
    let body = unframe(framing, bytes);
    let long = body.extension > EXTENSION_BYTES_MAX || body.trailers > TRAILER_BYTES_MAX;
    if long && read.end == Err(BodyError::Chunk) {
        assert!(body.data.starts_with(&read.data));
        return;
    }
    // White space has the limit of an extension, too, and both can stand on one line.
    assert!(body.extension <= 2 * EXTENSION_BYTES_MAX + 2, "beyond the limit");
    assert!(body.trailers <= TRAILER_BYTES_MAX, "beyond the limit");
    let end = match body.end {
        End::Done => Ok(()),
        End::Open if framing == Framing::UntilClose => Ok(()),
        End::Open => Err(BodyError::Truncated),
        End::Broken => Err(BodyError::Chunk),
    };
    assert_eq!((&read.data, read.end, read.chunks), (&body.data, end, body.chunks));
    // Byte by byte, all but the one that breaks the grammar is used up.
    if body.end != End::Broken {
        assert_eq!(read.consumed, body.consumed);
    }
}
