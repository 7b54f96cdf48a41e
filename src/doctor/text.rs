//! Text of others, made safe for a terminal, and lines that fit it.

use std::cmp::Reverse;

use serde_json::Value;

use crate::config::Provider;

/// Characters of others' words that are shown.
const SAID_CHARS_MAX: usize = 160;

/// A text in one line without what moves a terminal's cursor or turns its text around, cut to so
/// many characters.
#[inline(never)]
pub fn clean(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    for c in text.chars() {
        let c = if is_harmless(c) { c } else { ' ' };
        if c == ' ' && (line.is_empty() || line.ends_with(' ')) {
            continue;
        }
        if count == chars_max {
            line.push('…');
            break;
        }
        line.push(c);
        count += 1;
    }
    line.truncate(line.trim_end().len());
    line
}

fn is_harmless(c: char) -> bool {
    // Beside controls: joiners and marks of direction, which show nothing themselves.
    let invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !invisible
}

/// What a provider said in its own words, without its key, should it have repeated that.
#[inline(never)]
pub fn said(body: &[u8], provider: &Provider) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(&value);
    let mut words = error.as_str();
    for name in ["message", "msg", "detail", "error_msg", "code"] {
        words = words.or_else(|| error.get(name)?.as_str());
    }
    clean(&without_secrets(words.unwrap_or(""), provider), SAID_CHARS_MAX)
}

/// Whether a response that came with status 200 reports an error all the same.
#[inline(never)]
pub fn is_error(body: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_said = |name: &str| match value.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(other) => other != "",
    };
    let refused = value.get("success") == Some(&Value::Bool(false));
    // Some gateways: {"code": 1002, "msg": "…"}.
    let code = value.get("code").is_some_and(|code| *code != 0 && *code != 200);
    is_said("error") || refused || code && (is_said("msg") || is_said("message"))
}

/// A text without the provider's keys in any form in which they may come back.
fn without_secrets(text: &str, provider: &Provider) -> String {
    let mut forms = Vec::new();
    for secret in provider.keys.iter().chain(&provider.base.credentials) {
        let whole = secret.expose();
        let password = whole.split_once(':').map_or("", |(_, password)| password);
        forms.extend([whole, secret.unquoted(), password]);
    }
    forms.retain(|form| !form.is_empty());
    // One may be the beginning of another.
    forms.sort_by_key(|form| Reverse(form.len()));
    forms.iter().fold(text.to_owned(), |text, form| text.replace(form, "***"))
}

/// How many columns a text takes on a terminal: East Asian wide characters take two.
#[inline(never)]
pub fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

fn width(c: char) -> usize {
    let wide = matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}');
    1 + usize::from(wide)
}

/// A text in lines of so many columns, broken at spaces and beside wide characters.
#[inline(never)]
pub fn wrap(text: &str, columns_max: usize) -> Vec<&str> {
    let (mut lines, mut rest) = (Vec::new(), text);
    loop {
        // Where the line ends at the latest place that fits, and where the next one begins.
        let (mut end, mut used, mut before) = (0, 0, ' ');
        for (at, c) in rest.char_indices() {
            let hangs = matches!(c, '，' | '。' | '；' | '：' | '、' | '）' | '」' | '！' | '？')
                || matches!(before, '（' | '「');
            let wide = width(c) == 2 || width(before) == 2;
            if at > 0 && (c == ' ' || wide && !hangs && before != ' ') {
                end = at;
            }
            used += width(c);
            if used > columns_max && end > 0 && c != ' ' {
                break;
            }
            before = c;
        }
        if used <= columns_max || end == 0 {
            lines.push(rest);
            return lines;
        }
        lines.push(rest[..end].trim_end());
        rest = rest[end..].trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn provider(key: &str) -> Provider {
        Provider { keys: vec![Secret::new(key)], ..Provider::default() }
    }

    #[test]
    fn nothing_of_others_moves_the_cursor_or_turns_the_text() {
        assert_eq!(clean(" a\u{1b}[31mb\r\nc\u{202e}d\u{9b}e\n", 99), "a [31mb c d e");
        assert_eq!(clean(&"ä".repeat(9), 3), "äää…");
        assert_eq!(clean("äää", 3), "äää");
    }

    #[test]
    fn what_a_provider_says_is_found_in_the_usual_places_and_holds_no_key() {
        let key = provider("\"sk-1234\"");
        for (body, expected) in [
            (r#"{"error":{"message":"wrong sk-1234!"}}"#, "wrong ***!"),
            (r#"{"error":{"message":"wrong \"sk-1234\"!"}}"#, "wrong ***!"),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"error":null,"detail":"gone"}"#, "gone"),
            (r#"{"code":1002,"msg":"坏"}"#, "坏"),
            (r#"{"error":{"message":""}}"#, ""),
            ("[]", ""),
            ("<html>", ""),
        ] {
            assert_eq!(said(body.as_bytes(), &key), expected, "{body}");
        }
        let long = format!(r#"{{"error":"{}sk-1234"}}"#, "x".repeat(158));
        assert!(!said(long.as_bytes(), &key).contains("sk"));
        let keys = ["sk-1", "sk-12"].into_iter().map(Secret::new).collect();
        let two = Provider { keys, ..Provider::default() };
        assert_eq!(said(br#"{"error":"sk-12, sk-1"}"#, &two), "***, ***");
    }

    #[test]
    fn an_error_under_status_200_is_known_as_one() {
        for (body, expected) in [
            (r#"{"error":{"message":"x"}}"#, true),
            (r#"{"error":"x","data":[]}"#, true),
            (r#"{"success":false}"#, true),
            (r#"{"code":1002,"msg":"x"}"#, true),
            (r#"{"code":"bad","message":"x"}"#, true),
            (r#"{"data":[{"id":"a"}]}"#, false),
            (r#"{"error":null,"choices":[]}"#, false),
            (r#"{"error":"","choices":[]}"#, false),
            (r#"{"code":0,"msg":"success","data":[]}"#, false),
            (r#"{"code":200,"message":"ok"}"#, false),
            ("[]", false),
            ("<html>", false),
        ] {
            assert_eq!(is_error(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn lines_are_broken_at_spaces_and_between_wide_characters() {
        for (text, room, lines) in [
            ("one two three", 7, &["one two", "three"][..]),
            ("one two  three", 8, &["one two", "three"]),
            ("检查密钥，再试。", 10, &["检查密钥，", "再试。"]),
            ("检查密钥，再试。", 8, &["检查密", "钥，再", "试。"]),
            ("改为 https://h.cn/v1 即可", 18, &["改为", "https://h.cn/v1 即", "可"]),
            ("ab（cd）ef", 4, &["ab", "（cd）", "ef"]),
            ("longlonglong x", 4, &["longlonglong", "x"]),
            ("exact", 5, &["exact"]),
            ("", 4, &[""]),
        ] {
            assert_eq!(wrap(text, room), lines, "{text}");
        }
        for line in wrap(&"检查 baseurl 的端口（例如 11434）；".repeat(9), 30) {
            assert!(columns(line) <= 30, "{line}");
        }
    }
}
