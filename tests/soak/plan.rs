//! What a request asks for and what its answer must be: both ends work it out from the same few numbers, so that every
//! byte of both directions can be checked. Pure functions.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

/// Both time-outs of the proxy.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);
/// The limits of the proxy, in bytes.
pub const REQUEST_BYTES_MAX: usize = 1_000_000;
pub const ANSWER_BYTES_MAX: usize = 4_000_000;
/// The keys of the provider behind `a` and of the two behind `b`; each stands in its URL too.
pub const ANONYMOUS_KEYS: [&str; 3] = ["key-soak-a", "key-soak-b", "key-soak-c"];

const NOISE_BYTES: usize = 8 << 20;

/// What the provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON of `size` bytes and a bit, with `Content-Length`.
    Plain,
    /// The same in chunks.
    Chunked,
    /// The same until the connection is closed.
    UntilClose,
    /// The same in HTTP/1.0.
    Old,
    /// `size` events in chunks.
    Stream,
    /// The same until the connection is closed.
    StreamUntilClose,
    /// The same with pauses.
    StreamSlowly,
    /// An error of the provider with the status `size`.
    Status,
    /// Closes instead of answering.
    Close,
    /// Resets instead of answering.
    Reset,
    /// Says what is no HTTP.
    Garbage,
    /// Closes in the middle of the body.
    Short,
    /// Closes between two events, after `size` of them.
    Cut,
    /// Closes in the middle of an event, after `size` of them.
    CutInside,
    /// Falls silent after `size` events.
    Stall,
    /// Says nothing at all until the proxy leaves.
    Silent,
}

const KINDS: [Kind; 16] = [
    Kind::Plain,
    Kind::Chunked,
    Kind::UntilClose,
    Kind::Old,
    Kind::Stream,
    Kind::StreamUntilClose,
    Kind::StreamSlowly,
    Kind::Status,
    Kind::Close,
    Kind::Reset,
    Kind::Garbage,
    Kind::Short,
    Kind::Cut,
    Kind::CutInside,
    Kind::Stall,
    Kind::Silent,
];

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub kind: Kind,
    pub size: usize,
    /// Bytes of noise in the request.
    pub pad: usize,
    pub nonce: u64,
}

impl Ask {
    pub fn new(kind: Kind, size: usize, nonce: u64) -> Self {
        Self { kind, size, pad: 16 + (nonce % 200) as usize, nonce }
    }

    pub fn streams(&self) -> bool {
        use Kind::{Cut, CutInside, Stall, Stream, StreamSlowly, StreamUntilClose};
        matches!(self.kind, Stream | StreamUntilClose | StreamSlowly | Cut | CutInside | Stall)
    }

    fn text(&self) -> String {
        let kind = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or(0);
        format!("{kind}.{}.{}.{:x}", self.size, self.pad, self.nonce)
    }

    /// What a request body asks for.
    pub fn find(body: &[u8]) -> Option<Self> {
        let mark = b"\"soak\":\"";
        let from = memchr::memmem::find(body, mark)? + mark.len();
        let length = memchr::memchr(b'"', &body[from..])?;
        let mut parts = std::str::from_utf8(&body[from..from + length]).ok()?.split('.');
        let kind = KINDS.get(parts.next()?.parse::<usize>().ok()?)?;
        let size = parts.next()?.parse().ok()?;
        let pad = parts.next()?.parse().ok()?;
        let nonce = u64::from_str_radix(parts.next()?, 16).ok()?;
        Some(Self { kind: *kind, size, pad, nonce })
    }

    /// The request body for this model.
    pub fn request(&self, model: &str) -> Vec<u8> {
        let noise = noise(self.nonce, self.pad);
        format!(
            r#"{{"model":"{model}","stream":{},"soak":"{}","messages":[{{"role":"user","content":"{noise}"}}]}}"#,
            self.streams(),
            self.text()
        )
        .into_bytes()
    }

    /// The body of an answer that does not stream.
    pub fn answer(&self) -> Vec<u8> {
        let size = if self.kind == Kind::Status { 100 } else { self.size };
        format!(r#"{{"soak":"{}","fill":"{}"}}"#, self.text(), noise(!self.nonce, size))
            .into_bytes()
    }

    /// The events of an answer that streams, up to one.
    pub fn events(&self, count: usize) -> Vec<u8> {
        let mut text = String::with_capacity(count * 200);
        for index in 0..count as u64 {
            let nonce = self.nonce.wrapping_mul(31).wrapping_add(index);
            let fill = noise(nonce, 40 + (nonce % 160) as usize);
            let _ = write!(
                text,
                "data: {{\"n\":{index},\"of\":\"{:x}\",\"x\":\"{fill}\"}}\n\n",
                self.nonce
            );
        }
        text.into_bytes()
    }

    /// The whole body of a stream that ends well.
    pub fn stream(&self) -> Vec<u8> {
        let mut bytes = self.events(self.size);
        bytes.extend_from_slice(b"data: [DONE]\n\n");
        bytes
    }
}

/// Noise that may stand in JSON.
fn noise(nonce: u64, size: usize) -> &'static str {
    static NOISE: OnceLock<String> = OnceLock::new();
    let all = NOISE.get_or_init(|| {
        let mut random = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| random.alphanumeric()).take(NOISE_BYTES).collect()
    });
    let start = (nonce % (NOISE_BYTES - size) as u64) as usize;
    &all[start..start + size]
}
