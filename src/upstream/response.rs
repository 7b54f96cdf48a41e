//! The end of an exchange: a response whose head has come, its body, and the connection's way back
//! to the pool.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::runtime::{offload, reserve, Share, IN_PLACE_BYTES_MAX};
use crate::wire::{Decoder, Framing, ResponseHead};

use super::error::Error;
use super::message::Message;
use super::pool::Lease;

/// The head of a response, and the connection on which its body follows.
pub struct UpstreamResponse {
    /// The connection. Dropping it cancels the exchange.
    pub lease: Lease,
    /// The head.
    pub head: ResponseHead,
    /// What came behind the head, still framed.
    pub buffer: Vec<u8>,
    /// Takes the framing off the body.
    pub decoder: Decoder,
    /// When the request was sent.
    pub sent_at: Instant,
    /// Whether another exchange may follow once the body is complete.
    pub reusable: bool,
    /// The request, when the response began before its end.
    pub(super) unsent: Option<Box<Message>>,
}

impl UpstreamResponse {
    /// Reads from the connection, and goes on sending what is left of the request.
    pub fn poll_read(
        &mut self,
        context: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context);
        self.lease.socket.poll_read(context, buffer)
    }

    fn poll_send(&mut self, context: &Context<'_>) {
        let Some(message) = self.unsent.as_deref_mut() else { return };
        match message.poll_send(context, &mut self.lease.socket) {
            Poll::Ready(Ok(())) => {
                self.unsent = None;
                self.lease.socket.reset_on_close(false);
            }
            // The provider takes no more of it: reading tells how the response ends.
            Poll::Ready(Err(_)) => (self.unsent, self.reusable) = (None, false),
            Poll::Pending => {}
        }
    }

    /// The next piece of the body, without its framing, appended to `body`. Ready with `true` when
    /// the body is complete.
    ///
    /// # Errors
    /// A connection or framing that breaks.
    pub fn poll_body(
        &mut self,
        context: &Context<'_>,
        body: &mut Vec<u8>,
        length_max: u64,
    ) -> Poll<Result<bool, Error>> {
        if self.buffer.is_empty() && !self.decoder.is_done() {
            self.poll_send(context);
            match self.lease.socket.poll_fill(context, &mut self.buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Error::Io(error))),
                Poll::Ready(Ok(0)) => {
                    let end = self.decoder.end().map_err(Error::Body);
                    return Poll::Ready(end.map(|()| true));
                }
                Poll::Ready(Ok(_)) => {}
            }
        }
        let piece = match self.take_buffer() {
            Ok(piece) => piece,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if body.is_empty() {
            *body = piece;
        } else {
            // One byte more shows that it is too long.
            let length_max = usize::try_from(length_max).unwrap_or(usize::MAX);
            reserve(body, piece.len(), length_max.saturating_add(1));
            body.extend_from_slice(&piece);
        }
        Poll::Ready(Ok(self.decoder.is_done()))
    }

    /// What has come of the body and was not taken yet, without its framing.
    ///
    /// # Errors
    /// [`Error::Body`].
    pub fn take_buffer(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = std::mem::take(&mut self.buffer);
        let piece = self.decoder.decode(&mut bytes).map_err(Error::Body)?;
        if let Some(error) = self.decoder.failure() {
            return Err(Error::Body(error));
        }
        // With bytes left over, it is unknown where the next response begins.
        self.reusable &= piece.consumed == bytes.len();
        bytes.truncate(piece.data.end);
        bytes.drain(..piece.data.start);
        Ok(bytes)
    }

    /// The whole body, at most `limit` bytes, whose memory comes out of `share`. Returns the connection.
    ///
    /// # Errors
    /// See [`Error`]; time is for the caller to limit.
    pub async fn collect(mut self, limit: u64, share: &mut Share) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        loop {
            let done = match poll_fn(|context| self.poll_body(context, &mut body, limit)).await {
                Err(Error::Io(error)) if self.accept_if_whole_json(&error, &mut body).await => true,
                other => other?,
            };
            if body.len() as u64 > limit {
                return Err(Error::TooLarge(limit));
            }
            if !share.resize(body.capacity()) {
                return Err(Error::Memory(share.budget().limit()));
            }
            if done {
                self.finish();
                return Ok(body);
            }
        }
    }

    /// Whether a body is complete although TLS ended without `close_notify` (RFC 8446 §6.1), which
    /// many servers leave out and any host on the way could have cut off: a JSON document shows its
    /// own end.
    pub async fn accept_if_whole_json(&mut self, error: &io::Error, body: &mut Vec<u8>) -> bool {
        let cut = error.kind() == io::ErrorKind::UnexpectedEof;
        if !cut || self.head.framing != Framing::UntilClose || self.head.encoded {
            return false;
        }
        self.reusable = false;
        if body.len() <= IN_PLACE_BYTES_MAX {
            return is_json(body);
        }
        let text = std::mem::take(body);
        let parsed = offload(move || (is_json(&text), text)).await;
        let (complete, text) = parsed.unwrap_or_default();
        *body = text;
        complete
    }

    /// Returns the connection to the pool if it is reusable, once what may be left of the request is
    /// sent.
    pub fn finish(self) {
        if self.decoder.is_done() {
            self.discard();
        }
    }

    /// Gives up a response that nobody reads. Its connection serves again if little of it is missing.
    pub fn discard(mut self) {
        let in_step = (self.buffer.is_empty() || self.take_buffer().is_ok()) && self.reusable;
        let UpstreamResponse { lease, decoder, unsent, .. } = self;
        match unsent {
            _ if !in_step => {}
            None if decoder.is_done() => lease.release(),
            Some(message) if !message.is_short() => {}
            unsent => lease.release_later(decoder, unsent),
        }
    }
}

/// Whether a text is one whole object or array.
fn is_json(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;
