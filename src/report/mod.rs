//! What became of a request: its error, its outcome, its line in the log, its counts.

mod culprit;
mod dialect;
mod entry;
mod error;
mod explain;
mod json;
pub mod logging;
mod outcome;
mod recent;
mod stats;

pub use self::culprit::Culprit;
pub use self::dialect::Dialect;
pub use self::entry::Entry;
pub use self::error::Error;
pub use self::explain::model_value;
pub use self::json::to_json;
pub use self::outcome::Outcome;
pub use self::recent::{Problem, Recent};
pub use self::stats::Stats;
