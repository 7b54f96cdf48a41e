//! Which models stand behind an alias. Pure.

use std::collections::HashMap;

use super::{Alias, AliasTarget, Name};
use crate::config::{Config, Provider};

impl Config {
    /// The provider before the first slash of a model id, and the model behind it.
    pub(in crate::config) fn split_model<'n>(&self, id: &'n str) -> Option<(&Provider, &'n str)> {
        let (provider, model) = id.split_once('/')?;
        Some((self.provider(provider)?, model))
    }

    /// The places of the aliases that are no patterns.
    pub(in crate::config) fn exact_aliases(&self) -> HashMap<&str, usize> {
        let exact = self.aliases.iter().enumerate().filter(|(_, alias)| !alias.name.starred);
        exact.map(|(index, alias)| (&*alias.name.text, index)).collect()
    }

    /// The first models behind an alias, each once, up to so many. No alias is met twice: all that it leads
    /// to was there then.
    pub(in crate::config) fn models_behind<'c>(
        &'c self,
        alias: &'c Alias,
        exact: &HashMap<&str, usize>,
        max: usize,
    ) -> Vec<&'c Name> {
        let (mut met, mut models) = (Vec::new(), Vec::new());
        let mut waiting: Vec<_> = alias.targets.iter().rev().collect();
        while let Some(AliasTarget { model, .. }) = waiting.pop() {
            match exact.get(&*model.text).filter(|_| !model.starred) {
                Some(index) if !met.contains(index) => {
                    met.push(*index);
                    waiting.extend(self.aliases[*index].targets.iter().rev());
                }
                None if models.len() < max && !models.contains(&model) => models.push(model),
                _ => {}
            }
        }
        models
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_aliases_are_flattened_at_their_place_and_each_model_stands_once() {
        let text = r#"{"providers": ["p|http://h|", "q|http://h|"], "tokens": [], "aliases": {
            "a": ["p/1", "b", "p/4", "c"], "b": ["c", "p/2", "p/1"], "c": ["p/3", "q/5"],
            "pre*": ["p/*", "c", "p/3"]}}"#;
        let config = Config::parse(text, "f").unwrap_or_else(|error| panic!("{error}"));
        let exact = config.exact_aliases();
        let models = |index: usize, max: usize| {
            let models = config.models_behind(&config.aliases[index], &exact, max);
            models.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(models(0, 9), "p/1 p/3 q/5 p/2 p/4");
        assert_eq!(models(0, 3), "p/1 p/3 q/5");
        assert_eq!(models(3, 9), "p/* p/3 q/5");
    }
}
