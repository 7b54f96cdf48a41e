//! `aliases`: names of our own, each for one or more models of providers.

mod check;
mod lookup;

use std::collections::HashMap;
use std::fmt;

pub(super) use self::check::check;
use self::check::{too_many, TARGETS_MAX};
use super::keys::{self, Kind, Value, ALIAS_KEYS, TARGET_KEYS};
use super::node::Node;
use super::{ConfigError, Mistakes, RetryOn, TargetOrder};
use crate::language::Words;
use crate::message;

/// A name that clients may ask for, and what stands behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alias {
    /// What clients ask for; a starred one is a pattern.
    pub name: Name,
    /// What is asked in its place: at least one, each once.
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

impl Default for AliasTarget {
    fn default() -> Self {
        Self { model: Name::default(), weight: 1 }
    }
}

/// A name that may end in a star, which stands for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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

impl Name {
    fn parse(text: &str) -> Result<Self, Words> {
        let (text, starred) = match text.strip_suffix('*') {
            Some(text) => (text, true),
            None => (text, false),
        };
        if text.contains('*') {
            return Err(Words("只能有一个 *，且在末尾", "may have one * only, at its end"));
        }
        if (text.is_empty() && !starred) || text.contains(char::is_control) {
            return Err(Words(
                "不能为空，也不能含有控制字符",
                "must not be empty or contain control characters",
            ));
        }
        Ok(Self { text: text.to_owned(), starred })
    }

    fn of(node: &Node<'_>) -> Result<Self, ConfigError> {
        Self::parse(&node.string()?).map_err(|reason| node.error(reason))
    }
}

impl Value for Name {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        Self::of(node)
    }

    fn show(&self, _: &Kind) -> String {
        self.to_string()
    }
}

impl Value for Vec<Alias> {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        let (mut aliases, mut mistakes) = (Self::new(), Mistakes::default());
        let mut names = std::collections::HashSet::new();
        for (name, node) in node.entries()? {
            match Alias::read(&name, &node) {
                _ if !names.insert(name) => {
                    mistakes.add(node.error(Words("出现了两次", "is given twice")));
                }
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
        let name = Name::parse(name).map_err(|reason| node.error(reason))?;
        let mut alias = Self { name, ..Self::default() };
        if node.is_object() {
            keys::read(ALIAS_KEYS, node, &mut alias)?;
        } else {
            alias.targets = Value::read(node, &Kind::Targets)?;
        }
        let order = alias.order;
        let mut weights = alias.targets.iter().map(|target| target.weight);
        if order == TargetOrder::Weights && weights.clone().all(|weight| weight == 0) {
            let reason = Words("权重不能全部为 0", "not all weights may be 0");
            return Err(node.part("targets").error(reason));
        }
        let counts = |weight| match order {
            TargetOrder::Weights => true,
            TargetOrder::RoundRobin => weight <= 1,
            TargetOrder::InOrder => weight == 1,
        };
        if !weights.all(counts) {
            node.part("targets").warn(Words(
                "权重只在 order 为 weights 时有效",
                "weights count only where order is weights",
            ));
        }
        Ok(alias)
    }
}

impl Value for Vec<AliasTarget> {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        let (mut targets, mut mistakes) = (Self::new(), Mistakes::default());
        let mut places = HashMap::new();
        for (place, node) in elements(node)?.iter().enumerate() {
            match (AliasTarget::read(node), places.len()) {
                (Ok(target), count) => match places.get(&target.model) {
                    Some(first) => node.warn(message!(
                        "与第 {first} 个目标相同，已忽略",
                        "the same as target {first}, ignored"
                    )),
                    None if count == TARGETS_MAX => {
                        mistakes.add(node.error(too_many()));
                        break;
                    }
                    None => {
                        places.insert(target.model.clone(), place + 1);
                        targets.push(target);
                    }
                },
                (Err(error), _) => mistakes.add(error),
            }
        }
        mistakes.none()?;
        if targets.is_empty() {
            return Err(node.error(Words("至少要有一个目标", "needs at least one target")));
        }
        Ok(targets)
    }

    fn show(&self, _: &Kind) -> String {
        let shown = self.iter().map(|target| match target.weight {
            1 => target.model.to_string(),
            weight => format!("{} ({weight})", target.model),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

impl AliasTarget {
    fn read(node: &Node<'_>) -> Result<Self, ConfigError> {
        let mut target = Self::default();
        if node.is_object() {
            keys::read(TARGET_KEYS, node, &mut target)?;
        } else if node.is_string() {
            target.model = Value::read(node, &Kind::Word)?;
        } else {
            return Err(node.wrong_type(Words("字符串或对象", "a string or an object")));
        }
        Ok(target)
    }
}

/// One target, or each of an array.
fn elements<'a>(node: &Node<'a>) -> Result<Vec<Node<'a>>, ConfigError> {
    match () {
        () if node.is_array() => node.array(),
        () if node.is_string() => Ok(vec![node.clone()]),
        () => Err(node.wrong_type(Words("字符串或数组", "a string or an array"))),
    }
}
