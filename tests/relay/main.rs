//! A chat's way through: what reaches the provider, what reaches the client, and how either of them may end it.

mod answers;
mod cancel;
mod coded_requests;
mod early_keepalive;
mod explain;
mod final_events;
mod kept;
mod mislabelled_streams;
mod passthrough;
mod redirects;
mod requests;
mod rows;
mod sse_keepalive;
mod streams;
mod streams_end;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod uploads;

/// What stands in a silent stream in place of events.
const COMMENT: &str = ": keep-alive\n\n";
