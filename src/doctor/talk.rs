//! A request to the provider under examination and all of its response, in its time, over the
//! product's own exchange.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use super::record::Record;
use super::way::Way;
use crate::config::Config;
use crate::routes::query::{self, LIST_BYTES_MAX};
use crate::runtime::{label, Reactor, Timer, Wait};
use crate::state::Listed;
use crate::upstream::{
    exchange, Error, Message, Pool, PoolLimits, Provider, Timeouts, Tls, UpstreamResponse,
};
use crate::wire::{fields, Framing};

/// One connection at a time, which serves again.
const LIMITS: PoolLimits =
    PoolLimits { leases_max: 1, idle_max: 1, idle_age_max: Duration::from_secs(30) };
/// With less time than this nothing more is begun.
const TIME_MIN: Duration = Duration::from_millis(500);
/// How long a connection may stay open that its client has left.
const LEAVING_MAX: Duration = Duration::from_secs(2);

/// What is examined, and how.
pub struct Examination<'a> {
    /// All that the file says.
    pub config: &'a Config,
    /// Which provider, at the address that was meant.
    pub provider: Rc<Provider>,
    /// What is written down.
    pub record: Rc<Record>,
    /// Whether chats are tried, too.
    pub spend: bool,
    /// What is asked, or is to be.
    pub step: Step,
    /// Another address that may be the one that was meant.
    pub meant: Option<Rc<Provider>>,
    /// The models that the provider names.
    pub list: Vec<Listed>,
    /// The model that chats.
    pub model: String,
    /// The limit of tokens has its other name.
    pub renamed: bool,
    /// When the last chat was begun.
    pub begun: Instant,
    pool: Rc<Pool>,
    reactor: Rc<Reactor>,
    /// When it must be over.
    until: Instant,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The models.
    Models,
    /// The same over TLS, where that was not asked for.
    Tls,
    /// The same below `/v1`.
    V1,
    /// A chat of one token.
    Chat,
    /// The same with another name for its limit.
    Renamed,
    /// A chat that streams.
    Stream,
    /// The same, and away.
    Cancel,
    /// Nothing more.
    Done,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its framing says.
    Whole,
    /// Before that.
    Cut,
    /// Not in time.
    Late,
    /// Not within [`LIST_BYTES_MAX`].
    TooLong,
}

/// A response.
pub struct Talk {
    /// Its status.
    pub status: u16,
    /// Its head.
    pub head: Vec<u8>,
    /// Its body, as much of it as has come.
    pub text: Vec<u8>,
    /// How it ended.
    pub end: End,
    /// In how many pieces its body came: as the server wrote them, where the framing tells.
    pub pieces: usize,
    /// How long its head took.
    pub head_took: Duration,
    /// When the first of its body came.
    pub first: Duration,
    /// How long all of it took.
    pub took: Duration,
    /// How long the end took of a connection that its client has left.
    pub leaving: Duration,
}

impl Talk {
    /// Whether it may be a list.
    pub fn is_list(&self) -> bool {
        self.status == 200 && self.end == End::Whole
    }

    /// Whether it is a page for people.
    pub fn is_page(&self) -> bool {
        query::is_page(&self.head, &self.text)
    }

    /// The value of its field `Date`.
    pub fn date(&self) -> Option<&str> {
        std::str::from_utf8(fields(&self.head, "date").next()?).ok()
    }
}

/// What is said to a provider.
pub struct Request {
    /// To whom.
    pub provider: Rc<Provider>,
    /// The head.
    pub head: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it and its response may take.
    pub length: Duration,
    /// Whether to leave when the body of the response has begun.
    pub leaves: bool,
}

impl<'a> Examination<'a> {
    /// Nothing was asked yet. `without_ca`: there are no CA certificates.
    pub fn new(
        (config, provider, spend): (&'a Config, &Rc<Provider>, bool),
        (reactor, tls): (&Rc<Reactor>, &Rc<Tls>),
        record: &Rc<Record>,
        (without_ca, until): (bool, Instant),
    ) -> Examination<'a> {
        let way = Box::new(Way::new(reactor, tls, record, (without_ca, until)));
        let pool = Pool::with_connector(&reactor.clock, LIMITS, tls.clone(), way);
        pool.configure(LIMITS, std::slice::from_ref(&provider.origin));
        let (provider, record, reactor) = (provider.clone(), record.clone(), reactor.clone());
        Examination {
            config,
            provider,
            record,
            spend,
            step: Step::Models,
            meant: None,
            list: Vec::new(),
            model: String::new(),
            renamed: false,
            begun: Instant::now(),
            pool,
            reactor,
            until,
        }
    }

    /// Whether there is time for something more.
    pub fn has_time(&self) -> bool {
        self.reactor.clock.now() + TIME_MIN < self.until
    }

    /// Sends a request and reads what comes, until it is all there or the time is over.
    ///
    /// # Errors
    /// There is no head of a response.
    pub async fn talk(&self, request: Request) -> Result<Talk, Error> {
        let begun = Instant::now();
        let message = Message::new(request.head, request.body, None);
        let timeouts = Timeouts::query(request.length);
        let timer = Timer::new(&self.reactor.clock);
        let asking = exchange(&self.pool, &request.provider.origin, message, &timeouts, &timer);
        let mut wait = Wait::new(label::WHOLE_ANSWER, timer.now(), request.length);
        wait.until = self.until;
        let outer = Timer::new(&self.reactor.clock);
        let response = outer.within(wait, asking).await.map_err(Error::Timeout)??;
        // Its connection may have had to be opened first.
        let sent_at = self.record.connected_at.get().max(begun);
        let head_took = sent_at.elapsed();
        let until = timer.now() + request.length.saturating_sub(head_took);
        let mut reading = Reading::new(response, sent_at, request.leaves);
        timer.set(Some(until.min(self.until)));
        let end = poll_fn(|context| match reading.poll(context, &timer) {
            Poll::Pending if timer.poll_due(context) => Poll::Ready(End::Late),
            poll => poll,
        })
        .await;
        let mut talk = reading.into_talk(end);
        (talk.head_took, talk.took) = (head_took, sent_at.elapsed());
        Ok(talk)
    }
}

/// A response while it is read.
struct Reading {
    response: UpstreamResponse,
    sent_at: Instant,
    /// The body as it came, framed.
    raw: Vec<u8>,
    text: Vec<u8>,
    reads: usize,
    first: Duration,
    leaves: bool,
    left_at: Option<Instant>,
}

impl Reading {
    fn new(response: UpstreamResponse, sent_at: Instant, leaves: bool) -> Reading {
        let (raw, text, first) = (Vec::new(), Vec::new(), Duration::ZERO);
        Reading { response, sent_at, raw, text, reads: 0, first, leaves, left_at: None }
    }

    fn poll(&mut self, context: &Context<'_>, timer: &Timer) -> Poll<End> {
        loop {
            if self.left_at.is_none() {
                if self.take().is_err() {
                    return Poll::Ready(End::Cut);
                }
                match () {
                    () if self.leaves && !self.text.is_empty() => {
                        self.response.lease.socket.shutdown_write();
                        self.left_at = Some(Instant::now());
                        timer.set(Some(timer.now() + LEAVING_MAX));
                    }
                    () if self.response.decoder.is_done() => return Poll::Ready(End::Whole),
                    () if self.text.len() as u64 > LIST_BYTES_MAX => {
                        return Poll::Ready(End::TooLong);
                    }
                    () => {}
                }
            }
            self.response.buffer.clear();
            let UpstreamResponse { lease, buffer, decoder, .. } = &mut self.response;
            let read: io::Result<usize> = ready!(lease.socket.poll_fill(context, buffer));
            match read {
                Ok(1..) => {}
                // One without `close_notify`, too: whether it is the end, the framing tells.
                _ if self.left_at.is_some() || decoder.end().is_ok() => {
                    return Poll::Ready(End::Whole);
                }
                _ => return Poll::Ready(End::Cut),
            }
        }
    }

    /// Takes what has come out of its framing.
    fn take(&mut self) -> Result<(), Error> {
        if self.response.buffer.is_empty() {
            return Ok(());
        }
        self.raw.extend_from_slice(&self.response.buffer);
        let piece = self.response.take_buffer()?;
        if self.text.is_empty() {
            self.first = self.sent_at.elapsed();
        }
        self.reads += usize::from(!piece.is_empty());
        self.text.extend_from_slice(&piece);
        Ok(())
    }

    fn into_talk(mut self, end: End) -> Talk {
        let (status, framing) = (self.response.head.status, self.response.head.framing);
        let head = std::mem::take(&mut self.response.head.relayed);
        let pieces = match framing {
            Framing::Chunked => chunks(&self.raw),
            Framing::UntilClose => self.reads,
            _ => 1,
        };
        if end == End::Whole && self.left_at.is_none() {
            self.response.finish();
        }
        let leaving = self.left_at.map_or(Duration::ZERO, |at| at.elapsed());
        let (head_took, took) = (Duration::ZERO, Duration::ZERO);
        let (text, first) = (self.text, self.first);
        Talk { status, head, text, end, pieces, head_took, first, took, leaving }
    }
}

/// How many chunks with data there are in a chunked body.
fn chunks(mut raw: &[u8]) -> usize {
    let mut count = 0;
    while let Some(end) = memchr::memchr(b'\n', raw) {
        let digits = raw[..end].split(|byte| !byte.is_ascii_hexdigit()).next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        let size = usize::from_str_radix(digits, 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        count += 1;
        // Behind the data comes a line end.
        raw = raw.get(end.saturating_add(size).saturating_add(3)..).unwrap_or_default();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_counted_as_they_were_written() {
        for (raw, count) in [
            (&b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n"[..], 2),
            (b"3\r\nabc\r\n0\r\n\r\n", 1),
            (b"3\r\nabc\r\n3\r\na", 2),
            (b"0\r\n\r\n", 0),
            (b"ffffffffffffffff\r\na", 1),
            (b"x", 0),
            (b"", 0),
        ] {
            assert_eq!(chunks(raw), count, "{}", String::from_utf8_lossy(raw));
        }
    }
}
