//! Message bodies: where one ends (RFC 9112 §6 and §7). A state machine that can be fed any split
//! of the same bytes.

use crate::language::Words;
use std::fmt;
use std::ops::Range;

/// Digits of a chunk size that count; more could overflow.
const SIZE_DIGITS_MAX: usize = 15;
/// All digits of a chunk size: zeros may stand before it (RFC 9112 §7.1), but not for ever.
const SIZE_AND_ZEROS_MAX: u8 = 64;
/// Bytes of chunk extensions on one line.
const EXTENSION_BYTES_MAX: u32 = 4 * 1024;
/// Bytes of the trailer section.
const TRAILER_BYTES_MAX: u32 = 16 * 1024;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There can be no body (204, 304).
    None,
    /// After this many bytes.
    Length(u64),
    /// After the chunk of size 0.
    Chunked,
    /// When the connection is closed.
    UntilClose,
}

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Against the grammar of the chunked coding.
    Chunk,
    /// The connection ended before the body did.
    Truncated,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Chunk => Words("分块编码无效", "malformed chunked coding"),
            BodyError::Truncated => Words("响应被截断", "body was cut short"),
        }
        .fmt(f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    /// Digits of a chunk size so far.
    Size {
        size: u64,
        digits: u8,
    },
    /// White space after a size, before its extension or line end.
    Padding {
        size: u64,
        bytes: u32,
    },
    Extension {
        size: u64,
        bytes: u32,
    },
    SizeFeed {
        size: u64,
    },
    Data(u64),
    DataReturn,
    DataFeed,
    /// A trailer line: how much of it there is, and whether its name is complete.
    Trailer {
        line: u32,
        bytes: u32,
        named: bool,
    },
    TrailerFeed {
        line: u32,
        bytes: u32,
    },
    Done,
    Broken(BodyError),
}

/// What one piece of input held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where in the input the body's bytes now lie, in one run.
    pub data: Range<usize>,
    /// How much of the input belonged to the body and its framing.
    pub consumed: usize,
}

/// Takes the framing off a body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    chunks: u64,
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new(framing: Framing) -> Decoder {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { size: 0, digits: 0 },
            Framing::UntilClose => State::UntilClose,
        };
        Decoder { state, chunks: 0 }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Bytes still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(left) => Some(left),
            _ => None,
        }
    }

    /// Bytes that are sure to be still to come.
    pub fn announced(&self) -> u64 {
        match self.state {
            State::Length(left) | State::Data(left) => left,
            _ => 0,
        }
    }

    /// Chunks begun so far.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// What the next call will fail with.
    pub fn failure(&self) -> Option<BodyError> {
        match self.state {
            State::Broken(error) => Some(error),
            _ => None,
        }
    }

    /// Takes note that the connection was closed in order.
    ///
    /// # Errors
    /// When the body was not complete.
    pub fn end(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done | State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Broken(error) => Err(error),
            _ => Err(self.broken(BodyError::Truncated)),
        }
    }

    /// Finds the body's bytes in `input` and moves them together. What follows the body is not
    /// consumed. An error is terminal; see also [`Decoder::failure`].
    ///
    /// # Errors
    /// See [`BodyError::Chunk`].
    pub fn decode(&mut self, input: &mut [u8]) -> Result<Piece, BodyError> {
        let mut data = 0..0;
        let mut at = 0;
        while at < input.len() && !self.is_done() {
            at += self.skip(&input[at..]);
            if at == input.len() || self.is_done() {
                break;
            }
            let run = match self.state {
                State::Length(left) | State::Data(left) => {
                    usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at)
                }
                State::UntilClose => input.len() - at,
                _ => match self.step(input[at]) {
                    Ok(()) => {
                        at += 1;
                        continue;
                    }
                    // What came before the fault is good: the next call tells of it.
                    Err(_) if !data.is_empty() => break,
                    Err(error) => return Err(error),
                },
            };
            if data.is_empty() {
                data = at..at + run;
            } else {
                input.copy_within(at..at + run, data.end);
                data.end += run;
            }
            at += run;
            self.state = match self.state {
                State::Length(left) if left == run as u64 => State::Done,
                State::Length(left) => State::Length(left - run as u64),
                State::Data(left) if left == run as u64 => State::DataReturn,
                State::Data(left) => State::Data(left - run as u64),
                other => other,
            };
        }
        Ok(Piece { data, consumed: at })
    }

    /// The usual framing between two chunks in one step: how much of it there is.
    fn skip(&mut self, input: &[u8]) -> usize {
        match self.state {
            State::DataReturn if input.starts_with(b"\r\n") => {
                self.state = State::Size { size: 0, digits: 0 };
                2 + self.skip(&input[2..])
            }
            State::Size { digits: 0, .. } => match plain_size(input) {
                Some((0, length)) => {
                    self.state = State::Trailer { line: 0, bytes: 0, named: false };
                    length
                }
                Some((size, length)) => {
                    self.chunks += 1;
                    self.state = State::Data(size);
                    length
                }
                None => 0,
            },
            _ => 0,
        }
    }

    /// One byte of the chunked coding's framing.
    fn step(&mut self, byte: u8) -> Result<(), BodyError> {
        self.state = match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                if size >> (4 * (SIZE_DIGITS_MAX - 1)) != 0 || digits == SIZE_AND_ZEROS_MAX {
                    return Err(self.broken(BodyError::Chunk));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                State::Size { size: size * 16 + u64::from(digit), digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err(self.broken(BodyError::Chunk)),
            (State::Size { size, .. } | State::Padding { size, .. }, b'\r') => {
                State::SizeFeed { size }
            }
            (State::Size { size, .. } | State::Padding { size, .. }, b';') => {
                State::Extension { size, bytes: 0 }
            }
            (State::Size { size, .. }, b' ' | b'\t') => State::Padding { size, bytes: 0 },
            (State::Padding { size, bytes }, b' ' | b'\t') if bytes < EXTENSION_BYTES_MAX => {
                State::Padding { size, bytes: bytes + 1 }
            }
            (State::Extension { size, .. }, b'\r') => State::SizeFeed { size },
            (State::Extension { size, bytes }, _)
                if bytes < EXTENSION_BYTES_MAX && !is_control(byte) =>
            {
                State::Extension { size, bytes: bytes + 1 }
            }
            (State::SizeFeed { size: 0 }, b'\n') => {
                State::Trailer { line: 0, bytes: 0, named: false }
            }
            (State::SizeFeed { size }, b'\n') => {
                self.chunks += 1;
                State::Data(size)
            }
            (State::DataReturn, b'\r') => State::DataFeed,
            (State::DataFeed, b'\n') => State::Size { size: 0, digits: 0 },
            (State::Trailer { line, bytes, named }, b'\r') if named || line == 0 => {
                State::TrailerFeed { line, bytes }
            }
            // Nothing of it is used, but a line that is no field is a sign of something else.
            (State::Trailer { line, bytes, named }, _)
                if bytes < TRAILER_BYTES_MAX
                    && (is_in_name(byte)
                        || if named { !is_control(byte) } else { byte == b':' && line > 0 }) =>
            {
                let named = named || byte == b':';
                State::Trailer { line: line + 1, bytes: bytes + 1, named }
            }
            (State::TrailerFeed { line: 0, .. }, b'\n') => State::Done,
            (State::TrailerFeed { bytes, .. }, b'\n') => {
                State::Trailer { line: 0, bytes, named: false }
            }
            (State::Broken(error), _) => return Err(error),
            _ => return Err(self.broken(BodyError::Chunk)),
        };
        Ok(())
    }

    fn broken(&mut self, error: BodyError) -> BodyError {
        self.state = State::Broken(error);
        error
    }
}

/// A chunk size without extension, complete with its line end, and the bytes it takes.
fn plain_size(input: &[u8]) -> Option<(u64, usize)> {
    let mut size = 0;
    for (at, byte) in input.iter().enumerate().take(SIZE_DIGITS_MAX) {
        match char::from(*byte).to_digit(16) {
            Some(digit) => size = size * 16 + u64::from(digit),
            None if at > 0 && input[at..].starts_with(b"\r\n") => return Some((size, at + 2)),
            None => return None,
        }
    }
    None
}

/// A byte of a field's name (RFC 9110 §5.6.2).
fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

#[cfg(test)]
mod tests;
