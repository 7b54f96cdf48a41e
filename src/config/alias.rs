//! `aliases`: names of our own, each for one or more models of providers.

use std::fmt;

use super::keys::{self, Kind, Value, ALIAS_KEYS, TARGET_KEYS};
use super::node::Node;
use super::{ConfigError, Mistakes, RetryOn, TargetOrder};
use crate::language::Words;

/// A name that clients may ask for, and what stands behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alias {
    /// What clients ask for; a starred one is a pattern.
    pub name: Name,
    /// What is asked in its place, at least one.
    pub targets: Vec<AliasTarget>,
    /// Which of them comes first.
    pub order: TargetOrder,
    /// Additional attempts; `None`: as the file says.
    pub retries: Option<u8>,
    /// What is tried again beside what the file says.
    pub retry_on: RetryOn,
}

/// One of the names that stand behind an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasTarget {
    /// `provider/model` or another alias; starred only behind a pattern.
    pub model: Name,
    /// Its share in the order by weights, at most 1000; 0: only when the others cannot be used.
    pub weight: u16,
}

/// A name that may end in a star, which stands for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// All but the star.
    pub text: String,
    /// Whether there is one.
    pub starred: bool,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.starred { "*" } else { "" };
        write!(f, "{}{star}", self.text)
    }
}

impl Value for Vec<Alias> {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        let (mut aliases, mut mistakes) = (Self::new(), Mistakes::default());
        for (name, node) in node.entries()? {
            match Alias::read(&name, &node) {
                Ok(alias) => aliases.push(alias),
                Err(error) => mistakes.add(error),
            }
        }
        mistakes.none()?;
        Ok(aliases)
    }

    fn show(&self, _: &Kind) -> String {
        self.len().to_string()
    }
}

impl Alias {
    fn read(name: &str, node: &Node<'_>) -> Result<Self, ConfigError> {
        let name = Name::check(name).map_err(|reason| node.error(reason))?;
        let mut alias = Self { name, ..Self::default() };
        if node.is_object() {
            keys::read(ALIAS_KEYS, node, &mut alias)?;
        } else {
            alias.targets = Value::read(node, &Kind::Word)?;
        }
        Ok(alias)
    }
}

impl Value for Vec<AliasTarget> {
    fn read(node: &Node<'_>, kind: &Kind) -> Result<Self, ConfigError> {
        if !node.is_array() {
            return AliasTarget::read(node, kind).map(|target| vec![target]);
        }
        let (mut targets, mut mistakes) = (Self::new(), Mistakes::default());
        for node in node.array()? {
            match AliasTarget::read(&node, kind) {
                Ok(target) => targets.push(target),
                Err(error) => mistakes.add(error),
            }
        }
        mistakes.none()?;
        Ok(targets)
    }

    fn show(&self, _: &Kind) -> String {
        self.iter().map(|target| target.model.to_string()).collect::<Vec<_>>().join(", ")
    }
}

impl AliasTarget {
    fn read(node: &Node<'_>, kind: &Kind) -> Result<Self, ConfigError> {
        let mut target = Self::default();
        if node.is_object() {
            keys::read(TARGET_KEYS, node, &mut target)?;
        } else {
            target.model = Value::read(node, kind)?;
        }
        Ok(target)
    }
}

impl Default for AliasTarget {
    fn default() -> Self {
        Self { model: Name::default(), weight: 1 }
    }
}

impl Name {
    fn check(text: &str) -> Result<Self, Words> {
        let (text, starred) = match text.strip_suffix('*') {
            Some(text) => (text, true),
            None => (text, false),
        };
        if text.contains('*') {
            return Err(Words("只能在末尾有一个 *", "may have one * only, at its end"));
        }
        if (text.is_empty() && !starred) || text.contains(char::is_control) {
            let reason = "must not be empty or contain control characters";
            return Err(Words("不能为空，也不能含有控制字符", reason));
        }
        Ok(Self { text: text.to_owned(), starred })
    }
}

impl Value for Name {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        Self::check(&node.string()?).map_err(|reason| node.error(reason))
    }

    fn show(&self, _: &Kind) -> String {
        self.to_string()
    }
}
