//! The mock upstream, plain or over TLS: one thread, edge-triggered epoll, answers prepared at start. It is
//! meant to cost a fraction of the proxies and to hold 10,000 streams. It answers 400 when a request body did not arrive
//! exactly as [`payload`] makes it. It ends when its standard input ends, so it cannot outlive the bench.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use openssl::ssl::SslContext;
use rustix::event::{epoll, poll, PollFd, PollFlags, Timespec};
use slab::Slab;

use crate::authority::{self, Manner};
use crate::net;
use crate::payload::{self, Model, CHUNK_BYTES, EVENTS};
use crate::request::{self, Asked};
use crate::stream::Stream;

const LISTENER: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;
/// Between two events of a paced stream.
const PACE: Duration = Duration::from_millis(10);
/// The same over TLS, where ten times as many streams are open.
const PACE_TLS: Duration = Duration::from_millis(100);
/// A paced stream that nobody closes ends some time.
const PACED_EVENTS_MAX: usize = 12_000;
/// An `events` answer goes out in pieces of this many chunks, one write each.
const CHUNKS_PER_WRITE: usize = 25;
const SCRATCH_BYTES: usize = 64 * 1024;

/// Every answer, laid end to end in one buffer.
struct Answers {
    bytes: Vec<u8>,
    small: Range<usize>,
    /// The same, after which the connection closes.
    small_last: Range<usize>,
    big: Range<usize>,
    events: Range<usize>,
    hold: Range<usize>,
    models: Range<usize>,
    refusal: Range<usize>,
}

impl Answers {
    fn new() -> Answers {
        let mut bytes = Vec::new();
        let mut add = |parts: &[&[u8]]| {
            let start = bytes.len();
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
            start..bytes.len()
        };
        let last = |body: &[u8], last| [&payload::json_head(body.len(), last)[..], body].concat();
        let json = |body: &[u8]| last(body, false);
        let (head, chunks) = (payload::stream_head(), payload::stream_chunks());
        let events = add(&[&head, &chunks, b"0\r\n\r\n"]);
        Answers {
            hold: events.start..events.start + head.len() + CHUNK_BYTES,
            events,
            small: add(&[&json(&Model::Small.answer_body())]),
            small_last: add(&[&last(&Model::Small.answer_body(), true)]),
            big: add(&[&json(&Model::Big.answer_body())]),
            models: add(&[&json(br#"{"object":"list","data":[{"id":"small","object":"model"}]}"#)]),
            refusal: add(&[b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"]),
            bytes,
        }
    }

    /// The chunk that stands `index` events into a stream.
    fn chunk(&self, index: usize) -> Range<usize> {
        let start = self.hold.end + (index % EVENTS) * CHUNK_BYTES - CHUNK_BYTES;
        start..start + CHUNK_BYTES
    }
}

struct Conn {
    stream: Stream,
    /// Part of a request; empty nearly always.
    head: Vec<u8>,
    /// What is still to be written.
    out: Range<usize>,
    /// At most this much in one write.
    piece: usize,
    /// Events sent, for a paced stream.
    paced: Option<usize>,
    /// It ends with what is being written.
    last: bool,
}

struct Mock {
    epoll: OwnedFd,
    listener: TcpListener,
    tls: Option<SslContext>,
    /// Whether a connection ends after a small answer.
    closes: bool,
    pace: Duration,
    answers: Answers,
    conns: Slab<Conn>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    scratch: Vec<u8>,
}

/// Serves without TLS.
pub fn serve() -> io::Result<()> {
    run(None, false, PACE)
}

/// Serves over TLS, and writes the roots to trust to `roots` first.
pub fn serve_tls(roots: &Path, manner: Manner, rsa: bool) -> io::Result<()> {
    let context = authority::context(roots, manner, rsa)?;
    run(Some(context), manner != Manner::Keeps, PACE_TLS)
}

/// Serves until standard input ends; prints the port first.
fn run(tls: Option<SslContext>, closes: bool, pace: Duration) -> io::Result<()> {
    let listener = net::listen()?;
    println!("{}", listener.local_addr()?.port());
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    epoll::add(&epoll, io::stdin(), epoll::EventData::new_u64(STDIN), epoll::EventFlags::IN)?;
    let mut mock = Mock {
        epoll,
        listener,
        tls,
        closes,
        pace,
        answers: Answers::new(),
        conns: Slab::new(),
        due: BinaryHeap::new(),
        scratch: vec![0; SCRATCH_BYTES],
    };
    let mut events = Vec::with_capacity(512);
    loop {
        let timeout = mock.until_due();
        net::wait(&mock.epoll, &mut events, timeout)?;
        for event in &events {
            match event.data.u64() {
                LISTENER => mock.accept()?,
                STDIN => return Ok(()),
                key => mock.ready(key as usize),
            }
        }
        mock.tick();
    }
}

impl Mock {
    /// Sleeps here, to the microsecond, while streams are paced; `epoll_wait` counts in milliseconds.
    fn until_due(&self) -> Option<Duration> {
        let Reverse((due, _)) = self.due.peek()?;
        let left = due.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        // An interrupted sleep only means an early look round.
        let _ = poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&left));
        Some(Duration::ZERO)
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e),
            };
            let stream = Stream::new(stream, self.tls.as_ref())?;
            let slot = self.conns.vacant_entry();
            net::register(&self.epoll, stream.socket(), slot.key())?;
            slot.insert(Conn {
                stream,
                head: Vec::new(),
                out: 0..0,
                piece: usize::MAX,
                paced: None,
                last: false,
            });
        }
    }

    fn ready(&mut self, key: usize) {
        // The key is stale when the connection ended earlier in the same batch.
        if !self.conns.contains(key) {
            return;
        }
        if self.write(key).and_then(|()| self.read(key)).is_err() {
            self.conns.remove(key);
        }
    }

    fn read(&mut self, key: usize) -> io::Result<()> {
        loop {
            let conn = &mut self.conns[key];
            let count = match conn.stream.read(&mut self.scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            };
            let asked = if conn.head.is_empty() {
                request::parse(&self.scratch[..count])
            } else {
                conn.head.extend_from_slice(&self.scratch[..count]);
                request::parse(&conn.head)
            };
            match asked {
                Some(asked) => {
                    conn.head.clear();
                    self.answer(key, asked)?;
                }
                None if conn.head.is_empty() => conn.head.extend_from_slice(&self.scratch[..count]),
                None => {}
            }
            // Edge-triggered: whatever comes after a short read makes a new edge.
            if !self.conns[key].stream.may_hold_more(count, SCRATCH_BYTES) {
                return Ok(());
            }
        }
    }

    fn answer(&mut self, key: usize, asked: Asked) -> io::Result<()> {
        let conn = &mut self.conns[key];
        conn.piece = usize::MAX;
        conn.out = match asked {
            Asked::Models => self.answers.models.clone(),
            Asked::Other => self.answers.refusal.clone(),
            Asked::Chat(Model::Small) if self.closes => {
                conn.last = true;
                self.answers.small_last.clone()
            }
            Asked::Chat(Model::Small) => self.answers.small.clone(),
            Asked::Chat(Model::Big) => self.answers.big.clone(),
            Asked::Chat(Model::Hold) => self.answers.hold.clone(),
            Asked::Chat(Model::Events) => {
                conn.piece = CHUNKS_PER_WRITE * CHUNK_BYTES;
                self.answers.events.clone()
            }
            Asked::Chat(Model::Paced) => {
                conn.paced = Some(1);
                // Streams of real users are not in step: spread them over the interval.
                let offset = self.pace.mul_f64((key % 100) as f64 / 100.0);
                self.due.push(Reverse((Instant::now() + self.pace + offset, key)));
                self.answers.hold.clone()
            }
        };
        self.write(key)
    }

    fn write(&mut self, key: usize) -> io::Result<()> {
        let conn = &mut self.conns[key];
        while !conn.out.is_empty() {
            let end = conn.out.end.min(conn.out.start.saturating_add(conn.piece));
            match conn.stream.write(&self.answers.bytes[conn.out.start..end]) {
                Ok(count) => conn.out.start += count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        if conn.last {
            conn.stream.close();
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Sends the events that are due.
    fn tick(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((due, key))) = self.due.peek().filter(|entry| entry.0 .0 <= now) {
            self.due.pop();
            let Some(conn) = self.conns.get_mut(key) else {
                continue;
            };
            let Some(sent) = conn.paced.filter(|sent| *sent < PACED_EVENTS_MAX) else {
                continue;
            };
            // A reader that is too slow misses its turn.
            if conn.out.is_empty() {
                conn.out = self.answers.chunk(sent);
                conn.paced = Some(sent + 1);
            }
            self.due.push(Reverse((due + self.pace, key)));
            if self.write(key).is_err() {
                self.conns.remove(key);
            }
        }
    }
}
