//! The plain types of fields: how each is read and shown.

use std::time::Duration;

use super::keys::{Kind, Value, OFF};
use super::node::Node;
use super::{ConfigError, Mistakes};
use crate::language::Words;
use crate::message;

/// Sizes are bounded only so that sums of two of them cannot overflow.
pub(super) const SIZE_BYTES_MAX: u64 = i64::MAX as u64;

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Value for $type {
            fn read(node: &Node<'_>, kind: &Kind) -> Result<Self, ConfigError> {
                match *kind {
                    Kind::Integer(min, max) => node.integer(min, max),
                    _ => node.integer(1, SIZE_BYTES_MAX),
                }
            }

            fn show(&self, kind: &Kind) -> String {
                match kind {
                    Kind::Size => message!("{self} 字节", "{self} bytes").to_string(),
                    _ => self.to_string(),
                }
            }
        }
    )*};
}

integers!(u8 u16 u64 usize);

impl Value for bool {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        node.boolean()
    }

    fn show(&self, _: &Kind) -> String {
        self.to_string()
    }
}

impl Value for Duration {
    fn read(node: &Node<'_>, kind: &Kind) -> Result<Self, ConfigError> {
        node.seconds(matches!(kind, Kind::SecondsOrZero))
    }

    fn show(&self, _: &Kind) -> String {
        message!("{} 秒", "{} s", self.as_secs_f64()).to_string()
    }
}

/// `None` is only for what is not given.
impl Value for Option<u8> {
    fn read(node: &Node<'_>, kind: &Kind) -> Result<Self, ConfigError> {
        u8::read(node, kind).map(Some)
    }

    fn show(&self, _: &Kind) -> String {
        self.map_or_else(|| "null".to_owned(), |number| number.to_string())
    }
}

/// Zero is never.
impl Value for Option<Duration> {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        let time = node.seconds(true)?;
        Ok((!time.is_zero()).then_some(time))
    }

    fn show(&self, kind: &Kind) -> String {
        self.map_or_else(|| OFF.to_string(), |time| time.show(kind))
    }
}

impl Value for String {
    fn read(node: &Node<'_>, kind: &Kind) -> Result<Self, ConfigError> {
        let text = node.string()?;
        match kind {
            Kind::Text(check) => check(&text).map_err(|reason| node.error(reason)),
            _ if text.is_empty() => Err(node.error(Words("不能为空", "must not be empty"))),
            _ => Ok(text),
        }
    }

    fn show(&self, _: &Kind) -> String {
        self.clone()
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(node: &Node<'_>, kind: &Kind) -> Result<Self, ConfigError> {
        let (mut values, mut mistakes) = (Vec::new(), Mistakes::default());
        for (place, node) in node.array()?.iter().enumerate() {
            let read = T::read(node, kind);
            mistakes.note(read.and_then(|value| {
                value.stands_beside(&values, node)?;
                values.push((place, value));
                Ok(())
            }));
        }
        mistakes.none()?;
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }

    fn show(&self, kind: &Kind) -> String {
        let shown: Vec<String> = self.iter().map(|value| one_line(&value.show(kind))).collect();
        match kind {
            Kind::List(empty) | Kind::Lines(empty) if shown.is_empty() => empty.to_string(),
            Kind::Lines(_) => format!("{}\n  {}", shown.len(), shown.join("\n  ")),
            _ => shown.join(", "),
        }
    }
}

pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
