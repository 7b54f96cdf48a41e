//! One accepted connection of an upstream, in the hands of its script.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::message::{Ending, Request, Wire};
use super::raw::linger_zero;
use super::upstream::{Seen, Step, Wrap};
use super::{pause, PATIENCE};

/// What runs for each connection.
pub type Script = dyn Fn(&mut Connection) + Send + Sync;

/// One accepted connection, in the hands of a script.
pub struct Connection {
    /// From 0, in the order of acceptance.
    pub number: usize,
    socket: TcpStream,
    wire: Wire,
    seen: Arc<Seen>,
    noted: bool,
}

impl Connection {
    /// Wraps the socket, runs the script and closes.
    pub fn run_script(socket: TcpStream, wrap: &Wrap, script: &Script, seen: &Arc<Seen>) {
        let number = seen.connections.fetch_add(1, Ordering::SeqCst);
        let _ = socket.set_nodelay(true);
        let _ = socket.set_read_timeout(Some(3 * PATIENCE));
        let _ = socket.set_write_timeout(Some(3 * PATIENCE));
        let handle = socket.try_clone().expect("a second handle");
        let kept = socket.try_clone().expect("a third handle");
        seen.sockets.lock().expect("no poison").insert(number, kept);
        if let Some(stream) = wrap(socket) {
            let wire = Wire { stream, pending: Vec::new() };
            script(&mut Self {
                number,
                socket: handle,
                wire,
                seen: Arc::clone(seen),
                noted: false,
            });
        }
        seen.sockets.lock().expect("no poison").remove(&number);
        seen.finished.fetch_add(1, Ordering::SeqCst);
    }

    /// Does one step; false when the script is over.
    pub fn run(&mut self, step: &Step) -> bool {
        match step {
            Step::ReadRequest => return self.read_request().is_some(),
            Step::ReadHead => return self.read_head().is_some(),
            Step::Send(bytes) => self.send(bytes),
            Step::Pause(milliseconds) => pause(*milliseconds),
            Step::WaitForClose => {
                self.wait_for_close();
            }
            Step::HalfClose => self.half_close(),
            Step::Reset => {
                linger_zero(&self.socket);
                return false;
            }
        }
        true
    }

    /// Reads and keeps a request; `None` when the proxy closed instead (noted) or nothing came.
    pub fn read_request(&mut self) -> Option<Request> {
        let request = self.wire.request(self.number);
        self.keep(request)
    }

    /// Reads and keeps the head of a request; the body stays unread.
    pub fn read_head(&mut self) -> Option<Request> {
        let request = self.wire.request_head(self.number);
        self.keep(request)
    }

    fn keep(&mut self, request: Result<Request, Ending>) -> Option<Request> {
        if matches!(request, Err(Ending::Eof | Ending::Reset)) {
            self.note_close();
        }
        let request = request.ok()?;
        self.seen.requests.lock().expect("no poison").push(request.clone());
        Some(request)
    }

    /// Counts the proxy's close, once for each connection.
    fn note_close(&mut self) {
        if !std::mem::replace(&mut self.noted, true) {
            self.seen.closed_by_peer.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Sends; a proxy that has closed is no error.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = &mut self.wire.stream;
        let _ = stream.write_all(bytes.as_ref()).and_then(|()| stream.flush());
    }

    /// Sends as much as the proxy takes; false when it has closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Reads and drops bytes until the proxy closes, which is noted. Returns what came before.
    pub fn wait_for_close(&mut self) -> Vec<u8> {
        loop {
            match self.wire.fill() {
                Ending::Open => {}
                Ending::TimedOut => break,
                Ending::Eof | Ending::Reset => {
                    self.note_close();
                    break;
                }
            }
        }
        std::mem::take(&mut self.wire.pending)
    }

    /// How long reads and writes wait from now on.
    pub fn set_patience(&self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).expect("a read time-out");
        self.socket.set_write_timeout(Some(patience)).expect("a write time-out");
    }

    /// Whether the proxy has reset the connection, whatever is still unread.
    pub fn was_reset(&self) -> bool {
        self.socket.take_error().is_ok_and(|error| error.is_some())
    }

    /// Makes the end of the script send a TCP reset.
    pub fn reset_on_close(&mut self) {
        linger_zero(&self.socket);
    }

    /// Ends the sending side.
    pub fn half_close(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}
