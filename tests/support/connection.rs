//! One accepted connection of an upstream, in the hands of its script.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::message::{Ending, Request, Wire};
use super::raw::linger_zero;
use super::upstream::{Seen, Step, Wrap};
use super::{contains, pause, PATIENCE};

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

    /// Reads and keeps the body of a request whose head was read; one that is cut counts as a close.
    pub fn read_body(&mut self, request: &mut Request) {
        self.wire.request_body(request);
        let mut kept = self.seen.requests.lock().expect("no poison");
        let mine = kept.iter_mut().rev().find(|kept| kept.connection == self.number);
        mine.expect("the head was kept").clone_from(request);
        drop(kept);
        if !request.complete {
            self.note_close();
        }
    }

    /// Waits until `needle` has come, and consumes nothing; false when the proxy closed before.
    pub fn wait_for(&mut self, needle: impl AsRef<[u8]>) -> bool {
        while !contains(&self.wire.pending, needle.as_ref()) {
            if self.wire.fill() != Ending::Open {
                return false;
            }
        }
        true
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
