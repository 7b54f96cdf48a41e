//! Inputs that the fuzz targets (see `fuzz/README.md`) have tripped over.

use ai_proxy::routing::ChatRequest;
use ai_proxy::wire::{HeadError, HeadScanner, RequestHead, HEAD_BYTES_MAX};

/// The outcome of a scan, without the text of its reason.
#[derive(Debug, PartialEq, Eq)]
enum Scan {
    Found(usize),
    Open,
    TooLarge,
    Malformed,
}

/// Scans bytes of which `first` come before the rest.
fn scan(bytes: &[u8], first: usize) -> Scan {
    let mut scanner = HeadScanner::default();
    let early = scanner.scan(&bytes[..first]);
    let outcome = match early {
        Ok(None) => scanner.scan(bytes),
        other => other,
    };
    match outcome {
        Ok(Some(length)) => Scan::Found(length),
        Ok(None) => Scan::Open,
        Err(HeadError::TooLarge) => Scan::TooLarge,
        Err(_) => Scan::Malformed,
    }
}

/// A head of `length` bytes in all that ends with `end`.
fn head(length: usize, end: &str) -> Vec<u8> {
    let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
    bytes.resize(length - end.len(), b'y');
    bytes.extend_from_slice(end.as_bytes());
    bytes
}

/// `request_head` and `answer`: a line feed beyond the limit made the same bytes malformed when
/// they came at once, and too large when they came in two pieces.
#[test]
fn what_lies_beyond_the_limit_of_a_head_does_not_matter() {
    for end in ["\n", "\ny", "\r\n\r\n"] {
        for beyond in 1..8 {
            let bytes = head(HEAD_BYTES_MAX + end.len() + beyond, end);
            for first in [0, 100, HEAD_BYTES_MAX - 1, HEAD_BYTES_MAX, bytes.len()] {
                assert_eq!(scan(&bytes, first), Scan::TooLarge, "{end:?} +{beyond}, {first} first");
            }
        }
    }
}

#[test]
fn the_largest_head_is_found_in_any_split() {
    let largest = head(HEAD_BYTES_MAX, "\r\n\r\n");
    let larger = head(HEAD_BYTES_MAX + 1, "\r\n\r\n");
    for first in (0..100).chain(HEAD_BYTES_MAX - 100..=HEAD_BYTES_MAX) {
        assert_eq!(scan(&largest, first), Scan::Found(HEAD_BYTES_MAX), "{first} first");
        assert_eq!(scan(&larger, first), Scan::TooLarge, "{first} first");
    }
    assert_eq!(scan(&largest[..HEAD_BYTES_MAX - 1], 0), Scan::Open);
    let bare = [&head(HEAD_BYTES_MAX - 8, "\n")[..], b"Y: z\r\n\r\n"].concat();
    assert_eq!(scan(&bare, 0), Scan::Malformed);
}

/// Places in a head are 16 bits wide, and the first look sees what follows a head.
#[test]
fn the_last_field_of_the_largest_head_is_read_in_any_split() {
    let end = "\r\nLast: z\r\n\r\n";
    for (length, fits) in
        [(HEAD_BYTES_MAX - 1, true), (HEAD_BYTES_MAX, true), (HEAD_BYTES_MAX + 1, false)]
    {
        let bytes = [&head(length, end)[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
        for first in (0..100).chain(length - 20..bytes.len()) {
            let mut scanner = HeadScanner::default();
            let parse = |bytes: &[u8]| RequestHead::parse(bytes, &|_| false);
            let early = scanner.read(&bytes[..first], parse).transpose();
            let found = early.or_else(|| scanner.read(&bytes, parse).transpose());
            let found = found.expect("all is there").ok();
            let found =
                found.map(|(head, length)| (head.relayed.ends_with(b"\r\nLast: z\r\n"), length));
            assert_eq!(found, fits.then_some((true, length)), "{length} bytes, {first} first");
        }
    }
}

/// `request_head`: a fragment was searched for the path (RFC 3986 §3.2: an authority ends at `/`,
/// `?` or `#`).
#[test]
fn an_absolute_target_without_a_path_means_the_root_even_before_a_fragment() {
    for (target, path) in [
        ("http://h#/health", "/"),
        ("http://h?x#/health", "/"),
        ("http://h#?/health", "/"),
        ("http://h/v1/models#/health", "/v1/models"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = RequestHead::parse(head.as_bytes(), &|_| false).map(|(head, _)| head.path);
        assert_eq!(head.as_deref(), Ok(path), "{target}");
    }
}

/// `splice`: serde_json shows a string that stands where an object must, all 32 MB of it; every
/// character that it escapes made the answer up to seven times as long as the body.
#[test]
fn a_refusal_does_not_repeat_the_body() {
    for filler in ["model ", "\u{7f}", "\\u0001", "\\\""] {
        let body = format!("\"{}\"", filler.repeat(1000));
        let reason = ChatRequest::parse(body.as_bytes()).unwrap_err().to_string();
        assert!(reason.len() < 512, "{} bytes: {:.100}", reason.len(), reason);
        assert!(reason.contains("a JSON object"), "{reason}");
    }
}

/// `splice`, too: not repeating it is not enough, the words must not be written in the first place.
/// 30 MB in a string took half a gigabyte and seconds in which nobody else was served.
///
/// Measured in a process of its own, which this test starts: tests beside it would count.
#[cfg(target_os = "linux")]
#[test]
fn a_refusal_costs_no_memory() {
    const ALONE: &str = "FUZZ_REGRESSIONS_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return refuse_and_measure();
    }
    let name = "fuzz_regressions::a_refusal_costs_no_memory";
    let mut test = std::process::Command::new(std::env::current_exe().expect("this program"));
    let output = test.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output();
    let output = output.expect("this program starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(target_os = "linux")]
fn refuse_and_measure() {
    const BODY_BYTES: usize = 8 * 1024 * 1024;
    let body = format!("\"{}\"", "\u{7f}".repeat(BODY_BYTES));
    let before = peak_bytes();
    ChatRequest::parse(body.as_bytes()).unwrap_err();
    let grown = peak_bytes() - before;
    // The string may be decoded once, which takes up to two of it while its buffer grows.
    assert!(grown < 3 * BODY_BYTES, "{grown} bytes to refuse {BODY_BYTES}");
}

/// The largest resident set of this process so far.
#[cfg(target_os = "linux")]
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the peak");
    let kilobytes = line.split_ascii_whitespace().nth(1).and_then(|number| number.parse().ok());
    1024 * kilobytes.unwrap_or(0_usize)
}
