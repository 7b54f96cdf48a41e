//! A client that costs little and reads strictly: an answer that is framed in any other way than promised is wrong.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// After this much silence an answer counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is wrong.
pub type Wrong = String;

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its framing says, or with the connection where that is the framing.
    Whole,
    /// Before that, with an end-of-file.
    Cut,
    /// By a reset.
    Reset,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub end: End,
    /// Whether the proxy closes the connection behind it.
    pub closes: bool,
}

impl Answer {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Enough of it to see what went wrong.
    pub fn show(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let body: String = body.chars().take(300).collect();
        format!("{:?} after {} bytes: {:?} {body:?}", self.end, self.body.len(), self.head)
    }
}

/// A connection to the proxy.
pub struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
    at: usize,
    scratch: Box<[u8]>,
}

impl Conn {
    /// Connects.
    pub fn open(addr: SocketAddr) -> Result<Self, Wrong> {
        let stream =
            TcpStream::connect_timeout(&addr, PATIENCE).map_err(|e| format!("connect: {e}"))?;
        let timeouts = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        timeouts.map_err(|e| format!("socket options: {e}"))?;
        let scratch = vec![0; 32 * 1024].into_boxed_slice();
        Ok(Self { stream, buffer: Vec::new(), at: 0, scratch })
    }

    /// Sends.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        self.stream.write_all(bytes).map_err(|e| format!("send: {e}"))
    }

    /// Closes with a reset.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Whether nothing was sent beyond the answers that were read.
    pub fn in_step(&self) -> bool {
        self.at == self.buffer.len()
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Reads once. `Ok(false)` is the end of the stream, `Err` a reset or a time-out.
    fn fill(&mut self) -> Result<bool, ErrorKind> {
        if self.in_step() {
            self.buffer.clear();
            self.at = 0;
        }
        loop {
            return match self.stream.read(&mut self.scratch) {
                Ok(0) => Ok(false),
                Ok(count) => {
                    self.buffer.extend_from_slice(&self.scratch[..count]);
                    Ok(true)
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error.kind()),
            };
        }
    }

    /// Reads until at least `count` bytes are there, or says how the stream ended.
    fn need(&mut self, count: usize) -> Result<(), End> {
        while self.rest().len() < count {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return Err(End::Cut),
                Err(_) => return Err(End::Reset),
            }
        }
        Ok(())
    }

    /// Waits until `needle` has come.
    pub fn wait_for(&mut self, needle: &[u8]) -> Result<(), Wrong> {
        while memchr::memmem::find(self.rest(), needle).is_none() {
            match self.fill() {
                Ok(true) => {}
                other => return Err(format!("waiting for {needle:?}: {other:?}")),
            }
        }
        Ok(())
    }

    /// Reads the interim answer to `Expect: 100-continue`.
    pub fn expect_continue(&mut self) -> Result<(), Wrong> {
        let line = b"HTTP/1.1 100 Continue\r\n\r\n";
        self.need(line.len()).map_err(|end| format!("100 Continue: {end:?}"))?;
        if !self.rest().starts_with(line) {
            return Err("not 100 Continue".to_owned());
        }
        self.at += line.len();
        Ok(())
    }

    /// Reads the next answer, slowly when there is a `pause` behind each read.
    pub fn answer(&mut self, pause: Duration) -> Result<Answer, Wrong> {
        let end = loop {
            if let Some(end) = memchr::memmem::find(self.rest(), b"\r\n\r\n") {
                break end + 4;
            }
            match self.fill() {
                Ok(true) => {}
                other => return Err(format!("no answer: {other:?}, {} bytes", self.rest().len())),
            }
        };
        let head =
            String::from_utf8(self.rest()[..end].to_vec()).map_err(|e| format!("head: {e}"))?;
        self.at += end;
        let status = head.get(9..12).and_then(|text| text.parse().ok());
        let status = status.filter(|_| head.starts_with("HTTP/1.1 "));
        let status = status.ok_or_else(|| format!("status line in {head:?}"))?;
        let mut answer = Answer { status, head, body: Vec::new(), end: End::Whole, closes: false };
        let length = answer.field("content-length").map(str::to_owned);
        let chunked = answer.field("transfer-encoding") == Some("chunked");
        answer.closes = answer.field("connection") == Some("close");
        match (length, chunked) {
            (Some(length), false) => {
                let length = length.parse().map_err(|e| format!("Content-Length {length}: {e}"))?;
                self.counted(length, pause, &mut answer);
            }
            (None, true) => self.chunked(pause, &mut answer)?,
            (None, false) => {
                answer.closes = true;
                self.until_close(&mut answer);
            }
            (Some(_), true) => return Err(format!("two framings in {:?}", answer.head)),
        }
        answer.closes |= answer.end != End::Whole;
        Ok(answer)
    }

    fn counted(&mut self, length: usize, pause: Duration, answer: &mut Answer) {
        while answer.body.len() < length {
            if let Err(end) = self.need(1) {
                answer.end = end;
                return;
            }
            let count = self.rest().len().min(length - answer.body.len());
            answer.body.extend_from_slice(&self.buffer[self.at..self.at + count]);
            self.at += count;
            sleep(pause);
        }
    }

    fn until_close(&mut self, answer: &mut Answer) {
        loop {
            match self.need(1) {
                Ok(()) => {}
                Err(End::Cut) => return,
                Err(end) => {
                    answer.end = end;
                    return;
                }
            }
            answer.body.extend_from_slice(&self.buffer[self.at..]);
            self.at = self.buffer.len();
        }
    }

    fn chunked(&mut self, pause: Duration, answer: &mut Answer) -> Result<(), Wrong> {
        loop {
            let line = loop {
                if let Some(end) = memchr::memmem::find(self.rest(), b"\r\n") {
                    break end;
                }
                if let Err(end) = self.need(self.rest().len() + 1) {
                    answer.end = end;
                    return Ok(());
                }
            };
            let digits = std::str::from_utf8(&self.rest()[..line]).unwrap_or("?");
            let size =
                usize::from_str_radix(digits, 16).map_err(|e| format!("chunk {digits:?}: {e}"))?;
            self.at += line + 2;
            if let Err(end) = self.need(size + 2) {
                let count = size.min(self.rest().len());
                answer.body.extend_from_slice(&self.buffer[self.at..self.at + count]);
                answer.end = end;
                return Ok(());
            }
            answer.body.extend_from_slice(&self.buffer[self.at..self.at + size]);
            self.at += size;
            if !self.rest().starts_with(b"\r\n") {
                return Err(format!("no line end behind a chunk of {size}"));
            }
            self.at += 2;
            if size == 0 {
                return Ok(());
            }
            sleep(pause);
        }
    }
}

fn sleep(pause: Duration) {
    if !pause.is_zero() {
        std::thread::sleep(pause);
    }
}
