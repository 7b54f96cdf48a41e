//! The ids of what a provider stored, from the first bytes of its answer to `POST /v1/responses`. Pure
//! functions; the JSON may be cut anywhere.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::upstream::is_stored_id;

/// How much of an answer is looked at.
const START_BYTES_MAX: usize = 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What an answer says was stored; ids that a client could not send back are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GivenIds {
    /// The response.
    pub response: Option<String>,
    /// The conversation that it belongs to.
    pub conversation: Option<String>,
}

/// Finds the ids in the first bytes of an answer, JSON or events.
pub fn given_ids(start: &[u8]) -> GivenIds {
    read(start).0
}

/// The first bytes of an answer that comes in pieces.
#[derive(Default)]
pub struct FirstBytes(Vec<u8>);

impl FirstBytes {
    /// Takes the next piece. True when what follows can change nothing.
    pub fn push(&mut self, mut piece: &[u8]) -> bool {
        while !piece.is_empty() && self.0.len() < START_BYTES_MAX {
            let room = START_BYTES_MAX - self.0.len();
            let (now, later) = piece.split_at(piece.len().min(room));
            self.0.reserve_exact(room);
            self.0.extend_from_slice(now);
            self.0.drain(..idle_lines(&self.0));
            piece = later;
        }
        let (found, is_whole) = read(&self.0);
        is_whole
            || self.0.len() == START_BYTES_MAX
            || found.response.is_some() && found.conversation.is_some()
    }

    /// What was found in them.
    pub fn finish(self) -> GivenIds {
        given_ids(&self.0)
    }
}

/// How long the lines are that stand before the first JSON: comments, which some providers send while
/// they wait, and names of events.
fn idle_lines(start: &[u8]) -> usize {
    let lines = start.split_inclusive(|byte| matches!(byte, b'\n' | b'\r'));
    let is_idle = |line: &&[u8]| {
        let text = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        let is_json = text.trim_ascii_start().starts_with(b"{");
        matches!(line.last(), Some(b'\n' | b'\r')) && !is_json && data_of(text).is_none()
    };
    lines.take_while(is_idle).map(<[u8]>::len).sum()
}

/// What a line of an event says, if it says anything.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"data:").filter(|data| !data.trim_ascii().is_empty())
}

/// The ids, and whether the event that holds them has come as a whole.
fn read(start: &[u8]) -> (GivenIds, bool) {
    let start = &start[..start.len().min(START_BYTES_MAX)];
    let text = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start);
    if text.trim_ascii_start().starts_with(b"{") {
        return (found_in(text, Level::Response), false);
    }
    let mut lines = text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r'));
    let data = lines.find_map(data_of).unwrap_or_default();
    (found_in(data, Level::Event), matches!(data.last(), Some(b'\n' | b'\r')))
}

fn found_in(json: &[u8], level: Level) -> GivenIds {
    let mut found = GivenIds::default();
    let mut parser = serde_json::Deserializer::from_slice(json);
    // Where the bytes end is not where the JSON does: an error is no news, and what came before it counts.
    let _ = Value { level, found: &mut found }.deserialize(&mut parser);
    found
}

/// What a value is, by the keys that lead to it.
#[derive(Clone, Copy)]
enum Level {
    Event,
    Response,
    ResponseId,
    Conversation,
    ConversationId,
}

impl Level {
    fn below(self, key: &str) -> Option<Level> {
        match (self, key) {
            (Level::Event, "response") => Some(Level::Response),
            (Level::Response, "id") => Some(Level::ResponseId),
            (Level::Response, "conversation") => Some(Level::Conversation),
            (Level::Conversation, "id") => Some(Level::ConversationId),
            _ => None,
        }
    }
}

struct Value<'f> {
    level: Level,
    found: &'f mut GivenIds,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Anything but objects, strings and `null` ends the search: no provider sends it where one of these
/// stands.
impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an id")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let id = is_stored_id(text).then(|| text.to_owned());
        match self.level {
            Level::ResponseId => self.found.response = id,
            Level::ConversationId => self.found.conversation = id,
            Level::Event | Level::Response | Level::Conversation => {}
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.level.below(&key) {
                Some(level) => map.next_value_seed(Value { level, found: self.found })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &str = r#"{"object":"response","output":[{"id":"msg_1","content":[{"id":"x"}]}],
        "metadata":{"id":"no","conversation":{"id":"no"},"response":{"id":"no"}},"error":null,
        "id":"resp_1","text":"\"id\":\"no\"}","conversation":{"x":{"id":"no"},"id":"conv_1"},"n":-1.5e3}"#;

    fn ids(response: &str, conversation: &str) -> GivenIds {
        let id = |id: &str| (!id.is_empty()).then(|| id.to_owned());
        GivenIds { response: id(response), conversation: id(conversation) }
    }

    /// One answer in every form in which it may come.
    fn answers() -> Vec<String> {
        let line = RESPONSE.replace('\n', " ");
        let event = format!(r#"{{"type":"response.created","id":"no","response":{line}}}"#);
        let mut answers = vec![RESPONSE.to_owned(), format!("\u{feff} \r\n{RESPONSE}\n")];
        for end in ["\n", "\r\n"] {
            for before in ["", ": hello", "event: response.created", "data:", "\u{feff}: x"] {
                for colon in ["data:", "data: "] {
                    let second = r#"data: {"response":{"id":"no","conversation":{"id":"no"}}}"#;
                    answers.push([before, end, colon, &event, end, end, second, end, end].concat());
                }
            }
        }
        answers
    }

    #[test]
    fn a_cut_answer_gives_the_right_ids_or_none() {
        for answer in answers() {
            let answer = answer.as_bytes();
            assert_eq!(given_ids(answer), ids("resp_1", "conv_1"));
            for cut in 0..answer.len() {
                let GivenIds { response, conversation } = given_ids(&answer[..cut]);
                assert!(response.is_none_or(|id| id == "resp_1"), "at {cut}");
                assert!(conversation.is_none_or(|id| id == "conv_1"), "at {cut}");
            }
        }
    }

    #[test]
    fn pieces_of_any_length_give_what_the_whole_gives() {
        for answer in answers() {
            for length in (1..40).chain([100, 200, answer.len()]) {
                let mut first = FirstBytes::default();
                let mut pieces = answer.as_bytes().chunks(length);
                assert!(pieces.any(|piece| first.push(piece)), "{length} of {answer}");
                assert!(first.0.capacity() <= START_BYTES_MAX);
                assert_eq!(first.finish(), ids("resp_1", "conv_1"), "{length} of {answer}");
            }
        }
    }

    #[test]
    fn comments_before_the_first_event_do_not_count() {
        for comment in [": OPENROUTER PROCESSING\n\n", "\r\n", "event: a\r", ":\ndata: \n"] {
            let event = "data: {\"response\":{\"id\":\"resp_1\"}}\n\n";
            let answer = comment.repeat(500) + event;
            for length in (1..40).chain([1000, 1024, 5000, answer.len()]) {
                let mut first = FirstBytes::default();
                let mut pieces = answer.as_bytes().chunks(length);
                assert!(pieces.any(|piece| first.push(piece)), "{length} of {comment}");
                assert!(first.0.capacity() <= START_BYTES_MAX);
                assert_eq!(first.finish(), ids("resp_1", ""), "{length} of {comment}");
            }
        }
    }

    #[test]
    fn an_id_behind_the_first_bytes_is_not_found() {
        for (filler, expected) in [(1003, "resp_1"), (1004, ""), (5000, "")] {
            let answer = format!(r#"{{"x":"{}","id":"resp_1"}}"#, "x".repeat(filler));
            assert_eq!(given_ids(answer.as_bytes()), ids(expected, ""), "{filler}");
            let mut first = FirstBytes::default();
            assert!(first.push(answer.as_bytes()) || answer.len() < START_BYTES_MAX);
            first.push(b"\"id\":\"no\"");
            assert_eq!(first.finish(), ids(expected, ""), "{filler}");
        }
    }

    #[test]
    fn enough_is_said_as_soon_as_nothing_can_change() {
        for (text, enough) in [
            (r#"{"id":"resp_1""#, false),
            (r#"{"id":"resp_1","conversation":{"id":"conv_1""#, true),
            ("event: response.created\n", false),
            (r#"data: {"response":{"id":"resp_1"}}"#, false),
            ("data: {\"response\":{\"id\":\"resp_1\"}}\r", true),
            ("data: {\"type\":\"ping\"}\n", true),
            ("data: [DONE]\n", true),
            ("data:\n\n", false),
        ] {
            assert_eq!(FirstBytes::default().push(text.as_bytes()), enough, "{text}");
        }
    }

    #[test]
    fn what_is_no_id_at_its_place_is_none() {
        let long = format!(r#"{{"id":"{}"}}"#, "i".repeat(129));
        for (answer, response, conversation) in [
            ("", "", ""),
            ("\u{feff}", "", ""),
            ("<html>{\"id\":\"resp_1\"}", "", ""),
            ("[{\"id\":\"resp_1\"}]", "", ""),
            ("\"id\"", "", ""),
            ("{x\"id\":\"resp_1\"}", "", ""),
            ("{\"id\":\"resp_1\"} x", "resp_1", ""),
            (r#"{"id":7,"conversation":{"id":"conv_1"}}"#, "", ""),
            (r#"{"id":null,"conversation":{"id":"conv_1"}}"#, "", "conv_1"),
            (r#"{"id":{"id":"no"},"conversation":"conv_1"}"#, "", ""),
            (r#"{"id":"a b","conversation":{"id":"é"}}"#, "", ""),
            (r#"{"i\u0064":"re\u0073p_1","conversation":null}"#, "resp_1", ""),
            (&long, "", ""),
            (r#"{"response":{"id":"resp_1"}}"#, "", ""),
            (r#"data: {"id":"resp_1"}"#, "", ""),
            (r#"xdata: {"response":{"id":"resp_1"}}"#, "", ""),
            (r#": data: {"response":{"id":"resp_1"}}"#, "", ""),
        ] {
            assert_eq!(given_ids(answer.as_bytes()), ids(response, conversation), "{answer}");
        }
        let mut noise = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..64).map(|_| noise.u8(..)).collect();
            assert_eq!(given_ids(&bytes), GivenIds::default(), "{bytes:?}");
        }
    }
}
