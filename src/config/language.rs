//! The key `language`.

use super::keys::{Kind, Value};
use super::node::Node;
use super::{Config, ConfigError};
use crate::language::{Language, Words};

const NAMES: [(&str, Language); 2] = [("en", Language::English), ("zh", Language::Chinese)];

impl Value for Option<Language> {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        let text = node.string()?;
        let named = NAMES.iter().find(|(name, _)| *name == text).map(|(_, language)| *language);
        let unknown = || node.error(Words("必须是 en 或 zh", "must be en or zh"));
        named.map(Some).ok_or_else(unknown)
    }

    fn show(&self, _: &Kind) -> String {
        let name = NAMES.iter().find(|(_, language)| Some(*language) == *self);
        name.map_or_else(|| OF_ENVIRONMENT.to_string(), |(name, _)| (*name).to_owned())
    }
}

const OF_ENVIRONMENT: Words = Words("由环境变量决定", "as the environment says");

impl Config {
    /// Makes the process speak as the configuration wants it.
    pub fn set_language(&self) {
        speak(self.language);
    }
}

/// The terminal speaks `chosen`, or else as the environment says; the log and HTTP speak English if
/// that was chosen.
pub(super) fn speak(chosen: Option<Language>) {
    let of_locale = || Language::of_locale(|name| std::env::var(name).ok());
    chosen.unwrap_or_else(of_locale).set_of_terminal();
    match chosen {
        Some(Language::English) => Language::English.set(),
        _ => Language::Both.set(),
    }
}
