//! The request body: which model it asks for, whether it streams, and the model's name replaced.
//!
//! The JSON is never written anew: only the bytes of the name change, so that numbers, key order
//! and unknown fields arrive as they were sent. Pure functions.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memchr2;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::language::{JsonReason, Text, Words};
use crate::text;
use crate::upstream::is_stored_id;

use self::skim::skim;

mod skim;

/// Arrays and objects within each other.
const DEPTH_MAX: usize = 128;
/// Stored objects that one request names: a response and a conversation, and some that are repeated.
const STORED_IDS_MAX: usize = 4;
/// How much of what cannot be an id stands in an error.
const ID_CHARS_SHOWN: usize = 100;

/// What the program reads of a chat request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChatRequest {
    /// `provider/model`, decoded. Only what goes on from a stored object needs none.
    pub model: Option<String>,
    /// The stored objects that it goes on from: `previous_response_id` and `conversation`.
    pub stored_ids: Vec<String>,
    /// Whether the body says `"stream": true`.
    pub stream: bool,
    /// Whether there is also a string whose key differs from `model` in case only: Go's JSON, which
    /// many providers read with, takes `Model` for `model`.
    pub ambiguous: bool,
    /// What names its conversation, where somebody wants to know.
    pub conversation: Option<u64>,
    /// Where the model's JSON string lies in the body, quotes included; empty without a model.
    place: Range<usize>,
}

impl ChatRequest {
    /// Reads a request body. A byte order mark before the JSON is tolerated.
    ///
    /// # Errors
    /// What is wrong with it, with line and column where it is not JSON.
    pub fn parse(body: &[u8]) -> Result<ChatRequest, Text> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let at = error.valid_up_to();
            text!("请求体不是UTF-8，字节 {at}", "request body is not UTF-8 at byte {at}")
        })?;
        if let Some(skimmed) = skim(body) {
            let place = skimmed.model.unwrap_or_default();
            let model = text.get(place.start + 1..place.end.saturating_sub(1));
            return Ok(ChatRequest {
                model: model.map(str::to_owned),
                stream: skimmed.stream,
                ambiguous: skimmed.like_model,
                place,
                ..ChatRequest::default()
            });
        }
        ChatRequest::parse_text(text)
    }

    /// The same, whatever it says.
    fn parse_text(body: &str) -> Result<ChatRequest, Text> {
        let json = body.strip_prefix('\u{feff}').unwrap_or(body);
        if too_deep(json.as_bytes()) {
            return Err(text!(
                "请求体JSON嵌套超过 {DEPTH_MAX} 层",
                "request body nested deeper than {DEPTH_MAX}"
            ));
        }
        if !json.trim_ascii_start().starts_with('{') {
            serde_json::from_str::<IgnoredAny>(json).map_err(|error| not_json(&error))?;
            // serde's own refusal would write the value down: half a gigabyte for a string of 30
            // MB.
            let blank = &json[..json.len() - json.trim_ascii_start().len()];
            let line = 1 + blank.matches('\n').count();
            let column = blank.len() - blank.rfind('\n').map_or(0, |at| at + 1) + 1;
            return Err(refused_at(line, column, Words("不是JSON对象", "not a JSON object")));
        }
        let mut parser = serde_json::Deserializer::from_str(json);
        let fields = parser.deserialize_map(FieldsVisitor).map_err(|error| not_json(&error))?;
        parser.end().map_err(|error| not_json(&error))?;
        let mut request = ChatRequest {
            stream: fields.stream.is_some_and(|raw| raw.get() == "true"),
            ambiguous: fields.like_model,
            stored_ids: fields.stored_ids,
            ..ChatRequest::default()
        };
        if let Some(raw) = fields.model.map(RawValue::get) {
            let model = serde_json::from_str(raw)
                .map_err(|_| Words("model字段必须是字符串", "`model` must be a string"))?;
            request.model = Some(model);
            // Both point into the same body.
            let start = raw.as_ptr() as usize - body.as_ptr() as usize;
            request.place = start..start + raw.len();
        }
        Ok(request)
    }

    /// A request for a stored object that names it in its path, and has no body.
    pub fn for_stored(id: &str) -> ChatRequest {
        ChatRequest { stored_ids: vec![shown(id)], ..ChatRequest::default() }
    }

    /// The model, where there must be one.
    ///
    /// # Errors
    /// There is none.
    pub fn model(&self) -> Result<&str, Text> {
        let model = self.model.as_deref();
        model.ok_or_else(|| Words("请求体缺少model字段", "request body has no `model`").into())
    }

    /// The provider's name and the model's name there: what is before and behind the first slash.
    pub fn split_model(&self) -> Option<(&str, &str)> {
        self.model.as_ref()?.split_once('/')
    }

    /// Replaces the model's name in the body it was parsed from, again and again.
    pub fn rename(&mut self, body: &mut Vec<u8>, name: &str) {
        if self.place.is_empty() {
            return;
        }
        let name = serde_json::Value::from(name).to_string();
        let end = self.place.start + name.len();
        body.splice(self.place.clone(), name.into_bytes());
        self.place.end = end;
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

fn not_json(error: &serde_json::Error) -> Text {
    let (line, column) = (error.line(), error.column());
    // The one refusal of ours that serde passes on.
    if error.is_data() {
        return refused_at(line, column, Words("重复的键 `model`", "duplicate field `model`"));
    }
    let full = error.to_string();
    let reason = JsonReason::of(&full);
    text!(
        "请求体不是有效的JSON，第{line}行第{column}列: {reason}",
        "invalid JSON at line {line} column {column}: {reason}"
    )
}

fn refused_at(line: usize, column: usize, reason: Words) -> Text {
    text!(
        "请求体无效，第{line}行第{column}列: {reason}",
        "invalid request body, line {line} column {column}: {reason}"
    )
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
    stored_ids: Vec<String>,
}

impl Fields<'_> {
    /// Takes note of a stored object: an id, or an object that has one. Anything else names none.
    fn note_stored(&mut self, raw: &str) {
        #[derive(Deserialize)]
        struct Id<'b>(#[serde(borrow)] Cow<'b, str>);
        #[derive(Deserialize)]
        struct Named<'b> {
            #[serde(borrow)]
            id: Id<'b>,
        }
        let id: Result<Id<'_>, _> = match raw.as_bytes() {
            [b'{', ..] => serde_json::from_str(raw).map(|named: Named<'_>| named.id),
            _ => serde_json::from_str(raw),
        };
        let Ok(id) = id.map(|id| shown(&id.0)) else { return };
        if self.stored_ids.len() < STORED_IDS_MAX && !self.stored_ids.contains(&id) {
            self.stored_ids.push(id);
        }
    }
}

/// An id, or how that begins which cannot be one.
fn shown(id: &str) -> String {
    if is_stored_id(id) || id.len() <= ID_CHARS_SHOWN {
        return id.to_owned();
    }
    id.chars().take(ID_CHARS_SHOWN).chain(['…']).collect()
}

/// Which of the fields a key names, however it is escaped.
enum Key {
    Model,
    /// `Model`, `MODEL` …
    LikeModel,
    Stream,
    /// `previous_response_id`, `conversation`.
    Stored,
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
                    "previous_response_id" | "conversation" => Key::Stored,
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
                Key::Stored => {
                    let value = map.next_value::<&RawValue>()?;
                    fields.note_stored(value.get());
                }
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
    fn a_name_is_replaced_by_one_after_the_other() {
        let sent = r#"{"a":1,"model" : "p\/m","b":"p/m"}"#;
        let mut request = ChatRequest::parse(sent.as_bytes()).unwrap();
        let mut body = sent.as_bytes().to_vec();
        for name in ["a-longer-name/of it", "m", "q\"\\名"] {
            request.rename(&mut body, name);
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(value["model"], name);
            assert!(
                body.starts_with(b"{\"a\":1,\"model\" : \"") && body.ends_with(b",\"b\":\"p/m\"}")
            );
        }
        let mut none = ChatRequest::parse(b"{}").unwrap();
        let mut body = b"{}".to_vec();
        none.rename(&mut body, "m");
        assert_eq!(body, b"{}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (body, reason) in [
            ("", "JSON"),
            ("{\n  oops", "第2行第3列"),
            ("[1]", "a JSON object"),
            ("\n  [1]", "第2行第3列"),
            ("\"model\"", "a JSON object"),
            (r#"{"model":1}"#, "字符串"),
            (r#"{"model":null}"#, "字符串"),
            (r#"{"model":"p/a","model":"p/b"}"#, "duplicate field `model`"),
            (r#"{"model":"p/a"} x"#, "JSON"),
        ] {
            let error = ChatRequest::parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{body}: {error}");
        }
    }

    #[test]
    fn a_model_may_be_absent_until_it_is_asked_for() {
        for body in ["{}", r#"{"Model":"p/a"}"#, r#"{"previous_response_id":"resp_1"}"#] {
            let request = ChatRequest::parse(body.as_bytes()).unwrap();
            let reason = "请求体缺少model字段 (request body has no `model`)";
            assert_eq!(request.model().unwrap_err(), reason, "{body}");
            assert_eq!(request.split_model(), None);
            let mut same = body.as_bytes().to_vec();
            request.splice(&mut same);
            assert_eq!(same, body.as_bytes());
        }
    }

    #[test]
    fn stored_objects_are_named_at_the_top_in_two_ways() {
        let long = format!("{{\"conversation\":\"{}\"}}", "é".repeat(1000));
        let shortened = "é".repeat(100) + "…";
        for (body, ids) in [
            (r#"{"previous_response_id":"resp_1"}"#, &["resp_1"][..]),
            (r#"{"conversation":"conv_1"}"#, &["conv_1"]),
            (r#"{"conversation": {"x":[{"id":"no"}],"id":"conv_1"} }"#, &["conv_1"]),
            (r#"{"previous_respons\u0065_id":"resp\u005f1"}"#, &["resp_1"]),
            (r#"{"conversation":{"\u0069d":"c\n"}}"#, &["c\n"]),
            (r#"{"previous_response_id":"a","conversation":"b"}"#, &["a", "b"]),
            (r#"{"previous_response_id":"a","previous_response_id":"b"}"#, &["a", "b"]),
            (r#"{"previous_response_id":"a","conversation":{"id":"a"}}"#, &["a"]),
            (r#"{"previous_response_id":null,"conversation":null}"#, &[]),
            (r#"{"previous_response_id":7,"conversation":{"id":null}}"#, &[]),
            (r#"{"conversation":["conv_1"]}"#, &[]),
            (r#"{"conversation":{}}"#, &[]),
            (r#"{"x":{"conversation":"no"},"previous_response_ids":"no"}"#, &[]),
            (&long, &[&shortened]),
        ] {
            assert_eq!(ChatRequest::parse(body.as_bytes()).unwrap().stored_ids, ids, "{body}");
        }
        let many: Vec<_> = (0..99).map(|number| format!("\"conversation\":\"{number}\"")).collect();
        let many = format!("{{{}}}", many.join(","));
        let ids = ChatRequest::parse(many.as_bytes()).unwrap().stored_ids;
        assert_eq!(ids, ["0", "1", "2", "3"]);
    }

    #[test]
    fn a_key_that_is_read_has_the_errors_of_any_other() {
        for key in ["previous_response_id", "conversation"] {
            for value in [r#"{"id":tru}"#, "[1,]", "\"\n\"", r#""\x""#, "1 2", "", "nul", "-", "{"]
            {
                let refusal = |key: &str| {
                    let body = format!("{{\"{key}\":{value}}}");
                    ChatRequest::parse(body.as_bytes()).unwrap_err()
                };
                assert_eq!(refusal(key), refusal(&key.to_uppercase()), "{key}: {value}");
            }
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
