//! The process: how it starts, what it logs, how it takes a new configuration and signals, and how it ends.

mod auto;
mod demo;
mod drain;
mod language;
mod log;
mod log_blocked;
mod reload;
mod reload_under_load;
mod signals;
mod start_up;
#[path = "../support/mod.rs"]
mod support;
