//! An answer's way from the provider to the client.
//!
//! Nothing is read from the provider before the client has taken the previous piece, and a buffer
//! is kept only while the client is slow. Knows nothing of routing.

mod early;
mod stream;

use std::future::poll_fn;

use crate::downstream::Connection;
use crate::report::entry::{Ending, Record};
use crate::report::error::Error;
use crate::runtime::budget::{Budget, Share};
use crate::runtime::timer::{label, Timer, Wait};
use crate::upstream::exchange::{ExchangeError, UpstreamResponse};
use crate::wire::body::Framing;
use crate::wire::head::{push_field, Content};
use crate::wire::reply::connection_option;

use crate::wire::events::looks_like_events;

pub use early::Early;
pub use stream::{Stream, StreamLimits};

/// A body that does not stream is held back until it is whole: until then a provider that dies, or
/// sends too much, gives the client an honest error in place of half an answer. One whose length is
/// known, and is more than this, is let go as soon as some has come.
const HOLD_BYTES_MAX: usize = 1024 * 1024;
/// What is enough of a body of known length: whoever sends so much means to send the rest.
const ENOUGH_BYTES: usize = 64 * 1024;
/// How many bodies of the largest size may be held beyond that at once; the others are let go.
const HELD_AT_ONCE: u64 = 8;
/// A whole body up to this goes out in one write with its head.
const JOINED_BYTES_MAX: usize = 64 * 1024;

/// How an answer is relayed.
pub struct Manner<'p> {
    /// The provider's name, for errors.
    pub provider: &'p str,
    /// The client's minor HTTP version: 1.0 knows no chunks.
    pub minor: u8,
    /// Whether another request may follow on the client's connection, asked when the head goes out.
    pub keep_alive: &'p dyn Fn() -> bool,
    /// Until when an answer that does not stream must be whole; `None` when the request asked to
    /// stream, then only progress counts.
    pub whole_by: Option<Wait>,
    /// The largest answer that does not stream, in bytes.
    pub body_bytes_max: u64,
    /// Memory of large answers that are held back.
    pub held: &'p Budget,
    /// For answers that stream.
    pub stream: StreamLimits,
}

/// How far [`relay`] has come.
pub enum Relayed {
    /// The answer went out, or the client left meanwhile. Says whether its connection is in step.
    Whole(bool),
    /// The answer streams from here on, by itself: whatever led here can be forgotten.
    Streams(Box<Stream>),
}

/// Relays `answer`, or begins to.
///
/// # Errors
/// Only while nothing was sent to the client, so that it can still be told. Later trouble cuts the
/// connection and stands in `record`.
pub async fn relay(
    mut answer: UpstreamResponse,
    client: &mut Connection,
    timer: &Timer,
    manner: &Manner<'_>,
    record: &mut Record,
) -> Result<Relayed, RelayError> {
    // An answer of no known type and length streams only to those who asked for it.
    let asked = manner.whole_by.is_none();
    if answer.head.content == Content::Other && !asked {
        answer.head.content = Content::Whole;
    }
    let streams = answer.head.content != Content::Whole;
    let mut held = Vec::new();
    if let (true, Framing::Length(length)) = (!streams || !asked, answer.head.framing) {
        if length > manner.body_bytes_max {
            return Err(RelayError::Upstream(ExchangeError::TooLarge(manner.body_bytes_max)));
        }
    }
    if !streams {
        let mut share = manner.held.share();
        if hold(&mut answer, &mut held, &mut share, client, timer, manner).await? {
            let (head, keep_alive) = whole_head(answer, &mut held, manner, record);
            let written = match client.write_all(timer, &head).await {
                Ok(()) => client.write_all(timer, &held).await,
                failed => failed,
            };
            record.ending = match written {
                Ok(()) => Ending::Complete,
                Err(Error::ClientTimeout(wait)) => Ending::ClientSlow(wait),
                Err(_) => Ending::ClientGone,
            };
            return Ok(Relayed::Whole(keep_alive && matches!(record.ending, Ending::Complete)));
        }
        if streams_all_the_same(&answer, &held, asked) {
            let events = looks_like_events(&held);
            answer.head.content = if events { Content::Events } else { Content::Other };
        }
    } else {
        // What came with the head can still be refused with an honest error.
        held = answer.take_buffer().map_err(RelayError::Upstream)?;
        if !asked && held.len() as u64 > manner.body_bytes_max {
            return Err(RelayError::Upstream(ExchangeError::TooLarge(manner.body_bytes_max)));
        }
    }
    Ok(Relayed::Streams(Box::new(Stream::new(answer, held, timer, manner, false))))
}

/// Why an answer could not be relayed before anything was sent.
pub enum RelayError {
    /// The provider is to blame.
    Upstream(ExchangeError),
    /// The client has left or does not read.
    Client(Error),
}

/// Holds a body back. Returns whether it is whole; if not it is let go.
async fn hold(
    answer: &mut UpstreamResponse,
    held: &mut Vec<u8>,
    share: &mut Share<'_>,
    client: &mut Connection,
    timer: &Timer,
    manner: &Manner<'_>,
) -> Result<bool, RelayError> {
    loop {
        let wait = manner.whole_by.unwrap_or_else(|| {
            Wait::new(label::NEXT_BYTES, timer.now(), manner.stream.silence_max)
        });
        let body = client.unless_gone(poll_fn(|context| answer.poll_body(context, held)));
        let body = timer.within(wait, body).await;
        let body = body.map_err(|wait| RelayError::Upstream(ExchangeError::Timeout(wait)))?;
        let done = match body.map_err(RelayError::Client)? {
            // Boxed: it is rare, and what is kept of every answer stays small.
            Err(ExchangeError::Io(error)) if Box::pin(answer.ends_whole(&error, held)).await => {
                true
            }
            other => other.map_err(RelayError::Upstream)?,
        };
        if held.len() as u64 > manner.body_bytes_max {
            return Err(RelayError::Upstream(ExchangeError::TooLarge(manner.body_bytes_max)));
        }
        if done {
            return Ok(true);
        }
        if streams_all_the_same(answer, held, manner.whole_by.is_none()) {
            return Ok(false);
        }
        if let Framing::Length(length) = answer.head.framing {
            if length > HOLD_BYTES_MAX as u64 && held.len() >= ENOUGH_BYTES {
                return Ok(false);
            }
        } else if held.len() > HOLD_BYTES_MAX {
            let all = manner.body_bytes_max.saturating_mul(HELD_AT_ONCE);
            if !share.grow_to(held.len() as u64, all) {
                return Ok(false);
            }
        }
    }
}

/// Whether a body that calls itself JSON is none, and its client asked for a stream: it goes out as it
/// comes. Known as soon as its first byte is there.
fn streams_all_the_same(answer: &UpstreamResponse, held: &[u8], asked: bool) -> bool {
    let unknown_length = matches!(answer.head.framing, Framing::Chunked | Framing::UntilClose);
    asked && unknown_length && !matches!(held.first(), None | Some(b'{' | b'['))
}

/// The head of a whole answer, and whether another request may follow it. A small body is moved
/// behind it. The provider's connection is returned before the client is served: whoever waits for one
/// need not wait for the client.
fn whole_head(
    mut answer: UpstreamResponse,
    body: &mut Vec<u8>,
    manner: &Manner<'_>,
    record: &mut Record,
) -> (Vec<u8>, bool) {
    let mut bytes = std::mem::take(&mut answer.head.relayed);
    record.chunks = answer.decoder.chunks();
    record.bytes = body.len() as u64;
    let framing = match answer.head.framing {
        Framing::None => Framing::None,
        _ => Framing::Length(body.len() as u64),
    };
    answer.finish();
    let keep_alive = (manner.keep_alive)();
    let joined = body.len() <= JOINED_BYTES_MAX;
    bytes.reserve(if joined { body.len() } else { 0 } + 64);
    end_head(&mut bytes, framing, keep_alive, manner.minor);
    if joined {
        bytes.extend_from_slice(body);
        body.clear();
    }
    (bytes, keep_alive)
}

/// Adds the fields that frame the body and manage the connection, and the empty line.
fn end_head(head: &mut Vec<u8>, framing: Framing, keep_alive: bool, minor: u8) {
    match framing {
        Framing::Length(length) => {
            push_field(head, "content-length", length.to_string().as_bytes());
        }
        Framing::Chunked => push_field(head, "transfer-encoding", b"chunked"),
        Framing::None | Framing::UntilClose => {}
    }
    if let Some(option) = connection_option(keep_alive, minor) {
        push_field(head, "connection", option.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
}
