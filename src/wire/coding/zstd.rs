//! Zstandard (RFC 8878): one frame after the other. The window of each is looked at before its decoder
//! takes the memory for it, which it does at once.

use std::error::Error;
use std::io::{self, Cursor, Read};

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{CodingError, Step};

/// What everybody must accept, and nobody may ask more (RFC 9659 §3).
const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// One block's literals and tables, and the slack of the window's buffer.
const BLOCK_BYTES: usize = 1024 * 1024;
/// How a frame begins, little-endian.
const MAGIC: u32 = 0xFD2F_B528;
/// The same for one that holds no content (RFC 8878 §3.1.2), but for its last digit.
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;

/// The bytes of a body and what is known of the frame that is being decoded.
pub(super) struct Zstd {
    source: Cursor<Vec<u8>>,
    decoder: FrameDecoder,
    /// Whether the decoder is within a frame, and how much that has brought.
    frame: Option<u64>,
    /// The largest window so far.
    window: usize,
    limit: u64,
}

impl Zstd {
    pub(super) fn new(body: Vec<u8>, limit: u64) -> Zstd {
        let mut decoder = FrameDecoder::new();
        // They are checked here, before.
        decoder.set_max_window_size(u64::MAX);
        Zstd { source: Cursor::new(body), decoder, frame: None, window: 0, limit }
    }

    /// The window's buffer is a power of two, but for its slack.
    pub(super) fn memory(&self) -> usize {
        let window = self.window.checked_next_power_of_two().unwrap_or(usize::MAX);
        window.saturating_add(BLOCK_BYTES)
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<Step, CodingError> {
        loop {
            let Some(length) = self.frame else {
                match self.begin()? {
                    Begun::End => return Ok(Step::Bytes(0)),
                    Begun::Memory => return Ok(Step::Memory),
                    Begun::Frame => continue,
                }
            };
            let count = self.decoder.read(buffer)?;
            self.frame = Some(length + count as u64);
            if count > 0 {
                return Ok(Step::Bytes(count));
            }
            if self.decoder.is_finished() {
                let promised = self.decoder.content_size();
                if promised != 0 && promised != length {
                    return Err(CodingError::Corrupt("wrong content size".to_owned()));
                }
                self.frame = None;
                continue;
            }
            let one = BlockDecodingStrategy::UptoBlocks(1);
            let decoded = self.decoder.decode_blocks(&mut self.source, one);
            decoded.map_err(|error| failure(&error))?;
        }
    }

    /// Begins the next frame, if there is one and memory for it.
    fn begin(&mut self) -> Result<Begun, CodingError> {
        loop {
            let at = usize::try_from(self.source.position()).unwrap_or(usize::MAX);
            let rest = self.source.get_ref().get(at..).unwrap_or_default();
            let window = match head(rest, at > 0)? {
                Head::End => return Ok(Begun::End),
                Head::Skip(length) => {
                    self.source.set_position((at + length) as u64);
                    continue;
                }
                Head::Window(window) if window > WINDOW_BYTES_MAX => {
                    return Err(CodingError::Window);
                }
                Head::Content(length) if length > self.limit => return Err(CodingError::TooLarge),
                Head::Window(window) | Head::Content(window) => {
                    usize::try_from(window).unwrap_or(usize::MAX)
                }
            };
            if window > self.window {
                self.window = window;
                return Ok(Begun::Memory);
            }
            let begun = self.decoder.init(&mut self.source);
            begun.map_err(|error| failure(&error))?;
            self.frame = Some(0);
            return Ok(Begun::Frame);
        }
    }
}

/// What a decoder means that wanted more bytes than there are, by the error behind its own.
fn failure(error: &FrameDecoderError) -> CodingError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof) {
            return CodingError::CutShort;
        }
        cause = error.source();
    }
    CodingError::Corrupt(error.to_string())
}

enum Begun {
    Frame,
    Memory,
    End,
}

/// What stands at the beginning of a frame.
enum Head {
    /// There is none.
    End,
    /// A frame without content, so many bytes long.
    Skip(usize),
    /// A frame with a window of so many bytes.
    Window(u64),
    /// A frame with so many bytes of content, all of which are its window.
    Content(u64),
}

/// Reads the head of a frame (RFC 8878 §3.1.1.1). `behind`: another frame stands before it.
fn head(bytes: &[u8], behind: bool) -> Result<Head, CodingError> {
    if bytes.is_empty() {
        return Ok(Head::End);
    }
    let number = |at: usize, length: usize| -> Result<u64, CodingError> {
        let digits = bytes.get(at..at + length).ok_or(CodingError::CutShort)?;
        Ok(digits.iter().rev().fold(0, |number, digit| number << 8 | u64::from(*digit)))
    };
    let magic = number(0, 4).map_err(|error| if behind { CodingError::Trailing } else { error })?;
    if magic & !0xf == u64::from(SKIPPABLE_MAGIC) {
        let length = usize::try_from(number(4, 4)?).unwrap_or(usize::MAX).saturating_add(8);
        return if length > bytes.len() {
            Err(CodingError::CutShort)
        } else {
            Ok(Head::Skip(length))
        };
    }
    if magic != u64::from(MAGIC) {
        let none = CodingError::Corrupt("not a zstd frame".to_owned());
        return Err(if behind { CodingError::Trailing } else { none });
    }
    let descriptor = number(4, 1)?;
    if descriptor & 0x20 == 0 {
        let window = number(5, 1)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Ok(Head::Window(base + base / 8 * (window & 7)));
    }
    let dictionary = [0, 1, 2, 4][(descriptor & 3) as usize];
    let (length, more) = [(1, 0), (2, 256), (4, 0), (8, 0)][(descriptor >> 6) as usize];
    Ok(Head::Content(number(5 + dictionary, length)?.saturating_add(more)))
}
