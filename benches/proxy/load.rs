//! The load generator: one thread, one epoll, keep-alive connections, every answer checked. Bounded in
//! count or time, and no wait lasts longer than [`SILENCE_MAX`]. Knows nothing of who answers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll;

use crate::answer::{Answer, Expected};
use crate::net;
use crate::payload::{Model, EVENT_BYTES};

/// An answer that pauses for longer than this is a failure.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Latencies kept per run.
const SAMPLES_MAX: usize = 1 << 20;
/// Streams that may wait for their first event while more are opened.
const OPENING_MAX: usize = 128;
const SCRATCH_BYTES: usize = 256 * 1024;

/// When to send no further request.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// After so many requests.
    Requests(u64),
    /// After so much time.
    After(Duration),
}

/// What a run saw.
pub struct Outcome {
    /// Complete and correct answers.
    pub requests: u64,
    /// Body bytes of these answers.
    pub body_bytes: u64,
    /// From the first connection to the last answer.
    pub wall: Duration,
    /// From the request's write to its answer's last byte, in ns, unsorted.
    pub latencies: Vec<u32>,
}

impl Outcome {
    /// Stream events in the answers.
    pub fn events(&self) -> u64 {
        self.body_bytes / EVENT_BYTES as u64
    }
}

struct Conn {
    stream: TcpStream,
    answer: Answer,
    sent: Instant,
}

/// Clients of one server, all asking for the same model.
pub struct Clients {
    addr: SocketAddr,
    request: Vec<u8>,
    expected: Expected,
    epoll: OwnedFd,
    ready: Vec<epoll::Event>,
    conns: Vec<Conn>,
    scratch: Vec<u8>,
}

/// What one turn of the loop may report of a connection.
enum Step {
    More,
    Done,
}

impl Clients {
    /// No connection yet.
    pub fn new(addr: SocketAddr, model: Model) -> io::Result<Clients> {
        Ok(Clients {
            addr,
            request: model.request(&addr.to_string()),
            expected: Expected::new(model.answer_body(), model.ends()),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            ready: Vec::with_capacity(512),
            conns: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
        })
    }

    /// Keeps `connections` busy until `stop`, then waits for the answers under way.
    pub fn run(&mut self, connections: usize, stop: Stop) -> io::Result<Outcome> {
        let started = Instant::now();
        let mut outcome =
            Outcome { requests: 0, body_bytes: 0, wall: Duration::ZERO, latencies: Vec::new() };
        let (limit, deadline) = match stop {
            Stop::Requests(limit) => (limit, None),
            Stop::After(time) => (u64::MAX, Some(started + time)),
        };
        let mut asked = 0;
        while self.conns.len() < connections && asked < limit {
            self.open()?;
            asked += 1;
        }
        let mut busy = self.conns.len();
        while busy > 0 {
            self.wait(SILENCE_MAX)?;
            for index in 0..self.ready.len() {
                let key = self.ready[index].data.u64() as usize;
                if let Step::More = self.read(key)? {
                    continue;
                }
                let now = Instant::now();
                let conn = &mut self.conns[key];
                outcome.requests += 1;
                outcome.body_bytes += conn.answer.seen;
                if outcome.latencies.len() < SAMPLES_MAX {
                    let latency = now.duration_since(conn.sent).as_nanos();
                    outcome.latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
                }
                if asked < limit && deadline.is_none_or(|deadline| now < deadline) {
                    asked += 1;
                    send(conn, &self.request, now)?;
                } else {
                    busy -= 1;
                }
            }
        }
        outcome.wall = started.elapsed();
        self.conns.clear();
        Ok(outcome)
    }

    /// Opens streams until there are `count`, each with its first event received.
    pub fn open_streams(&mut self, count: usize) -> io::Result<()> {
        let mut waiting = 0;
        while self.conns.len() < count || waiting > 0 {
            while self.conns.len() < count && waiting < OPENING_MAX {
                self.open()?;
                waiting += 1;
            }
            self.wait(SILENCE_MAX)?;
            for index in 0..self.ready.len() {
                let key = self.ready[index].data.u64() as usize;
                let before = self.conns[key].answer.seen;
                self.read(key)?;
                let after = self.conns[key].answer.seen;
                waiting -= usize::from(before < EVENT_BYTES as u64 && after >= EVENT_BYTES as u64);
            }
        }
        Ok(())
    }

    /// Receives for `time`; returns the events that arrived.
    pub fn receive(&mut self, time: Duration) -> io::Result<u64> {
        let before = self.bytes_seen();
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok((self.bytes_seen() - before) / EVENT_BYTES as u64);
            }
            net::wait(&self.epoll, &mut self.ready, Some(left.max(Duration::from_millis(1))))?;
            for index in 0..self.ready.len() {
                self.read(self.ready[index].data.u64() as usize)?;
            }
        }
    }

    fn bytes_seen(&self) -> u64 {
        self.conns.iter().map(|conn| conn.answer.seen).sum()
    }

    fn open(&mut self) -> io::Result<()> {
        let stream = TcpStream::connect(self.addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut conn = Conn { stream, answer: Answer::new(), sent: Instant::now() };
        send(&mut conn, &self.request, Instant::now())?;
        net::register(&self.epoll, &conn.stream, self.conns.len())?;
        self.conns.push(conn);
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> io::Result<()> {
        net::wait(&self.epoll, &mut self.ready, Some(limit))?;
        if self.ready.is_empty() {
            return Err(io::Error::new(
                ErrorKind::TimedOut,
                format!("no byte from {} within {limit:?}", self.addr),
            ));
        }
        Ok(())
    }

    fn read(&mut self, key: usize) -> io::Result<Step> {
        let conn = &mut self.conns[key];
        loop {
            let count = match conn.stream.read(&mut self.scratch) {
                Ok(0) => return Err(broken(&conn.answer, "connection closed")),
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Step::More),
                Err(e) => return Err(e),
            };
            match conn.answer.feed(&self.scratch[..count], &self.expected) {
                Ok(true) => return Ok(Step::Done),
                // Edge-triggered: whatever comes after a short read makes a new edge.
                Ok(false) if count < SCRATCH_BYTES => return Ok(Step::More),
                Ok(false) => {}
                Err(reason) => return Err(broken(&conn.answer, &reason)),
            }
        }
    }
}

fn send(conn: &mut Conn, request: &[u8], now: Instant) -> io::Result<()> {
    conn.answer = Answer::new();
    conn.sent = now;
    match conn.stream.write(request)? {
        count if count == request.len() => Ok(()),
        _ => Err(io::Error::other("a request did not fit into an idle connection's buffer")),
    }
}

fn broken(answer: &Answer, reason: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("wrong answer after {} body bytes: {reason}", answer.seen),
    )
}
