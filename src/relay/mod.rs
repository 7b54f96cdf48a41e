//! How a provider's response becomes a client's: held until it is whole, or let through as it
//! comes.
//!
//! Nothing is read from the provider before the client has taken the previous piece, and what
//! streams is kept only while the client is slow. It must not know routing, state or the configuration.

mod early;
mod response;
mod stream;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;

use crate::downstream::Connection;
use crate::report::{Dialect, Entry, Error};
use crate::runtime::{Budget, Share};
use crate::upstream::{self, Provider, Timeouts, UpstreamResponse};
use crate::wire::{
    connection_option, looks_like_events, push_field, Content, Framing, ResponseHead,
};

pub use early::Early;
pub use response::{Response, WholeAnswer};
pub use stream::Stream;

/// A body that does not stream is held back until it is whole: until then a provider that dies, or
/// sends too much, gives the client an honest error in place of half a response. One whose announced
/// length is more than this is let go as soon as [`ENOUGH_BYTES`] have come.
const RELEASE_LENGTH_MIN: u64 = 1024 * 1024;
/// What is enough of a body of known length: a provider that has sent so much means to send the
/// rest.
const ENOUGH_BYTES: usize = 64 * 1024;

/// Sees how the body of a response begins: a piece after the other, and whether that was the last.
/// Returns whether it has seen enough.
pub type Watch = Box<dyn FnMut(&[u8], bool) -> bool>;

/// Limits and deadlines of one response.
pub struct Terms<'t> {
    /// How the client wants to be spoken to.
    pub dialect: Dialect,
    /// The provider whose response it is.
    pub provider: &'t Rc<Provider>,
    /// Its deadlines, and whether the request asked to stream.
    pub timeouts: &'t Rc<Timeouts>,
    /// The largest response that does not stream, in bytes.
    pub body_bytes_max: u64,
    /// Memory of what is held back.
    pub budget: &'t Rc<Budget>,
    /// Who wants to see how the body of a response begins that is no error.
    pub watch: Cell<Option<Watch>>,
}

impl Terms<'_> {
    /// The same for this response, whose body must be legible.
    fn watch_of(&self, head: &ResponseHead) -> Option<Watch> {
        self.watch.take().filter(|_| (200..300).contains(&head.status) && !head.encoded)
    }
}

/// A provider's response that was read before it is known whether the client gets it.
pub enum Answer {
    /// What has come of its body, without framing, and that body's memory; more may come.
    Open(Box<UpstreamResponse>, Vec<u8>, Share),
    /// All of it.
    Whole(Box<WholeAnswer>),
}

impl Answer {
    /// Its status, and the lines of its head for the client.
    pub fn head(&mut self) -> (u16, &mut Vec<u8>) {
        match self {
            Answer::Open(response, ..) => (response.head.status, &mut response.head.relayed),
            Answer::Whole(whole) => (whole.status, &mut whole.relayed),
        }
    }

    /// Relays it, or begins to.
    ///
    /// # Errors
    /// Only while nothing was sent to the client, so that it can still be told.
    pub async fn relay(
        self,
        connection: &mut Connection,
        terms: &Terms<'_>,
        entry: &mut Entry,
    ) -> Result<Response, Error> {
        match self {
            Answer::Open(response, begun, share) => {
                relay::<true>(*response, (begun, share), connection, terms, entry).await
            }
            Answer::Whole(whole) => Ok(response::whole(*whole, connection, entry)),
        }
    }
}

/// Relays `response`, or begins to. `held` is what was read of its body already, without framing, and its
/// memory. Each of its two callers has a copy (`AGAIN`), which the compiler puts in its place: that saves 300
/// instructions a response.
///
/// # Errors
/// Only while nothing was sent to the client, so that it can still be told.
pub async fn relay<const AGAIN: bool>(
    mut response: UpstreamResponse,
    (mut held, mut share): (Vec<u8>, Share),
    connection: &mut Connection,
    terms: &Terms<'_>,
    entry: &mut Entry,
) -> Result<Response, Error> {
    let upstream = |error| Error::of_exchange(terms.provider, error);
    let asked = terms.timeouts.streams;
    let head = &mut response.head;
    // A response of no known type and length streams only when the request asked for that.
    if head.content == Content::Other && !asked {
        head.content = Content::Whole;
    }
    let streams = head.content != Content::Whole;
    if let (true, Framing::Length(length)) = (!streams || !asked, head.framing) {
        if length > terms.body_bytes_max {
            return Err(upstream(upstream::Error::TooLarge(terms.body_bytes_max)));
        }
    }
    if !streams {
        if hold(&mut response, &mut held, &mut share, connection, terms).await? {
            if let Some(mut watch) = terms.watch_of(&response.head) {
                watch(&held, true);
            }
            let whole = WholeAnswer::of(response, held, share);
            return Ok(response::whole(whole, connection, entry));
        }
        if turns_out_to_stream(response.head.framing, &held, asked) {
            let events = looks_like_events(&held);
            response.head.content = if events { Content::Events } else { Content::Other };
        }
    } else {
        // What came with the head can still be refused with an error response.
        let more = response.take_buffer().map_err(upstream)?;
        match held.is_empty() {
            true => held = more,
            false => held.extend_from_slice(&more),
        }
        if !asked && held.len() as u64 > terms.body_bytes_max {
            return Err(upstream(upstream::Error::TooLarge(terms.body_bytes_max)));
        }
    }
    entry.push_explanation(&mut response.head.relayed);
    let stream = Stream::new(response, held, connection, terms, entry, false);
    Ok(Response::Stream(stream.with_share(share)))
}

/// Holds a body back. Returns whether it is whole; if not it is let go.
async fn hold(
    response: &mut UpstreamResponse,
    held: &mut Vec<u8>,
    share: &mut Share,
    connection: &mut Connection,
    terms: &Terms<'_>,
) -> Result<bool, Error> {
    let upstream = |error| Error::of_exchange(terms.provider, error);
    let sent_at = response.sent_at;
    let limit = |connection: &Connection, heard_at| {
        // While the client still sends, its own pace counts.
        let moved_at = connection.upload_moved_at();
        let from = |at| moved_at.map_or(at, |moved_at| moved_at.max(at));
        let whole = terms.timeouts.whole(from(sent_at));
        whole.unwrap_or_else(|| terms.timeouts.next_bytes(from(heard_at)))
    };
    let mut heard_at = connection.timer().now();
    loop {
        let wait = limit(connection, heard_at);
        let body = poll_fn(|context| response.poll_body(context, held, terms.body_bytes_max));
        let body = match connection.unless_gone_within(wait, body).await? {
            Ok(body) => body,
            Err(_) if limit(connection, heard_at).until > connection.timer().now() => continue,
            Err(wait) => return Err(upstream(upstream::Error::Timeout(wait))),
        };
        heard_at = connection.timer().now();
        let done = match body {
            // Boxed: it is rare, and what is kept of every response stays small.
            Err(upstream::Error::Io(error))
                if Box::pin(response.accept_if_whole_json(&error, held)).await =>
            {
                true
            }
            other => other.map_err(upstream)?,
        };
        if held.len() as u64 > terms.body_bytes_max {
            return Err(upstream(upstream::Error::TooLarge(terms.body_bytes_max)));
        }
        let fits = share.resize(held.capacity());
        if done {
            return Ok(true);
        }
        if !fits || is_let_go(response.head.framing, held, terms.timeouts.streams) {
            return Ok(false);
        }
    }
}

/// Whether a body that is held back, and not whole, is let go now.
fn is_let_go(framing: Framing, held: &[u8], asked: bool) -> bool {
    let means_the_rest = matches!(framing, Framing::Length(length) if length > RELEASE_LENGTH_MIN)
        && held.len() >= ENOUGH_BYTES;
    means_the_rest || turns_out_to_stream(framing, held, asked)
}

/// Whether a body that calls itself JSON is none, and its client asked for a stream: it goes out as
/// it comes. Known as soon as its first byte is there.
fn turns_out_to_stream(framing: Framing, held: &[u8], asked: bool) -> bool {
    let unknown_length = matches!(framing, Framing::Chunked | Framing::UntilClose);
    asked && unknown_length && !matches!(held.first(), None | Some(b'{' | b'['))
}

/// How the client is told where a stream of unknown length ends: HTTP/1.0 has no chunks.
fn framing_for(connection: &Connection) -> Framing {
    if connection.minor() > 0 {
        Framing::Chunked
    } else {
        Framing::UntilClose
    }
}

/// Adds the fields that frame the body, manage the connection and speak to browsers, and the empty
/// line.
fn end_head(head: &mut Vec<u8>, framing: Framing, keep_alive: bool, connection: &Connection) {
    if let Some(sharing) = connection.sharing() {
        sharing.mark_relayed(head);
    }
    match framing {
        Framing::Length(length) => {
            push_field(head, "content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        Framing::Chunked => push_field(head, "transfer-encoding", b"chunked"),
        Framing::None | Framing::UntilClose => {}
    }
    if let Some(option) = connection_option(keep_alive, connection.minor()) {
        push_field(head, "connection", option.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_early;
