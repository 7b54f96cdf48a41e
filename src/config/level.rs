//! The names of the log's levels.

use std::fmt;

use super::keys::{Kind, Value};
use super::node::Node;
use super::ConfigError;
use crate::language::Words;

/// The least severe level that is logged; `Debug` logs everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Details for the search for a fault.
    Debug,
    /// One line per request.
    Info,
    /// What an operator should know; the default.
    Warning,
    /// Exchanges that failed.
    Error,
    /// The program cannot go on.
    Critical,
}

impl LogLevel {
    const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The level of this name, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Value for LogLevel {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        Self::from_name(&node.string()?).ok_or_else(|| {
            node.error(Words(
                "必须是 DEBUG、INFO、WARNING、ERROR 或 CRITICAL",
                "must be DEBUG, INFO, WARNING, ERROR or CRITICAL",
            ))
        })
    }

    fn show(&self, _: &Kind) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_printed_in_capitals() {
        for (name, shown) in [("debug", "DEBUG"), ("Warning", "WARNING"), ("CRITICAL", "CRITICAL")]
        {
            let level = LogLevel::from_name(name).map(|level| level.to_string());
            assert_eq!(level.as_deref(), Some(shown));
        }
        assert_eq!(LogLevel::from_name("WARN"), None);
        assert!(LogLevel::Debug < LogLevel::Info && LogLevel::Error < LogLevel::Critical);
    }
}
