//! A few values of a JSON object, as they stand in its text. Pure.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values of these keys, each in its place; of one that is there twice the last. `null` counts as
/// absent. What stands before a mistake, or before the end of a text that was cut off, is found.
pub fn pick<'t, const N: usize>(json: &'t str, keys: [&str; N]) -> [Option<&'t RawValue>; N] {
    let mut found = [None; N];
    pick_all(json, &keys, &mut found);
    found
}

fn pick_all<'t>(json: &'t str, keys: &[&str], found: &mut [Option<&'t RawValue>]) {
    let mut reader = serde_json::Deserializer::from_str(json);
    // What was found is all that is of interest.
    let _ = reader.deserialize_map(Picking { keys, found });
}

/// The text of a JSON string; of another value nothing.
pub fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

struct Picking<'p, 't> {
    keys: &'p [&'p str],
    found: &'p mut [Option<&'t RawValue>],
}

impl<'t> Visitor<'t> for Picking<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'t>>()? {
            match self.keys.iter().position(|wanted| *wanted == key.0) {
                Some(at) => {
                    let raw: &RawValue = map.next_value()?;
                    self.found[at] = Some(raw).filter(|raw| raw.get() != "null");
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A key, borrowed where nothing in it is escaped.
#[derive(serde::Deserialize)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(json: &str) -> [Option<&str>; 2] {
        pick(json, ["a", "b"]).map(|raw| raw.map(RawValue::get))
    }

    #[test]
    fn the_values_of_keys_are_found_as_they_stand() {
        for (json, expected) in [
            (r#"{"a": 1.50, "b":{"x":[ ]}, "c":2}"#, [Some("1.50"), Some(r#"{"x":[ ]}"#)]),
            (r#"{"b":null,"\u0061":"x"}"#, [Some("\"x\""), None]),
            (r#"{"a":1,"a":2}"#, [Some("2"), None]),
            (r#"{"x":{"a":1}}"#, [None, None]),
            (r#"{"a":1,"b":"cut"#, [Some("1"), None]),
            (r#"{"a":1,,"b":2}"#, [Some("1"), None]),
            ("[1]", [None, None]),
            ("", [None, None]),
        ] {
            assert_eq!(picked(json), expected, "{json}");
        }
    }
}
