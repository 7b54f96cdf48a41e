//! A client that sends any bytes in any pieces and reads answers one by one.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::message::{Ending, Response, Wire};
use super::{pause, show, PATIENCE};

/// One connection to the proxy.
pub struct Raw {
    socket: TcpStream,
    wire: Wire,
}

impl Raw {
    /// Connects; every later read waits [`PATIENCE`] at most.
    pub fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).unwrap_or_else(|e| panic!("no connection to {addr}: {e}"))
    }

    /// Connects, or says why not.
    pub fn try_connect(addr: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpStream::connect_timeout(&addr, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let wire = Wire { stream: Box::new(socket.try_clone()?), pending: Vec::new() };
        Ok(Self { socket, wire })
    }

    /// Sends all of `bytes`.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).expect("the proxy takes these bytes");
        self
    }

    /// Sends, unless the proxy has closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.wire.stream.write_all(bytes.as_ref())
    }

    /// Sends in pieces of `size` bytes with pauses between them.
    pub fn send_in_pieces(&mut self, bytes: &[u8], size: usize, milliseconds: u64) -> &mut Self {
        for piece in bytes.chunks(size) {
            self.send(piece);
            pause(milliseconds);
        }
        self
    }

    /// Sends from a thread of its own, for bodies that the proxy may not read to their end.
    pub fn send_in_background(&self, bytes: Vec<u8>) {
        let mut socket = self.socket.try_clone().expect("a second handle");
        std::thread::spawn(move || {
            let _ = std::io::Write::write_all(&mut socket, &bytes);
        });
    }

    /// Reads the next answer.
    ///
    /// # Panics
    /// When none comes, or its head is malformed.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads the next answer, to a request of `method`.
    pub fn response_to(&mut self, method: &str) -> Response {
        self.try_response(method)
            .unwrap_or_else(|end| panic!("no answer ({end:?}), only {}", show(&self.wire.pending)))
    }

    /// Reads the next answer, or says how the connection ended before its head did.
    pub fn try_response(&mut self, method: &str) -> Result<Response, Ending> {
        self.wire.response(method)
    }

    /// Waits until `needle` has come; consumes nothing.
    pub fn wait_for(&mut self, needle: &str) -> &mut Self {
        while !super::contains(&self.wire.pending, needle) {
            let end = self.wire.fill();
            assert_eq!(end, Ending::Open, "no {needle:?} in {}", show(&self.wire.pending));
        }
        self
    }

    /// Bytes that came and were not consumed.
    pub fn pending(&self) -> &[u8] {
        &self.wire.pending
    }

    /// Reads until the proxy closes.
    ///
    /// # Panics
    /// When it does not close in time.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        assert_ne!(self.ending(), Ending::TimedOut, "not closed, {}", show(&self.wire.pending));
        std::mem::take(&mut self.wire.pending)
    }

    /// Reads until the connection ends in any way, the time-out included.
    pub fn ending(&mut self) -> Ending {
        loop {
            match self.wire.fill() {
                Ending::Open => {}
                ending => return ending,
            }
        }
    }

    /// Asserts that the proxy closes now and sends nothing more.
    pub fn assert_closed(&mut self) {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "before the close came {}", show(&rest));
    }

    /// Whether nothing at all, no close either, comes for this long.
    pub fn is_silent(&mut self, milliseconds: u64) -> bool {
        self.set_patience(Duration::from_millis(milliseconds));
        let silent = self.wire.pending.is_empty() && self.wire.fill() == Ending::TimedOut;
        self.set_patience(PATIENCE);
        silent
    }

    /// How long reads wait from now on.
    pub fn set_patience(&self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).expect("a read time-out");
    }

    /// Ends the sending side only.
    pub fn half_close(&mut self) -> &mut Self {
        let _ = self.socket.shutdown(Shutdown::Write);
        self
    }

    /// Closes with a TCP reset.
    pub fn reset(self) {
        linger_zero(&self.socket);
    }

    /// Closes although [`Raw::send_in_background`] still holds the socket.
    pub fn abandon(self) {
        linger_zero(&self.socket);
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Makes the drop of the socket's last handle send a reset.
pub fn linger_zero(socket: &TcpStream) {
    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
