//! Which conversation a request belongs to: providers cache prompts for each account, so that a conversation
//! should stay on one key. Nothing is stored, and the hash has no seed of its own: processes that share a port
//! agree.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::pick::{pick, string};

/// Request fields in which clients name a conversation; the first that is there counts.
pub const SESSION_FIELDS: [&str; 6] = [
    "session-id",
    "session_id",
    "x-session-id",
    "x-session-affinity",
    "x-claude-code-session-id",
    "thread-id",
];
/// How much of the instructions tells conversations apart.
const INSTRUCTIONS_BYTES: usize = 1024;
/// The same of what comes before the first answer.
const BEGINNING_BYTES: usize = 4 * 1024;

/// A conversation, by the hash of what names it.
pub fn conversation(token: &str, session: Option<&[u8]>, of_body: Option<u64>) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    match session {
        Some(session) => session.hash(&mut hasher),
        None => of_body.hash(&mut hasher),
    }
    hasher.finish()
}

/// What names the conversation in a request's JSON: an id that the client gives, else how it begins.
pub fn of_body(json: &[u8]) -> Option<u64> {
    let json = std::str::from_utf8(json).ok()?;
    let [key, conversation, metadata] =
        pick(json, ["prompt_cache_key", "conversation", "metadata"]);
    let conversation = conversation.and_then(|raw| match raw.get().starts_with('{') {
        true => pick(raw.get(), ["id"])[0],
        false => Some(raw),
    });
    let user = metadata.and_then(|raw| pick(raw.get(), ["user_id"])[0]);
    let is_name = |raw: &&RawValue| raw.get() != "\"\"";
    let named = [key, conversation, user].into_iter().flatten().find(is_name);
    let mut hasher = DefaultHasher::new();
    match named {
        Some(name) => name.get().hash(&mut hasher),
        None => {
            let [system, instructions, messages, input] =
                pick(json, ["system", "instructions", "messages", "input"]);
            start(text(system.or(instructions)), INSTRUCTIONS_BYTES).hash(&mut hasher);
            let turns = text(messages.or(input));
            start(to_first_user(turns), BEGINNING_BYTES).hash(&mut hasher);
        }
    }
    Some(hasher.finish())
}

fn text(raw: Option<&RawValue>) -> &str {
    raw.map_or("", RawValue::get)
}

fn start(text: &str, length: usize) -> &[u8] {
    &text.as_bytes()[..text.len().min(length)]
}

/// A list of turns up to the end of the first that is the user's. What does not get so far, or is no list,
/// stays as it is.
fn to_first_user(turns: &str) -> &str {
    let mut end = None;
    let mut reader = serde_json::Deserializer::from_str(turns);
    // It stops there, which is an error to the reader.
    let _ = reader.deserialize_seq(Turns { list: turns, end: &mut end });
    &turns[..end.unwrap_or(turns.len())]
}

struct Turns<'t> {
    list: &'t str,
    end: &'t mut Option<usize>,
}

impl<'de> Visitor<'de> for Turns<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of turns")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element::<&RawValue>()? {
            // Both point into the same text.
            let end = item.get().as_ptr() as usize + item.get().len() - self.list.as_ptr() as usize;
            let [role] = pick(item.get(), ["role"]);
            if role.and_then(string).as_deref() == Some("user") || end >= BEGINNING_BYTES {
                *self.end = Some(end);
                return Err(A::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str =
        r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}"#;

    #[test]
    fn a_conversation_that_grows_stays_the_same_one() {
        let first = of_body(format!("{FIRST}]}}").as_bytes());
        for more in [
            r#",{"role":"assistant","content":"b"}],"stream":true}"#,
            r#",{"role":"assistant","content":"b"},{"role":"user","content":"c"}],"temperature":1}"#,
        ] {
            assert_eq!(of_body(format!("{FIRST}{more}").as_bytes()), first, "{more}");
        }
        let other = FIRST.replace("\"a\"", "\"b\"");
        assert_ne!(of_body(format!("{other}]}}").as_bytes()), first);
    }

    #[test]
    fn an_id_counts_more_than_what_is_said_and_the_first_of_several() {
        let same = [
            r#"{"prompt_cache_key":"k","messages":[{"role":"user","content":"a"}]}"#,
            r#"{"messages":[{"role":"user","content":"b"}],"prompt_cache_key":"k"}"#,
            r#"{"prompt_cache_key":"k","conversation":"c","metadata":{"user_id":"u"}}"#,
            r#"{"conversation":"k"}"#,
            r#"{"conversation":{"id":"k"},"metadata":{"user_id":"u"}}"#,
            r#"{"metadata":{"user_id":"k","x":1},"input":"a"}"#,
            r#"{"prompt_cache_key":"","conversation":null,"metadata":{"user_id":"k"}}"#,
        ];
        for body in same {
            assert_eq!(of_body(body.as_bytes()), of_body(same[0].as_bytes()), "{body}");
        }
        let pairs = [
            (r#"{"prompt_cache_key":"k"}"#, r#"{"prompt_cache_key":"l"}"#),
            (r#"{"input":"a"}"#, r#"{"input":"b"}"#),
            (r#"{"instructions":"a","input":"a"}"#, r#"{"instructions":"b","input":"a"}"#),
            (r#"{"system":[{"text":"a"}],"messages":[]}"#, r#"{"system":[],"messages":[]}"#),
        ];
        for (one, other) in pairs {
            assert_ne!(of_body(one.as_bytes()), of_body(other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn only_the_beginning_is_looked_at() {
        let body = |start: &str, end: &str| {
            let long = "x".repeat(5000);
            format!(
                r#"{{"system":"{start}{long}{end}","messages":[{{"role":"user","content":"{start}{long}{end}"}}]}}"#
            )
        };
        assert_eq!(of_body(body("a", "b").as_bytes()), of_body(body("a", "c").as_bytes()));
        assert_ne!(of_body(body("a", "b").as_bytes()), of_body(body("b", "b").as_bytes()));
        assert_eq!(
            to_first_user(r#"[{"role":"assistant"},{"role":"us\u0065r"},{}]"#),
            r#"[{"role":"assistant"},{"role":"us\u0065r"}"#
        );
        assert_eq!(to_first_user("\"text\""), "\"text\"");
    }

    #[test]
    fn clients_and_sessions_are_told_apart() {
        let all = [
            conversation("t", None, Some(1)),
            conversation("t", None, Some(2)),
            conversation("t", None, None),
            conversation("u", None, Some(1)),
            conversation("t", Some(b"s"), Some(1)),
            conversation("t", Some(b"r"), Some(1)),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "{index}");
        }
        assert_eq!(conversation("t", Some(b"s"), Some(1)), conversation("t", Some(b"s"), Some(2)));
    }
}
