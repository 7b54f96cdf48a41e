//! Content codings of request bodies (RFC 9110 §8.4.1), decoded piece by piece, so that whoever pays for the
//! memory can stop it at any size.

mod zstd;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Cursor, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use self::zstd::Zstd;
use crate::language::Words;
use crate::message;

/// Decoded at once.
const PIECE_BYTES: usize = 64 * 1024;
/// What a decoder of gzip or deflate keeps: its window, and its tables.
const INFLATE_BYTES: usize = 64 * 1024;
/// How gzip begins (RFC 1952 §2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// A coding that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952; also called `x-gzip`.
    Gzip,
    /// RFC 1950, or RFC 1951 alone, as some send it.
    Deflate,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// All of them, as `Accept-Encoding` lists them.
    pub const NAMES: &str = "gzip, deflate, zstd";

    /// The coding of this name, whose case does not matter.
    pub fn of(name: &str) -> Option<Coding> {
        let names = [
            ("gzip", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("zstd", Coding::Zstd),
        ];
        names.iter().find(|(other, _)| name.eq_ignore_ascii_case(other)).map(|(_, coding)| *coding)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Zstd => "zstd",
        }
    }
}

/// Why a body cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum CodingError {
    /// It would be longer than allowed.
    TooLarge,
    /// There are no bytes.
    Empty,
    /// Its end is missing.
    CutShort,
    /// Something stands behind its end.
    Trailing,
    /// It needs a larger window than anybody has to keep (RFC 9659).
    Window,
    /// It is not in this coding; what its decoder says.
    Corrupt(String),
}

impl fmt::Display for CodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodingError::TooLarge => Words("解压后过大", "too large"),
            CodingError::Empty => Words("没有内容", "it is empty"),
            CodingError::CutShort => Words("数据不完整", "it is cut short"),
            CodingError::Trailing => Words("结尾之后还有数据", "there are bytes behind its end"),
            CodingError::Window => Words("窗口超过 8 MiB", "its window is over 8 MiB"),
            CodingError::Corrupt(reason) => {
                return message!("数据损坏: {reason}", "it is corrupt: {reason}").fmt(f)
            }
        }
        .fmt(f)
    }
}

impl From<io::Error> for CodingError {
    fn from(error: io::Error) -> CodingError {
        match error.kind() {
            ErrorKind::UnexpectedEof => CodingError::CutShort,
            _ => CodingError::Corrupt(error.to_string()),
        }
    }
}

/// Why the decoding pauses.
#[derive(Debug, PartialEq, Eq)]
pub enum Pause {
    /// All of it is there.
    Done,
    /// The output is as long as it may be for now.
    Full,
    /// The decoder needs more memory for itself: see [`Decoding::memory`].
    Memory,
}

/// A body that is being decoded.
pub struct Decoding {
    coding: Coding,
    decoder: Decoder,
    /// The length of the encoded body.
    encoded: usize,
    /// The longest output.
    limit: u64,
}

enum Decoder {
    Gzip(Box<MultiGzDecoder<Cursor<Vec<u8>>>>),
    Deflate(Deflate),
    Zstd(Box<Zstd>),
}

/// What one read brought.
enum Step {
    Bytes(usize),
    Memory,
}

impl Decoding {
    /// Nothing is decoded yet; the output may be `limit` bytes long.
    pub fn new(coding: Coding, body: Vec<u8>, limit: u64) -> Decoding {
        let encoded = body.len();
        let decoder = match coding {
            Coding::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(Cursor::new(body)))),
            Coding::Deflate => Decoder::Deflate(Deflate::new(body)),
            Coding::Zstd => Decoder::Zstd(Box::new(Zstd::new(body, limit))),
        };
        Decoding { coding, decoder, encoded, limit }
    }

    /// The coding.
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// The longest output.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The length of the encoded body.
    pub fn encoded_length(&self) -> usize {
        self.encoded
    }

    /// What it keeps beside the output.
    pub fn memory(&self) -> usize {
        let own = match &self.decoder {
            Decoder::Zstd(zstd) => zstd.memory(),
            Decoder::Gzip(_) | Decoder::Deflate(_) => INFLATE_BYTES,
        };
        self.encoded.saturating_add(own)
    }

    /// Appends to `output` until that is `length_max` bytes long, or the decoding has to pause.
    ///
    /// # Errors
    /// See [`CodingError`].
    pub fn run(&mut self, output: &mut Vec<u8>, length_max: usize) -> Result<Pause, CodingError> {
        if self.encoded == 0 {
            return Err(CodingError::Empty);
        }
        while output.len() < length_max {
            let start = output.len();
            output.resize(start + PIECE_BYTES.min(length_max - start), 0);
            let step = self.decoder.read(&mut output[start..]);
            output.truncate(start + if let Ok(Step::Bytes(count)) = step { count } else { 0 });
            if output.len() as u64 > self.limit {
                return Err(CodingError::TooLarge);
            }
            match step? {
                Step::Bytes(0) => return Ok(Pause::Done),
                Step::Bytes(_) => {}
                Step::Memory => return Ok(Pause::Memory),
            }
        }
        Ok(Pause::Full)
    }
}

impl Decoder {
    /// Decodes some bytes; none at the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Step, CodingError> {
        match self {
            Decoder::Gzip(gzip) => {
                let count = gzip.read(buffer).map_err(|error| of_gzip(error, gzip))?;
                Ok(Step::Bytes(count))
            }
            Decoder::Deflate(deflate) => deflate.read(buffer).map(Step::Bytes),
            Decoder::Zstd(zstd) => zstd.read(buffer),
        }
    }
}

/// Whatever follows one member is read as another's head, so that the head that is none stands behind
/// the end.
fn of_gzip(error: io::Error, gzip: &MultiGzDecoder<Cursor<Vec<u8>>>) -> CodingError {
    let behind = gzip.get_ref().get_ref().starts_with(GZIP_MAGIC);
    match CodingError::from(error) {
        CodingError::Corrupt(reason) if behind && reason == "invalid gzip header" => {
            CodingError::Trailing
        }
        other => other,
    }
}

/// Deflate, behind the head and before the check sum of zlib or alone.
struct Deflate {
    source: Vec<u8>,
    at: usize,
    state: Decompress,
    done: bool,
}

impl Deflate {
    fn new(source: Vec<u8>) -> Deflate {
        let state = Decompress::new(is_zlib(&source));
        Deflate { source, at: 0, state, done: false }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, CodingError> {
        while !self.done {
            let before = (self.state.total_in(), self.state.total_out());
            let status =
                self.state.decompress(&self.source[self.at..], buffer, FlushDecompress::None);
            let status = status.map_err(|error| CodingError::Corrupt(error.to_string()))?;
            // No more than the lengths of the two slices.
            let taken = (self.state.total_in() - before.0) as usize;
            let count = (self.state.total_out() - before.1) as usize;
            self.at += taken;
            self.done = status == Status::StreamEnd;
            if self.done && self.at < self.source.len() {
                return Err(CodingError::Trailing);
            }
            if count > 0 {
                return Ok(count);
            }
            if !self.done && taken == 0 {
                return Err(CodingError::CutShort);
            }
        }
        Ok(0)
    }
}

/// Whether deflate's stream stands in zlib's frame (RFC 1950 §2.2). One alone that begins like this would
/// have set a bit that is only padding.
fn is_zlib(body: &[u8]) -> bool {
    let [method, flags, ..] = *body else { return false };
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]) % 31 == 0
}
