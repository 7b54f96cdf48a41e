//! What a key is: one row of a table, from which the reader, `--check` and the changes of a reload
//! follow; the schema and the documentation are tested to agree with it.

mod alias;
mod file;
mod provider;

pub(super) use self::alias::{ALIAS_KEYS, TARGET_KEYS};
pub(super) use self::file::KEYS;
pub(super) use self::provider::PROVIDER_KEYS;
use super::node::Node;
use super::similar::similar;
use super::{ConfigError, Mistakes};
use crate::language::Words;
use crate::message;

/// One key of the object that fills a `T`.
pub(super) struct Key<T: 'static> {
    pub(super) name: &'static str,
    pub(super) shown: Shown,
    pub(super) presence: Presence,
    /// Whether a change waits for a restart.
    pub(super) restart: bool,
    pub(super) read: fn(&mut T, &Node<'_>) -> Result<(), ConfigError>,
    /// The value for `--check`, secrets left out.
    pub(super) show: fn(&T) -> String,
    pub(super) same: fn(&T, &T) -> bool,
    #[cfg(test)]
    pub(super) doc: Doc,
}

/// What the schema and the documentation say of a key; the program itself does not carry it.
#[cfg(test)]
pub(super) struct Doc {
    pub(super) kind: Kind,
    /// Markdown for docs/configuration.md.
    pub(super) english: &'static str,
    /// Markdown for docs/zh-CN/configuration.md.
    pub(super) chinese: &'static str,
    /// Plain text for the schema; empty: `english`.
    pub(super) schema: &'static str,
    /// The rest of the key's schema; empty: as its kind says.
    pub(super) rule: &'static str,
}

/// Zero, where that is never, and an empty list, where that is nothing.
pub(super) const OFF: Words = Words("关闭", "off");

/// Additional attempts for a request.
const RETRIES_MAX: u64 = 10;

/// The form of a value, and how it is printed.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// From the first number to the second.
    Integer(u64, u64),
    /// Bytes, at least 1.
    Size,
    /// Above 0, up to a year.
    Seconds,
    /// Up to a year.
    SecondsOrZero,
    Boolean,
    /// A string that the function accepts, perhaps changed.
    Text(fn(&str) -> Result<String, crate::language::Words>),
    /// A boolean or a URL.
    SwitchOrUrl,
    /// A string whose type says what it may hold.
    Word,
    /// A string, or an array of them.
    StringOrList,
    /// An array of numbers and strings.
    Mixed,
    /// A string, or an array of strings and objects.
    Targets,
    /// An object whose names the user makes up.
    Named,
    /// An array of strings, printed on one line; an empty one is printed as this.
    List(Words),
    /// An array, printed on one line each under their number; an empty one is printed as this.
    Lines(Words),
}

/// Where `--check` shows a key, and how a reload says that it changed.
#[derive(Clone, Copy)]
pub(super) enum Shown {
    /// In a line made by hand, or in that of another key.
    Elsewhere,
    /// Under this title; a reload has words of its own for it (`diff`).
    Titled(Words),
    /// Under this title when it is not the default. A reload says its name.
    Given(Words),
    /// Under its name, among the limits; a reload has one line for all of these.
    Limit,
    /// Under its name: in a file among the limits, in a provider only when it is not the default. A
    /// reload says its name.
    Plain,
}

/// What follows when a key is not there.
#[derive(Clone, Copy)]
pub(super) enum Presence {
    /// The default.
    Optional,
    /// The default, with a warning.
    Wanted,
    /// An error.
    Required,
}

const fn required<T>(key: Key<T>) -> Key<T> {
    Key { presence: Presence::Required, ..key }
}

const fn wanted<T>(key: Key<T>) -> Key<T> {
    Key { presence: Presence::Wanted, ..key }
}

const fn needs_restart<T>(key: Key<T>) -> Key<T> {
    Key { restart: true, ..key }
}

/// A row: the field of the key's name, its kind, its place in `--check`, then the texts of `Doc`.
/// The key's name stands first where the field has another; `with` and a reader where it has no
/// field.
macro_rules! key {
    ($name:expr => with $read:expr, $kind:expr, $english:literal, $chinese:literal
        $(, $schema:literal $(, $rule:literal)?)?) => {
        Key {
            name: $name,
            shown: Shown::Elsewhere,
            presence: Presence::Optional,
            restart: false,
            read: $read,
            show: |_| String::new(),
            same: |_, _| true,
            #[cfg(test)]
            doc: crate::config::keys::Doc {
                kind: $kind,
                english: $english,
                chinese: $chinese,
                schema: concat!("", $($schema)?),
                rule: concat!("", $($($rule)?)?),
            },
        }
    };
    ($name:expr => $field:ident, $kind:expr, $shown:expr, $($doc:literal),+) => {
        Key {
            shown: $shown,
            show: |object| object.$field.show(&$kind),
            same: |one, other| one.$field == other.$field,
            ..key!($name => with |object, node| {
                object.$field = Value::read(node, &$kind)?;
                Ok(())
            }, $kind, $($doc),+)
        }
    };
    ($field:ident, $($rest:tt)+) => {
        key!(stringify!($field) => $field, $($rest)+)
    };
}
pub(super) use key;

/// Reads an object: each key of the table in its order, if it is there and not `null`. Each other
/// key gives a warning.
///
/// # Errors
///
/// No object; and of all keys: given twice, missing though required, a bad value.
pub(super) fn read<T>(
    keys: &[Key<T>],
    object: &Node<'_>,
    target: &mut T,
) -> Result<(), ConfigError> {
    let entries = object.entries()?;
    let mut mistakes = Mistakes::default();
    let mut seen = std::collections::HashSet::new();
    let meant = |name: &str| similar(name, keys.iter().map(|key| key.name));
    let is_known = |name: &str| keys.iter().any(|key| key.name == name);
    for (name, node) in &entries {
        match (seen.insert(name), is_known(name), meant(name)) {
            (false, true, _) => mistakes.add(node.error(Words("出现了两次", "is given twice"))),
            (true, false, None) => node.warn(Words("未知的键，已忽略", "unknown key, ignored")),
            (true, false, Some(key)) => node.warn(message!(
                "未知的键，已忽略；是否应为 {key}？",
                "unknown key, ignored; did you mean {key}?"
            )),
            _ => {}
        }
    }
    for key in keys {
        let given = entries.iter().find(|(name, _)| name == key.name);
        match (given.filter(|(_, node)| !node.is_null()), key.presence) {
            (Some((_, node)), _) => mistakes.note((key.read)(target, node)),
            (None, Presence::Required) => {
                let like = |name: &&String| !is_known(name) && meant(name) == Some(key.name);
                let missing = object.part(key.name);
                mistakes.add(match entries.iter().map(|(name, _)| name).find(like) {
                    Some(name) => missing.error(message!(
                        "缺少此项；{name} 是否应为 {}？",
                        "is missing; is {name} meant to be {}?",
                        key.name
                    )),
                    None => missing.error(Words("缺少此项", "is missing")),
                });
            }
            (None, Presence::Wanted) => {
                let missing = Words("缺少，按空列表处理", "missing, taken as an empty list");
                object.part(key.name).warn(missing);
            }
            (None, Presence::Optional) => {}
        }
    }
    mistakes.none()
}

/// For one line of `--check`: the titled keys of an object, and those that are not the default.
pub(super) fn show<T: Default>(keys: &[Key<T>], object: &T) -> String {
    let mut line = String::new();
    for key in keys {
        let label = match key.shown {
            Shown::Titled(title) => title.to_string(),
            Shown::Plain if !(key.same)(object, &T::default()) => key.name.to_owned(),
            _ => continue,
        };
        line.push_str(&format!("  {label}: {}", (key.show)(object)));
    }
    line
}

/// The type of a key's field.
pub(super) trait Value: Sized {
    /// # Errors
    ///
    /// What breaks the rule of the kind or type, without a piece of the value.
    fn read(node: &Node<'_>, kind: &Kind) -> Result<Self, ConfigError>;

    /// In words for `--check`; a secret only by its presence.
    fn show(&self, kind: &Kind) -> String;

    /// As an element of an array, beside those before it, each with its place.
    ///
    /// # Errors
    ///
    /// It must not stand beside them.
    fn stands_beside(
        &self,
        _earlier: &[(usize, Self)],
        _node: &Node<'_>,
    ) -> Result<(), ConfigError> {
        Ok(())
    }
}
