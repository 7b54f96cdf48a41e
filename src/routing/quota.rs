//! What the body of an error says: that a quota is used up, and its code. Pure.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::pick::{pick, string};
use super::Said;

/// How much of an error's body is read.
pub const ERROR_BYTES_MAX: usize = 16 * 1024;

/// Codes and types that say it.
const CODES: [&str; 4] =
    ["insufficient_quota", "billing_hard_limit_reached", "quota_exceeded", "account_deactivated"];
/// Whole words that say it.
const WORDS: [&str; 3] = ["credit", "credits", "balance"];
/// Parts of Chinese texts that say it.
const PARTS: [&str; 3] = ["额度", "余额", "欠费"];

/// What the beginning of an error's body says, whether or not it is all there.
pub fn said(body: &[u8]) -> Said {
    let body = &body[..body.len().min(ERROR_BYTES_MAX)];
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // The text may end within a character.
    let valid = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default(),
    };
    let [error, ..] = pick(valid, ["error"]);
    let (object, message) = match error.map(RawValue::get) {
        Some(text) if text.starts_with('{') => (text, None),
        // Some say no more than the message there.
        Some(text) if text.starts_with('"') => ("", error.and_then(string)),
        // It may have been cut off, or stand at the top.
        _ => (inner(valid).unwrap_or(valid), None),
    };
    let fields = pick(object, ["code", "type", "message"]);
    let [code, kind, inner_message] = fields.map(|raw| raw.and_then(plain));
    let texts = [&code, &kind, &inner_message, &message];
    let quota = texts.into_iter().flatten().any(|text| says_quota(text));
    Said { quota, code: code.or(kind) }
}

/// The beginning of the object `error` where the text ends within it.
fn inner(text: &str) -> Option<&str> {
    const KEY: &str = "\"error\"";
    if serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return None;
    }
    text.match_indices(KEY).find_map(|(at, _)| {
        let value = text[at + KEY.len()..].trim_start().strip_prefix(':')?.trim_start();
        value.starts_with('{').then_some(value)
    })
}

/// A string, or a number as it stands.
fn plain(raw: &RawValue) -> Option<String> {
    let is_number = raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit());
    string(raw).or_else(|| is_number.then(|| raw.get().to_owned()))
}

fn says_quota(text: &str) -> bool {
    let text = text.to_lowercase();
    let is_word = |c: char| c.is_alphanumeric();
    let mut words = text.split(|c| !is_word(c)).filter(|word| !word.is_empty());
    let mut before = "";
    let has_word = words.any(|word| {
        let is_load = before == "load" && word == "balance";
        before = word;
        WORDS.contains(&word) && !is_load
    });
    let mut names = text.split(|c| !is_word(c) && c != '_');
    has_word
        || names.any(|name| CODES.contains(&name))
        || PARTS.iter().any(|part| text.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_up_quota_is_recognised_in_the_words_of_those_who_say_so() {
        for body in [
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            r#"{"error":{"code":"billing_hard_limit_reached"}}"#,
            r#"{"code":"QUOTA_EXCEEDED"}"#,
            r#"{"error":{"code":"account_deactivated","message":null}}"#,
            r#"{"error":{"code":"1113","message":"您的账户已欠费，请充值后重试。"}}"#,
            r#"{"error":{"message":"余额不足"}}"#,
            r#"{"error":{"message":"免费额度已用完"}}"#,
            r#"{"type":"error","error":{"type":"x","message":"Your credit balance is too low"}}"#,
            r#"{"error":{"message":"Insufficient Balance"}}"#,
            r#"{"error":{"type":"insufficient_credits"}}"#,
            r#"{"error":"no credits left"}"#,
            r#"{"error":null,"message":"balance: 0"}"#,
        ] {
            assert!(said(body.as_bytes()).quota, "{body}");
        }
        for body in [
            r#"{"error":{"message":"Rate limit reached for requests","type":"requests","code":"rate_limit_exceeded"}}"#,
            r#"{"error":{"message":"load balancer is busy"}}"#,
            r#"{"error":{"message":"cannot load balance this"}}"#,
            r#"{"error":{"message":"load-balance"}}"#,
            r#"{"error":{"message":"accredited, rebalanced"}}"#,
            r#"{"error":{"details":"credits"},"message":"credits"}"#,
            r#"{"data":"credits"}"#,
            "credits",
            "",
            "[\"credits\"]",
        ] {
            assert!(!said(body.as_bytes()).quota, "{body}");
        }
    }

    #[test]
    fn a_body_that_is_cut_off_says_what_stands_before() {
        let long =
            format!(r#"{{"error":{{"code":"insufficient_quota","x":"{}"#, "é".repeat(20_000));
        let found = said(long.as_bytes());
        assert!(found.quota);
        assert_eq!(found.code.as_deref(), Some("insufficient_quota"));
        let late =
            format!(r#"{{"x":"{}","error":{{"code":"insufficient_quota"}}}}"#, "é".repeat(9000));
        assert!(!said(late.as_bytes()).quota);
    }

    #[test]
    fn the_code_is_the_one_of_the_error_or_else_its_type() {
        for (body, code) in [
            (
                r#"{"error":{"code":"context_length_exceeded","type":"t"}}"#,
                Some("context_length_exceeded"),
            ),
            (r#"{"error":{"code":null,"type":"t"}}"#, Some("t")),
            (r#"{"error":{"code":1302},"code":"x"}"#, Some("1302")),
            (r#"{"code":"x"}"#, Some("x")),
            (r#"{"error":"x"}"#, None),
        ] {
            assert_eq!(said(body.as_bytes()).code.as_deref(), code, "{body}");
        }
    }
}
