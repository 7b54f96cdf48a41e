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
        let find = |name: &str| self.alias(name);
        let mut models = Vec::new();
        each_model(alias, find, order, |model| {
            models.push(model);
            true
        });
        models
    }
}

/// Visits the models behind an alias, each once, as long as `visit` wants more. No alias is met twice:
/// all that it leads to was visited then.
pub(in crate::config) fn each_model<'c>(
    alias: &'c Alias,
    find: impl Fn(&str) -> Option<&'c Alias>,
    mut order: impl FnMut(&'c Alias) -> Vec<&'c AliasTarget>,
    mut visit: impl FnMut(&'c Name) -> bool,
) {
    let (mut met, mut visited) = (vec![alias], Vec::new());
    let mut waiting: Vec<_> = order(alias).into_iter().rev().collect();
    while let Some(AliasTarget { model, .. }) = waiting.pop() {
        match find(&model.text).filter(|_| !model.starred) {
            Some(alias) if met.iter().all(|known| !ptr::eq(*known, alias)) => {
                met.push(alias);
                waiting.extend(order(alias).into_iter().rev());
            }
            None if !visited.contains(&model) => {
                visited.push(model);
                if !visit(model) {
                    break;
                }
            }
            _ => {}
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
