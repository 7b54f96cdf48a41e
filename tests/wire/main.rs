//! HTTP/1.1 byte by byte: heads, bodies, chunks, and connections that serve again or do not, on both sides.

mod answer_bodies;
mod answers;
mod connections;
mod expect;
mod fields;
mod fuzz_regressions;
mod interim_answers;
mod mutation_storm;
mod pipelining;
mod request_bodies;
mod requests;
mod retries;
mod reuse;
mod sockets;
#[path = "../support/mod.rs"]
mod support;

use support::*;

/// A proxy before a provider that answers every request with `{}`.
fn start() -> (Upstream, TestProxy) {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    (upstream, proxy)
}

/// The answer that a client gets when the provider sends these bytes and closes.
fn through(bytes: impl Into<Vec<u8>>) -> Response {
    let upstream = Upstream::script(bytes);
    TestProxy::start(&config_for(&upstream)).chat(chat(MODEL))
}

/// The status of one request that is accepted, on a connection of its own.
fn status(proxy: &TestProxy, bytes: impl AsRef<[u8]>) -> u16 {
    proxy.raw(bytes.as_ref()).status
}

/// The head of an authorised chat whose body comes in chunks.
fn chunked_head() -> Vec<u8> {
    chat_head("Transfer-Encoding: chunked\r\n")
}
