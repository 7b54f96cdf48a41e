//! Which alias a name is, and which models stand behind it. Pure.

use std::ptr;

use super::{Alias, AliasTarget, Name};
use crate::config::{Config, Provider};

impl Config {
    /// The exact alias of this name.
    pub fn alias(&self, name: &str) -> Option<&Alias> {
        self.aliases.iter().find(|alias| !alias.name.starred && alias.name.text == name)
    }

    /// The longest pattern that `name` fits, and what its star stands for.
    pub fn pattern<'n>(&self, name: &'n str) -> Option<(&Alias, &'n str)> {
        let patterns = self.aliases.iter().filter(|alias| alias.name.starred);
        patterns
            .filter_map(|alias| Some((alias, name.strip_prefix(&*alias.name.text)?)))
            .max_by_key(|(alias, _)| alias.name.text.len())
    }

    /// The provider before the first slash of a model id, and the model behind it.
    pub fn split_model<'n>(&self, id: &'n str) -> Option<(&Provider, &'n str)> {
        let (provider, model) = id.split_once('/')?;
        Some((self.provider(provider)?, model))
    }

    /// The models of providers behind an alias, each at its first place. `order` says in which order
    /// each alias that is met has its targets.
    pub fn models_behind<'c>(
        &'c self,
        alias: &'c Alias,
        order: impl FnMut(&'c Alias) -> Vec<&'c AliasTarget>,
    ) -> Vec<&'c Name> {
        let mut behind = Behind::new(alias);
        behind.collect(|name| self.alias(name), order, usize::MAX);
        behind.models
    }
}

/// What stands behind an alias.
pub(super) struct Behind<'c> {
    /// The alias itself, and those that are targets.
    pub(super) aliases: Vec<&'c Alias>,
    pub(super) models: Vec<&'c Name>,
}

impl<'c> Behind<'c> {
    pub(super) fn new(alias: &'c Alias) -> Self {
        Self { aliases: vec![alias], models: Vec::new() }
    }

    /// Collects up to about `max` of each. No alias is entered twice: all that it leads to is there
    /// already, so even a nest whose paths double at each step is walked once.
    pub(super) fn collect(
        &mut self,
        find: impl Fn(&str) -> Option<&'c Alias>,
        mut order: impl FnMut(&'c Alias) -> Vec<&'c AliasTarget>,
        max: usize,
    ) {
        let mut waiting: Vec<_> = order(self.aliases[0]).into_iter().rev().collect();
        while let Some(AliasTarget { model, .. }) = waiting.pop() {
            match find(&model.text).filter(|_| !model.starred) {
                Some(alias) if self.aliases.iter().all(|known| !ptr::eq(*known, alias)) => {
                    self.aliases.push(alias);
                    waiting.extend(order(alias).into_iter().rev());
                }
                None if !self.models.contains(&model) => self.models.push(model),
                _ => {}
            }
            if self.aliases.len().max(self.models.len()) > max {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(aliases: &str) -> Config {
        let text = format!(
            r#"{{"providers": ["p|http://h|", "q|http://h|"], "tokens": [], "aliases": {{{aliases}}}}}"#
        );
        Config::parse(&text, "f").unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn exact_names_and_the_longest_pattern_are_found() {
        let config = config(
            r#""claude-*": "p/claude-*", "claude-3*": "p/three", "*": "q/*", "claude-3": "q/exact""#,
        );
        for (name, exact, pattern) in [
            ("claude-3", Some("claude-3"), ("claude-3*", "")),
            ("claude-3-5", None, ("claude-3*", "-5")),
            ("claude-4", None, ("claude-*", "4")),
            ("claude-*", None, ("claude-*", "*")),
            ("claude", None, ("*", "claude")),
            ("", None, ("*", "")),
        ] {
            let found = config.alias(name).map(|alias| alias.name.to_string());
            assert_eq!(found.as_deref(), exact, "{name}");
            let (alias, rest) = config.pattern(name).expect(name);
            assert_eq!((&*alias.name.to_string(), rest), pattern, "{name}");
        }
        let one = self::config(r#""x-*": "p/*""#);
        assert_eq!(one.pattern("y"), None);
    }

    #[test]
    fn nested_aliases_are_flattened_at_their_place_and_each_model_stands_once() {
        let config = config(
            r#""a": ["p/1", "b", "p/4", "c"], "b": ["c", "p/2", "p/1"], "c": ["p/3", "q/5"],
            "pre*": ["p/*", "c", "p/3"]"#,
        );
        let models = |place: usize, reversed: bool| {
            let models = config.models_behind(&config.aliases[place], |alias| match reversed {
                true => alias.targets.iter().rev().collect(),
                false => alias.targets.iter().collect(),
            });
            models.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(models(0, false), "p/1 p/3 q/5 p/2 p/4");
        assert_eq!(models(0, true), "q/5 p/3 p/4 p/1 p/2");
        assert_eq!(models(3, false), "p/* p/3 q/5");
    }
}
