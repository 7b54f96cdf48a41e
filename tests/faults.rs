//! One fault after the other: the client sees the promised error, and the next good request works.
//!
//! Faults of clients are in `cancel.rs` and `wire_*.rs`, of TLS in `tls.rs`, of streams in `streams_end.rs`.
//! Of the wall clock only the log's time stamps know: every deadline counts on the monotonic clock, which nobody
//! can set (`src/clock.rs` uses `Instant` alone), so a jump of the date can reach no request. A test would need a
//! preloaded library that lies to `clock_gettime` (Debian's `faketime`), and would test a time stamp. What does jump
//! for a process is its own time, when it is stopped for a while or its machine has too much to do: `stopped`.

mod support;

#[path = "support/certificates.rs"]
mod certificates;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/providers.rs"]
mod providers;
#[path = "faults/resources.rs"]
mod resources;
#[path = "faults/stopped.rs"]
mod stopped;
