//! One exchange with a provider: lease a connection, send the request, wait for the answer's head,
//! retry once where that is safe. Knows nothing of clients and of the configuration file.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::runtime::blocking::{offload, IN_PLACE_BYTES_MAX};
use crate::runtime::socket::{QUIET_MAX, UNACKNOWLEDGED_MAX};
use crate::runtime::timer::{Phase, Timer, Wait};
use crate::upstream::connect::Origin;
use crate::upstream::pool::{Lease, Pool};
use crate::wire::body::{Decoder, Framing};
use crate::wire::head::ResponseHead;

use super::sending::Sending;

pub use super::error::ExchangeError;

/// A reused connection that dies later than this after the request, if TCP took next to nothing to
/// connect, may have died of the request.
const REPEAT_WITHIN_MIN: Duration = Duration::from_millis(20);
/// The same, however long TCP took to connect.
const REPEAT_WITHIN_MAX: Duration = Duration::from_millis(500);
/// By then all that was sent is acknowledged, or the kernel has ended the connection: the provider is
/// alive and thinks.
const ACKNOWLEDGED_AFTER: Duration = Duration::from_secs(31);
const _: () = assert!(ACKNOWLEDGED_AFTER.as_secs() > UNACKNOWLEDGED_MAX.as_secs());
/// What every provider's kernel takes before the provider itself reads. A longer request may have to
/// wait for that: a server that works on one at a time lets the next one lie. Linux counts such a wait,
/// too, although each probe of it is acknowledged (tcp_probe_timer, Linux 6.18).
const UNREAD_BYTES_MAX: usize = 48 * 1024;
/// The start of the body that goes out in one write with the head.
const FIRST_WRITE_BYTES: usize = 16 * 1024;

/// A request, encoded. It is kept until the answer begins, for a retry.
pub struct Message {
    /// The head and the start of the body.
    first: Vec<u8>,
    body: Vec<u8>,
    /// How much of the body is in `first`.
    joined: usize,
}

impl Message {
    /// Joins a head, which ends with its empty line, and a body.
    pub fn new(mut head: Vec<u8>, body: Vec<u8>) -> Message {
        let joined = body.len().min(FIRST_WRITE_BYTES);
        head.extend_from_slice(&body[..joined]);
        let body = if joined == body.len() { Vec::new() } else { body };
        Message { first: head, body, joined }
    }

    fn len(&self) -> usize {
        self.first.len() + self.body.len() - if self.body.is_empty() { 0 } else { self.joined }
    }

    /// What is left to send after `sent` bytes.
    pub(super) fn rest(&self, sent: usize) -> &[u8] {
        match sent.checked_sub(self.first.len()) {
            None => &self.first[sent..],
            Some(beyond) => self.body.get(self.joined + beyond..).unwrap_or_default(),
        }
    }
}

/// How long an exchange may wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For its turn to have a connection; `None` for requests that do not take turns: probes and
    /// listings, of which there is one per provider.
    pub queue: Option<Duration>,
    /// From sending the request to its answer.
    pub answer: Duration,
    /// How running out of the latter is named.
    pub phase: Phase,
}

/// The head of an answer, and the connection on which its body follows.
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
    /// Whether the connection may serve again once the body is complete.
    pub reusable: bool,
    /// The request, and how much of it was sent, when the answer began before its end.
    pub(super) unsent: Option<Box<(Message, usize)>>,
}

/// Sends `message` to `origin` and waits for the head of the answer.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn exchange(
    pool: &Rc<Pool>,
    origin: &Rc<Origin>,
    message: Message,
    patience: Patience,
    timer: &Timer,
) -> Result<UpstreamResponse, ExchangeError> {
    let mut permit = None;
    if let Some(length) = patience.queue {
        let wait = Wait::new(Phase::Queue, timer.now(), length);
        let taken = timer.within(wait, pool.permits.take()).await;
        permit = Some(taken.map_err(|wait| ExchangeError::Busy(pool.permits.limit(), wait))?);
    }
    let mut attempt = 0;
    let mut first_sent = None;
    loop {
        let lease = pool.lease(permit, origin, attempt > 0).await;
        let lease = lease.map_err(ExchangeError::Connect)?;
        let (sent_at, really) = *first_sent.get_or_insert((timer.now(), timer.real_now()));
        let mut sending = Sending::new(lease, sent_at);
        if message.len() > UNREAD_BYTES_MAX && sending.lease.was_alive(sent_at) {
            sending.lease.be_patient(None);
        }
        let wait = Wait::new(patience.phase, sent_at, patience.answer);
        let thinks = Wait::new(patience.phase, sent_at, ACKNOWLEDGED_AFTER);
        let mut next = if thinks.until < wait.until { thinks } else { wait };
        let head = loop {
            let head = poll_fn(|context| sending.poll(context, &message));
            match timer.within(next, head).await {
                Ok(head) => break head,
                Err(_) if next.until < wait.until => {
                    sending.lease.be_patient(Some(QUIET_MAX));
                    next = wait;
                }
                Err(wait) => return Err(ExchangeError::Timeout(wait)),
            }
        };
        match head {
            Ok((head, _)) if head.is_redirect() => {
                return Err(ExchangeError::Redirect(head.status, head.location));
            }
            Ok((head, decoder)) => return Ok(sending.into_answer(head, decoder, message)),
            Err(error) if may_retry(attempt, &sending, timer.real_now() - really, &error) => {
                attempt += 1;
                permit = sending.lease.into_permit();
            }
            Err(error) => return Err(error),
        }
    }
}

/// A provider may close an idle connection just as we use it. Anything else is not ours to repeat:
/// a request that it has begun to work on may cost money (RFC 9110 §9.2.2).
fn may_retry(attempt: u32, sending: &Sending, age: Duration, error: &ExchangeError) -> bool {
    let died = matches!(error, ExchangeError::Closed(false) | ExchangeError::Io(_));
    let lease = &sending.lease;
    let idle_death =
        lease.reused && sending.answer_bytes == 0 && age < repeat_within(lease.tcp_took);
    attempt == 0 && died && idle_death
}

/// How soon after the request the news must come that its connection was dead already: a round trip,
/// which is what TCP took to connect, and as much again for delays.
fn repeat_within(tcp_took: Duration) -> Duration {
    (2 * tcp_took).clamp(REPEAT_WITHIN_MIN, REPEAT_WITHIN_MAX)
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
        while let Some((message, sent)) = self.unsent.as_deref_mut() {
            match self.lease.socket.poll_write(context, message.rest(*sent)) {
                Poll::Ready(Ok(count)) => {
                    *sent += count;
                    if message.rest(*sent).is_empty() {
                        self.unsent = None;
                        self.lease.socket.reset_on_close(false);
                    }
                }
                // Nobody takes it any more: reading tells how the answer ends.
                Poll::Ready(Err(_)) => self.unsent = None,
                Poll::Pending => return,
            }
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
    ) -> Poll<Result<bool, ExchangeError>> {
        if self.buffer.is_empty() && !self.decoder.is_done() {
            self.poll_send(context);
            match self.lease.socket.poll_fill(context, &mut self.buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(ExchangeError::Io(error))),
                Poll::Ready(Ok(0)) => {
                    let end = self.decoder.end().map_err(ExchangeError::Body);
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
            body.extend_from_slice(&piece);
        }
        Poll::Ready(Ok(self.decoder.is_done()))
    }

    /// What has come of the body and was not taken yet, without its framing.
    ///
    /// # Errors
    /// [`ExchangeError::Body`].
    pub fn take_buffer(&mut self) -> Result<Vec<u8>, ExchangeError> {
        let mut bytes = std::mem::take(&mut self.buffer);
        let piece = self.decoder.decode(&mut bytes).map_err(ExchangeError::Body)?;
        if let Some(error) = self.decoder.failure() {
            return Err(ExchangeError::Body(error));
        }
        // What is left over means that the connection is out of step.
        self.reusable &= piece.consumed == bytes.len();
        bytes.truncate(piece.data.end);
        bytes.drain(..piece.data.start);
        Ok(bytes)
    }

    /// The whole body, at most `limit` bytes. Returns the connection.
    ///
    /// # Errors
    /// See [`ExchangeError`]; time is for the caller to limit.
    pub async fn collect(mut self, limit: u64) -> Result<Vec<u8>, ExchangeError> {
        let mut body = Vec::new();
        loop {
            let done = match poll_fn(|context| self.poll_body(context, &mut body)).await {
                Err(ExchangeError::Io(error)) if self.ends_whole(&error, &mut body).await => true,
                other => other?,
            };
            if body.len() as u64 > limit {
                return Err(ExchangeError::TooLarge(limit));
            }
            if done {
                self.finish();
                return Ok(body);
            }
        }
    }

    /// Whether a body is complete although TLS was not ended in order (RFC 8446 §6.1), which many
    /// servers leave out and anybody on the way could have caused: a JSON document shows its own end.
    pub async fn ends_whole(&mut self, error: &io::Error, body: &mut Vec<u8>) -> bool {
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

    /// Gives the connection back if it may serve again.
    pub fn finish(self) {
        if self.reusable && self.decoder.is_done() {
            self.lease.release();
        }
    }
}

/// Whether a text is one whole object or array.
fn is_json(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_news_of_an_idle_death_may_take_two_round_trips_within_bounds() {
        for (took, within) in [(0, 20), (3, 20), (10, 20), (40, 80), (250, 500), (9000, 500)] {
            let took = Duration::from_millis(took);
            assert_eq!(repeat_within(took), Duration::from_millis(within), "{took:?}");
        }
    }
}
