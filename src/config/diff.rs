//! What a reload changed, in words. Pure functions; secrets are compared and never shown.

use super::keys::{Key, Shown, KEYS};
use super::Config;
use crate::language::{Language, Text, Words};
use crate::text;

/// What only a restart changes, as the program was started with it.
pub struct Listening(Vec<String>);

impl Listening {
    /// As `config` wants it.
    pub fn new(config: &Config) -> Self {
        Self(waiting_keys().map(|key| show(key, config)).collect())
    }
}

impl Config {
    /// One line for each thing that `new` changes, then one for each that differs from what the
    /// program was `started` with and cannot change while it runs.
    pub fn diff(&self, new: &Self, started: &Listening) -> Vec<Text> {
        let mut changes = self.provider_changes(new);
        if self.tokens != new.tokens {
            let (before, after) = (self.tokens.len(), new.tokens.len());
            changes.push(text!(
                "API token {before} → {after} 个",
                "tokens changed" => "tokens changed: {before} → {after}"
            ));
        }
        if self.log_level != new.log_level {
            changes.push(text!(
                "日志级别 {} → {}",
                "log level" => "log level {} → {}",
                self.log_level,
                new.log_level
            ));
        }
        if self.supported_models != new.supported_models {
            changes.push(Words("模型过滤规则已更改", "supported_models changed").into());
        }
        let differs = |key: &&Key<Self>| !key.restart && !(key.same)(self, new);
        let mut limits = false;
        for key in KEYS.iter().filter(differs) {
            match (key.shown, key.name) {
                (Shown::Limit, _) => limits = true,
                (Shown::Plain | Shown::Given(_), name) => {
                    changes.push(text!("{name} 已更改", "{name} changed"))
                }
                _ => {}
            }
        }
        if limits {
            changes.push(Words("限制或超时已更改", "limits or time-outs changed").into());
        }
        changes.extend(new.waiting_changes(started));
        changes
    }

    fn provider_changes(&self, new: &Self) -> Vec<Text> {
        let mut changes = Vec::new();
        for provider in &new.providers {
            match self.provider(&provider.name) {
                None => changes.push(
                    text!("新增提供商 {}", "provider added" => "provider {} added", provider.name),
                ),
                Some(before) if before != provider => {
                    changes.push(text!("提供商 {} 已更改", "provider changed" => "provider {} changed", provider.name));
                }
                Some(_) => {}
            }
        }
        for provider in &self.providers {
            if new.provider(&provider.name).is_none() {
                changes.push(text!("移除提供商 {}", "provider removed" => "provider {} removed", provider.name));
            }
        }
        changes
    }

    fn waiting_changes(&self, started: &Listening) -> Vec<Text> {
        let mut lines = Vec::new();
        for (key, before) in waiting_keys().zip(&started.0) {
            if show(key, self) != *before {
                lines.push(match key.name {
                    "host" | "port" => text!(
                        "监听地址改为 {}:{}，需要重启才能生效",
                        "host and port need a restart" => "listening on {}:{} needs a restart",
                        self.host,
                        self.port
                    ),
                    name => text!("{name} 需要重启才能生效", "{name} needs a restart"),
                });
            }
        }
        // Host and port share a line.
        lines.dedup();
        lines
    }
}

/// In one language, whatever is spoken when.
fn show(key: &Key<Config>, config: &Config) -> String {
    Language::English.speak(|| (key.show)(config))
}

fn waiting_keys() -> impl Iterator<Item = &'static Key<Config>> {
    KEYS.iter().filter(|key| key.restart)
}
