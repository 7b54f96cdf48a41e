//! One exchange with a provider, in the order in which things happen, to the head of its response.
//!
//! ```text
//! Queued ──▶ Leasing ──▶ Sending ──▶ Waiting ──▶ Reading ──▶ Finished
//!    │        │   ▲       │   │       │   │         │       the connection is idle, or closed
//!    │        │   └─ once ┴───│───────┘   │         │
//!    ▼        ▼               └─────┬─────┘         ▼
//!   Busy   Connect    Timeout, Io, Closed,   Io, Body, TooLarge
//!                       Head, Redirect
//! ```
//!
//! Sending and Waiting are one struct, [`Sending`], that writes and reads at the same time: a
//! response may begin before the end of the request. Reading is [`UpstreamResponse`]. Dropping an
//! exchange, in any state, closes its connection and gives back its permit.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::language::Words;
use crate::runtime::{label, Permit, Timer, Wait, QUIET_MAX, UNACKNOWLEDGED_MAX};
use crate::upstream::connect::Origin;
use crate::upstream::pool::{Lease, Pool};
use crate::upstream::timeouts::Timeouts;
use crate::upstream::timings::{Part, Stopwatch};
use crate::wire::{Decoder, Framing, HeadError, HeadScanner, ResponseHead};

use self::repeat::may_repeat;

mod repeat;

pub use super::error::Error;
pub use super::message::Message;
pub use super::response::UpstreamResponse;

/// By then all that was sent is acknowledged, or the kernel has ended the connection: the provider
/// is alive and thinks.
const ACKNOWLEDGED_AFTER: Duration = Duration::from_secs(31);
const _: () = assert!(ACKNOWLEDGED_AFTER.as_secs() > UNACKNOWLEDGED_MAX.as_secs());
/// What every provider's kernel takes before the provider itself reads. A longer request may have
/// to wait for that: a server that works on one at a time lets the next one lie. Linux counts such
/// a wait, too, although each probe of it is acknowledged (tcp_probe_timer, Linux 6.18).
const UNREAD_BYTES_MAX: usize = 48 * 1024;
/// All bytes of 1xx responses before the final one: some providers send 102 as a sign of life.
const INTERIM_BYTES_MAX: usize = 64 * 1024;
/// Read at once: a head and a small body. What follows of a stream then goes through no buffer.
const READ_BYTES: usize = 16 * 1024;

/// Sends `message` to `origin` and waits for the head of the response. What is left of a message that is not
/// sent yet by then goes with the response; else it stays.
///
/// # Errors
/// See [`Error`].
pub async fn exchange(
    pool: &Rc<Pool>,
    origin: &Rc<Origin>,
    message: &mut Message,
    timeouts: &Timeouts,
    timer: &Timer,
) -> Result<UpstreamResponse, Error> {
    let mut watch = Stopwatch::start(message.timings.take(), timer);
    let permit = wait_for_permit(pool, timeouts.queue, timer).await;
    watch.lap(Part::Queue);
    let mut permit = permit?;
    let mut attempt = 0;
    // The repeat has no more time than the first attempt.
    let mut first_sent = None;
    loop {
        // A connection that may have died of age is not for what cannot be sent twice.
        let fresh = attempt > 0 || message.is_streamed();
        let lease = pool.lease(permit, origin, fresh).await;
        let opened = lease.as_ref().ok().filter(|lease| !lease.reused);
        watch.lap_connection(opened.map_or(Duration::ZERO, |lease| lease.took.tls));
        let lease = lease.map_err(Error::Connect)?;
        let since = message.since;
        let (sent_at, really_sent_at) =
            *first_sent.get_or_insert_with(|| (since.unwrap_or(timer.now()), timer.real_now()));
        let mut sending = Sending::new(lease, sent_at);
        let head = sending.head(message, timeouts, timer).await;
        watch.lap(Part::FirstByte);
        let error = match head {
            Ok((mut head, decoder)) if head.is_redirect() => {
                let error = Error::Redirect(head.status, head.location.take());
                sending.into_response(head, decoder, message).discard();
                return Err(error);
            }
            Ok((head, decoder)) => return Ok(sending.into_response(head, decoder, message)),
            Err(error) => error,
        };
        let age = timer.real_now() - really_sent_at;
        let Sending { lease, response_bytes, .. } = sending;
        if !error.is_death()
            || !may_repeat(attempt, lease.may_be_dead(), response_bytes, age, lease.took.tcp)
        {
            return Err(error);
        }
        attempt += 1;
        message.rewind();
        permit = lease.close_keeping_permit();
    }
}

/// The right to a connection, where one is needed.
async fn wait_for_permit(
    pool: &Pool,
    length: Option<Duration>,
    timer: &Timer,
) -> Result<Option<Permit>, Error> {
    let Some(length) = length else { return Ok(None) };
    let wait = Wait::new(label::QUEUE, timer.now(), length);
    let permit = timer.within(wait, pool.permits.take()).await;
    permit.map(Some).map_err(|wait| Error::Busy(pool.permits.limit(), wait))
}

type Head = (ResponseHead, Decoder);

/// An attempt, until the head of its response is complete.
struct Sending {
    lease: Lease,
    sent_at: Instant,
    write_error: Option<io::Error>,
    /// Whether a close would be a reset.
    resets: bool,
    buffer: Vec<u8>,
    /// Bytes of responses so far, interim ones included.
    response_bytes: u64,
    scanner: HeadScanner,
    /// Bytes of interim responses so far.
    interim: usize,
}

impl Sending {
    fn new(lease: Lease, sent_at: Instant) -> Sending {
        Sending {
            lease,
            sent_at,
            write_error: None,
            resets: false,
            buffer: Vec::new(),
            response_bytes: 0,
            scanner: HeadScanner::default(),
            interim: 0,
        }
    }

    /// Sends the request and waits for the head of its answer, in time.
    async fn head(
        &mut self,
        message: &mut Message,
        timeouts: &Timeouts,
        timer: &Timer,
    ) -> Result<Head, Error> {
        if message.is_streamed() {
            if let Some(head) = self.send_streamed(message, timeouts, timer).await? {
                return Ok(head);
            }
        } else if message.len() > UNREAD_BYTES_MAX && self.lease.was_alive(timer.now()) {
            self.lease.be_patient(None);
        }
        let all = timeouts.head(self.sent_at);
        let mut wait = all;
        wait.until = wait.until.min(timer.now() + ACKNOWLEDGED_AFTER);
        loop {
            let head = poll_fn(|context| self.poll_head(context, message));
            match timer.within(wait, head).await {
                Ok(head) => return head,
                Err(_) if wait.until < all.until => {
                    self.lease.be_patient(Some(QUIET_MAX));
                    wait = all;
                }
                Err(wait) => return Err(Error::Timeout(wait)),
            }
        }
    }

    /// Sends what is still to come of a request, at its sender's pace: only a provider that takes
    /// nothing is out of time. `Some` when the response's head is here before its end.
    async fn send_streamed(
        &mut self,
        message: &mut Message,
        timeouts: &Timeouts,
        timer: &Timer,
    ) -> Result<Option<Head>, Error> {
        self.lease.be_patient(None);
        let (mut sent, mut sent_at) = (0, timer.now());
        let head = poll_fn(|context| {
            if let Poll::Ready(head) = self.poll_head(context, message) {
                return Poll::Ready(head.map(Some));
            }
            if message.is_sent() || self.write_error.is_some() {
                return Poll::Ready(Ok(None));
            }
            if message.sent() != sent || !message.has_bytes(context) {
                (sent, sent_at) = (message.sent(), timer.now());
            }
            let wait = Wait::new(label::WRITE_TO_PROVIDER, sent_at, timeouts.stream);
            timer.set(Some(wait.until));
            if timer.poll_due(context) {
                return Poll::Ready(Err(Error::Timeout(wait)));
            }
            Poll::Pending
        })
        .await;
        timer.set(None);
        self.sent_at = timer.now();
        head
    }

    /// Writes and reads at the same time: a provider may respond, say with 413, while we still
    /// send.
    fn poll_head(
        &mut self,
        context: &Context<'_>,
        message: &mut Message,
    ) -> Poll<Result<Head, Error>> {
        self.poll_send(context, message);
        loop {
            let fill = self.lease.socket.poll_fill_some(context, &mut self.buffer, READ_BYTES);
            match fill {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Error::Io(self.write_error.take().unwrap_or(error))));
                }
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(match self.write_error.take() {
                        Some(error) if self.response_bytes == 0 => Error::Io(error),
                        _ => Error::Closed(self.response_bytes > 0),
                    }));
                }
                Poll::Ready(Ok(count)) => self.response_bytes += count as u64,
            }
            match self.take_head(message.is_head()) {
                Ok(None) => {}
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Err(error) => return Poll::Ready(Err(Error::Head(error))),
            }
        }
    }

    fn poll_send(&mut self, context: &Context<'_>, message: &mut Message) {
        if self.write_error.is_some() {
            return;
        }
        let resets = match message.poll_send(context, &mut self.lease.socket) {
            Poll::Ready(Ok(())) => false,
            Poll::Pending => true,
            // A response may have come all the same: reading tells.
            Poll::Ready(Err(error)) => return self.write_error = Some(error),
        };
        if resets != self.resets {
            self.set_resets(resets);
        }
    }

    /// Whether a close is a reset: any other close would first send what the kernel holds of a
    /// request that is not wanted any more, to a provider that may not even read.
    fn set_resets(&mut self, resets: bool) {
        self.resets = resets;
        self.lease.socket.reset_on_close(resets);
    }

    /// The head of the final response, once it is complete; interim responses are skipped.
    fn take_head(&mut self, of_head: bool) -> Result<Option<Head>, HeadError> {
        // A banner or other noise is refused at once, without waiting for the end of a head.
        if !self.buffer.iter().zip(b"HTTP/1.").all(|(byte, wanted)| byte == wanted) {
            return Err(HeadError::of_other_protocol(&self.buffer));
        }
        while let Some((mut head, length)) = self.scanner.read(&self.buffer, ResponseHead::parse)? {
            self.buffer.drain(..length);
            if head.status >= 200 {
                if of_head {
                    head.set_bodiless();
                }
                let decoder = Decoder::new(head.framing);
                return Ok(Some((head, decoder)));
            }
            // It would be the end of HTTP on this connection, and no request of ours asks for it.
            if head.status == 101 {
                let reason = &Words("意外的101响应", "101 that nobody asked for");
                return Err(HeadError::Malformed(reason));
            }
            self.interim += length;
            if self.interim > INTERIM_BYTES_MAX {
                return Err(HeadError::Malformed(&Words(
                    "中间响应过多",
                    "too many interim answers",
                )));
            }
            self.scanner = HeadScanner::default();
        }
        Ok(None)
    }

    fn into_response(
        self,
        head: ResponseHead,
        decoder: Decoder,
        message: &mut Message,
    ) -> UpstreamResponse {
        let sent = message.is_sent();
        // A refusal does not want the rest of the request, but the next one can begin only behind it;
        // any other early response may.
        let wanted = head.status < 400 && !head.is_redirect();
        let goes_on = !sent && self.write_error.is_none() && (wanted || head.keep_alive);
        let unsent = if goes_on { message.rest(wanted) } else { None };
        let in_step = head.keep_alive && (sent || unsent.is_some());
        let reusable = in_step && head.framing != Framing::UntilClose;
        let Sending { lease, buffer, sent_at, .. } = self;
        UpstreamResponse { lease, head, buffer, decoder, sent_at, reusable, unsent }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_repeat;
