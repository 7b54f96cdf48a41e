//! Text to JSON: byte-order mark, comments and trailing commas go away, then the syntax is
//! checked once. It knows JSON, and nothing about keys.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Replaces the byte-order mark, comments and trailing commas by spaces, so that lines and columns
/// stay where the user sees them.
///
/// # Errors
///
/// The reason with line and column: a `/` that begins no comment.
pub(super) fn strip(text: &str) -> Result<String, String> {
    let mut stripped = text.replacen('\u{feff}', "   ", usize::from(text.starts_with('\u{feff}')));
    let outcome = json_strip_comments::strip(&mut stripped);

    // json-strip-comments 3.1 blanks the line ends inside block comments, too.
    let mut bytes = stripped.into_bytes();
    for (byte, original) in bytes.iter_mut().zip(text.bytes()) {
        if original == b'\n' {
            *byte = b'\n';
        }
    }
    if outcome.is_err() {
        // The crate says no position, but it has blanked the offending slash last of all.
        let slash = bytes.iter().zip(text.bytes()).rposition(|(byte, original)| *byte != original);
        let before = &text.as_bytes()[..slash.unwrap_or(0)];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = before.len() - line_start + 1;
        return Err(syntax_error(text, line, column, "stray `/`"));
    }
    // Whole characters were replaced by spaces, and line ends are ASCII: always UTF-8.
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// Checks the syntax of a whole stripped text and returns its one value. `original` is the text
/// before stripping, in which columns are counted.
///
/// # Errors
///
/// The reason with line and column, without any piece of the text.
pub(super) fn parse<'a>(stripped: &'a str, original: &str) -> Result<&'a str, String> {
    serde_json::from_str::<&RawValue>(stripped).map(RawValue::get).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or_default();
        syntax_error(original, line, column, reason)
    })
}

/// `line` and `column` start at 1; `column` counts bytes, as serde_json does, the message
/// characters, as editors do.
fn syntax_error(text: &str, line: usize, column: usize, reason: &str) -> String {
    let content = text.split('\n').nth(line.saturating_sub(1)).unwrap_or_default();
    let content = content.trim_start_matches('\u{feff}');
    let mark = if line == 1 && text.starts_with('\u{feff}') { 3 } else { 0 };
    let column = column.saturating_sub(mark);
    let before = content.char_indices().take_while(|(at, _)| *at < column).count();
    let column = before.max(1);
    format!(
        "第 {line} 行第 {column} 列 JSON 语法错误: {reason} \
         (JSON syntax error at line {line} column {column})"
    )
}

/// The entries of an object in the order of the text, duplicates kept. `json` is a checked object.
///
/// # Errors
///
/// serde_json's, of which only a key with a lone surrogate is possible.
pub(super) fn entries(json: &str) -> serde_json::Result<Vec<(String, &str)>> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(String, &'de str)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                entries.push((key, value.get()));
            }
            Ok(entries)
        }
    }

    serde_json::Deserializer::from_str(json).deserialize_map(Entries)
}

/// The elements of an array. `json` is a checked array.
///
/// # Errors
///
/// None is possible for checked text.
pub(super) fn elements(json: &str) -> serde_json::Result<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(json)?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        match strip(text) {
            Err(reason) => reason,
            Ok(stripped) => parse(&stripped, text).expect_err(text),
        }
    }

    #[test]
    fn comments_trailing_commas_and_a_byte_order_mark_are_accepted() {
        let text = "\u{feff}// 一\n{ /* 二\n */ \"a\": [1, 2, /* 三 */ ], // 四\n \"u\": \"http://h/*x*/\", }\n";
        let stripped = strip(text).expect("only comments");
        let json = parse(&stripped, text).expect("valid once stripped");
        let entries = entries(json).expect("an object");
        assert_eq!(entries.len(), 2);
        assert_eq!(elements(entries[0].1).expect("an array"), ["1", "2"]);
        assert_eq!(entries[1], ("u".to_owned(), "\"http://h/*x*/\""));
    }

    #[test]
    fn errors_point_at_line_and_column_even_below_block_comments_and_wide_characters() {
        for (text, place) in [
            ("{\"a\": 1 \"b\": 2}", "line 1 column 9"),
            ("/* 一\n 二\n*/ {\n  \"测试\": x}", "line 4 column 9"),
            ("\u{feff}{x", "line 1 column 2"),
            ("{\n  \"a\": / 1,\n}", "line 2 column 8"),
            ("{\n\"测试\" /x: 1, // y\n}", "line 2 column 6"),
            ("", "line 1 column 1"),
            ("{\n", "line 2 column 1"),
            ("{} {}", "line 1 column 4"),
        ] {
            assert!(reason(text).contains(place), "{text:?}: {}", reason(text));
        }
    }

    #[test]
    fn errors_hold_no_piece_of_the_text() {
        for text in ["sk-1", "{\"a\": sk-1}", "{\"sk-1\"}", "[\"sk-1\\x\"]", "{sk-1: 1}", "\"sk-1"]
        {
            assert!(!reason(text).contains("sk-1"), "{}", reason(text));
        }
    }

    #[test]
    fn deep_nesting_neither_fails_nor_overflows_the_stack() {
        let text = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(parse(&text, &text).is_ok());
    }
}
