//! `ai_proxy`: one small proxy between OpenAI clients and many OpenAI-compatible providers.
//!
//! ```text
//!   client                                                          provider
//!     │ ▲                                                              ▲ │
//!     ▼ │ bytes                                                  bytes │ ▼
//!  downstream ─▶ server ─▶ routes ─▶ routing ─▶ routes ─▶ ─ ─ ─ ─▶ upstream
//!       ▲          │       (which    (which provider,     request      │
//!       │          │       endpoint)  which model)                     │
//!       └── relay ◀┴──────────────────────── routes ◀──────────────────┘
//!       response as bytes       response as a value       response as bytes
//!                  └─▶ report: one line in the log, counters
//! ```
//!
//! | room | what it is for | must not know |
//! | --- | --- | --- |
//! | [`program`] | the process: start, command line, signals, descriptors, the demo | – |
//! | [`server`] | listen, accept, one task per connection, drain | providers |
//! | [`routes`] | what each endpoint answers; one table | sockets |
//! | [`relay`] | an upstream response becomes a client's | routing, state |
//! | [`routing`] | which provider and model; pure | sockets, time, state |
//! | [`state`] | what all tasks share: settings, providers, catalogue; data, no deeds | routes, relay |
//! | [`report`] | what became of a request: error, outcome, log line, counters | relay, state |
//! | [`upstream`] | one exchange with a provider: pool, connect, DNS, TLS, send, read | clients |
//! | [`downstream`] | one client's connection: requests in, bytes out | providers |
//! | [`wire`] | HTTP/1.1 bytes: heads, bodies, chunks, events; no I/O | sockets, time |
//! | [`runtime`] | one thread's event loop: readiness, timers, sockets, locks | HTTP |
//! | [`config`] | the file, checked once, and in words | sockets, exchanges |
//!
//! A room imports from rooms further down only, never from its neighbour:
//! `program → server → routes → {relay · routing · state} → report → {upstream · downstream} →
//! {runtime · wire · config}`. tests/layers.rs reads the imports and holds them against this.
//! docs/architecture.md walks one chat through the rooms.

pub mod config;
pub mod downstream;
pub mod program;
pub mod relay;
pub mod report;
pub mod routes;
pub mod routing;
pub mod runtime;
pub mod server;
pub mod state;
pub mod upstream;
pub mod wire;
