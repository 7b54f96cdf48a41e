//! The time at the beginning of a line.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Local, Timelike};

/// The local time to the second, formatted once a second.
#[derive(Default)]
pub(super) struct Stamp {
    second: u64,
    text: String,
}

impl Stamp {
    /// Appends the time with its milliseconds.
    pub(super) fn append(&mut self, line: &mut String, now: SystemTime) {
        let age = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != age.as_secs() || self.text.is_empty() {
            self.second = age.as_secs();
            self.text.clear();
            let local = DateTime::<Local>::from(now);
            let (date, time) = (local.date_naive(), local.time());
            // chrono's own format strings would bring 16 KB of code.
            let _ = write!(
                self.text,
                "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
                date.year(),
                date.month(),
                date.day(),
                time.hour(),
                time.minute(),
                time.second()
            );
        }
        let _ = write!(line, "{},{:03}", self.text, age.subsec_millis());
    }
}
