//! A body that goes out as it comes.
//!
//! ```text
//!    Flushing ──▶ Reading ──▶ Complete
//!     ▲    │      │  │  └───▶ Cut(cause)
//!     └────┼──────┘  └─ final event out, client gone ─▶ Abandoned ─▶ Complete
//!          └─ client gone or too slow ─▶ ClientGone, ClientSlow
//! ```
//!
//! Flushing: what the client did not take is pending, and nothing is read. Reading: nothing is
//! pending, and the provider is waited for. Abandoned: the client has left with all that it wanted,
//! and the provider's last bytes are read so that its connection can serve again.

mod ending;
mod opening;
mod waiting;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::Watch;
use crate::downstream::Connection;
use crate::report::{Dialect, Entry, Outcome};
use crate::runtime::{Share, Wait, SCRATCH_BYTES};
use crate::upstream::{self, Provider, Timeouts, UpstreamResponse};
use crate::wire::{frame, push_chunk, EventTail, Framing, HEADROOM};

/// Read from the provider at once: as much as may have to wait for a slow client.
const PIECE_BYTES_MAX: usize = 32 * 1024;
const _: () = assert!(SCRATCH_BYTES >= PIECE_BYTES_MAX + 2 * HEADROOM && SCRATCH_BYTES < 0x10_0000);

/// One response that streams: all that is kept of it.
pub struct Stream {
    response: UpstreamResponse,
    provider: Rc<Provider>,
    timeouts: Rc<Timeouts>,
    dialect: Dialect,
    /// Who still wants to see how the body begins.
    watch: Option<Watch>,
    /// What the client did not take yet.
    pending: Vec<u8>,
    written: usize,
    /// Memory of what was pending at the beginning.
    share: Option<Share>,
    /// How the client is told where the body ends.
    framing: Framing,
    keep_alive: bool,
    /// Whether events of ours can stand in it, between two others.
    events: bool,
    /// Where it stands, unless it is no stream or cannot be read.
    tail: Option<EventTail>,
    whole_by: Option<Wait>,
    body_bytes_max: u64,
    /// When the provider last sent something, and when the client last took something.
    heard_at: Instant,
    taken_at: Instant,
    /// Since when the client has kept the provider waiting.
    blocked_at: Option<Instant>,
    /// Whether the final event has come, and when it was with the client: then the stream is
    /// complete, however its connection or the client ends.
    final_seen: bool,
    final_out_at: Option<Instant>,
    /// The client left after the final event: only the rest of the provider's response is read.
    abandoned: bool,
    outcome: Option<Outcome>,
}

impl Stream {
    /// Relays until the body ends or one side leaves.
    pub(super) async fn send(
        mut self: Box<Self>,
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> Outcome {
        // A body that ends with the connection is complete only when we say so: until then whatever
        // ends this task resets the connection.
        if self.framing == Framing::UntilClose {
            connection.reset_on_close(true);
        }
        let outcome = poll_fn(|context| self.poll(context, connection, entry)).await;
        connection.timer().set(None);
        self.finish(outcome, connection, entry)
    }

    fn poll(
        &mut self,
        context: &Context<'_>,
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> Poll<Outcome> {
        loop {
            match self.poll_flush(context, connection) {
                Poll::Ready(Ok(())) => {
                    if self.final_seen && self.final_out_at.is_none() {
                        self.final_out_at = Some(connection.timer().now());
                    }
                }
                Poll::Ready(Err(_)) if self.final_out_at.is_some() => self.abandon(),
                Poll::Ready(Err(outcome)) => return Poll::Ready(outcome),
                Poll::Pending => return self.poll_wait(context, connection, entry, true),
            }
            if let Some(outcome) = self.outcome.take() {
                return Poll::Ready(outcome);
            }
            if self.last_bytes().is_some_and(|wait| wait.until <= connection.timer().now()) {
                self.complete();
                continue;
            }
            if self.poll_piece(context, connection, entry).is_pending() {
                return self.poll_wait(context, connection, entry, false);
            }
        }
    }

    /// Writes what is pending.
    fn poll_flush(
        &mut self,
        context: &Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<(), Outcome>> {
        while self.written < self.pending.len() {
            match connection.poll_write(context, &self.pending[self.written..]) {
                Poll::Ready(Ok(count)) => {
                    self.written += count;
                    self.taken_at = connection.timer().now();
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Outcome::ClientGone)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.written > 0 {
            self.forget_pending();
        }
        // The client's time is not the provider's.
        if let (Some(since), Some(whole)) = (self.blocked_at.take(), &mut self.whole_by) {
            whole.until += connection.timer().now().saturating_duration_since(since);
        }
        Poll::Ready(Ok(()))
    }

    fn forget_pending(&mut self) {
        self.pending = Vec::new();
        self.written = 0;
        self.share = None;
    }

    /// Reads one piece from the provider and offers it to the client; what the client does not
    /// take at once is pending.
    fn poll_piece(
        &mut self,
        context: &Context<'_>,
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> Poll<()> {
        let sources = self.response.lease.socket.sources().clone();
        let mut scratch = sources.scratch.borrow_mut();
        let room = &mut scratch[HEADROOM..HEADROOM + PIECE_BYTES_MAX];
        let count = match self.response.poll_read(context, room) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => {
                self.cut(upstream::Error::Io(error), entry);
                return Poll::Ready(());
            }
        };
        self.heard_at = connection.timer().now();
        if count == 0 {
            match self.response.decoder.end() {
                Ok(()) => self.complete(),
                Err(error) => self.cut(upstream::Error::Body(error), entry),
            }
            return Poll::Ready(());
        }
        let read = &mut scratch[HEADROOM..HEADROOM + count];
        let piece = match self.response.decoder.decode(read) {
            Ok(piece) => piece,
            Err(error) => {
                self.cut(upstream::Error::Body(error), entry);
                return Poll::Ready(());
            }
        };
        self.response.reusable &= piece.consumed == count;
        let data = HEADROOM + piece.data.start..HEADROOM + piece.data.end;
        self.note(&scratch[data.clone()], entry);
        let done = self.response.decoder.is_done();
        let framed = match self.framing {
            Framing::Chunked => frame(&mut scratch, data, done),
            _ => data,
        };
        if done {
            self.outcome = Some(Outcome::Complete);
        }
        if entry.bytes > self.body_bytes_max {
            self.cut(upstream::Error::TooLarge(self.body_bytes_max), entry);
            return Poll::Ready(());
        }
        self.offer(context, connection, &scratch[framed]);
        if let Some(error) = self.response.decoder.failure() {
            self.cut(upstream::Error::Body(error), entry);
        }
        Poll::Ready(())
    }

    /// Writes what the client takes at once and keeps the rest.
    fn offer(&mut self, context: &Context<'_>, connection: &mut Connection, bytes: &[u8]) {
        if bytes.is_empty() || self.abandoned {
            return;
        }
        let count = match connection.poll_write(context, bytes) {
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) if self.final_out_at.is_some() => return self.abandon(),
            Poll::Ready(Err(_)) => {
                self.outcome = Some(Outcome::ClientGone);
                return;
            }
            Poll::Pending => 0,
        };
        self.taken_at = self.heard_at;
        self.pending.extend_from_slice(&bytes[count..]);
    }

    /// Whether an event of ours can stand here: between two others, and in no counted body.
    fn between_events(&self) -> bool {
        matches!(self.framing, Framing::Chunked | Framing::UntilClose)
            && self.events
            && self.tail.as_ref().is_some_and(EventTail::between_events)
    }

    /// Takes note of body bytes that go to the client.
    fn note(&mut self, data: &[u8], entry: &mut Entry) {
        if self.abandoned {
            return;
        }
        if let Some(watch) = &mut self.watch {
            if watch(data, false) {
                self.watch = None;
            }
        }
        entry.bytes += data.len() as u64;
        entry.chunks = self.response.decoder.chunks();
        if let Some(tail) = &mut self.tail {
            tail.push(data);
            self.final_seen = tail.has_ended();
        }
    }

    /// Appends bytes to what is pending, as a chunk where chunks are spoken.
    fn push_framed(&mut self, data: &[u8]) {
        if self.framing == Framing::Chunked {
            push_chunk(&mut self.pending, data);
        } else {
            self.pending.extend_from_slice(data);
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_endings;
