//! A body that goes out as it comes.

mod ending;
mod waiting;

pub(super) use waiting::KEEP_ALIVE_COMMENT;

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{early, end_head, Manner};
use crate::downstream::Connection;
use crate::report::entry::Ending;
use crate::runtime::sources::SCRATCH_BYTES;
use crate::runtime::timer::{Timer, Wait};
use crate::upstream::exchange::{ExchangeError, UpstreamResponse};
use crate::wire::body::Framing;
use crate::wire::chunks::{frame, push_chunk, HEADROOM};
use crate::wire::events::EventTail;
use crate::wire::head::{push_field, Content};

/// Read from the provider at once: as much as may have to wait for a slow client.
const PIECE_BYTES_MAX: usize = 32 * 1024;

const _: () = assert!(SCRATCH_BYTES >= PIECE_BYTES_MAX + 2 * HEADROOM && SCRATCH_BYTES < 0x10_0000);

/// The limits of an answer that streams.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// The longest wait for the next bytes.
    pub silence_max: Duration,
    /// After this much silence an event stream gets a comment line.
    pub keep_alive_after: Option<Duration>,
}

/// One answer that streams: all that is kept of it.
pub struct Stream {
    answer: UpstreamResponse,
    provider: Box<str>,
    /// What the client did not take yet.
    pending: Vec<u8>,
    written: usize,
    /// How the client is told where the body ends.
    framing: Framing,
    keep_alive: bool,
    /// Whether events of ours can stand in it, between two others.
    events: bool,
    /// Where it stands, unless it is no stream or cannot be read.
    tail: Option<EventTail>,
    limits: StreamLimits,
    whole_by: Option<Wait>,
    body_bytes_max: u64,
    bytes: u64,
    /// When the provider last sent, the client last took, and either got something.
    heard_at: Instant,
    taken_at: Instant,
    /// Since when the client has kept the provider waiting.
    blocked_at: Option<Instant>,
    /// Whether the final event has come, and when it was with the client: then the stream is complete,
    /// however its connection or the client ends.
    final_seen: bool,
    final_out_at: Option<Instant>,
    /// The client left after the final event: only the rest of the provider's answer is read.
    abandoned: bool,
    ending: Option<Ending>,
}

impl Stream {
    /// `held` is what is already known of the body, `opened` whether the client has had a head that
    /// announced an event stream.
    pub(super) fn new(
        mut answer: UpstreamResponse,
        held: Vec<u8>,
        timer: &Timer,
        manner: &Manner<'_>,
        opened: bool,
    ) -> Stream {
        let framing = match answer.head.framing {
            known @ (Framing::Length(_) | Framing::None) if !opened => known,
            _ => early::framing(manner),
        };
        let events = answer.head.content == Content::Events;
        let keep_alive = (manner.keep_alive)() && framing != Framing::UntilClose;
        let mut pending = std::mem::take(&mut answer.head.relayed);
        if events && !opened {
            // So that nginx in front of us passes each event on at once.
            if !answer.head.has_cache_control {
                push_field(&mut pending, "cache-control", b"no-cache");
            }
            if !answer.head.has_accel_buffering {
                push_field(&mut pending, "x-accel-buffering", b"no");
            }
        }
        if !opened {
            end_head(&mut pending, framing, keep_alive, manner.minor);
        }
        let whole = answer.head.content == Content::Whole;
        let now = timer.now();
        let mut stream = Stream {
            provider: manner.provider.into(),
            pending,
            written: 0,
            framing,
            keep_alive,
            events,
            tail: (!answer.head.encoded && !whole).then(EventTail::default),
            limits: manner.stream,
            whole_by: manner.whole_by,
            body_bytes_max: if whole || manner.whole_by.is_some() {
                manner.body_bytes_max
            } else {
                u64::MAX
            },
            bytes: 0,
            heard_at: now,
            taken_at: now,
            blocked_at: None,
            final_seen: false,
            final_out_at: None,
            abandoned: false,
            ending: None,
            answer,
        };
        stream.push_data(&held);
        if stream.answer.decoder.is_done() {
            stream.complete();
        }
        stream
    }

    /// Relays until the body ends or somebody leaves.
    pub async fn run(&mut self, client: &mut Connection, timer: &Timer) -> Ending {
        // A body that ends with the connection is complete only when we say so: until then whatever
        // ends this task resets the connection.
        if self.framing == Framing::UntilClose {
            client.reset_on_close(true);
        }
        let ending = poll_fn(|context| self.poll(context, client, timer)).await;
        timer.set(None);
        ending
    }

    fn poll(
        &mut self,
        context: &Context<'_>,
        client: &mut Connection,
        timer: &Timer,
    ) -> Poll<Ending> {
        loop {
            match self.poll_flush(context, client, timer) {
                Poll::Ready(Ok(())) => {
                    if self.final_seen && self.final_out_at.is_none() {
                        self.final_out_at = Some(timer.now());
                    }
                }
                Poll::Ready(Err(_)) if self.final_out_at.is_some() => self.abandon(),
                Poll::Ready(Err(ending)) => return Poll::Ready(ending),
                Poll::Pending => return self.poll_wait(context, client, timer, true),
            }
            if let Some(ending) = self.ending.take() {
                return Poll::Ready(ending);
            }
            if self.last_bytes().is_some_and(|wait| wait.until <= timer.now()) {
                self.complete();
                continue;
            }
            if self.poll_piece(context, client, timer).is_pending() {
                return self.poll_wait(context, client, timer, false);
            }
        }
    }

    /// Writes what is pending.
    fn poll_flush(
        &mut self,
        context: &Context<'_>,
        client: &mut Connection,
        timer: &Timer,
    ) -> Poll<Result<(), Ending>> {
        while self.written < self.pending.len() {
            match client.poll_write(context, &self.pending[self.written..]) {
                Poll::Ready(Ok(count)) => {
                    self.written += count;
                    self.taken_at = timer.now();
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Ending::ClientGone)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.written > 0 {
            self.pending = Vec::new();
            self.written = 0;
        }
        // The client's time is not the provider's.
        if let (Some(since), Some(whole)) = (self.blocked_at.take(), &mut self.whole_by) {
            whole.until += timer.now().saturating_duration_since(since);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads one piece from the provider and offers it to the client; what the client does not
    /// take at once is pending.
    fn poll_piece(
        &mut self,
        context: &Context<'_>,
        client: &mut Connection,
        timer: &Timer,
    ) -> Poll<()> {
        let sources = self.answer.lease.socket.sources().clone();
        let mut scratch = sources.scratch.borrow_mut();
        let room = &mut scratch[HEADROOM..HEADROOM + PIECE_BYTES_MAX];
        let count = match self.answer.poll_read(context, room) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => {
                self.cut(ExchangeError::Io(error));
                return Poll::Ready(());
            }
        };
        self.heard_at = timer.now();
        if count == 0 {
            match self.answer.decoder.end() {
                Ok(()) => self.complete(),
                Err(error) => self.cut(ExchangeError::Body(error)),
            }
            return Poll::Ready(());
        }
        let read = &mut scratch[HEADROOM..HEADROOM + count];
        let piece = match self.answer.decoder.decode(read) {
            Ok(piece) => piece,
            Err(error) => {
                self.cut(ExchangeError::Body(error));
                return Poll::Ready(());
            }
        };
        self.answer.reusable &= piece.consumed == count;
        let data = HEADROOM + piece.data.start..HEADROOM + piece.data.end;
        self.note(&scratch[data.clone()]);
        let done = self.answer.decoder.is_done();
        let framed = match self.framing {
            Framing::Chunked => frame(&mut scratch, data, done),
            _ => data,
        };
        if done {
            self.ending = Some(Ending::Complete);
        }
        if self.bytes > self.body_bytes_max {
            self.cut(ExchangeError::TooLarge(self.body_bytes_max));
            return Poll::Ready(());
        }
        self.offer(context, client, &scratch[framed]);
        if let Some(error) = self.answer.decoder.failure() {
            self.cut(ExchangeError::Body(error));
        }
        Poll::Ready(())
    }

    /// Writes what the client takes at once and keeps the rest.
    fn offer(&mut self, context: &Context<'_>, client: &mut Connection, bytes: &[u8]) {
        if bytes.is_empty() || self.abandoned {
            return;
        }
        match client.poll_write(context, bytes) {
            Poll::Ready(Ok(count)) => {
                self.taken_at = self.heard_at;
                self.pending.extend_from_slice(&bytes[count..]);
            }
            Poll::Ready(Err(_)) if self.final_out_at.is_some() => self.abandon(),
            Poll::Ready(Err(_)) => self.ending = Some(Ending::ClientGone),
            Poll::Pending => {
                self.taken_at = self.heard_at;
                self.pending.extend_from_slice(bytes);
            }
        }
    }

    /// Whether an event of ours can stand here: between two others, and in no counted body.
    fn between_events(&self) -> bool {
        matches!(self.framing, Framing::Chunked | Framing::UntilClose)
            && self.events
            && self.tail.as_ref().is_some_and(EventTail::between_events)
    }

    /// Takes note of body bytes that go to the client.
    fn note(&mut self, data: &[u8]) {
        if self.abandoned {
            return;
        }
        self.bytes += data.len() as u64;
        if let Some(tail) = &mut self.tail {
            tail.push(data);
            self.final_seen = tail.has_ended();
        }
    }

    fn push_data(&mut self, data: &[u8]) {
        self.note(data);
        self.push_framed(data);
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
