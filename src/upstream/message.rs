//! A request in bytes, kept as long as it may have to be sent once more; an upload goes on as it comes.

use std::io;
use std::rc::Rc;
use std::task::{ready, Context, Poll};
use std::time::Instant;

use super::timings::Timings;
use crate::runtime::{PipeReader, Share, Socket};

/// The start of the body that goes out in one write with the head.
const FIRST_WRITE_BYTES: usize = 16 * 1024;

/// What is left of a request that nobody wants any more is sent only if it is no longer.
pub const REST_BYTES_MAX: usize = 64 * 1024;

/// A request, encoded. It is kept until the response begins, for the repeat.
pub struct Message {
    /// The head and the start of the body.
    first: Vec<u8>,
    /// The length of the head.
    head: usize,
    body: Vec<u8>,
    /// How much of the body is in `first`.
    joined: usize,
    /// Its memory.
    share: Option<Share>,
    /// What follows, which nobody keeps.
    rest: Option<PipeReader>,
    /// Bytes that the kernel has taken.
    sent: usize,
    /// From when its deadlines count, if not from when it is sent.
    pub(super) since: Option<Instant>,
    /// Who wants to know how long what takes.
    pub(super) timings: Option<Rc<Timings>>,
}

impl Message {
    /// Joins a head, which ends with its empty line, and a body.
    pub fn new(mut head: Vec<u8>, body: Vec<u8>, share: Option<Share>) -> Message {
        let (length, joined) = (head.len(), body.len().min(FIRST_WRITE_BYTES));
        head.extend_from_slice(&body[..joined]);
        let body = if joined == body.len() { Vec::new() } else { body };
        Message {
            first: head,
            head: length,
            body,
            joined,
            share,
            rest: None,
            sent: 0,
            since: None,
            timings: None,
        }
    }

    /// What is left to send when the response has begun before the end. What is `wanted` is taken out;
    /// of anything else there is a copy, if it is short.
    pub(super) fn rest(&mut self, wanted: bool) -> Option<Box<Message>> {
        if wanted {
            return Some(Box::new(std::mem::replace(self, Message::empty())));
        }
        self.is_short().then(|| {
            let mut rest = self.kept().to_vec();
            rest.extend_from_slice(self.kept_from(self.sent + rest.len()));
            Box::new(Message::new(rest, Vec::new(), None))
        })
    }

    /// Whether little is left to send, as far as that is known.
    pub(super) fn is_short(&self) -> bool {
        !self.is_streamed() && self.len() - self.sent <= REST_BYTES_MAX
    }

    /// Nothing at all.
    pub(super) fn empty() -> Message {
        Message::new(Vec::new(), Vec::new(), None)
    }

    /// The same, whose body goes on with what comes out of a pipe.
    pub fn followed_by(self, rest: PipeReader) -> Message {
        Message { rest: Some(rest), ..self }
    }

    /// Has its deadlines count from when another one was sent.
    pub fn count_from(&mut self, since: Instant) {
        self.since = Some(since);
    }

    /// The body, and its memory, for another message.
    pub fn into_body(mut self) -> (Vec<u8>, Option<Share>) {
        match self.body.is_empty() {
            true => (self.first.split_off(self.head), self.share),
            false => (self.body, self.share),
        }
    }

    /// Has the parts of the exchange measured.
    pub fn measure(&mut self, timings: Option<Rc<Timings>>) {
        self.timings = timings;
    }

    /// Without what follows.
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.body.len() - if self.body.is_empty() { 0 } else { self.joined }
    }

    /// Whether a part of it is not kept, so that it cannot be sent twice.
    pub(super) fn is_streamed(&self) -> bool {
        self.rest.is_some()
    }

    /// Whether its response has no body (RFC 9110 §9.3.2).
    pub(super) fn is_head(&self) -> bool {
        self.first.starts_with(b"HEAD ")
    }

    /// Bytes that were sent so far.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Whether all is sent.
    pub(super) fn is_sent(&self) -> bool {
        self.kept().is_empty() && self.rest.as_ref().is_none_or(PipeReader::is_over)
    }

    /// Whether something is there to be sent, or nothing before more has come.
    pub(super) fn has_bytes(&self, context: &Context<'_>) -> bool {
        let rest = self.rest.as_ref().map(|rest| rest.poll_bytes(context));
        !self.kept().is_empty() || matches!(rest, Some(Poll::Ready(Some(_))))
    }

    /// Begins again.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Sends what is there. Ready once that was all of it.
    pub(super) fn poll_send(
        &mut self,
        context: &Context<'_>,
        socket: &mut Socket,
    ) -> Poll<io::Result<()>> {
        while !self.kept().is_empty() {
            self.sent += ready!(socket.poll_write(context, self.kept()))?;
        }
        let Some(rest) = &self.rest else { return Poll::Ready(Ok(())) };
        (self.body, self.share) = (Vec::new(), None);
        while let Some(bytes) = ready!(rest.poll_bytes(context)) {
            let count = ready!(socket.poll_write(context, &bytes))?;
            drop(bytes);
            rest.consume(count);
            self.sent += count;
        }
        Poll::Ready(Ok(()))
    }

    /// What is left to send of the bytes that are kept.
    fn kept(&self) -> &[u8] {
        self.kept_from(self.sent)
    }

    /// The same when so many were sent.
    fn kept_from(&self, sent: usize) -> &[u8] {
        match sent.checked_sub(self.first.len()) {
            None => &self.first[sent..],
            Some(beyond) => self.body.get(self.joined + beyond..).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::pipe;

    #[test]
    fn what_is_left_is_taken_out_if_it_is_wanted_and_else_copied_if_it_is_short() {
        let head = || b"head".to_vec();
        for left in [1, REST_BYTES_MAX, REST_BYTES_MAX + 1] {
            let mut message = Message::new(head(), vec![b'x'; 10 + left], None);
            message.sent = 14;
            let copy = message.rest(false).map(|rest| rest.first);
            assert_eq!(copy, (left <= REST_BYTES_MAX).then(|| vec![b'x'; left]));
            assert_eq!(message.len(), 14 + left);
            let taken = message.rest(true).unwrap();
            assert_eq!((taken.len() - taken.sent, message.len()), (left, 0));
        }
        let (_writer, reader) = pipe();
        let mut streamed = Message::new(head(), Vec::new(), None).followed_by(reader);
        streamed.sent = 5;
        assert!(streamed.rest(false).is_none(), "what follows is not known");
    }

    #[test]
    fn what_is_left_of_a_message_is_all_of_it_in_order() {
        for length in [0, 1, FIRST_WRITE_BYTES, FIRST_WRITE_BYTES + 1, 3 * FIRST_WRITE_BYTES] {
            let body: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let whole = [b"head\r\n\r\n".to_vec(), body.clone()].concat();
            let mut message = Message::new(b"head\r\n\r\n".to_vec(), body, None);
            assert_eq!(message.len(), whole.len());
            // Written in pieces of every kind of length.
            for piece in [1, 7, 4096, whole.len()] {
                message.rewind();
                let mut sent = Vec::new();
                while !message.is_sent() {
                    let kept = message.kept();
                    sent.extend_from_slice(&kept[..piece.min(kept.len())]);
                    message.sent = sent.len();
                }
                assert!(sent == whole, "{length} {piece}");
            }
            assert!(message.into_body().0 == whole[b"head\r\n\r\n".len()..], "{length}");
        }
    }
}
