//! What all tests share: a proxy to test ([`TestProxy`]), scripted providers ([`Upstream`]), a client that
//! sends raw bytes ([`Raw`]) and helpers for configurations and bodies. Threads only; every wait is bounded.

#![allow(dead_code, unused_imports, reason = "each of the test programs uses a part of it")]

pub mod certificates;
mod connection;
mod dir;
mod message;
mod program;
mod proxy;
mod raw;
mod upstream;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

pub use connection::Connection;
pub use dir::TempDir;
pub use message::{Duplex, Ending, Head, Request, Response};
pub use program::{command, run, run_with_config, run_with_environment, Finished, PROGRAM};
pub use proxy::{Launch, TestProxy};
pub use raw::Raw;
pub use upstream::{Step, Upstream};

/// The client token that [`config`] knows.
pub const TOKEN: &str = "sk-client-4f1d7a90c2";
/// The key that [`provider`] sends to its upstream.
pub const KEY: &str = "key-upstream-93bd0e71";
/// The only model of [`provider`].
pub const MODEL: &str = "p/m";
/// A request that every proxy answers with 200.
pub const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
/// After this a wait is a hang.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A provider with the manual model list `["m"]`, so that nobody asks the upstream for `/models`.
pub fn provider(name: &str, upstream: &Upstream) -> Value {
    json!({"provider": name, "baseurl": upstream.base_url(), "token": KEY, "model_list": ["m"]})
}

/// A provider whose models are fetched from the upstream.
pub fn auto_provider(name: &str, upstream: &Upstream) -> Value {
    json!({"provider": name, "baseurl": upstream.base_url(), "token": KEY})
}

/// A configuration on a free port of 127.0.0.1 with one token and these providers.
pub fn config(providers: impl IntoIterator<Item = Value>) -> Value {
    json!({
        "host": "127.0.0.1",
        "port": 0,
        "log_level": "INFO",
        "tokens": [format!("tester|{TOKEN}")],
        "providers": providers.into_iter().collect::<Vec<_>>(),
    })
}

/// [`config`] with the one provider `p`.
pub fn config_for(upstream: &Upstream) -> Value {
    config([provider("p", upstream)])
}

/// `config` with the keys of `changes` put in.
pub fn with(mut config: Value, changes: Value) -> Value {
    let target = config.as_object_mut().expect("a configuration is an object");
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    target.extend(changes);
    config
}

/// A chat body that does not stream.
pub fn chat(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#)
}

/// A chat body that asks for a stream.
pub fn chat_stream(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}],"stream":true}}"#)
}

/// The raw request of an authorised chat; `headers` are whole lines with CRLF.
pub fn chat_request(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}\r\n{headers}", body.len());
    [&chat_head(&length), body].concat()
}

/// The head of an authorised chat request; `headers` (whole lines with CRLF) say how the body is framed.
pub fn chat_head(headers: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// A raw answer with `Content-Length`; `headers` are whole lines with CRLF.
pub fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A small JSON answer.
pub fn json_answer(status: &str, body: &str) -> Vec<u8> {
    answer(status, "Content-Type: application/json\r\n", body.as_bytes())
}

/// The head of a chunked event stream.
pub const SSE_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// One chunk of a chunked body.
pub fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// A server-sent event in a chunk of its own.
pub fn event(data: &str) -> Vec<u8> {
    chunk(format!("data: {data}\n\n"))
}

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Asks `condition` until it holds.
///
/// # Panics
/// When it still does not after [`PATIENCE`].
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sleeps, where only the passing of time can show that something does not happen.
pub fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Holds threads back until it is opened; stays open.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everybody pass from now on.
    pub fn open(&self) {
        *self.0 .0.lock().expect("no poison") = true;
        self.0 .1.notify_all();
    }

    /// Waits until the gate is open, three times [`PATIENCE`] at most.
    pub fn wait(&self) {
        let open = self.0 .0.lock().expect("no poison");
        let _ = self.0 .1.wait_timeout_while(open, 3 * PATIENCE, |open| !*open);
    }
}

/// Sets a flag when it is dropped, also by a failed assertion: threads that wait for it must not run on.
pub struct SetOnDrop<'f>(pub &'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// An address of this machine that nobody uses. The port stays free if nobody else uses this IP.
pub fn free_address(ip: &str) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("a free port");
    listener.local_addr().expect("an address")
}

/// Whether `haystack` contains `needle`.
pub fn contains(haystack: &[u8], needle: impl AsRef<[u8]>) -> bool {
    memchr::memmem::find(haystack, needle.as_ref()).is_some()
}

/// Bytes for an assertion message.
pub fn show(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(2000)];
    format!("{} bytes: {}", bytes.len(), String::from_utf8_lossy(shown).escape_debug())
}
