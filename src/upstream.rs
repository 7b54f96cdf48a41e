//! One exchange with a provider: lease a connection, send the request, wait for the answer's head,
//! retry once where that is safe. Knows nothing of clients and of the configuration file.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::body::{BodyError, Decoder};
use crate::clock::{Alarm, Phase, Wait};
use crate::connect::{ConnectError, Origin};
use crate::head::{AnswerHead, HeadError, HeadScanner};
use crate::pool::{Lease, Pool, Turn};

/// 1xx answers before the real one.
const INTERIM_MAX: u32 = 16;
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

    /// What is left to send after `sent` bytes.
    fn rest(&self, sent: usize) -> &[u8] {
        match sent.checked_sub(self.first.len()) {
            None => &self.first[sent..],
            Some(beyond) => self.body.get(self.joined + beyond..).unwrap_or_default(),
        }
    }
}

/// How long an exchange may wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a free connection.
    pub queue: Duration,
    /// From sending the request to its answer.
    pub answer: Duration,
    /// How running out of the latter is named.
    pub phase: Phase,
}

/// The head of an answer, and the connection on which its body follows.
pub struct Answer {
    /// The connection. Dropping it cancels the exchange.
    pub lease: Lease,
    /// The head.
    pub head: AnswerHead,
    /// What came behind the head, still framed.
    pub buffer: Vec<u8>,
    /// Takes the framing off the body.
    pub decoder: Decoder,
    /// When the request was sent.
    pub sent_at: Instant,
    /// Whether the connection may serve again once the body is complete.
    pub reusable: bool,
}

/// Why there is no usable answer.
#[derive(Debug)]
pub enum ExchangeError {
    /// No turn came within this time.
    Busy(Wait),
    /// No connection.
    Connect(ConnectError),
    /// The answer did not come in time.
    Timeout(Wait),
    /// The connection broke.
    Io(io::Error),
    /// The connection was closed; whether part of an answer had come.
    Closed(bool),
    /// The answer's head is refused.
    Head(HeadError),
    /// The answer's body is refused.
    Body(BodyError),
    /// The answer is larger than allowed, in bytes.
    TooLarge(u64),
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExchangeError::Busy(wait)
            | ExchangeError::Timeout(wait)
            | ExchangeError::Connect(ConnectError::Timeout(wait)) => {
                write!(f, "{}超时 (timed out after {} s)", wait.phase, wait.length.as_secs_f64())
            }
            ExchangeError::Connect(ConnectError::Resolve(host, error)) => {
                write!(f, "域名 {host} 解析失败 (name not resolved): {error}")
            }
            ExchangeError::Connect(ConnectError::Tcp(error)) => {
                write!(f, "无法连接 (cannot connect): {error}")
            }
            ExchangeError::Connect(ConnectError::Tls(cause)) => {
                write!(f, "TLS失败 (TLS failed): {cause}")
            }
            ExchangeError::Io(error) => write!(f, "连接中断 (connection broke): {error}"),
            ExchangeError::Closed(false) => {
                f.write_str("连接在响应前被关闭 (closed before an answer)")
            }
            ExchangeError::Closed(true) => f.write_str("响应头被截断 (answer was cut short)"),
            ExchangeError::Head(error) => write!(f, "响应无效 (invalid answer): {error}"),
            ExchangeError::Body(error) => write!(f, "响应体无效 (invalid body): {error}"),
            ExchangeError::TooLarge(limit) => {
                write!(f, "响应过大，上限 {limit} 字节 (answer over {limit} bytes)")
            }
        }
    }
}

/// Sends `message` to `origin` and waits for the head of the answer.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn exchange(
    pool: &Rc<Pool>,
    origin: &Rc<Origin>,
    message: &Message,
    patience: Patience,
    turn: Turn,
    alarm: &Alarm,
) -> Result<Answer, ExchangeError> {
    let queue = Wait::new(Phase::Queue, alarm.now(), patience.queue);
    let mut permit = alarm.within(queue, pool.permit(turn)).await.map_err(ExchangeError::Busy)?;
    let mut attempt = 0;
    loop {
        let lease = pool.lease(permit, origin, attempt > 0).await;
        let lease = lease.map_err(ExchangeError::Connect)?;
        let mut sending = Sending::new(lease, alarm.now());
        let wait = Wait::new(patience.phase, sending.sent_at, patience.answer);
        let head = poll_fn(|context| sending.poll(context, message));
        match alarm.within(wait, head).await.map_err(ExchangeError::Timeout)? {
            Ok((head, decoder)) => return Ok(sending.into_answer(head, decoder, message)),
            Err(error)
                if may_retry(attempt, sending.lease.reused, sending.answer_bytes, &error) =>
            {
                attempt += 1;
                permit = sending.lease.into_permit();
            }
            Err(error) => return Err(error),
        }
    }
}

/// A provider may close an idle connection just as we use it; anything else is not ours to repeat.
fn may_retry(attempt: u32, reused: bool, answer_bytes: u64, error: &ExchangeError) -> bool {
    let died = matches!(error, ExchangeError::Closed(false) | ExchangeError::Io(_));
    attempt == 0 && reused && answer_bytes == 0 && died
}

/// An exchange until the head of its answer is complete.
struct Sending {
    lease: Lease,
    sent_at: Instant,
    sent: usize,
    write_error: Option<io::Error>,
    buffer: Vec<u8>,
    answer_bytes: u64,
    scanner: HeadScanner,
    interim: u32,
}

type Head = (AnswerHead, Decoder);

impl Sending {
    fn new(lease: Lease, sent_at: Instant) -> Sending {
        Sending {
            lease,
            sent_at,
            sent: 0,
            write_error: None,
            buffer: Vec::new(),
            answer_bytes: 0,
            scanner: HeadScanner::default(),
            interim: 0,
        }
    }

    /// Writes and reads at the same time: a provider may answer, say 413, while we still send.
    fn poll(
        &mut self,
        context: &Context<'_>,
        message: &Message,
    ) -> Poll<Result<Head, ExchangeError>> {
        self.poll_send(context, message);
        loop {
            match self.lease.socket.poll_fill(context, &mut self.buffer) {
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
                Poll::Ready(Ok(count)) => self.sent += count,
                // An answer may be waiting all the same: reading tells.
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => return,
            }
        }
    }

    /// The head of the final answer, once it is complete; interim answers are skipped.
    fn take_head(&mut self) -> Result<Option<Head>, HeadError> {
        while let Some(length) = self.scanner.scan(&self.buffer)? {
            let head = AnswerHead::parse(&self.buffer[..length])?;
            self.buffer.drain(..length);
            if head.status >= 200 {
                let decoder = Decoder::new(head.framing);
                return Ok(Some((head, decoder)));
            }
            self.interim += 1;
            // 101 would be the end of HTTP on this connection, and nobody asked for it.
            if head.status == 101 || self.interim > INTERIM_MAX {
                return Err(HeadError::Malformed("中间响应过多 (too many interim answers)"));
            }
            self.scanner = HeadScanner::default();
        }
        Ok(None)
    }

    fn into_answer(self, head: AnswerHead, decoder: Decoder, message: &Message) -> Answer {
        let reusable = head.keep_alive && message.rest(self.sent).is_empty();
        let Sending { lease, buffer, sent_at, .. } = self;
        Answer { lease, head, buffer, decoder, sent_at, reusable }
    }
}

impl Answer {
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
        let piece = match self.decoder.decode(&mut self.buffer) {
            Ok(piece) => piece,
            Err(error) => return Poll::Ready(Err(ExchangeError::Body(error))),
        };
        // What is left over means that the connection is out of step.
        self.reusable &= piece.consumed == self.buffer.len();
        if body.is_empty() && piece.data.start == 0 {
            self.buffer.truncate(piece.data.end);
            *body = std::mem::take(&mut self.buffer);
        } else {
            body.extend_from_slice(&self.buffer[piece.data]);
            self.buffer.clear();
        }
        Poll::Ready(Ok(self.decoder.is_done()))
    }

    /// The whole body, at most `limit` bytes. Returns the connection.
    ///
    /// # Errors
    /// See [`ExchangeError`]; time is for the caller to limit.
    pub async fn collect(mut self, limit: u64) -> Result<Vec<u8>, ExchangeError> {
        let mut body = Vec::new();
        while !poll_fn(|context| self.poll_body(context, &mut body)).await? {
            if body.len() as u64 > limit {
                return Err(ExchangeError::TooLarge(limit));
            }
        }
        if body.len() as u64 > limit {
            return Err(ExchangeError::TooLarge(limit));
        }
        self.finish();
        Ok(body)
    }

    /// Gives the connection back if it may serve again.
    pub fn finish(self) {
        if self.reusable {
            self.lease.release();
        }
    }
}
