//! The head of a request: found at the same place in any split, read in one way only, and nothing
//! passes on that must not.
#![no_main]

use std::cell::Cell;

use ai_proxy::wire::{Framing, HeadError, HeadScanner, RequestHead, HEAD_BYTES_MAX};
use ai_proxy_fuzz::fields::{self, Field, Foreign};
use ai_proxy_fuzz::names;
use ai_proxy_fuzz::plan::Plan;
use libfuzzer_sys::fuzz_target;

/// A token on the list: fields of this value stay here.
const SECRET: &[u8] = b"t0k";
/// What `Connection` may name.
const NAMED_MAX: usize = 16;

fn is_secret(value: &[u8]) -> bool {
    value == SECRET
}

fuzz_target!(|input: &[u8]| {
    let Some(plan) = Plan::new(input) else { return };
    let message = &plan.message;
    let expected = fields::end_of_head(message);
    let at_once = read(message, &[message.len()]);
    for ends in [vec![message.len()], plan.ends(), plan.every_byte()] {
        let found = scan(message, &ends);
        let same = match (&found, &expected) {
            (Ok(found), Ok(expected)) => found == expected,
            (Err(HeadError::TooLarge), Err(true)) => true,
            (Err(HeadError::Malformed(_)), Err(false)) => true,
            _ => false,
        };
        assert!(same, "pieces up to {ends:?}: {found:?} instead of {expected:?}");
        assert_eq!(read(message, &ends), at_once, "pieces up to {ends:?}");
    }
    // Whatever is not a head must at least not panic, and must not be taken for one.
    let whole = RequestHead::parse(message, &is_secret);
    let Ok(Some(length)) = expected else {
        assert!(whole.is_err(), "what is no head was accepted");
        return;
    };
    let head = &message[..length];
    assert!(length <= HEAD_BYTES_MAX);
    let foreign = fields::request_by_httparse(head);
    match RequestHead::parse(head, &is_secret) {
        Ok((parsed, parsed_length)) => {
            assert_eq!(parsed_length, length);
            check(head, &foreign.expect("httparse takes what was accepted"), &parsed);
            for end in plan.ends().into_iter().filter(|end| *end < length) {
                let half = RequestHead::parse(&head[..end], &is_secret);
                assert!(half.is_err(), "half a head was accepted");
            }
            let (more, _) = whole.ok().expect("what follows a head is not its own");
            assert_eq!(more.relayed, parsed.relayed);
        }
        Err(reason) => {
            assert!(whole.is_err(), "what follows a head is not its own");
            let why = foreign.as_ref().map(refusal);
            assert_ne!(why, Some(None), "refused without need: {reason}");
        }
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

/// Reads the head as `downstream` does: what is relayed, and the length.
fn read(message: &[u8], ends: &[usize]) -> Result<Option<(Vec<u8>, usize)>, HeadError> {
    let mut scanner = HeadScanner::default();
    // The program looks at each head once or twice, however it comes.
    let looks = Cell::new(0);
    let parse = |bytes: &[u8]| {
        looks.set(looks.get() + 1);
        RequestHead::parse(bytes, &is_secret)
    };
    for end in ends {
        let found = scanner.read(&message[..*end], parse)?;
        assert!(looks.get() <= 2, "{} looks", looks.get());
        if let Some((head, length)) = found {
            return Ok(Some((head.relayed, length)));
        }
    }
    Ok(None)
}

/// Why a head is refused that httparse takes, `None` where there is no reason (RFC 9112 §3.2, §6.3, RFC 9110 §10.1.1).
fn refusal(head: &Foreign<'_>) -> Option<&'static str> {
    let all = &head.fields;
    let (method, target) = (head.start.0.as_str(), head.start.1);
    let begins = |scheme: &str| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let known_target = target.starts_with('/')
        || (target == "*" && method == "OPTIONS")
        || begins("http://")
        || begins("https://");
    let hosts = fields::values(all, "host");
    let expects = fields::values(all, "expect");
    match hosts[..] {
        _ if !known_target => Some("target"),
        [] if head.minor > 0 => Some("no Host"),
        [host] if !is_authority(host) => Some("Host"),
        [_, _, ..] => Some("Hosts"),
        _ if fields::named(all).len() > NAMED_MAX => Some("names in Connection"),
        _ if !expects.iter().all(|value| value.eq_ignore_ascii_case(b"100-continue")) => {
            Some("expectation")
        }
        _ => fields::framing(all, head.minor).err(),
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2), read from its end, without what belongs to other parts of
/// a URI.
fn is_authority(value: &[u8]) -> bool {
    let digits = value.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let host = value[..value.len() - digits].strip_suffix(b":").unwrap_or(value);
    let inner = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let name = inner.unwrap_or(host);
    name.iter().all(|byte| byte.is_ascii_graphic() && !b"/?#@,\\[]".contains(byte))
        && (inner.is_some() || !name.contains(&b':'))
}

fn check(head: &[u8], foreign: &Foreign<'_>, parsed: &RequestHead) {
    let (start, all) = fields::read(head);
    assert_eq!(all, foreign.fields, "a head is read in two ways");
    assert_eq!((&*parsed.method, parsed.minor), (&*foreign.start.0, foreign.minor));
    let target = check_start(start, parsed);
    assert_eq!(target, foreign.start.1);
    check_path(target, parsed);
    assert_eq!(refusal(foreign), None);
    let framing = fields::framing(&all, parsed.minor).expect("one framing");
    assert_eq!(parsed.framing, framing.unwrap_or(Framing::None));
    assert_eq!(parsed.keep_alive, fields::persists(&all, parsed.minor));
    check_token(&all, parsed);
    check_notes(&all, parsed);

    let lines = |lines: &[u8]| [b"POST / HTTP/1.1\r\n", lines, b"\r\n"].concat();
    let goes_on = |field: &Field<'_>| field.1.is_ascii() && !is_secret(field.1);
    let mut wanted = fields::end_to_end(&all, names::is_private);
    wanted.retain(goes_on);
    assert_eq!(fields::read_relayed(&lines(&parsed.relayed)).1, wanted);

    // For providers without a key: the client's own, but for the one that lets it in.
    let is_other = |name: &str| !names::CREDENTIALS.contains(&name);
    let mut wanted = fields::end_to_end(&all, is_other);
    wanted.retain(goes_on);
    let shown: usize = names::CREDENTIALS.iter().map(|name| fields::values(&all, name).len()).sum();
    if shown <= usize::from(parsed.token.is_some()) {
        wanted.clear();
    }
    assert_eq!(fields::read_relayed(&lines(&parsed.credentials)).1, wanted);
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
/// or `#`, the query at `#`.
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
    let whole = from_path.split('#').next().expect("one part");
    let (wanted, query) = whole.split_once('?').unwrap_or((whole, ""));
    assert_eq!((path.as_str(), parsed.query.as_str()), (wanted, query), "{target:?}");
}

/// The first that is not empty, of the first of these fields that has one.
fn check_token(all: &[Field<'_>], parsed: &RequestHead) {
    let tokens = names::CREDENTIALS.into_iter().flat_map(|name| {
        let bare = move |value| if name == "authorization" { bearer(value) } else { value };
        fields::values(all, name).into_iter().map(bare)
    });
    let token = { tokens }.find(|token| !token.is_empty());
    assert_eq!(parsed.token.as_deref(), token);
}

/// RFC 6750 §2.1.
fn bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => fields::trim(token),
        _ => b"",
    }
}

fn check_notes(all: &[Field<'_>], parsed: &RequestHead) {
    let there = |name: &str| !fields::values(all, name).is_empty();
    assert_eq!(parsed.expects_continue, there("expect") && parsed.minor > 0);
    assert_eq!(parsed.is_anthropic, there("anthropic-version"));
    let upgrades = fields::members(all, "upgrade");
    assert_eq!(parsed.wants_websocket, upgrades.iter().any(|protocol| protocol == b"websocket"));

    let id = fields::values(all, "x-request-id").pop();
    let plain = |id: &&[u8]| (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    let id = id.filter(plain).filter(|id| !is_secret(id));
    assert_eq!(parsed.request_id.as_ref().map(String::as_bytes), id);

    let retries = fields::values(all, "x-ai-proxy-retries").into_iter();
    let retries = retries.filter_map(|value| std::str::from_utf8(value).ok()?.parse().ok());
    assert_eq!(parsed.retries, retries.min());
    let explain = fields::values(all, "x-ai-proxy-explain").pop().unwrap_or_default();
    let explain = explain == b"1" || explain.eq_ignore_ascii_case(b"true");
    assert_eq!(parsed.explain, explain);
    let named = fields::values(all, "x-ai-proxy-model").pop();
    let named = named.and_then(|value| std::str::from_utf8(value).ok());
    assert_eq!(parsed.named_model.as_deref(), named);

    let of_others = all.iter().filter(|(name, _)| names::is_of_others(&name.to_ascii_lowercase()));
    let of_front = all.iter().any(|(name, _)| names::is_of_front(&name.to_ascii_lowercase()));
    assert_eq!(parsed.forwarded, of_others.count() > 0);
    if parsed.may_be_local {
        assert!(parsed.minor > 0 && ["GET", "HEAD"].contains(&&*parsed.method) && !of_front);
        let hosts = fields::values(all, "host");
        let host = String::from_utf8_lossy(hosts[0]).to_ascii_lowercase();
        let local = ["localhost", "127.", "::1", "::ffff:", "0:0:", "::7f", "0000:"];
        assert!(local.iter().any(|part| host.contains(part)), "{host}");
    }
}
