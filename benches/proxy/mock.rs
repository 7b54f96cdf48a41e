//! The mock upstream: one thread, edge-triggered epoll, answers prepared at start. It is meant to cost a
//! fraction of the proxies and to hold 10,000 streams. It answers 400 when a request body did not arrive
//! exactly as [`payload`] makes it. It ends when its standard input ends, so it cannot outlive the bench.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{epoll, poll, PollFd, PollFlags, Timespec};
use slab::Slab;

use crate::net;
use crate::payload::{self, Model, CHUNK_BYTES, EVENTS};
use crate::request::{self, Asked};

const LISTENER: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;
const PACE: Duration = Duration::from_millis(10);
/// A paced stream that nobody closes ends after two minutes.
const PACED_EVENTS_MAX: usize = 12_000;
/// An `events` answer goes out in pieces of this many chunks, one write each.
const CHUNKS_PER_WRITE: usize = 25;
const SCRATCH_BYTES: usize = 64 * 1024;

/// Every answer, laid end to end in one buffer.
struct Answers {
    bytes: Vec<u8>,
    small: Range<usize>,
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
        let json = |body: &[u8]| [&payload::json_head(body.len(), false)[..], body].concat();
        let (head, chunks) = (payload::stream_head(), payload::stream_chunks());
        let events = add(&[&head, &chunks, b"0\r\n\r\n"]);
        Answers {
            hold: events.start..events.start + head.len() + CHUNK_BYTES,
            events,
            small: add(&[&json(&Model::Small.answer_body())]),
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
    stream: TcpStream,
    /// Part of a request; empty nearly always.
    head: Vec<u8>,
    /// What is still to be written.
    out: Range<usize>,
    /// At most this much in one write.
    piece: usize,
    /// Events sent, for a paced stream.
    paced: Option<usize>,
}

struct Mock {
    epoll: OwnedFd,
    listener: TcpListener,
    answers: Answers,
    conns: Slab<Conn>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    scratch: Vec<u8>,
}

/// Serves until standard input ends; prints the port first.
pub fn serve() -> io::Result<()> {
    let listener = net::listen()?;
    println!("{}", listener.local_addr()?.port());
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    epoll::add(&epoll, io::stdin(), epoll::EventData::new_u64(STDIN), epoll::EventFlags::IN)?;
    let mut mock = Mock {
        epoll,
        listener,
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
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let slot = self.conns.vacant_entry();
            net::register(&self.epoll, &stream, slot.key())?;
            slot.insert(Conn {
                stream,
                head: Vec::new(),
                out: 0..0,
                piece: usize::MAX,
                paced: None,
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
            if count < SCRATCH_BYTES {
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
                let offset = PACE.mul_f64((key % 100) as f64 / 100.0);
                self.due.push(Reverse((Instant::now() + PACE + offset, key)));
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
            self.due.push(Reverse((due + PACE, key)));
            if self.write(key).is_err() {
                self.conns.remove(key);
            }
        }
    }
}
