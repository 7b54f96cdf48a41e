//! A client's response, ready to be sent: the value that every endpoint returns.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::end_head;
use super::stream::Stream;
use crate::downstream::Connection;
use crate::report::{Entry, Error, Outcome};
use crate::runtime::Share;
use crate::upstream::UpstreamResponse;
use crate::wire::{Framing, Reply, ReplyBody};

/// A whole body up to this goes out in one write with its head.
const JOINED_BYTES_MAX: usize = 64 * 1024;

/// What a client gets.
pub enum Response {
    /// All of it is here.
    Whole(Box<Whole>),
    /// A provider's, which comes while it goes out: all that an open stream keeps.
    Stream(Box<Stream>),
    /// The client has left: there is none.
    Nothing,
}

/// A response of which nothing is missing.
pub struct Whole {
    /// The head, and the body if that is small.
    head: Vec<u8>,
    rest: ReplyBody,
    /// What the request came to, once this is written.
    outcome: Outcome,
    /// Whether its head says that another request can follow.
    keep_alive: bool,
    /// Whether it is one of ours: then a client that does not read it may have to leave for a
    /// newcomer.
    ours: bool,
    /// Its memory.
    _share: Option<Share>,
}

impl Response {
    /// One of ours. `error` is why it is not what was asked for.
    pub fn ours(reply: Reply, error: Option<Error>, connection: &Connection, id: &str) -> Response {
        let closes = error.as_ref().and_then(Error::consequence).is_some_and(|after| after.closes);
        let keep_alive = !closes && connection.may_persist_unread();
        let reply = reply.with("x-request-id", id);
        let (mut head, mut rest) = reply.encode(keep_alive, connection.minor());
        if let Some(sharing) = connection.sharing() {
            head.truncate(head.len() - b"\r\n".len());
            sharing.mark(&mut head);
            head.extend_from_slice(b"\r\n");
        }
        if connection.head_only() {
            rest = ReplyBody::Static(b"");
        } else {
            join(&mut head, &mut rest);
        }
        let outcome = error.map_or(Outcome::Complete, Outcome::of);
        Response::Whole(Box::new(Whole {
            head,
            rest,
            outcome,
            keep_alive,
            ours: true,
            _share: None,
        }))
    }

    /// The same; its memory is given back once it is out.
    pub fn holding(mut self, share: Share) -> Response {
        if let Response::Whole(whole) = &mut self {
            whole._share = Some(share);
        }
        self
    }

    /// The last bytes of one whose head is out already.
    pub(super) fn last(bytes: Vec<u8>, outcome: Outcome, keep_alive: bool) -> Response {
        let (head, rest) = (bytes, ReplyBody::Static(b""));
        Response::Whole(Box::new(Whole {
            head,
            rest,
            outcome,
            keep_alive,
            ours: false,
            _share: None,
        }))
    }

    /// Sends it. Nothing else writes a response to a client, but for an early head (`early.rs`).
    pub async fn send(self, connection: &mut Connection, entry: &mut Entry) -> Outcome {
        match self {
            Response::Stream(stream) => stream.send(connection, entry).await,
            Response::Whole(mut whole) => {
                let at_once = |context: &mut Context<'_>| whole.write_at_once(context, connection);
                if poll_fn(at_once).await {
                    connection.set_reusable(whole.keep_alive);
                    return whole.outcome;
                }
                // Boxed: an open stream must not keep the room for it.
                Box::pin(whole.send(connection)).await
            }
            Response::Nothing => Outcome::ClientGone,
        }
    }
}

impl Whole {
    /// Writes what the client takes without being waited for. Ready with whether that is all there is
    /// to do, as it mostly is.
    fn write_at_once(&mut self, context: &Context<'_>, connection: &mut Connection) -> Poll<bool> {
        if self.ours || !self.rest.is_empty() || connection.resets() {
            return Poll::Ready(false);
        }
        let written = connection.poll_write(context, &self.head);
        if let Poll::Ready(Ok(count)) = written {
            self.head.drain(..count);
        }
        Poll::Ready(self.head.is_empty())
    }

    async fn send(self: Box<Self>, connection: &mut Connection) -> Outcome {
        if self.ours {
            connection.note_reply();
        }
        let written = match connection.write_all(&self.head).await {
            Ok(()) => connection.write_all(&self.rest).await,
            failed => failed,
        };
        match (written, self.outcome) {
            (Ok(()), outcome) => {
                connection.end_cleanly();
                connection.set_reusable(self.keep_alive);
                outcome
            }
            (Err(_), failed @ Outcome::Failed(_)) => failed,
            (Err(error), _) => Outcome::of_write(&error),
        }
    }
}

/// Moves a small body behind its head.
fn join(head: &mut Vec<u8>, rest: &mut ReplyBody) {
    if rest.len() <= JOINED_BYTES_MAX {
        head.extend_from_slice(rest);
        *rest = ReplyBody::Static(b"");
    }
}

/// A provider's response of which nothing is missing.
pub struct WholeAnswer {
    /// Its status.
    pub status: u16,
    /// How its body was framed.
    pub framing: Framing,
    /// Its status line and its field lines for the client.
    pub relayed: Vec<u8>,
    /// How many chunks it came in.
    pub chunks: u64,
    /// Its body, without framing.
    pub body: Vec<u8>,
    /// The body's memory.
    pub share: Share,
}

impl WholeAnswer {
    /// Of one whose body was read to its end. Its connection is returned: an exchange that waits for one
    /// need not wait for this client.
    pub fn of(mut response: UpstreamResponse, body: Vec<u8>, share: Share) -> WholeAnswer {
        let (status, framing) = (response.head.status, response.head.framing);
        let chunks = response.decoder.chunks();
        let relayed = std::mem::take(&mut response.head.relayed);
        response.finish();
        WholeAnswer { status, framing, relayed, chunks, body, share }
    }
}

/// A provider's whole response.
pub(super) fn whole(answer: WholeAnswer, connection: &Connection, entry: &mut Entry) -> Response {
    let WholeAnswer { status, framing, relayed: mut head, chunks, body, share } = answer;
    entry.status = status;
    entry.chunks = chunks;
    entry.bytes = body.len() as u64;
    entry.push_explanation(&mut head);
    let framing = match framing {
        Framing::None => Framing::None,
        _ => Framing::Length(body.len() as u64),
    };
    let keep_alive = connection.may_persist();
    head.reserve(if body.len() <= JOINED_BYTES_MAX { body.len() } else { 0 } + 64);
    end_head(&mut head, framing, keep_alive, connection);
    let mut rest = ReplyBody::Owned(body);
    join(&mut head, &mut rest);
    let (outcome, _share) = (Outcome::Complete, Some(share));
    Response::Whole(Box::new(Whole { head, rest, outcome, keep_alive, ours: false, _share }))
}
