//! Reads a provider's response to `GET /models`: compressed or not, of every shape that is in use.

use std::fmt;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::query::BYTE_ORDER_MARK;
use crate::language::Words;
use crate::message;
use crate::state::Listed;

/// How gzip begins (RFC 1952 §2.3.1). No JSON does, so that this tells without `Content-Encoding`,
/// and where that is wrong.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Numbers up to this are exact in every JSON reader.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

/// Models of one provider. The largest marketplaces list some hundred.
const MODELS_MAX: usize = 20_000;

/// Why an answer is of no use.
#[derive(Debug, PartialEq, Eq)]
pub enum ListError {
    /// It is none of the known shapes, or names nothing.
    NotAList,
    /// It is longer than so many bytes once it is decompressed.
    TooLarge(usize),
    /// It names more than so many models.
    TooMany(usize),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListError::NotAList => Words("不是模型列表", "not a model list").fmt(f),
            ListError::TooMany(limit) => {
                message!("模型过多，上限 {limit} 个", "more than {limit} models").fmt(f)
            }
            ListError::TooLarge(limit) => {
                message!("响应过大，上限 {limit} 字节", "answer over {limit} bytes").fmt(f)
            }
        }
    }
}

/// Whether a body must be decompressed first.
pub fn is_compressed(body: &[u8]) -> bool {
    body.starts_with(&GZIP_MAGIC)
}

/// The models in a response's body; one that is compressed may hold `limit` bytes.
///
/// # Errors
/// See [`ListError`].
pub fn read(body: &[u8], limit: usize) -> Result<Vec<Listed>, ListError> {
    if !is_compressed(body) {
        return checked(parse(body));
    }
    let mut text = Vec::new();
    let decoder = MultiGzDecoder::new(body);
    decoder.take(limit as u64 + 1).read_to_end(&mut text).map_err(|_| ListError::NotAList)?;
    if text.len() > limit {
        return Err(ListError::TooLarge(limit));
    }
    checked(parse(&text))
}

fn checked(models: Option<Vec<Listed>>) -> Result<Vec<Listed>, ListError> {
    match models {
        None => Err(ListError::NotAList),
        Some(models) if models.len() > MODELS_MAX => Err(ListError::TooMany(MODELS_MAX)),
        Some(models) => Ok(models),
    }
}

/// `{"data": […]}`, `{"models": […]}` or a bare array, of strings or of objects. The first array
/// that names anything is the list; one that has entries and names nothing is none.
///
/// Only the text's own bytes and the names are held: what is hostile or very long costs no more.
fn parse(text: &[u8]) -> Option<Vec<Listed>> {
    #[derive(Deserialize)]
    struct Lists<'b> {
        #[serde(borrow)]
        data: Option<&'b RawValue>,
        #[serde(borrow)]
        models: Option<&'b RawValue>,
    }
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let arrays = match serde_json::from_slice(text) {
        Ok(bare) => vec![bare],
        Err(_) => {
            let Lists { data, models } = serde_json::from_slice(text).ok()?;
            let array = |raw: &RawValue| serde_json::from_str::<Entries>(raw.get()).ok();
            [data, models].into_iter().flatten().filter_map(array).collect()
        }
    };
    let all_empty = !arrays.is_empty() && arrays.iter().all(|array: &Entries| array.count == 0);
    let named = arrays.into_iter().map(Entries::into_models).find(|models| !models.is_empty());
    named.or_else(|| all_empty.then(Vec::new))
}

/// An array, of which only the names are kept.
#[derive(Default)]
struct Entries {
    /// All entries, those without a name included.
    count: usize,
    objects: Vec<Listed>,
    strings: Vec<Listed>,
}

impl Entries {
    fn add(&mut self, entry: &RawValue) {
        self.count += 1;
        // One more shows that there are too many.
        if self.objects.len().max(self.strings.len()) > MODELS_MAX {
            return;
        }
        match entry.get().as_bytes().first() {
            Some(b'{') => self.objects.extend(model(entry)),
            Some(b'"') => {
                let created = None;
                self.strings.extend(name(entry).map(|id| Listed { id: id.into(), created }));
            }
            _ => {}
        }
    }

    /// Strings are names where no object is.
    fn into_models(self) -> Vec<Listed> {
        let mut models = if self.objects.is_empty() { self.strings } else { self.objects };
        models.shrink_to_fit();
        models
    }
}

/// An entry that is an object, if it has a name.
fn model(entry: &RawValue) -> Option<Listed> {
    #[derive(Deserialize)]
    struct Model<'b> {
        #[serde(borrow)]
        id: Option<&'b RawValue>,
        #[serde(borrow)]
        name: Option<&'b RawValue>,
        #[serde(borrow)]
        model: Option<&'b RawValue>,
        #[serde(borrow)]
        created: Option<&'b RawValue>,
    }
    let model: Model<'_> = serde_json::from_str(entry.get()).ok()?;
    let called = model.name.and_then(name);
    let id = match model.id.and_then(name) {
        // GitHub Models lists addresses, and chats by name.
        Some(address) if address.contains("://") => called.or(Some(address)),
        id => id.or(called).or_else(|| model.model.and_then(name)),
    };
    Some(Listed { id: id?.into(), created: model.created.and_then(seconds) })
}

/// A string that is not blank. Gemini's `models/` in front is taken off.
fn name(raw: &RawValue) -> Option<String> {
    let mut name: String = serde_json::from_str(raw.get()).ok()?;
    if name.starts_with("models/") {
        name.drain(.."models/".len());
    }
    Some(name).filter(|name| !name.trim().is_empty())
}

fn seconds(raw: &RawValue) -> Option<i64> {
    let number: f64 = serde_json::from_str(raw.get()).ok()?;
    // Exact within these bounds, fractions cut off.
    (number.abs() <= WHOLE_MAX).then_some(number as i64)
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of models")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
                let mut entries = Entries::default();
                while let Some(entry) = list.next_element::<&RawValue>()? {
                    entries.add(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(body: &str) -> Option<Vec<String>> {
        Some(parse(body.as_bytes())?.into_iter().map(|model| model.id.into()).collect())
    }

    #[test]
    fn lists_of_every_known_shape_are_understood() {
        for body in [
            r#"{"object":"list","data":[{"id":"a"},{"name":"models/b"},{"x":1}]}"#,
            r#"{"models":[{"name":"models/a"},{"id":"b","name":"c"}]}"#,
            r#"[{"id":"a"},{"id":"b"},7,["c","d"],{"id":null},{"id":5},"e"]"#,
            r#"{"data":1,"models":[{"id":7,"name":"a"},{"id":"b","id2":[{"id":"c"}]}]}"#,
            r#"{"data":[{"x":1},7],"models":["a","models/b",""]}"#,
            "\u{feff}[\"a\",{\"x\":1},\"b\"]",
        ] {
            assert_eq!(ids(body).unwrap(), ["a", "b"], "{body}");
        }
        for body in ["[]", r#"{"data":[]}"#, r#"{"data":[],"models":[]}"#, r#"{"models":[]}"#] {
            assert_eq!(ids(body).unwrap(), [""; 0], "{body}");
        }
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"data":1}"#,
            "1",
            "[7]",
            r#"{"data":[7],"models":[]}"#,
            "[\"\"]",
        ] {
            assert!(parse(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn an_absurdly_long_list_is_refused_and_not_kept() {
        let list = |count: usize| format!("[{}\"a\"]", "\"b\",".repeat(count - 1));
        assert_eq!(read(list(MODELS_MAX).as_bytes(), 0).map(|models| models.len()), Ok(MODELS_MAX));
        for count in [MODELS_MAX + 1, 3 * MODELS_MAX] {
            let error = read(list(count).as_bytes(), 0).err();
            assert_eq!(error, Some(ListError::TooMany(MODELS_MAX)), "{count}");
        }
    }

    #[test]
    fn created_is_a_number_of_whole_seconds_or_absent() {
        for (number, expected) in [
            ("1686935002", Some(1_686_935_002)),
            ("1.7e9", Some(1_700_000_000)),
            ("-1.5", Some(-1)),
        ]
        .into_iter()
        .chain(["1e400", "1e300", "\"1\"", "null", "[1]"].map(|other| (other, None)))
        {
            let body = format!(r#"[{{"id":"a","created":{number}}}]"#);
            assert_eq!(parse(body.as_bytes()).unwrap()[0].created, expected, "{number}");
        }
    }
}
