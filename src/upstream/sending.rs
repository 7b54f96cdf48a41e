//! An exchange from its first byte to the head of its answer.

use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use super::exchange::{ExchangeError, Message, UpstreamResponse};
use crate::upstream::pool::Lease;
use crate::wire::body::Decoder;
use crate::wire::head::{HeadError, HeadScanner, ResponseHead};

/// All bytes of 1xx answers before the real one: some providers send 102 as a sign of life.
const INTERIM_BYTES_MAX: usize = 64 * 1024;
/// Read at once: a head and a small body. What follows of a stream then goes through no buffer.
const READ_BYTES: usize = 16 * 1024;

/// An exchange until the head of its answer is complete.
pub(super) struct Sending {
    pub(super) lease: Lease,
    pub(super) sent_at: Instant,
    sent: usize,
    write_error: Option<io::Error>,
    /// Whether a close would be a reset.
    resets: bool,
    buffer: Vec<u8>,
    /// Bytes of answers so far, interim ones included.
    pub(super) answer_bytes: u64,
    scanner: HeadScanner,
    /// Bytes of interim answers so far.
    interim: usize,
}

pub(super) type Head = (ResponseHead, Decoder);

impl Sending {
    pub(super) fn new(lease: Lease, sent_at: Instant) -> Sending {
        Sending {
            lease,
            sent_at,
            sent: 0,
            write_error: None,
            resets: false,
            buffer: Vec::new(),
            answer_bytes: 0,
            scanner: HeadScanner::default(),
            interim: 0,
        }
    }

    /// Writes and reads at the same time: a provider may answer, say 413, while we still send.
    pub(super) fn poll(
        &mut self,
        context: &Context<'_>,
        message: &Message,
    ) -> Poll<Result<Head, ExchangeError>> {
        self.poll_send(context, message);
        loop {
            let fill = self.lease.socket.poll_fill_some(context, &mut self.buffer, READ_BYTES);
            match fill {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(ExchangeError::Io(
                        self.write_error.take().unwrap_or(error),
                    )));
                }
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(match self.write_error.take() {
                        Some(error) if self.answer_bytes == 0 => ExchangeError::Io(error),
                        _ => ExchangeError::Closed(self.answer_bytes > 0),
                    }));
                }
                Poll::Ready(Ok(count)) => self.answer_bytes += count as u64,
            }
            match self.take_head() {
                Ok(None) => {}
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Err(error) => return Poll::Ready(Err(ExchangeError::Head(error))),
            }
        }
    }

    fn poll_send(&mut self, context: &Context<'_>, message: &Message) {
        while self.write_error.is_none() {
            let rest = message.rest(self.sent);
            if rest.is_empty() {
                return;
            }
            match self.lease.socket.poll_write(context, rest) {
                Poll::Ready(Ok(count)) => {
                    self.sent += count;
                    if self.resets && message.rest(self.sent).is_empty() {
                        self.set_resets(false);
                    }
                }
                // An answer may be waiting all the same: reading tells.
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => {
                    if !self.resets {
                        self.set_resets(true);
                    }
                    return;
                }
            }
        }
    }

    /// Whether leaving is a reset: a close would first send what the kernel holds of a request that
    /// is not wanted any more, to a provider that may not even read.
    fn set_resets(&mut self, resets: bool) {
        self.resets = resets;
        self.lease.socket.reset_on_close(resets);
    }

    /// The head of the final answer, once it is complete; interim answers are skipped.
    fn take_head(&mut self) -> Result<Option<Head>, HeadError> {
        // A banner or other noise is refused at once, without waiting for the end of a head.
        if !self.buffer.iter().zip(b"HTTP/1.").all(|(byte, wanted)| byte == wanted) {
            return Err(HeadError::Malformed("不是HTTP/1响应 (not an HTTP/1 answer)"));
        }
        while let Some(length) = self.scanner.scan(&self.buffer)? {
            let head = ResponseHead::parse(&self.buffer[..length])?;
            self.buffer.drain(..length);
            if head.status >= 200 {
                let decoder = Decoder::new(head.framing);
                return Ok(Some((head, decoder)));
            }
            // It would be the end of HTTP on this connection, and nobody asked for it.
            if head.status == 101 {
                return Err(HeadError::Malformed("意外的101响应 (101 that nobody asked for)"));
            }
            self.interim += length;
            if self.interim > INTERIM_BYTES_MAX {
                return Err(HeadError::Malformed("中间响应过多 (too many interim answers)"));
            }
            self.scanner = HeadScanner::default();
        }
        Ok(None)
    }

    pub(super) fn into_answer(
        self,
        head: ResponseHead,
        decoder: Decoder,
        message: Message,
    ) -> UpstreamResponse {
        let sent = message.rest(self.sent).is_empty();
        // A refusal does not want the rest of the request; any other early answer may.
        let wanted = !sent && head.status < 400 && self.write_error.is_none();
        let unsent = wanted.then(|| Box::new((message, self.sent)));
        let reusable = head.keep_alive && sent;
        let Sending { lease, buffer, sent_at, .. } = self;
        UpstreamResponse { lease, head, buffer, decoder, sent_at, reusable, unsent }
    }
}
