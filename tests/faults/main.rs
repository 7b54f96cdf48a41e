//! One fault after the other: the client sees the promised error, and the next good request works.
//!
//! Clients that leave are in `relay/cancel.rs`, what they send wrongly is in `wire/`, faults of TLS are in
//! `relay/tls.rs`, of streams in `relay/streams_end.rs`.
//! Of the wall clock only the log's time stamps know: every deadline counts on the monotonic clock, which nobody
//! can set (the program waits by `Instant` alone), so a jump of the date can reach no request. A test would need a
//! preloaded library that lies to `clock_gettime` (Debian's `faketime`), and would test a time stamp. What does jump
//! for a process is its own time, when it is stopped for a while or its machine has too much to do: `stopped`.

mod clients;
mod connecting;
mod memory;
mod network;
mod places;
mod providers;
mod resources;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
