//! Where the delimiters, heads and values of a form are. It is given what is not settled yet, says how much of it is,
//! and must not keep any of it.
//!
//! ```text
//! Preamble ─▶ Head ─▶ Data ─▶ Epilogue
//!              ▲ └─▶ Value ─▶ Data │      a value is held until it ends
//!              └───────────────────┘
//! ```

use std::ops::Range;

use memchr::memmem;

use super::delimiter::{is_line_end, Delimiter, Ending, Found};
use super::doubts::Doubts;
use super::part::{self, Name};
use super::FormError;

/// Bytes of a part's fields, with the empty line.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the model's name.
pub(super) const MODEL_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a value of `stream` that may be yes.
const STREAM_BYTES_MAX: usize = 8;

/// Where the model's value lies, and the digits of the `Content-Length` of its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) length: Option<Range<usize>>,
    pub(super) value: Range<usize>,
}

impl Place {
    /// The same place, seen from so many bytes before.
    pub(super) fn moved(self, by: usize) -> Place {
        let moved = |range: Range<usize>| range.start + by..range.end + by;
        Place { length: self.length.map(moved), value: moved(self.value) }
    }
}

/// What became of the text.
#[derive(Debug)]
pub(super) enum Step {
    /// More must come.
    Wait,
    /// So much of it is settled. It may be 0: there is more to say.
    Pass(usize),
    /// The value of a part `stream`: all is settled up to its end.
    Stream(Range<usize>),
    /// The value of the part `model`: all is settled up to its end.
    Model(Place),
}

#[derive(Debug)]
enum State {
    /// Before the first delimiter.
    Preamble,
    /// In the fields of a part.
    Head,
    /// In the data of a part.
    Data,
    /// In the data of a part `stream`, all of which is there.
    Stream,
    /// In the data of the part `model`, all of which is there, with its head.
    Model { start: usize, length: Option<Range<usize>> },
    /// Behind the closing delimiter.
    Epilogue,
}

/// What stands before the first byte of a part's data: the end of its head, which is no line end of the data. Some
/// readers take a delimiter there all the same.
const BEFORE_DATA: [u8; 2] = *b"\0\n";

#[derive(Debug)]
pub(super) struct Scanner {
    delimiter: Delimiter,
    state: State,
    /// How much of the text was searched before.
    seen: usize,
    /// What stands before the text.
    last: [u8; 2],
    model_begun: bool,
    file_begun: bool,
    pub(super) doubts: Doubts,
}

impl Scanner {
    pub(super) fn new(boundary: &[u8]) -> Scanner {
        let delimiter = Delimiter::new(boundary);
        // The first delimiter may be the first line.
        let (state, last) = (State::Preamble, *b"\r\n");
        Scanner {
            delimiter,
            state,
            seen: 0,
            last,
            model_begun: false,
            file_begun: false,
            doubts: Doubts::default(),
        }
    }

    pub(super) fn file_begun(&self) -> bool {
        self.file_begun
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Epilogue)
    }

    /// Whether the boundary stands in `text`.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.delimiter.find(text, 0).is_some()
    }

    /// Looks at `text`, which begins behind what is settled. `ended`: nothing comes behind it.
    pub(super) fn step(&mut self, text: &[u8], ended: bool) -> Result<Step, FormError> {
        if text.is_empty() {
            return Ok(Step::Wait);
        }
        if self.seen > text.len() {
            // It is given again, in smaller pieces.
            return Ok(if ended { self.end(text) } else { Step::Wait });
        }
        match &self.state {
            State::Epilogue => {
                self.doubts.check_data(text)?;
                Ok(self.pass(text, text.len()))
            }
            State::Head => self.head(text, ended),
            State::Preamble | State::Data => self.data(text, ended),
            State::Stream => self.value(text, 0, STREAM_BYTES_MAX, ended),
            State::Model { start, .. } => self.value(text, *start, MODEL_BYTES_MAX, ended),
        }
    }

    fn head(&mut self, text: &[u8], ended: bool) -> Result<Step, FormError> {
        let window = &text[..text.len().min(HEAD_BYTES_MAX)];
        let end = if window.starts_with(b"\r\n") {
            Some(2)
        } else {
            let from = self.seen.saturating_sub(3);
            memmem::find(&window[from..], b"\r\n\r\n").map(|at| from + at + 4)
        };
        match end {
            None if window.len() == HEAD_BYTES_MAX => Err(FormError::PartHead),
            None if !ended => {
                self.seen = text.len();
                Ok(Step::Wait)
            }
            None => {
                self.doubts.check(true)?;
                Ok(self.end(text))
            }
            Some(end) => {
                self.doubts.check(self.is_in(&window[..end]))?;
                self.part(text, end)
            }
        }
    }

    /// The fields of a part are there.
    fn part(&mut self, text: &[u8], end: usize) -> Result<Step, FormError> {
        let part = part::read(&text[..end]);
        self.doubts.check(part.is_ambiguous)?;
        self.file_begun |= part.has_file;
        if part.name == Name::Model {
            if self.model_begun {
                return Err(FormError::TwoModels);
            }
            self.model_begun = true;
            self.seen = end;
            self.last = BEFORE_DATA;
            self.state = State::Model { start: end, length: part.length };
            return Ok(Step::Pass(0));
        }
        self.state = if part.name == Name::Stream { State::Stream } else { State::Data };
        let step = self.pass(text, end);
        self.last = BEFORE_DATA;
        Ok(step)
    }

    /// Data that passes.
    fn data(&mut self, text: &[u8], ended: bool) -> Result<Step, FormError> {
        let settled = match self.find(text, 0, usize::MAX, ended)? {
            Found::Delimiter(at, ending) => {
                let (state, length) = match ending {
                    Ending::Next(length) => (State::Head, length),
                    _ => (State::Epilogue, 2),
                };
                self.state = state;
                let settled = at + self.delimiter.len() + length;
                self.doubts.check_data(&text[..at])?;
                // Some readers go on behind the last one, and some know no white space at its end.
                if matches!(self.state, State::Epilogue) || length > 2 {
                    self.doubts.doubt_data(settled);
                }
                return Ok(self.pass(text, settled));
            }
            Found::Undecided(at) => at,
            Found::Nothing | Found::TooFar if ended => text.len(),
            Found::Nothing | Found::TooFar => text.len() - self.delimiter.begun(text),
        };
        self.doubts.check_data(&text[..settled])?;
        Ok(if settled == 0 { Step::Wait } else { self.pass(text, settled) })
    }

    /// Data that is held until its end, so that it is known as a whole.
    fn value(
        &mut self,
        text: &[u8],
        start: usize,
        bytes_max: usize,
        ended: bool,
    ) -> Result<Step, FormError> {
        // A line end stands between the value and the delimiter.
        let end = match self.find(text, start, start + bytes_max + 2, ended)? {
            Found::Delimiter(at, _) => at - 2,
            Found::TooFar if matches!(self.state, State::Model { .. }) => {
                return Err(FormError::ModelTooLong)
            }
            Found::TooFar => {
                self.state = State::Data;
                return Ok(Step::Pass(0));
            }
            Found::Nothing if ended => {
                // To some readers it is whole.
                self.doubts.check(matches!(self.state, State::Model { .. }))?;
                return Ok(self.end(text));
            }
            Found::Nothing => {
                let searched = (text.len() + 1).saturating_sub(self.delimiter.len());
                self.seen = self.seen.max(searched);
                return Ok(Step::Wait);
            }
            Found::Undecided(at) => {
                self.seen = at;
                return Ok(Step::Wait);
            }
        };
        let value = start..end;
        let step = match std::mem::replace(&mut self.state, State::Data) {
            State::Model { length, .. } => {
                // Some readers end a part at its `Content-Length`, or at anything that begins like a delimiter.
                let said = length.clone().map(|length| part::decimal(&text[length]));
                let other = said.is_some_and(|said| said != Some(value.len()));
                self.doubts.check(other || self.is_in(&text[value.clone()]))?;
                Step::Model(Place { length, value })
            }
            _ => Step::Stream(value),
        };
        self.pass(text, end);
        Ok(step)
    }

    /// Looks for the delimiter that ends the section, whose data begins at `start`, no further than at `limit`.
    fn find(
        &mut self,
        text: &[u8],
        start: usize,
        limit: usize,
        ended: bool,
    ) -> Result<Found, FormError> {
        let length = self.delimiter.len();
        let in_preamble = matches!(self.state, State::Preamble);
        let mut from = self.seen;
        loop {
            let Some(at) = self.delimiter.find(text, from) else {
                let is_far = text.len().saturating_sub(length) >= limit;
                return Ok(if is_far { Found::TooFar } else { Found::Nothing });
            };
            if at > limit {
                return Ok(Found::TooFar);
            }
            let before = match at - start {
                0 => self.last,
                1 => [self.last[1], text[at - 1]],
                _ => [text[at - 2], text[at - 1]],
            };
            // In a preamble, some readers take it even from the middle of a line.
            let may_be_one = in_preamble || is_line_end(before[1]);
            match may_be_one.then(|| self.delimiter.ending(text, at, ended)) {
                None => {}
                Some(Ending::More) => return Ok(Found::Undecided(at)),
                Some(ending @ (Ending::Next(_) | Ending::Last)) if before == *b"\r\n" => {
                    return Ok(Found::Delimiter(at, ending))
                }
                Some(_) => self.doubts.doubt_data(at + length),
            }
            // No boundary holds the line end that must stand before the next.
            from = at + if in_preamble { 1 } else { length };
        }
    }

    /// No delimiter ends what is held: it is nothing that counts.
    fn end(&mut self, text: &[u8]) -> Step {
        self.state = State::Data;
        self.pass(text, text.len())
    }

    /// The first bytes of the text are settled.
    fn pass(&mut self, text: &[u8], bytes: usize) -> Step {
        self.last = match text[..bytes] {
            [] => self.last,
            [only] => [self.last[1], only],
            [.., before, last] => [before, last],
        };
        self.seen = 0;
        self.doubts.settle(bytes);
        Step::Pass(bytes)
    }
}
