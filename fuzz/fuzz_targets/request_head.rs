//! The head of a request: found at the same place in any split, read in one way only, and nothing
//! passes on that must not.
#![no_main]

use ai_proxy::wire::Framing;
use ai_proxy::wire::{HeadError, HeadScanner, RequestHead, FIELDS_MAX, HEAD_BYTES_MAX};
use ai_proxy_fuzz::fields::{self, Field};
use ai_proxy_fuzz::plan::Plan;
use libfuzzer_sys::fuzz_target;

/// Stays here, or is said anew to the provider.
const PRIVATE: [&str; 15] = [
    "accept-encoding",
    "authorization",
    "cf-connecting-ip",
    "content-length",
    "cookie",
    "expect",
    "fastly-client-ip",
    "forwarded",
    "host",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
    "x-request-id",
];

fuzz_target!(|input: &[u8]| {
    let Some(plan) = Plan::new(input) else { return };
    let message = &plan.message;
    let expected = fields::end_of_head(message);
    for ends in [vec![message.len()], plan.ends(), plan.every_byte()] {
        let found = scan(message, &ends);
        let same = match (&found, &expected) {
            (Ok(found), Ok(expected)) => found == expected,
            (Err(HeadError::TooLarge), Err(true)) => true,
            (Err(HeadError::Malformed(_)), Err(false)) => true,
            _ => false,
        };
        assert!(same, "pieces up to {ends:?}: {found:?} instead of {expected:?}");
    }
    // Whatever is not a head must at least not panic.
    let _ = RequestHead::parse(message, &|_| false).is_ok();
    let Ok(Some(length)) = expected else { return };
    let head = &message[..length];
    assert!(length <= HEAD_BYTES_MAX);
    if let Ok((parsed, parsed_length)) = RequestHead::parse(head, &|_| false) {
        assert_eq!(parsed_length, length);
        check(head, &parsed);
        for end in plan.ends().into_iter().filter(|end| *end < length) {
            assert!(RequestHead::parse(&head[..end], &|_| false).is_err(), "half a head was accepted");
        }
        let (more, _) = RequestHead::parse(message, &|_| false).ok().expect("what follows a head is not its own");
        assert_eq!(more.relayed, parsed.relayed);
    }
});

/// Finds the end of a head in bytes that come in pieces.
fn scan(message: &[u8], ends: &[usize]) -> Result<Option<usize>, HeadError> {
    let mut scanner = HeadScanner::default();
    for end in ends {
        if let Some(length) = scanner.scan(&message[..*end])? {
            return Ok(Some(length));
        }
    }
    Ok(None)
}

fn check(head: &[u8], parsed: &RequestHead) {
    let (start, all) = fields::read(head);
    assert!(all.len() <= FIELDS_MAX);
    let target = check_start(start, parsed);
    check_path(target, parsed);
    let framing = fields::framing(&all, parsed.minor).unwrap_or(Framing::Length(0));
    assert_eq!(parsed.framing, framing);
    assert_eq!(parsed.keep_alive, fields::persists(&all, parsed.minor));
    check_host(&all, parsed.minor);
    check_notes(&all, parsed);

    let relayed = [b"POST / HTTP/1.1\r\n", &parsed.relayed[..], b"\r\n"].concat();
    let (_, passed) = fields::read_relayed(&relayed);
    let mut wanted = fields::end_to_end(&all, &PRIVATE);
    wanted.retain(|(_, value)| value.is_ascii());
    wanted.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("x-forwarded-"));
    assert_eq!(passed, wanted);
}

/// The request line is exactly method, target and version; returns the target.
fn check_start<'h>(start: &'h [u8], parsed: &RequestHead) -> &'h str {
    let start = std::str::from_utf8(start).expect("an accepted request line is UTF-8");
    let rest = start.strip_prefix(&*parsed.method).and_then(|rest| rest.strip_prefix(' '));
    let rest = rest.expect("the line begins with the method");
    let target = rest.strip_suffix(&format!(" HTTP/1.{}", parsed.minor));
    let target = target.expect("the line ends with the version");
    assert!(parsed.minor <= 1);
    assert!(!target.contains(|c: char| c == ' ' || c.is_ascii_control()), "{target:?}");
    target
}

/// RFC 9112 §3.2 and RFC 3986 §3: the authority ends at the first `/`, `?` or `#`, the path at `?`
/// or `#`.
fn check_path(target: &str, parsed: &RequestHead) {
    let path = &parsed.path;
    assert!(!path.contains(['?', '#', ' ']), "{path:?}");
    assert!(path.starts_with('/') || (path == "*" && parsed.method == "OPTIONS"), "{path:?}");
    let origin_form = target.starts_with(['/', '*']);
    let hierarchy = target.split_once("://").filter(|_| !origin_form).map(|(_, rest)| rest);
    let from_path = hierarchy.map_or(target, |rest| {
        let path = rest.find(['/', '?', '#']).map_or("", |end| &rest[end..]);
        if path.starts_with('/') {
            path
        } else {
            "/"
        }
    });
    assert_eq!(path, from_path.split(['?', '#']).next().expect("one part"), "{target:?}");
}

fn check_host(all: &[Field<'_>], minor: u8) {
    match fields::values(all, "host")[..] {
        [] => assert_eq!(minor, 0, "no Host was accepted"),
        [host] => {
            let plain = |byte: &u8| byte.is_ascii_graphic() && !b"/?#@,\\".contains(byte);
            assert!(host.iter().all(plain), "{}", host.escape_ascii());
        }
        _ => panic!("two Hosts were accepted"),
    }
}

fn check_notes(all: &[Field<'_>], parsed: &RequestHead) {
    let expects = fields::values(all, "expect");
    assert!(expects.iter().all(|value| value.eq_ignore_ascii_case(b"100-continue")));
    assert_eq!(parsed.expects_continue, !expects.is_empty() && parsed.minor > 0);
    if let Some(token) = &parsed.token {
        let names = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
        let values = names.iter().flat_map(|name| fields::values(all, name));
        assert!(!token.is_empty() && token == fields::trim(token));
        assert!(values.into_iter().any(|value| value.ends_with(token)));
    }
    if let Some(id) = &parsed.request_id {
        assert!(!id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic()));
    }
}
