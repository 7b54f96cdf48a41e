//! The ends of exchanges that nobody waits for: a little that is missing of a response is read, or of a
//! request is sent, so that the connection serves again.

use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::{Connection, Lease};
use crate::upstream::connect::Origin;
use crate::upstream::message::Message;
use crate::wire::Decoder;

/// No more is read of a response that nobody wants.
const READ_BYTES_MAX: usize = 64 * 1024;
/// How long that may take.
const ENDING_MAX: Duration = Duration::from_secs(1);

/// An exchange whose end is missing.
pub(super) struct Ending {
    pub(super) origin: Rc<Origin>,
    pub(super) connection: Box<Connection>,
    /// When it is given up.
    pub(super) until: Instant,
    decoder: Decoder,
    unsent: Option<Box<Message>>,
    /// Bytes that may still be read.
    left: usize,
}

impl Ending {
    /// Ready with whether the connection is reusable.
    pub(super) fn poll(&mut self, context: &Context<'_>, now: Instant) -> Poll<bool> {
        let socket = &mut self.connection.socket;
        if self.until <= now {
            return Poll::Ready(false);
        }
        if let Some(message) = &mut self.unsent {
            match message.poll_send(context, socket) {
                Poll::Pending => {}
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(())) => {
                    socket.reset_on_close(false);
                    self.unsent = None;
                }
            }
        }
        while !self.decoder.is_done() {
            let mut bytes = Vec::new();
            match socket.poll_fill(context, &mut bytes) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if (1..=self.left).contains(&count) => self.left -= count,
                Poll::Ready(_) => return Poll::Ready(false),
            }
            let piece = self.decoder.decode(&mut bytes);
            let in_step = piece.is_ok_and(|piece| piece.consumed == bytes.len());
            if !in_step || self.decoder.failure().is_some() {
                return Poll::Ready(false);
            }
        }
        match self.unsent {
            Some(_) => Poll::Pending,
            None => Poll::Ready(true),
        }
    }
}

impl Lease {
    /// Returns the connection for reuse once the rest of its response has come, and the rest of its
    /// request is sent, if that is little and takes little time; else closes it. What is here already is
    /// read at once.
    pub(in crate::upstream) fn release_later(self, decoder: Decoder, unsent: Option<Box<Message>>) {
        if decoder.announced() > READ_BYTES_MAX as u64 {
            return;
        }
        // The permit goes back last, and is not kept: nobody waits for an end.
        let Lease { connection, pool, origin, permit, .. } = self;
        let until = pool.now() + ENDING_MAX;
        let left = READ_BYTES_MAX;
        let mut ending = Ending { origin, connection, until, decoder, unsent, left };
        match ending.poll(&Context::from_waker(Waker::noop()), pool.now()) {
            Poll::Ready(true) => pool.put_used(ending.origin, ending.connection),
            Poll::Ready(false) => {}
            Poll::Pending => pool.end_later(ending),
        }
        drop(permit);
    }
}

#[cfg(test)]
mod tests;
