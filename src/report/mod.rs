//! What became of a request: its error, its line in the log, its counts. It must not know sockets.

pub mod entry;
pub mod error;
pub mod logging;
pub mod outcome;
pub mod stats;
