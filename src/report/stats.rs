//! Plain counters since the start: kept by the thread that counts, read by `GET /` and the log.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde_json::{json, Value};

use super::recent::Recent;
use crate::upstream::Pool;

/// What is counted.
#[derive(Default)]
pub struct Stats {
    requests: Cell<u64>,
    chats: Cell<u64>,
    bytes: Cell<u64>,
    chunks: Cell<u64>,
    /// By provider, or `-` where none was chosen or it is the client's doing, and kind.
    errors: RefCell<BTreeMap<(String, &'static str), u64>>,
    logged: Cell<u64>,
    /// What happened lately.
    pub recent: Recent,
}

fn add(cell: &Cell<u64>, count: u64) {
    cell.set(cell.get().wrapping_add(count));
}

impl Stats {
    /// Counts a request of any kind.
    pub fn request(&self) {
        add(&self.requests, 1);
    }

    /// Counts a chat that has ended: body bytes for the client, chunks from the provider.
    pub fn chat(&self, bytes: u64, chunks: u64) {
        add(&self.chats, 1);
        add(&self.bytes, bytes);
        add(&self.chunks, chunks);
    }

    /// Counts an error; an empty name where no provider is to blame.
    pub fn error(&self, provider: &str, kind: &'static str) {
        let provider = if provider.is_empty() { "-" } else { provider };
        *self.errors.borrow_mut().entry((provider.to_owned(), kind)).or_insert(0) += 1;
    }

    /// Requests so far, when there were any since the last call.
    pub fn news(&self) -> Option<u64> {
        let requests = self.requests.get();
        (self.logged.replace(requests) != requests).then_some(requests)
    }

    /// The counters as JSON.
    pub fn report(&self, clients: usize, pool: &Pool) -> Value {
        let mut errors: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
        for ((provider, kind), count) in self.errors.borrow().iter() {
            errors.entry(provider.clone()).or_default().insert(kind, *count);
        }
        let (leased, idle) = (pool.permits.taken(), pool.idle());
        let (reused, opened) = pool.reuse_counts();
        json!({
            "requests": self.requests.get(),
            "chats": self.chats.get(),
            "bytes": self.bytes.get(),
            "chunks": self.chunks.get(),
            "errors": errors,
            "client_connections": clients,
            "upstream_connections": {"leased": leased, "idle": idle},
            "pool": {"reused": reused, "opened": opened},
        })
    }
}
