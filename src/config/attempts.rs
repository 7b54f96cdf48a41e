//! How many attempts a request may make. Pure.

use std::collections::HashMap;

use super::{Alias, Config, Provider};

/// Attempts beside the first, when nothing says how many.
const RETRIES_DEFAULT_MAX: usize = 8;
/// Of the keys of one target no more count by default.
const KEYS_MAX: usize = 3;

/// The additional attempts of a route for which none are given: each further target, and up to two
/// further keys of each; at most 8. `keys` has the number of keys of each target.
pub fn default_retries(keys: impl Iterator<Item = usize>) -> u8 {
    let attempts: usize = keys.map(|keys| keys.clamp(1, KEYS_MAX)).sum();
    attempts.saturating_sub(1).min(RETRIES_DEFAULT_MAX) as u8
}

impl Config {
    /// Attempts for a model of this provider, the first included.
    pub(super) fn attempts_at(&self, provider: &Provider) -> u8 {
        let keys = std::iter::once(provider.keys.len());
        1 + self.retries.unwrap_or_else(|| default_retries(keys))
    }

    /// Attempts for an alias, the first included; `exact` is [`Config::exact_aliases`].
    pub(super) fn attempts_behind(&self, alias: &Alias, exact: &HashMap<&str, usize>) -> u8 {
        // Further ones make no difference.
        let models = self.models_behind(alias, exact, 1 + RETRIES_DEFAULT_MAX);
        let providers = models.iter().filter_map(|model| self.split_model(&model.text));
        let keys = providers.map(|(provider, _)| provider.keys.len());
        1 + alias.retries.or(self.retries).unwrap_or_else(|| default_retries(keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_targets_and_two_further_keys_of_each_are_asked_up_to_eight() {
        for (keys, retries) in [
            (&[][..], 0),
            (&[0], 0),
            (&[1], 0),
            (&[2], 1),
            (&[3], 2),
            (&[100], 2),
            (&[1, 0, 1], 2),
            (&[5, 1], 3),
            (&[3, 3, 3], 8),
            (&[3, 3, 3, 3], 8),
            (&[1; 64], 8),
        ] {
            assert_eq!(default_retries(keys.iter().copied()), retries, "{keys:?}");
        }
    }

    #[test]
    fn an_alias_counts_all_models_behind_it_unless_it_or_the_file_says_how_many() {
        let attempts = |retries: &str| {
            let text = format!(
                r#"{{"providers": ["one|http://h|k", {{"provider": "four", "baseurl": "http://h",
                "token": ["a", "b", "c", "d"]}}], "tokens": [], {retries} "aliases": {{
                "x": ["one/m", "y"], "y": ["four/m", "one/m"], "z": {{"targets": "x", "retries": 7}},
                "p*": ["four/*", "one/*"]}}}}"#
            );
            let config = Config::parse(&text, "f").unwrap_or_else(|error| panic!("{error}"));
            let exact = config.exact_aliases();
            let providers = config.providers.iter().map(|provider| config.attempts_at(provider));
            let aliases = config.aliases.iter().map(|alias| config.attempts_behind(alias, &exact));
            providers.chain(aliases).collect::<Vec<_>>()
        };
        assert_eq!(attempts(""), [1, 3, 4, 4, 8, 4]);
        assert_eq!(attempts(r#""retries": 0,"#), [1, 1, 1, 1, 8, 1]);
        assert_eq!(attempts(r#""retries": 10,"#), [11, 11, 11, 11, 8, 11]);
    }
}
