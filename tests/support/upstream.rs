//! Scripted providers: each accepted connection runs a script in a thread of its own; what the proxy sent is kept.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::connection::{Connection, Script};
use super::message::{Duplex, Request};
use super::raw::linger_zero;
use super::{chunk, eventually, json_answer, LAST_CHUNK, SSE_HEAD};

/// What a script does next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Read one whole request.
    ReadRequest,
    /// Read the head of a request only.
    ReadHead,
    /// Send these bytes in one write.
    Send(Vec<u8>),
    /// Wait this many milliseconds.
    Pause(u64),
    /// Wait until the proxy closes, and note that it did.
    WaitForClose,
    /// End the sending side.
    HalfClose,
    /// Close with a TCP reset.
    Reset,
}

/// Wraps an accepted socket, in TLS for instance; `None` gives the connection up.
pub type Wrap = dyn Fn(TcpStream) -> Option<Box<dyn Duplex>> + Send + Sync;

/// What the connections of one upstream tell.
#[derive(Default)]
pub struct Seen {
    pub requests: Mutex<Vec<Request>>,
    pub sockets: Mutex<BTreeMap<usize, TcpStream>>,
    pub connections: AtomicUsize,
    pub finished: AtomicUsize,
    pub closed_by_peer: AtomicUsize,
    stop: AtomicBool,
}

/// A provider on a free port of 127.0.0.1.
pub struct Upstream {
    addr: SocketAddr,
    scheme: &'static str,
    seen: Arc<Seen>,
}

impl Upstream {
    /// Each connection runs `script` and is closed at its end.
    pub fn serve(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::start("http", Box::new(|socket| Some(Box::new(socket))), Box::new(script))
    }

    /// The same behind `wrap`, as an https provider.
    pub fn serve_tls(
        wrap: Box<Wrap>,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::start("https", wrap, Box::new(script))
    }

    /// Each connection runs these steps.
    pub fn steps(steps: Vec<Step>) -> Self {
        Self::serve(move |connection| {
            for step in &steps {
                if !connection.run(step) {
                    return;
                }
            }
        })
    }

    /// Calls `answer` for each request of each connection.
    pub fn each(answer: impl Fn(&Request, &mut Connection) + Send + Sync + 'static) -> Self {
        Self::serve(move |connection| {
            while let Some(request) = connection.read_request() {
                answer(&request, connection);
            }
        })
    }

    /// Answers the first request of each connection with these bytes and closes.
    pub fn script(bytes: impl Into<Vec<u8>>) -> Self {
        Self::steps(vec![Step::ReadRequest, Step::Send(bytes.into())])
    }

    /// Answers every request with these bytes and keeps the connection.
    pub fn keep_alive(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::each(move |_, connection| connection.send(&bytes))
    }

    /// Answers every request with this JSON and keeps the connection.
    pub fn json(status: &str, body: &str) -> Self {
        Self::keep_alive(json_answer(status, body))
    }

    /// Answers every request with these events, each in its own chunk, and keeps the connection.
    pub fn sse(events: &[&str]) -> Self {
        let mut bytes = SSE_HEAD.as_bytes().to_vec();
        for event in events {
            bytes.extend(chunk(format!("data: {event}\n\n")));
        }
        bytes.extend_from_slice(LAST_CHUNK);
        Self::keep_alive(bytes)
    }

    fn start(scheme: &'static str, wrap: Box<Wrap>, script: Box<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let (wrap, script): (Arc<Wrap>, Arc<Script>) = (wrap.into(), script.into());
        let state = Arc::clone(&seen);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if state.stop.load(Ordering::SeqCst) {
                    return;
                }
                let (wrap, script, state) = (wrap.clone(), script.clone(), state.clone());
                std::thread::spawn(move || {
                    Connection::run_script(socket, &*wrap, &*script, &state)
                });
            }
        });
        Self { addr, scheme, seen }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The `baseurl` for a configuration.
    pub fn base_url(&self) -> String {
        format!("{}://{}/v1", self.scheme, self.addr)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().expect("no poison").clone()
    }

    /// Waits for the first `count` requests.
    pub fn wait_requests(&self, count: usize) -> Vec<Request> {
        eventually("the requests reach the upstream", || self.requests().len() >= count);
        self.requests()
    }

    /// The only request so far, complete.
    pub fn request(&self) -> Request {
        let mut requests = self.wait_requests(1);
        assert_eq!(requests.len(), 1, "{requests:?}");
        let request = requests.remove(0);
        assert!(request.complete, "{request:?}");
        request
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.connections() - self.seen.finished.load(Ordering::SeqCst)
    }

    /// How many connections the proxy has closed, as far as the scripts looked.
    pub fn closed_by_proxy(&self) -> usize {
        self.seen.closed_by_peer.load(Ordering::SeqCst)
    }

    /// Resets the connection of this number, whatever its script does.
    pub fn reset(&self, number: usize) {
        let socket = self.seen.sockets.lock().expect("no poison").remove(&number);
        let socket = socket.expect("it is open");
        linger_zero(&socket);
        let _ = socket.shutdown(Shutdown::Both);
    }

    /// Waits until the proxy has closed `count` connections.
    pub fn wait_closed_by_proxy(&self, count: usize) {
        eventually("the proxy closes its upstream connection", || self.closed_by_proxy() >= count);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        for socket in self.seen.sockets.lock().expect("no poison").values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
