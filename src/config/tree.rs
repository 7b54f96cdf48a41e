//! Text to JSON: byte-order mark, comments and trailing commas go away, then the syntax is
//! checked and the values are listed once.

use std::fmt;

use crate::language::{JsonReason, Text, Words};
use crate::text;
use serde_json::value::RawValue;

/// Replaces the byte-order mark, comments and trailing commas by spaces, so that lines and columns
/// stay where the user sees them.
///
/// # Errors
///
/// The reason with line and column: a `/` that begins no comment.
pub(super) fn strip(text: &str) -> Result<String, Text> {
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
        return Err(syntax_error(text, line, column, &Words("多余的 `/`", "stray `/`")));
    }
    // Whole characters were replaced by spaces, and line ends are ASCII: always UTF-8.
    String::from_utf8(bytes).map_err(Text::new)
}

/// All values of a text in one flat list, each before those inside it: no depth can overflow the
/// stack. Numbers and strings keep their text, and entries of one name all stay.
pub(super) struct Tree<'t>(Vec<Value<'t>>);

struct Value<'t> {
    /// Its text; of an object or array the opening bracket only.
    json: &'t str,
    /// Where the list goes on behind it and all that is inside it.
    next: usize,
}

impl<'t> Tree<'t> {
    /// Checks a whole stripped text. `original` is the text before stripping, in which columns are
    /// counted.
    ///
    /// # Errors
    ///
    /// The reason with line and column, without any piece of the text.
    pub(super) fn parse(stripped: &'t str, original: &str) -> Result<Self, Text> {
        let checked = serde_json::from_str::<&RawValue>(stripped).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let message = error.to_string();
            syntax_error(original, line, column, &JsonReason::of(&message))
        })?;
        Ok(Self::of_checked(checked.get()))
    }

    fn of_checked(mut text: &'t str) -> Self {
        let mut values: Vec<Value<'t>> = Vec::new();
        let mut open = Vec::new();
        while let Some(first) = text.bytes().next() {
            let length = match first {
                b'{' | b'[' => {
                    open.push(values.len());
                    1
                }
                b'}' | b']' => {
                    let next = values.len();
                    if let Some(value) = open.pop().and_then(|at| values.get_mut(at)) {
                        value.next = next;
                    }
                    1
                }
                b'"' => string_length(text),
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => 1,
                _ => text.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(text.len()),
            };
            let (json, rest) = text.split_at(length);
            if !b"}],: \t\r\n".contains(&first) {
                values.push(Value { json, next: values.len() + 1 });
            }
            text = rest;
        }
        Self(values)
    }

    /// The text of a value, by its place in the list; the first one holds all others.
    pub(super) fn json(&self, at: usize) -> &'t str {
        self.0[at].json
    }

    /// The places of what is directly inside an array, or an object, where names and values
    /// alternate.
    pub(super) fn inside(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.0[at].next;
        let first = (at + 1 < end).then_some(at + 1);
        std::iter::successors(first, move |at| Some(self.0[*at].next).filter(|next| *next < end))
    }
}

/// The bytes of the string, quotes included, that a checked text begins with.
fn string_length(text: &str) -> usize {
    let mut escaped = true;
    let is_end = |byte: u8| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    };
    text.bytes().position(is_end).map_or(text.len(), |quote| quote + 1)
}

/// `line` and `column` start at 1; `column` counts bytes, as serde_json does, the message
/// characters, as editors do.
fn syntax_error(text: &str, line: usize, column: usize, reason: &dyn fmt::Display) -> Text {
    let content = text.split('\n').nth(line.saturating_sub(1)).unwrap_or_default();
    let content = content.trim_start_matches('\u{feff}');
    let mark = if line == 1 && text.starts_with('\u{feff}') { 3 } else { 0 };
    let column = column.saturating_sub(mark);
    let before = content.char_indices().take_while(|(at, _)| *at < column).count();
    let column = before.max(1);
    text!(
        "第 {line} 行第 {column} 列 JSON 语法错误: {reason}",
        "JSON syntax error at line {line} column {column}: {reason}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> Text {
        match strip(text) {
            Err(reason) => reason,
            Ok(stripped) => Tree::parse(&stripped, text).err().expect(text),
        }
    }

    fn inside<'t>(tree: &Tree<'t>, at: usize) -> Vec<&'t str> {
        tree.inside(at).map(|at| tree.json(at)).collect()
    }

    #[test]
    fn comments_trailing_commas_and_a_byte_order_mark_are_accepted() {
        let text = "\u{feff}// 一\n{ /* 二\n */ \"a\": [1, 2, /* 三 */ ], // 四\n \"u\": \"http://h/*x*/\", }\n";
        let stripped = strip(text).expect("only comments");
        let tree = Tree::parse(&stripped, text).expect("valid once stripped");
        assert_eq!(inside(&tree, 0), ["\"a\"", "[", "\"u\"", "\"http://h/*x*/\""]);
        assert_eq!(inside(&tree, 2), ["1", "2"]);
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
        let tree = Tree::parse(&text, &text).expect("valid");
        assert_eq!((inside(&tree, 0), inside(&tree, 99_999)), (vec!["["], vec![]));
    }

    #[test]
    fn values_keep_their_text_and_names_their_doubles() {
        let text =
            r#" {"a" :1e400,"b":[ -0.50 , true,null],"a": {}, "\"]\\":"\ud800", "":[[],[0]]}"#;
        let tree = Tree::parse(text, text).expect("valid");
        let names = [r#""a""#, r#""b""#, r#""a""#, r#""\"]\\""#, r#""""#];
        let values = ["1e400", "[", "{", r#""\ud800""#, "["];
        let all: Vec<_> = names.into_iter().zip(values).flat_map(|(n, v)| [n, v]).collect();
        assert_eq!(inside(&tree, 0), all);
        let places: Vec<_> = tree.inside(0).collect();
        assert_eq!(inside(&tree, places[3]), ["-0.50", "true", "null"]);
        assert_eq!(inside(&tree, places[5]), [""; 0]);
        assert_eq!(inside(&tree, places[9]), ["[", "["]);
        let text = "-1";
        assert_eq!(Tree::parse(text, text).expect("valid").json(0), "-1");
    }
}
