//! What a reload changed, in words. Pure functions; secrets are compared and never shown.

use super::keys::{Key, Shown, KEYS};
use super::Config;

/// What only a restart changes, as the program was started with it.
pub struct Listening(Vec<String>);

impl Listening {
    /// As `config` wants it.
    pub fn new(config: &Config) -> Self {
        Self(waiting_keys().map(|key| (key.show)(config)).collect())
    }
}

impl Config {
    /// One line for each thing that `new` changes, then one for each that differs from what the
    /// program was `started` with and cannot change while it runs.
    pub fn diff(&self, new: &Self, started: &Listening) -> Vec<String> {
        let mut changes = self.provider_changes(new);
        if self.tokens != new.tokens {
            let (before, after) = (self.tokens.len(), new.tokens.len());
            changes.push(format!("API token {before} → {after} 个 (tokens changed)"));
        }
        if self.log_level != new.log_level {
            changes.push(format!("日志级别 {} → {} (log level)", self.log_level, new.log_level));
        }
        if self.supported_models != new.supported_models {
            changes.push("模型过滤规则已更改 (supported_models changed)".to_owned());
        }
        let differs = |key: &&Key<Self>| !key.restart && !(key.same)(self, new);
        let mut limits = false;
        for key in KEYS.iter().filter(differs) {
            match (key.shown, key.name) {
                (Shown::Limit, _) => limits = true,
                (Shown::Plain, name) => changes.push(format!("{name} 已更改 ({name} changed)")),
                _ => {}
            }
        }
        if limits {
            changes.push("限制或超时已更改 (limits or time-outs changed)".to_owned());
        }
        changes.extend(new.waiting_changes(started));
        changes
    }

    fn provider_changes(&self, new: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for provider in &new.providers {
            match self.provider(&provider.name) {
                None => changes.push(format!("新增提供商 {} (provider added)", provider.name)),
                Some(before) if before != provider => {
                    changes.push(format!("提供商 {} 已更改 (provider changed)", provider.name));
                }
                Some(_) => {}
            }
        }
        for provider in &self.providers {
            if new.provider(&provider.name).is_none() {
                changes.push(format!("移除提供商 {} (provider removed)", provider.name));
            }
        }
        changes
    }

    fn waiting_changes(&self, started: &Listening) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, before) in waiting_keys().zip(&started.0) {
            if (key.show)(self) != *before {
                lines.push(match key.name {
                    "host" | "port" => format!(
                        "监听地址改为 {}:{}，需要重启才能生效 (host and port need a restart)",
                        self.host, self.port
                    ),
                    name => format!("{name} 需要重启才能生效 ({name} needs a restart)"),
                });
            }
        }
        // Host and port share a line.
        lines.dedup();
        lines
    }
}

fn waiting_keys() -> impl Iterator<Item = &'static Key<Config>> {
    KEYS.iter().filter(|key| key.restart)
}
