//! One JSON value beside the key path that leads to it, and typed readers for it. No message holds
//! a value: it may be a secret.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

use super::expand::expand;
use super::tree::Tree;
use super::{line, ConfigError};
use crate::language::Text;
use crate::language::Words;
use crate::{message, text};

/// The longest time that a key in seconds may name: a year.
const SECONDS_MAX: f64 = 31_536_000.0;

/// The shortest time that is not "none"; smaller positive numbers are rounded up to it.
const TIME_MIN: Duration = Duration::from_millis(1);

/// What all values of one file share.
pub(super) struct Source<'a> {
    /// The file's name as messages show it.
    pub(super) file: &'a str,
    /// Looks up an environment variable.
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Whether every user of the machine may read the file.
    pub(super) exposed: bool,
    /// What is odd but no error, one line each.
    pub(super) warnings: RefCell<Vec<Text>>,
    /// Whether a secret stands in the file itself, as opposed to the environment.
    pub(super) holds_secret: Cell<bool>,
}

impl<'a> Source<'a> {
    pub(super) fn new(
        file: &'a str,
        lookup: &'a dyn Fn(&str) -> Option<String>,
        exposed: bool,
    ) -> Self {
        let (warnings, holds_secret) = Default::default();
        Self { file, lookup, exposed, warnings, holds_secret }
    }

    pub(super) fn error(&self, path: &str, reason: &dyn fmt::Display) -> ConfigError {
        ConfigError::new(self.file, path, reason)
    }

    pub(super) fn warn(&self, path: &str, reason: &dyn fmt::Display) {
        self.warnings.borrow_mut().push(line(self.file, path, reason));
    }
}

/// A JSON value, not yet read.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) source: &'a Source<'a>,
    tree: &'a Tree<'a>,
    /// Its place in the tree.
    at: usize,
    path: String,
}

impl<'a> Node<'a> {
    /// The file's one value.
    pub(super) fn root(source: &'a Source<'a>, tree: &'a Tree<'a>) -> Self {
        Self { source, tree, at: 0, path: String::new() }
    }

    fn json(&self) -> &'a str {
        self.tree.json(self.at)
    }

    /// An error of this value; `reason` must not hold a piece of it.
    pub(super) fn error(&self, reason: impl fmt::Display) -> ConfigError {
        self.source.error(&self.path, &reason)
    }

    pub(super) fn warn(&self, reason: impl fmt::Display) {
        self.source.warn(&self.path, &reason);
    }

    /// The same value under the name of a part of it, for messages.
    pub(super) fn part(&self, name: &str) -> Self {
        Node { path: join(&self.path, name), ..*self }
    }

    /// The same value as the name of a file, at a line of it.
    pub(super) fn at_line(&self, line: usize) -> Self {
        Node { path: format!("{}:{line}", self.path), ..*self }
    }

    /// Notes that this value is a secret, or holds one, unless it comes from a variable.
    pub(super) fn note_secret(&self) {
        if !self.json().contains("${") {
            self.source.holds_secret.set(true);
        }
    }

    pub(super) fn is_string(&self) -> bool {
        self.json().starts_with('"')
    }

    pub(super) fn is_object(&self) -> bool {
        self.json() == "{"
    }

    pub(super) fn is_array(&self) -> bool {
        self.json() == "["
    }

    pub(super) fn is_boolean(&self) -> bool {
        matches!(self.json(), "true" | "false")
    }

    pub(super) fn is_null(&self) -> bool {
        self.json() == "null"
    }

    fn is_number(&self) -> bool {
        self.json().starts_with(|c: char| c == '-' || c.is_ascii_digit())
    }

    /// A type error that names the JSON type found instead.
    pub(super) fn wrong_type(&self, wanted: impl fmt::Display) -> ConfigError {
        let found = match self.json().as_bytes().first() {
            Some(b'{') => Words("对象", "an object"),
            Some(b'[') => Words("数组", "an array"),
            Some(b'"') => Words("字符串", "a string"),
            Some(b't' | b'f') => Words("布尔值", "a boolean"),
            Some(b'n') => Words(" null", "null"),
            _ => Words("数字", "a number"),
        };
        self.error(message!("必须是{wanted}，这里是{found}", "must be {wanted}, found {found}"))
    }

    /// A string with its `${NAME}` references expanded.
    pub(super) fn string(&self) -> Result<String, ConfigError> {
        if !self.is_string() {
            return Err(self.wrong_type(Words("字符串", "a string")));
        }
        let text: String = serde_json::from_str(self.json()).map_err(|_| {
            self.error(Words("字符串含有无效的 \\u 转义", "invalid \\u escape in the string"))
        })?;
        expand(&text, self.source.lookup).map_err(|reason| self.error(reason))
    }

    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        match self.json() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.wrong_type(Words("布尔值", "a boolean"))),
        }
    }

    /// A number without fraction or exponent, both bounds included.
    pub(super) fn integer<T: TryFrom<u64>>(&self, min: u64, max: u64) -> Result<T, ConfigError> {
        let wanted = text!(" {min} 到 {max} 的整数", "an integer from {min} to {max}");
        if !self.is_number() {
            return Err(self.wrong_type(wanted));
        }
        self.json()
            .parse()
            .ok()
            .filter(|number| (min..=max).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.error(message!("必须是{wanted}", "must be {wanted}")))
    }

    /// A time up to a year; zero is allowed or not.
    pub(super) fn seconds(&self, zero: bool) -> Result<Duration, ConfigError> {
        let wanted = match zero {
            true => Words(" 0 到 31536000 的秒数", "seconds from 0 to 31536000"),
            false => Words("大于 0 且不超过 31536000 的秒数", "seconds above 0 and up to 31536000"),
        };
        if !self.is_number() {
            return Err(self.wrong_type(wanted));
        }
        // Rust reads every JSON number; 1e400 becomes infinite and so falls out of range.
        let seconds: f64 = self.json().parse().unwrap_or(f64::INFINITY);
        if seconds == 0.0 && zero {
            Ok(Duration::ZERO)
        } else if seconds > 0.0 && seconds <= SECONDS_MAX {
            Ok(Duration::from_secs_f64(seconds).max(TIME_MIN))
        } else {
            Err(self.error(message!("必须是{wanted}", "must be {wanted}")))
        }
    }

    pub(super) fn array(&self) -> Result<Vec<Self>, ConfigError> {
        if !self.is_array() {
            return Err(self.wrong_type(Words("数组", "an array")));
        }
        let node = |(index, at)| Node { at, path: format!("{}[{index}]", self.path), ..*self };
        Ok(self.tree.inside(self.at).enumerate().map(node).collect())
    }

    /// The entries of an object in the order of the text, those of one name all of them.
    pub(super) fn entries(&self) -> Result<Vec<(String, Self)>, ConfigError> {
        if !self.is_object() {
            return Err(self.wrong_type(Words("对象", "an object")));
        }
        let mut entries = Vec::new();
        let mut places = self.tree.inside(self.at);
        while let (Some(name), Some(at)) = (places.next(), places.next()) {
            let name: String = serde_json::from_str(self.tree.json(name)).map_err(|_| {
                self.error(Words("键含有无效的 \\u 转义", "invalid \\u escape in a key"))
            })?;
            let path = join(&self.path, &name);
            entries.push((name, Node { at, path, ..*self }));
        }
        Ok(entries)
    }
}

/// A key path.
fn join(path: &str, key: &str) -> String {
    let shown = shorten(key);
    match path {
        "" => shown,
        _ => format!("{path}.{shown}"),
    }
}

/// A key or name from the file for a message: long ones are cut.
pub(super) fn shorten(name: &str) -> String {
    const CHARS_MAX: usize = 64;
    let mut shown: String = name.chars().take(CHARS_MAX).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown
}
