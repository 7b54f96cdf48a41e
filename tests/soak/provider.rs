//! The provider of the soak. It checks each request to the last byte and does what it asks for.
//!
//! One thread for each connection: the proxy reuses connections, so there are as many as requests at once, and a
//! blocking read and a write for each request is the least that an answer can cost.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::plan::{Ask, Kind, ANONYMOUS_KEYS};
const STACK_BYTES: usize = 128 * 1024;
/// Nothing of the proxy is idle this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A provider on a port of its own, for all names.
pub struct Provider {
    addr: SocketAddr,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let failures = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&failures);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let failures = Arc::clone(&shared);
                let serve = move || Exchange::new(socket, failures).run();
                let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(serve);
                thread.expect("a thread for a connection");
            }
        });
        Self { addr, failures }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Requests that were not as the client sent them.
    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().expect("no poison").clone()
    }
}

/// One connection.
struct Exchange {
    socket: TcpStream,
    buffer: Vec<u8>,
    failures: Arc<Mutex<Vec<String>>>,
}

/// Whether the connection goes on.
type Next = std::io::Result<bool>;

impl Exchange {
    fn new(socket: TcpStream, failures: Arc<Mutex<Vec<String>>>) -> Self {
        let _ = socket.set_nodelay(true);
        let _ = socket.set_read_timeout(Some(PATIENCE));
        let _ = socket.set_write_timeout(Some(PATIENCE));
        Self { socket, buffer: Vec::new(), failures }
    }

    fn run(mut self) {
        while let Some((head, body)) = self.request() {
            if !self.answer(&head, &body).unwrap_or(false) {
                return;
            }
        }
    }

    /// The next request; `None` when the proxy has closed.
    fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.fill()?;
        };
        let head = String::from_utf8(self.buffer[..end].to_vec()).ok()?;
        let length =
            field(&head, "content-length").map_or(Ok(0), |value| value.parse::<usize>()).ok()?;
        while self.buffer.len() < end + length {
            self.fill()?;
        }
        let body = self.buffer[end..end + length].to_vec();
        self.buffer.drain(..end + length);
        Some((head, body))
    }

    fn fill(&mut self) -> Option<()> {
        let mut piece = [0; 16 * 1024];
        loop {
            return match self.socket.read(&mut piece) {
                Ok(0) => None,
                Ok(count) => {
                    self.buffer.extend_from_slice(&piece[..count]);
                    Some(())
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => None,
            };
        }
    }

    fn answer(&mut self, head: &str, body: &[u8]) -> Next {
        if head.starts_with("GET ") {
            return self.send_whole("200 OK", "", br#"{"object":"list","data":[]}"#);
        }
        let ask = Ask::find(body).filter(|ask| ask.request("m") == body && is_right(head));
        let Some(ask) = ask else {
            let start = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
            self.failures.lock().expect("no poison").push(format!("request: {head}{start}"));
            return self.send_whole("599 Wrong Request", "", b"{}");
        };
        self.act(&ask)
    }

    fn act(&mut self, ask: &Ask) -> Next {
        let json = "Content-Type: application/json\r\n";
        match ask.kind {
            Kind::Plain => self.send_whole("200 OK", json, &ask.answer()),
            Kind::Status => {
                let head = format!("{json}Retry-After: {}\r\n", ask.nonce % 100);
                self.send_whole(&format!("{} As Asked", ask.size), &head, &ask.answer())
            }
            Kind::Chunked => {
                let head = format!("HTTP/1.1 200 OK\r\n{json}Transfer-Encoding: chunked\r\n\r\n");
                self.send_chunks(head.into_bytes(), &ask.answer(), ask.nonce)
            }
            Kind::UntilClose | Kind::Old => {
                let minor = u8::from(ask.kind == Kind::UntilClose);
                let head = format!("HTTP/1.{minor} 200 OK\r\n{json}\r\n");
                self.send([head.as_bytes(), &ask.answer()].concat())?;
                Ok(false)
            }
            Kind::Stream => self.send_chunks(stream_head(true), &ask.stream(), ask.nonce),
            Kind::StreamUntilClose => {
                self.send([stream_head(false), ask.stream()].concat())?;
                Ok(false)
            }
            Kind::StreamSlowly => self.send_slowly(ask),
            Kind::Close => Ok(false),
            Kind::Reset => {
                let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
                Ok(false)
            }
            Kind::Garbage => {
                self.send(b"220 mail.example ESMTP\r\n\r\n")?;
                Ok(false)
            }
            Kind::Short => {
                let body = ask.answer();
                let head =
                    format!("HTTP/1.1 200 OK\r\n{json}Content-Length: {}\r\n\r\n", body.len());
                self.send([head.as_bytes(), &body[..body.len() / 2]].concat())?;
                Ok(false)
            }
            Kind::Cut | Kind::CutInside | Kind::Stall => {
                let mut events = ask.events(ask.size);
                if ask.kind == Kind::CutInside {
                    events.truncate(events.len() - 1 - (ask.nonce % 30) as usize);
                }
                self.send([stream_head(true), chunk(&events)].concat())?;
                if ask.kind == Kind::Stall {
                    self.wait_for_close();
                }
                Ok(false)
            }
            Kind::Silent => {
                self.wait_for_close();
                Ok(false)
            }
        }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.socket.write_all(bytes.as_ref())
    }

    fn send_whole(&mut self, status: &str, headers: &str, body: &[u8]) -> Next {
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        self.send([head.as_bytes(), body].concat())?;
        Ok(true)
    }

    /// Sends a body in chunks of a size, with or without extensions and trailers, in few or many writes: the nonce
    /// decides.
    fn send_chunks(&mut self, mut out: Vec<u8>, body: &[u8], nonce: u64) -> Next {
        let size = match nonce % 4 {
            0 => body.len(),
            1 => 37 + (nonce % 101) as usize,
            2 => 1024,
            _ => 16 * 1024,
        };
        let writes = !nonce.is_multiple_of(3);
        for piece in body.chunks(size.max(1)) {
            if nonce.is_multiple_of(5) {
                let _ = write!(out, "{:X};soak=\"yes\"\r\n", piece.len());
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
            } else {
                out.extend(chunk(piece));
            }
            if writes && out.len() > 2000 {
                self.send(&out)?;
                out.clear();
            }
        }
        let end: &[u8] =
            if nonce.is_multiple_of(7) { b"0\r\nX-Soak: over\r\n\r\n" } else { b"0\r\n\r\n" };
        out.extend_from_slice(end);
        self.send(out)?;
        Ok(true)
    }

    fn send_slowly(&mut self, ask: &Ask) -> Next {
        self.send(stream_head(true))?;
        let body = ask.stream();
        let mut sent = 0;
        while sent < body.len() {
            // Sometimes a whole event, sometimes a part of one.
            let size = 1 + (ask.nonce.wrapping_add(sent as u64) % 250) as usize;
            let end = body.len().min(sent + size);
            self.send(chunk(&body[sent..end]))?;
            sent = end;
            std::thread::sleep(Duration::from_millis(ask.nonce % 20));
        }
        self.send(b"0\r\n\r\n")?;
        Ok(true)
    }

    fn wait_for_close(&mut self) {
        while self.fill().is_some() {
            self.buffer.clear();
        }
    }
}

/// The request goes to the provider whose key it carries, and has an id and no trace of the client's token.
fn is_right(head: &str) -> bool {
    let key = ANONYMOUS_KEYS
        .iter()
        .find(|key| head.starts_with(&format!("POST /{key}/v1/chat/completions HTTP/1.1\r\n")));
    let authorization = key.map(|key| format!("Bearer {key}"));
    authorization.as_deref() == field(head, "authorization")
        && field(head, "x-request-id").is_some_and(|id| !id.is_empty())
        && !head.contains(crate::support::TOKEN)
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn stream_head(chunked: bool) -> Vec<u8> {
    let framing = if chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n").into_bytes()
}

fn chunk(data: &[u8]) -> Vec<u8> {
    if data.is_empty() {
        return Vec::new();
    }
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}
