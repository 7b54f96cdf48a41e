//! One JSON value beside the key path that leads to it, and typed readers for it. It knows types
//! and ranges, and nothing about the keys' meaning. No message holds a value: it may be a secret.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::time::Duration;

use super::expand::expand;
use super::{json, ConfigError};

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
    pub(super) warnings: RefCell<Vec<String>>,
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

    pub(super) fn error(&self, path: &str, reason: &str) -> ConfigError {
        ConfigError::new(self.file, path, reason)
    }

    pub(super) fn warn(&self, path: &str, reason: &str) {
        let line = self.error(path, reason).to_string();
        self.warnings.borrow_mut().push(line);
    }
}

/// A checked JSON value, not yet read.
pub(super) struct Node<'a> {
    pub(super) source: &'a Source<'a>,
    json: &'a str,
    path: String,
}

impl<'a> Node<'a> {
    /// The file's one value. `json` has been checked by `json::parse`.
    pub(super) fn root(source: &'a Source<'a>, json: &'a str) -> Self {
        Self { source, json, path: String::new() }
    }

    /// An error of this value; `reason` must not hold a piece of it.
    pub(super) fn error(&self, reason: &str) -> ConfigError {
        self.source.error(&self.path, reason)
    }

    /// As `error`, but of a part of this value that has a name.
    pub(super) fn part_error(&self, part: &str, reason: &str) -> ConfigError {
        self.source.error(&join(&self.path, part), reason)
    }

    pub(super) fn warn(&self, reason: &str) {
        self.source.warn(&self.path, reason);
    }

    /// As `warn`, but of a part of this value that has a name.
    pub(super) fn part_warn(&self, part: &str, reason: &str) {
        self.source.warn(&join(&self.path, part), reason);
    }

    /// Notes that this value is a secret, or holds one, unless it comes from a variable.
    pub(super) fn note_secret(&self) {
        if !self.json.contains("${") {
            self.source.holds_secret.set(true);
        }
    }

    pub(super) fn is_string(&self) -> bool {
        self.json.starts_with('"')
    }

    pub(super) fn is_object(&self) -> bool {
        self.json.starts_with('{')
    }

    fn is_null(&self) -> bool {
        self.json == "null"
    }

    fn is_number(&self) -> bool {
        self.json.starts_with(|c: char| c == '-' || c.is_ascii_digit())
    }

    /// A type error that names the JSON type found instead.
    pub(super) fn wrong_type(&self, chinese: &str, english: &str) -> ConfigError {
        let (found_chinese, found) = match self.json.as_bytes().first() {
            Some(b'{') => ("对象", "an object"),
            Some(b'[') => ("数组", "an array"),
            Some(b'"') => ("字符串", "a string"),
            Some(b't' | b'f') => ("布尔值", "a boolean"),
            Some(b'n') => (" null", "null"),
            _ => ("数字", "a number"),
        };
        self.error(&format!(
            "必须是{chinese}，这里是{found_chinese} (must be {english}, found {found})"
        ))
    }

    /// A string with its `${NAME}` references expanded.
    pub(super) fn string(&self) -> Result<String, ConfigError> {
        if !self.is_string() {
            return Err(self.wrong_type("字符串", "a string"));
        }
        let text: String = serde_json::from_str(self.json).map_err(|_| {
            self.error("字符串含有无效的 \\u 转义 (invalid \\u escape in the string)")
        })?;
        expand(&text, self.source.lookup).map_err(|reason| self.error(&reason))
    }

    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        match self.json {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.wrong_type("布尔值", "a boolean")),
        }
    }

    /// A number without fraction or exponent, both bounds included.
    pub(super) fn integer<T: TryFrom<u64>>(&self, min: u64, max: u64) -> Result<T, ConfigError> {
        let chinese = format!(" {min} 到 {max} 的整数");
        let english = format!("an integer from {min} to {max}");
        if !self.is_number() {
            return Err(self.wrong_type(&chinese, &english));
        }
        self.json
            .parse()
            .ok()
            .filter(|number| (min..=max).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.error(&format!("必须是{chinese} (must be {english})")))
    }

    /// A time above zero and up to a year.
    pub(super) fn seconds(&self) -> Result<Duration, ConfigError> {
        self.time("大于 0 且不超过 31536000 的秒数", "seconds above 0 and up to 31536000", false)
    }

    /// A time up to a year; zero is allowed.
    pub(super) fn seconds_or_zero(&self) -> Result<Duration, ConfigError> {
        self.time(" 0 到 31536000 的秒数", "seconds from 0 to 31536000", true)
    }

    fn time(&self, chinese: &str, english: &str, zero: bool) -> Result<Duration, ConfigError> {
        if !self.is_number() {
            return Err(self.wrong_type(chinese, english));
        }
        // Rust reads every JSON number; 1e400 becomes infinite and so falls out of range.
        let seconds: f64 = self.json.parse().unwrap_or(f64::INFINITY);
        if seconds == 0.0 && zero {
            Ok(Duration::ZERO)
        } else if seconds > 0.0 && seconds <= SECONDS_MAX {
            Ok(Duration::from_secs_f64(seconds).max(TIME_MIN))
        } else {
            Err(self.error(&format!("必须是{chinese} (must be {english})")))
        }
    }

    pub(super) fn array(&self) -> Result<Vec<Node<'a>>, ConfigError> {
        if !self.json.starts_with('[') {
            return Err(self.wrong_type("数组", "an array"));
        }
        let elements = json::elements(self.json)
            .map_err(|_| self.error("数组无法读取 (the array cannot be read)"))?;
        let node = |(index, json)| {
            let path = format!("{}[{index}]", self.path);
            Node { source: self.source, json, path }
        };
        Ok(elements.into_iter().enumerate().map(node).collect())
    }

    /// An object whose keys should be among `known`. Each other key gives a warning.
    ///
    /// # Errors
    ///
    /// No object, or a known key that is given twice.
    pub(super) fn fields(self, known: &[&str]) -> Result<Fields<'a>, ConfigError> {
        if !self.is_object() {
            return Err(self.wrong_type("对象", "an object"));
        }
        let entries = json::entries(self.json)
            .map_err(|_| self.error("键含有无效的 \\u 转义 (invalid \\u escape in a key)"))?;
        let mut seen = HashSet::new();
        for (key, _) in &entries {
            let again = !seen.insert(key);
            if !known.contains(&key.as_str()) {
                if !again {
                    self.source
                        .warn(&join(&self.path, key), "未知的键，已忽略 (unknown key, ignored)");
                }
            } else if again {
                return Err(self.part_error(key, "出现了两次 (is given twice)"));
            }
        }
        Ok(Fields { object: self, entries })
    }
}

/// The entries of one object.
pub(super) struct Fields<'a> {
    pub(super) object: Node<'a>,
    entries: Vec<(String, &'a str)>,
}

impl<'a> Fields<'a> {
    /// The value of a key; `null` counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        let (_, json) = self.entries.iter().find(|(name, _)| name == key)?;
        let path = join(&self.object.path, key);
        let node = Node { source: self.object.source, json, path };
        (!node.is_null()).then_some(node)
    }

    /// Overwrites `slot` with the value of a key, if there is one.
    pub(super) fn read<T>(
        &self,
        key: &str,
        slot: &mut T,
        reader: impl FnOnce(&Node<'a>) -> Result<T, ConfigError>,
    ) -> Result<(), ConfigError> {
        if let Some(node) = self.get(key) {
            *slot = reader(&node)?;
        }
        Ok(())
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
