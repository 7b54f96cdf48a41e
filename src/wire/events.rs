//! Where the events of a stream end, and whether the last of them has passed. Pure.

use memchr::{memmem, memrchr2};

/// Enough to see the line that makes an event the final one: a line end, `event: response.incomplete`
/// and another.
const TAIL_BYTES: usize = 32;
/// The final event of the OpenAI dialect.
const DONE: &[u8] = b"[DONE]";
/// A byte that ends no line.
const OTHER: u8 = b'x';

/// How a stream says that it is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FinalEvent {
    /// By `data: [DONE]`.
    #[default]
    Done,
    /// By an event of OpenAI's `responses` that says how it went.
    Response,
    /// By Anthropic's `message_stop`.
    Message,
}

impl FinalEvent {
    fn names(self) -> &'static [&'static [u8]] {
        match self {
            FinalEvent::Done => &[],
            FinalEvent::Response => {
                &[b"response.completed", b"response.failed", b"response.incomplete"]
            }
            FinalEvent::Message => &[b"message_stop"],
        }
    }
}

/// The last bytes of an event stream, and what they have told.
#[derive(Default)]
pub struct EventTail {
    /// Zeros stand before the first byte.
    last: [u8; TAIL_BYTES],
    started: bool,
    final_event: FinalEvent,
    /// The final event has a name, and this line of it has come.
    named: bool,
    ended: bool,
}

impl EventTail {
    /// Nothing has come yet.
    pub fn new(final_event: FinalEvent) -> EventTail {
        EventTail { final_event, ..EventTail::default() }
    }

    /// Takes note of bytes that go to the client.
    pub fn push(&mut self, data: &[u8]) {
        self.started |= !data.is_empty();
        let before = self.last;
        match data.last_chunk() {
            Some(tail) => self.last = *tail,
            None => {
                self.last.copy_within(data.len().., 0);
                self.last[TAIL_BYTES - data.len()..].copy_from_slice(data);
            }
        }
        if self.final_event != FinalEvent::Done && !self.ended {
            let names = self.final_event.names();
            self.named |= names.iter().any(|name| holds_name(&before, data, name));
            self.ended = self.named && self.between_events();
        }
        // Most events end in an object, `[DONE]` does not.
        if self.ended || self.last.ends_with(b"}\n\n") || self.last.ends_with(b"}\r\n\r\n") {
            return;
        }
        self.ended = ends_done(&self.last)
            || ends_without_data(data)
                && (holds_done(data, before[TAIL_BYTES - 1]) || holds_done_across(&before, data));
    }

    /// An empty line ends an event, whatever its line ends.
    pub fn between_events(&self) -> bool {
        !self.started
            || self.last.ends_with(b"\n\n")
            || self.last.ends_with(b"\r\r")
            || self.last.ends_with(b"\n\r\n")
            || self.last.ends_with(b"\r\r\n")
    }

    /// Whether the final event has passed: nothing that counts comes after it.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
}

/// Whether a whole line `event: NAME` ends in `piece`, which comes after `before`.
fn holds_name(before: &[u8; TAIL_BYTES], piece: &[u8], name: &[u8]) -> bool {
    let start = &piece[..piece.len().min(TAIL_BYTES)];
    is_named(piece, before[TAIL_BYTES - 1], name)
        || is_named(&[before, start].concat(), OTHER, name)
}

/// The same within `text`, which comes after the byte `before`.
fn is_named(text: &[u8], before: u8, name: &[u8]) -> bool {
    memmem::find_iter(text, name).any(|at| {
        let behind = text.get(at + name.len());
        let start = trim_spaces(&text[..at]).strip_suffix(b"event:");
        let at_line =
            start.is_some_and(|start| matches!(start.last().unwrap_or(&before), b'\n' | b'\r' | 0));
        at_line && matches!(behind, Some(b'\n' | b'\r'))
    })
}

/// `text` without the line ends at its end.
fn trim_line_ends(text: &[u8]) -> &[u8] {
    let line_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    &text[..text.iter().rposition(|byte| !line_end(byte)).map_or(0, |last| last + 1)]
}

/// `text` without the spaces at its end.
fn trim_spaces(text: &[u8]) -> &[u8] {
    &text[..text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1)]
}

/// Whether the last line of the last bytes of a stream is a whole `data: [DONE]`.
fn ends_done(text: &[u8]) -> bool {
    let lines = trim_line_ends(text);
    lines.len() < text.len() && says_done(trim_spaces(lines), OTHER)
}

/// Whether `text`, which comes after the byte `before`, ends with a line of `data: [DONE]`.
fn says_done(text: &[u8], before: u8) -> bool {
    let start = text.strip_suffix(DONE).map(trim_spaces);
    let start = start.and_then(|start| start.strip_suffix(b"data:"));
    start.is_some_and(|start| matches!(start.last().unwrap_or(&before), b'\n' | b'\r' | 0))
}

/// Whether other lines stand at the end of a piece of a stream than those of an event: a final
/// event may stand before them.
fn ends_without_data(piece: &[u8]) -> bool {
    let text = trim_line_ends(piece);
    memrchr2(b'\n', b'\r', text).is_some_and(|end| {
        let line = &text[end + 1..];
        !line.starts_with(b"data:") && !b"data:".starts_with(line)
    })
}

/// Whether a whole line of `text`, which comes after the byte `before`, says `data: [DONE]`.
fn holds_done(text: &[u8], before: u8) -> bool {
    memmem::find_iter(text, DONE).any(|at| {
        let end = at + DONE.len();
        let behind = text[end..].iter().find(|byte| **byte != b' ');
        matches!(behind, Some(b'\n' | b'\r')) && says_done(&text[..end], before)
    })
}

/// Whether such a line stands where two pieces meet.
fn holds_done_across(before: &[u8; TAIL_BYTES], piece: &[u8]) -> bool {
    let start = &piece[..piece.len().min(TAIL_BYTES)];
    holds_done(&[before, start].concat(), OTHER)
}

/// Whether a body that begins with these bytes may be an event stream, whatever its type says.
pub fn looks_like_events(start: &[u8]) -> bool {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let line_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let start = &start[start.iter().take_while(|byte| line_end(byte)).count()..];
    let names: [&[u8]; 5] = [b"data:", b"event:", b":", b"id:", b"retry:"];
    !start.is_empty() && names.iter().any(|name| start.starts_with(name) || name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_behind_the_final_event_hides_it_in_no_split() {
        for tail in in_two("data: {}\n\ndata: [DONE]\n\n: bye, and thank you for all of it\n\n") {
            assert!(tail.has_ended());
        }
    }

    /// Every way to cut a text in two, fed to a tail.
    fn in_two(text: &str) -> impl Iterator<Item = EventTail> + '_ {
        (0..text.len()).map(|cut| {
            let mut tail = EventTail::default();
            tail.push(&text.as_bytes()[..cut]);
            tail.push(&text.as_bytes()[cut..]);
            tail
        })
    }

    #[test]
    fn the_end_of_an_event_is_seen_in_any_split() {
        for text in ["data: a\n\n", "data: a\r\n\r\n", "data: a\r\r", "data: a\n\r\n"] {
            for cut in 0..text.len() {
                let mut tail = EventTail::default();
                assert!(tail.between_events());
                tail.push(&text.as_bytes()[..cut]);
                assert!(cut == 0 || !tail.between_events(), "{text:?} at {cut}");
                tail.push(&text.as_bytes()[cut..]);
                assert!(tail.between_events(), "{text:?} at {cut}");
            }
        }
    }

    #[test]
    fn the_final_event_is_seen_in_any_split() {
        for text in [
            "data: [DONE]\n\n",
            "data:[DONE]\n",
            "data: {\"a\":1}\n\ndata: [DONE]\r\n\r\n",
            "data: {}\r\rdata: [DONE]\r\r",
            "event: done\ndata: [DONE] \n\n",
        ] {
            for tail in in_two(text) {
                assert!(tail.has_ended(), "{text:?}");
            }
            let mut tail = EventTail::default();
            tail.push(format!("{text}: bye{}\n\n", " and thank you".repeat(999)).as_bytes());
            assert!(tail.has_ended(), "{text:?}");
            tail.push(b"data: {}\n\n");
            assert!(tail.has_ended(), "{text:?}");
        }
    }

    #[test]
    fn what_only_looks_like_the_final_event_is_none() {
        for text in [
            "data: [DONE]",
            "data: [DONE",
            "data: {\"content\":\"data: [DONE]\"}\n\n",
            "data: \"\\ndata: [DONE]\\n\"\n\n",
            "data: [DONE]x\n\n",
            "data: x[DONE]\n\n",
            "data:\n[DONE]\n\n",
            "xdata: [DONE]\n\n",
            ": [DONE]\n\n",
            "[DONE]\n\n",
        ] {
            for tail in in_two(text) {
                assert!(!tail.has_ended(), "{text:?}");
            }
        }
    }

    #[test]
    fn events_are_known_by_their_first_bytes() {
        for text in ["data: {}", "da", "event: x", ": comment", "id: 1", "\u{feff}\r\n\ndata: 1"] {
            assert!(looks_like_events(text.as_bytes()), "{text}");
        }
        for text in ["", "\n", "\r\n\n", "{", "[1]", " data: x", "<html>", "dat x", "plain"] {
            assert!(!looks_like_events(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_final_event_with_a_name_is_seen_in_any_split() {
        let last = "event: message_stop\ndata: {\"type\":\"message_stop\"   }\n\n";
        for (final_event, last) in [
            (FinalEvent::Message, last),
            (FinalEvent::Message, "event:message_stop\r\ndata: {}\r\n\r\n"),
            (FinalEvent::Response, "event: response.completed\ndata: {\"a\":[1]}\n\n"),
            (FinalEvent::Response, "event: response.failed\ndata: {}\n\n"),
            (FinalEvent::Response, "event: response.incomplete\ndata: {}\n\n"),
        ] {
            let text = format!("event: a\ndata: {{\"x\":1}}\n\n{last}");
            for cut in 0..text.len() {
                let mut tail = EventTail::new(final_event);
                tail.push(&text.as_bytes()[..cut]);
                assert!(!tail.has_ended(), "{last:?} at {cut}");
                tail.push(&text.as_bytes()[cut..]);
                assert!(tail.has_ended(), "{last:?} cut at {cut}");
                let mut tail = EventTail::new(final_event);
                text.as_bytes().chunks(cut + 1).for_each(|piece| tail.push(piece));
                assert!(tail.has_ended(), "{last:?} in pieces of {}", cut + 1);
            }
        }
    }

    #[test]
    fn what_only_speaks_of_the_final_event_is_not_it() {
        for text in [
            "event: message_stopped\ndata: {}\n\n",
            "event: message\ndata: {\"type\":\"message_stop\"}\n\n",
            "data: event: message_stop\n\n",
            "event: message_stop\ndata: {}\n",
            "xevent: message_stop\n\n",
        ] {
            let mut tail = EventTail::new(FinalEvent::Message);
            tail.push(text.as_bytes());
            assert!(!tail.has_ended(), "{text:?}");
        }
    }
}
