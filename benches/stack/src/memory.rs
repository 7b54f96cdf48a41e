//! A connection in memory that plays a script, for async-h1, which wants one that can be cloned and
//! sent between threads.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

/// What comes after the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer closes.
    Close,
    /// The peer stays, and says no more.
    Silence,
}

struct Script {
    /// Each is read on its own.
    pieces: Vec<Vec<u8>>,
    end: End,
    piece: usize,
    offset: usize,
    starved: bool,
    written: Vec<u8>,
}

/// The connection; clones are the same one.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<Script>>);

impl Memory {
    /// One that hands out `pieces`, one by one.
    pub fn new(pieces: &[&[u8]], end: End) -> Memory {
        let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
        let script =
            Script { pieces, end, piece: 0, offset: 0, starved: false, written: Vec::new() };
        Memory(Arc::new(Mutex::new(script)))
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        // A panic in the crate under test is one of the things to be seen.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Back to the first byte.
    pub fn rewind(&self) {
        let mut script = self.script();
        (script.piece, script.offset) = (0, 0);
    }

    /// Whether somebody waits for bytes that never come.
    pub fn is_starved(&self) -> bool {
        self.script().starved
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let script = &mut *self.script();
        let Some(piece) = script.pieces.get(script.piece) else {
            script.starved = script.end == End::Silence;
            return if script.starved { Poll::Pending } else { Poll::Ready(Ok(0)) };
        };
        let rest = &piece[script.offset..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        script.offset += count;
        if script.offset == piece.len() {
            (script.piece, script.offset) = (script.piece + 1, 0);
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.script().written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
