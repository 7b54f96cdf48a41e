//! What the body of an error says: that a quota is used up, and its code. Pure.

use std::fmt;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};

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
    let (mut top, mut inner) = (Fields::default(), None);
    let visitor = Top { fields: &mut top, inner: &mut inner };
    // What was read before an error, such as the end of the text, counts.
    let _ = serde_json::Deserializer::from_str(valid).deserialize_map(visitor);
    let fields = inner.unwrap_or(top);
    let texts = [&fields.code, &fields.kind, &fields.message];
    let quota = texts.into_iter().flatten().any(|text| says_quota(text));
    Said { quota, code: fields.code.or(fields.kind) }
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

#[derive(Default)]
struct Fields {
    code: Option<String>,
    kind: Option<String>,
    message: Option<String>,
}

/// The object itself; its `error` becomes `inner`.
struct Top<'f> {
    fields: &'f mut Fields,
    inner: &'f mut Option<Fields>,
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "error" => map.next_value_seed(Inner(self.inner))?,
                key => self.fields.take(key, &mut map)?,
            }
        }
        Ok(())
    }
}

impl Fields {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let field = match key {
            "code" => &mut self.code,
            "type" => &mut self.kind,
            "message" => &mut self.message,
            _ => return map.next_value::<IgnoredAny>().map(drop),
        };
        *field = match map.next_value::<serde_json::Value>()? {
            serde_json::Value::String(text) => Some(text),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Ok(())
    }
}

/// The value of `error`: an object, or the message itself.
struct Inner<'f>(&'f mut Option<Fields>);

impl<'de> de::DeserializeSeed<'de> for Inner<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.0.insert(Fields::default());
        while let Some(key) = map.next_key::<String>()? {
            fields.take(&key, &mut map)?;
        }
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        *self.0 = Some(Fields { message: Some(text.to_owned()), ..Fields::default() });
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
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
