//! Where the events of a stream end, and whether the last of them has passed. Pure.

use memchr::{memmem, memrchr2};

/// Enough to see the final event: a line end, `data: [DONE]` and two line ends.
const TAIL_BYTES: usize = 24;
/// The final event of the OpenAI dialect.
const DONE: &[u8] = b"[DONE]";
/// A byte that ends no line.
const OTHER: u8 = b'x';

/// The last bytes of an event stream, and what they have told.
#[derive(Default)]
pub struct EventTail {
    /// Zeros stand before the first byte.
    last: [u8; TAIL_BYTES],
    started: bool,
    ended: bool,
}

impl EventTail {
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
        // Most events end in an object, the final one does not.
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
}
