//! What the keys of a provider rest from, and whether its origin can be reached: data that all requests
//! share and that outlives a reload. The rules are in `routing::rests` and `routing::reach`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Instant;

/// A time for which a key is better not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// When it ends or ended; `None` when there was none since the last success.
    pub until: Option<Instant>,
    /// How often its length was ours to choose since the last success.
    pub times: u32,
    /// Whether the one that runs is counted there.
    pub is_counted: bool,
    /// Whether a request is out that was the first one after its end.
    pub on_trial: bool,
}

/// Why a key rests for one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelRests {
    /// The model, by the hash of its name.
    pub model: u64,
    /// Too many requests.
    pub rate: Rest,
    /// When the provider last said so.
    pub limited_at: Option<Instant>,
    /// When `rate` last became longer by its repetition.
    pub doubled_at: Option<Instant>,
    /// When `rate` would end without that.
    pub undoubled: Option<Instant>,
    /// Access was denied where another key had it.
    pub denied: Rest,
}

/// All rests of one key.
#[derive(Debug, Default)]
pub struct Rests {
    /// For every model: the key is not accepted, or its quota is used up.
    pub whole: Cell<Rest>,
    /// For single models; the one that was touched last is the last.
    pub models: RefCell<VecDeque<ModelRests>>,
}

/// Whether connections to an origin succeed.
#[derive(Debug, Default)]
pub struct Reach {
    /// Failures in a row, up to as many as count.
    pub failures: Cell<u8>,
    /// When the last one was.
    pub failed_at: Cell<Option<Instant>>,
}
