//! JSON texts taken apart by serde_json, nothing rounded: numbers stay text, entries keep their
//! order and duplicates.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The entries of an object that is all of `text`; `None` when it is none.
pub fn entries(text: &str) -> Option<Vec<(String, &str)>> {
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

    let mut parser = serde_json::Deserializer::from_str(text);
    let entries = parser.deserialize_map(Entries).ok()?;
    parser.end().ok()?;
    Some(entries)
}

/// The elements of an array that is all of `text`.
pub fn elements(text: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// A string that is all of `text`, decoded.
pub fn string(text: &str) -> Option<String> {
    text.trim_ascii().starts_with('"').then(|| serde_json::from_str(text).ok())?
}

/// Arrays and objects within each other, in a valid text.
pub fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
