//! `ai_proxy`: one small proxy between clients of the OpenAI and Anthropic APIs and many providers.
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
//! | room | what it is for | must not know, beside the rooms above it |
//! | --- | --- | --- |
//! | [`program`] | the process: start, command line, signals, descriptors, the demo | – |
//! | [`doctor`] | `--doctor`: what works with each provider, what does not, and whose fault it is | server |
//! | [`server`] | listen, accept, one task per connection, drain | upstream |
//! | [`routes`] | what each endpoint answers; one table | – |
//! | [`relay`] | an upstream response becomes a client's | routing, state, config |
//! | [`routing`] | which provider, key and model an attempt uses, and whether another follows; pure | relay, state, report, downstream, runtime, wire |
//! | [`state`] | data that all tasks share: settings, providers, catalogue | relay, routing |
//! | [`report`] | what became of a request: error, outcome, log line, counters | – |
//! | [`upstream`] | one exchange with a provider: pool, connect, DNS, TLS, send, read | downstream |
//! | [`downstream`] | one client's connection: requests in, bytes out | upstream |
//! | [`wire`] | HTTP/1.1 bytes: heads, bodies, chunks, codings, forms, events; no I/O | runtime, config |
//! | [`runtime`] | one thread's event loop: readiness, timers, sockets, locks | wire, config |
//! | [`config`] | the file, checked once, and in words | wire, runtime |
//! | [`language`] | messages in Chinese and English | – |
//!
//! A room imports from rooms further down only, never from its neighbour:
//! `program → doctor → server → routes → {relay · routing · state} → report → {upstream · downstream} →
//! {runtime · wire · config} → language`. tests/layers.rs reads the imports and holds them against this.
//! docs/architecture.md walks one chat through the rooms.

pub mod config;
pub mod doctor;
pub mod downstream;
pub mod language;
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
