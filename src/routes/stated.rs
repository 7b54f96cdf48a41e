//! How long a provider wants to be left alone, as its head says.

use std::time::Duration;

use crate::wire::{fields, parse_date};

/// Fields that say it in milliseconds, which come before the one in seconds.
const IN_MILLISECONDS: [&str; 2] = ["retry-after-ms", "x-ms-retry-after-ms"];
/// Longer than anybody waits, and short enough for sums.
const SECONDS_MAX: f64 = 1e9;

/// The delay that a head states (RFC 9110 §10.2.3; fractions are OpenAI's habit). `now` is in seconds since
/// 1970.
pub fn stated(relayed: &[u8], now: u64) -> Option<Duration> {
    let text = |name| fields(relayed, name).find_map(|value| std::str::from_utf8(value).ok());
    let milliseconds = IN_MILLISECONDS.iter().find_map(|name| number(text(name)?));
    let seconds = milliseconds.map(|milliseconds| milliseconds / 1000.0).or_else(|| {
        let value = text("retry-after")?;
        number(value).or_else(|| Some((parse_date(value)? - now as i64).max(0) as f64))
    });
    seconds.map(|seconds| Duration::from_secs_f64(seconds.min(SECONDS_MAX)))
}

/// Digits, perhaps with a fraction.
fn number(text: &str) -> Option<f64> {
    let is_part = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    text.bytes().all(is_part).then(|| text.parse().ok())?
}

#[cfg(test)]
#[test]
fn a_delay_is_read_in_all_its_forms() {
    for (head, milliseconds) in [
        ("retry-after: 7\r\n", Some(7000)),
        ("Retry-After: 0.25\r\n", Some(250)),
        ("retry-after: 0\r\n", Some(0)),
        ("retry-after: Thu, 01 Jan 1970 00:01:40 GMT\r\n", Some(90_000)),
        ("retry-after: Thu, 01 Jan 1970 00:00:00 GMT\r\n", Some(0)),
        ("retry-after: 7\r\nretry-after-ms: 1500\r\n", Some(1500)),
        ("x-ms-retry-after-ms: 20\r\nretry-after: 7\r\n", Some(20)),
        ("retry-after-ms: 30\r\nx-ms-retry-after-ms: 20\r\n", Some(30)),
        ("retry-after-ms: soon\r\nretry-after: 7\r\n", Some(7000)),
        ("retry-after: 99999999999999999999999999\r\n", Some(1_000_000_000_000)),
        ("retry-after: -1\r\n", None),
        ("retry-after: inf\r\n", None),
        ("retry-after: 1e3\r\n", None),
        ("retry-after: .\r\n", None),
        ("retry-after: \r\n", None),
        ("retry-after: soon\r\n", None),
        ("date: 7\r\n", None),
    ] {
        let found = stated(head.as_bytes(), 10).map(|delay| delay.as_millis());
        assert_eq!(found, milliseconds, "{head}");
    }
}
