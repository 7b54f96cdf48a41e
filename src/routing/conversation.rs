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
/// The same of the first user item.
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
            hash_to_first_user(text(messages.or(input)), &mut hasher);
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

/// A list of turns up to the first that is the user's: of each so much that long instructions do not hide what
/// the user says. What is no list counts as it is.
fn hash_to_first_user(turns: &str, hasher: &mut DefaultHasher) {
    if !turns.starts_with('[') {
        return start(turns, BEGINNING_BYTES).hash(hasher);
    }
    let mut reader = serde_json::Deserializer::from_str(turns);
    // It stops there, which is an error to the reader.
    let _ = reader.deserialize_seq(List(|item: &RawValue| {
        let [role, content] = pick(item.get(), ["role", "content"]);
        let is_user = role.and_then(string).as_deref() == Some("user");
        let length = if is_user { BEGINNING_BYTES } else { INSTRUCTIONS_BYTES };
        hash_content(content.unwrap_or(item).get(), length, hasher);
        !is_user
    }));
}

/// A text, or the texts of its parts: the mark up to which a provider is to cache moves on from turn to turn.
fn hash_content(content: &str, length: usize, hasher: &mut DefaultHasher) {
    if !content.starts_with('[') {
        return start(content, length).hash(hasher);
    }
    let mut left = length;
    let mut reader = serde_json::Deserializer::from_str(content);
    let _ = reader.deserialize_seq(List(|part: &RawValue| {
        let text = pick(part.get(), ["text"])[0].unwrap_or(part);
        let text = start(text.get(), left);
        text.hash(hasher);
        left -= text.len();
        left > 0
    }));
}

/// Hands over the items of a list one after the other, until one is enough.
struct List<F>(F);

impl<'de, F: FnMut(&'de RawValue) -> bool> Visitor<'de> for List<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element()? {
            if !(self.0)(item) {
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
        let input = |input: &str| of_body(format!(r#"{{"input":{input}}}"#).as_bytes());
        assert_eq!(
            input(r#"[{"role":"assistant"},{"role":"us\u0065r"},{}]"#),
            input(r#"[{"role":"assistant"},{"role":"us\u0065r"}]"#)
        );
        assert_ne!(input("\"text\""), input("\"other\""));
    }

    #[test]
    fn long_instructions_do_not_hide_what_the_user_says() {
        let long = "x".repeat(20_000);
        let body = |user: &str| {
            format!(
                r#"{{"messages":[{{"role":"system","content":"{long}"}},{{"role":"user","content":"{user}"}}]}}"#
            )
        };
        assert_ne!(of_body(body("a").as_bytes()), of_body(body("b").as_bytes()));
    }

    #[test]
    fn a_mark_for_the_cache_may_move_on() {
        let body = |content: &str| {
            of_body(format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#).as_bytes())
        };
        let marked = r#"[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]"#;
        assert_eq!(body(marked), body(r#"[{"type":"text","text":"a"}]"#));
        assert_eq!(body(marked), body("\"a\""));
        assert_ne!(body(marked), body(r#"[{"type":"text","text":"b"}]"#));
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
