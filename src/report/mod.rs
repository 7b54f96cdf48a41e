//! What became of a request: its error, its outcome, its line in the log, its counts.

mod entry;
mod error;
pub mod logging;
mod outcome;
mod stats;

pub use self::entry::Entry;
pub use self::error::{error_event, error_json, to_json, Error};
pub use self::outcome::Outcome;
pub use self::stats::Stats;
