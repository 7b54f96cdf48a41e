//! The request body: which model it asks for, whether it streams, and the model's name replaced.
//!
//! The JSON is never written anew: only the bytes of the name change, so that numbers, key order
//! and unknown fields arrive as they were sent. Pure functions.

use std::fmt;
use std::ops::Range;

use memchr::memchr2;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Arrays and objects within each other.
const DEPTH_MAX: usize = 128;

/// What the program reads of a chat request.
#[derive(Debug, PartialEq, Eq)]
pub struct ChatRequest {
    /// `provider/model`, decoded.
    pub model: String,
    /// Whether the body says `"stream": true`.
    pub stream: bool,
    /// Whether there is also a string whose key differs from `model` in case only: Go's JSON, which
    /// many providers read with, takes `Model` for `model`.
    pub ambiguous: bool,
    /// Where the model's JSON string lies in the body, quotes included.
    place: Range<usize>,
}

impl ChatRequest {
    /// Reads a request body. A byte order mark before the JSON is tolerated.
    ///
    /// # Errors
    /// What is wrong with it, with line and column where it is not JSON.
    pub fn parse(body: &[u8]) -> Result<ChatRequest, String> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let at = error.valid_up_to();
            format!("请求体不是UTF-8，字节 {at} (request body is not UTF-8 at byte {at})")
        })?;
        let json = text.strip_prefix('\u{feff}').unwrap_or(text);
        if too_deep(json.as_bytes()) {
            return Err(format!(
                "请求体JSON嵌套超过 {DEPTH_MAX} 层 (request body nested deeper than {DEPTH_MAX})"
            ));
        }
        if !json.trim_ascii_start().starts_with('{') {
            serde_json::from_str::<IgnoredAny>(json).map_err(|error| not_json(&error))?;
            // serde's own refusal would write the value down: half a gigabyte for a string of 30
            // MB.
            let blank = &json[..json.len() - json.trim_ascii_start().len()];
            let line = 1 + blank.matches('\n').count();
            let column = blank.len() - blank.rfind('\n').map_or(0, |at| at + 1) + 1;
            return Err(refused_at(line, column, "not a JSON object"));
        }
        let mut parser = serde_json::Deserializer::from_str(json);
        let fields = parser.deserialize_map(FieldsVisitor).map_err(|error| not_json(&error))?;
        parser.end().map_err(|error| not_json(&error))?;
        let raw = fields.model.ok_or("请求体缺少model字段 (request body has no `model`)")?.get();
        let model = serde_json::from_str(raw)
            .map_err(|_| "model字段必须是字符串 (`model` must be a string)")?;
        // Both point into the same body.
        let start = raw.as_ptr() as usize - body.as_ptr() as usize;
        let stream = fields.stream.is_some_and(|raw| raw.get() == "true");
        let ambiguous = fields.like_model;
        Ok(ChatRequest { model, stream, ambiguous, place: start..start + raw.len() })
    }

    /// The provider's name and the model's name there: what is before and behind the first slash.
    pub fn split_model(&self) -> Option<(&str, &str)> {
        self.model.split_once('/')
    }

    /// Replaces the model's name in the body it was parsed from by the one the provider knows.
    pub fn splice(&self, body: &mut Vec<u8>) {
        let Some((provider, bare)) = self.split_model() else { return };
        let raw = &body[self.place.clone()];
        if raw.contains(&b'\\') {
            let name = serde_json::Value::from(bare).to_string();
            body.splice(self.place.clone(), name.into_bytes());
        } else {
            let start = self.place.start + 1;
            body.drain(start..start + provider.len() + 1);
        }
    }
}

fn not_json(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    // The one refusal of ours that serde passes on.
    if error.is_data() {
        return refused_at(line, column, "duplicate field `model`");
    }
    let full = error.to_string();
    let reason = full.split(" at line ").next().unwrap_or_default();
    format!(
        "请求体不是有效的JSON，第{line}行第{column}列: {reason} (invalid JSON at line {line} column {column})"
    )
}

fn refused_at(line: usize, column: usize, reason: &str) -> String {
    format!("请求体无效，第{line}行第{column}列: {reason} (line {line} column {column})")
}

/// Whether brackets are nested deeper than [`DEPTH_MAX`]. serde_json skips values it is not asked
/// for without counting, and providers' parsers recurse.
fn too_deep(json: &[u8]) -> bool {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = end_of_string(json, at),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

fn end_of_string(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    json.len()
}

#[derive(Default)]
struct Fields<'b> {
    model: Option<&'b RawValue>,
    like_model: bool,
    stream: Option<&'b RawValue>,
}

/// Which of the two fields a key names, however it is escaped.
enum Key {
    Model,
    /// `Model`, `MODEL` …
    LikeModel,
    Stream,
    Other,
}

impl<'de> de::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "model" => Key::Model,
                    "stream" => Key::Stream,
                    _ if key.eq_ignore_ascii_case("model") => Key::LikeModel,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Model if fields.model.is_some() => {
                    return Err(de::Error::duplicate_field("model"));
                }
                Key::LikeModel => {
                    let value = map.next_value::<&RawValue>()?;
                    fields.like_model |= value.get().starts_with('"');
                }
                Key::Model => fields.model = Some(map.next_value()?),
                // Some senders repeat it; like most parsers, the last one counts.
                Key::Stream => fields.stream = Some(map.next_value()?),
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spliced(body: &str) -> String {
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        let mut bytes = body.as_bytes().to_vec();
        request.splice(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn only_the_name_changes() {
        for (sent, relayed) in [
            (r#"{"model":"p/m"}"#, r#"{"model":"m"}"#),
            (
                r#" { "x":1e400, "model" : "p/a/b" ,"y":[ 1.0 ]} "#,
                r#" { "x":1e400, "model" : "a/b" ,"y":[ 1.0 ]} "#,
            ),
            (r#"{"model":"p\/m\u0041"}"#, r#"{"model":"mA"}"#),
            (
                r#"{"mod\u0065l":"p/m","a":{"model":"p/x"}}"#,
                r#"{"mod\u0065l":"m","a":{"model":"p/x"}}"#,
            ),
            ("\u{feff}{\"model\":\"提供商/模型\"}", "\u{feff}{\"model\":\"模型\"}"),
        ] {
            assert_eq!(spliced(sent), relayed);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (body, reason) in [
            ("", "JSON"),
            ("{\n  oops", "第2行第3列"),
            ("[1]", "a JSON object"),
            ("\n  [1]", "第2行第3列"),
            ("\"model\"", "a JSON object"),
            ("{}", "model"),
            (r#"{"Model":"p/a"}"#, "缺少model"),
            (r#"{"model":1}"#, "字符串"),
            (r#"{"model":"p/a","model":"p/b"}"#, "duplicate field `model`"),
            (r#"{"model":"p/a"} x"#, "JSON"),
        ] {
            let error = ChatRequest::parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{body}: {error}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_brackets_in_strings_are_not() {
        let deep = format!(r#"{{"model":"p/m","x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        assert!(ChatRequest::parse(deep.as_bytes()).is_err());
        let flat = format!(r#"{{"model":"p/m","x":"{}\""}}"#, "[{".repeat(200));
        assert!(ChatRequest::parse(flat.as_bytes()).is_ok());
    }

    #[test]
    fn a_key_that_differs_in_case_is_noticed_at_the_top_only() {
        for (body, ambiguous) in [
            (r#"{"model":"p/a","Model":"b"}"#, true),
            (r#"{"MODE\u004c":"b","model":"p/a"}"#, true),
            (r#"{"MODEL":1,"Model":{"x":"b"},"model":"p/a"}"#, false),
            (r#"{"model":"p/a","x":{"Model":"b"},"models":1}"#, false),
        ] {
            assert_eq!(ChatRequest::parse(body.as_bytes()).unwrap().ambiguous, ambiguous, "{body}");
        }
    }

    #[test]
    fn stream_counts_only_when_it_is_true() {
        for (value, stream) in
            [("true", true), ("false", false), ("null", false), ("\"true\"", false)]
        {
            let body = format!(r#"{{"model":"p/m","stream":{value}}}"#);
            assert_eq!(ChatRequest::parse(body.as_bytes()).unwrap().stream, stream);
        }
    }
}
