//! How the bytes of a stream are framed for the client. Pure functions.

use std::io::Write;
use std::ops::Range;

/// Room for our own chunk head before the bytes of a read, and for a chunk's end behind them.
pub const HEADROOM: usize = 16;
/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends `data` as a chunk; no data is no chunk, for an empty one would end the body.
pub fn push_chunk(bytes: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        // Writing to a `Vec` cannot fail.
        let _ = write!(bytes, "{:x}\r\n", data.len());
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// Writes a chunk head before `data` and its end behind it; returns where the whole now lies.
pub fn frame(scratch: &mut [u8], data: Range<usize>, last: bool) -> Range<usize> {
    let mut start = data.start;
    let mut end = data.end;
    if !data.is_empty() {
        let mut head = [0; HEADROOM];
        let mut room = &mut head[..];
        // At most 5 digits and a line end.
        let _ = write!(room, "{:x}\r\n", data.len());
        let length = HEADROOM - room.len();
        start -= length;
        scratch[start..data.start].copy_from_slice(&head[..length]);
        scratch[end..end + 2].copy_from_slice(b"\r\n");
        end += 2;
    }
    if last {
        scratch[end..end + LAST_CHUNK.len()].copy_from_slice(LAST_CHUNK);
        end += LAST_CHUNK.len();
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_framed_in_place() {
        let mut scratch = vec![0; 64];
        scratch[16..28].copy_from_slice(b"hello, world");
        let framed = frame(&mut scratch, 16..28, true);
        assert_eq!(&scratch[framed], b"c\r\nhello, world\r\n0\r\n\r\n");
        let framed = frame(&mut scratch, 16..16, true);
        assert_eq!(&scratch[framed], LAST_CHUNK);
    }
}
