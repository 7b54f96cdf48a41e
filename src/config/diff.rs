//! What a reload changed, in words. Pure functions; secrets are compared and never shown.

use crate::config::Config;

/// One line for each change.
pub fn between(old: &Config, new: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    for provider in &new.providers {
        match old.provider(&provider.name) {
            None => changes.push(format!("新增提供商 {} (provider added)", provider.name)),
            Some(before) if before != provider => {
                changes.push(format!("提供商 {} 已更改 (provider changed)", provider.name));
            }
            Some(_) => {}
        }
    }
    for provider in &old.providers {
        if new.provider(&provider.name).is_none() {
            changes.push(format!("移除提供商 {} (provider removed)", provider.name));
        }
    }
    let tokens = |config: &Config| -> Vec<(String, String)> {
        let pair = |token: &crate::config::Token| {
            (token.description.clone(), token.secret.expose().to_owned())
        };
        config.tokens.iter().map(pair).collect()
    };
    if tokens(old) != tokens(new) {
        let (before, after) = (old.tokens.len(), new.tokens.len());
        changes.push(format!("API token {before} → {after} 个 (tokens changed)"));
    }
    if old.log_level != new.log_level {
        changes.push(format!("日志级别 {} → {} (log level)", old.log_level, new.log_level));
    }
    let filters = |config: &Config| -> Vec<String> {
        config.supported_models.iter().map(|regex| regex.as_str().to_owned()).collect()
    };
    if filters(old) != filters(new) {
        changes.push("模型过滤规则已更改 (supported_models changed)".to_owned());
    }
    if limits(old) != limits(new) {
        changes.push("限制或超时已更改 (limits or time-outs changed)".to_owned());
    }
    changes
}

/// One line for what differs from the configuration that the program was started with, and cannot
/// change while it runs.
pub fn wait_for_restart(started: &Listening, new: &Config) -> Vec<String> {
    let mut waiting = Vec::new();
    if (&started.host, started.port) != (&new.host, new.port) {
        waiting.push(format!(
            "监听地址改为 {}:{}，需要重启才能生效 (host and port need a restart)",
            new.host, new.port
        ));
    }
    if started.reuse_port != new.reuse_port {
        waiting.push("reuse_port 需要重启才能生效 (reuse_port needs a restart)".to_owned());
    }
    waiting
}

/// Where and how the program listens.
pub struct Listening {
    host: String,
    port: u16,
    reuse_port: bool,
}

impl Listening {
    /// As `config` wants it.
    pub fn new(config: &Config) -> Listening {
        Listening { host: config.host.clone(), port: config.port, reuse_port: config.reuse_port }
    }
}

fn limits(config: &Config) -> impl PartialEq {
    (
        [config.max_connections, config.max_keepalive_connections, config.max_client_connections],
        [config.keepalive_expiry, config.stream_timeout, config.non_stream_timeout],
        [config.max_response_size, config.max_request_size],
        [config.sse_keepalive, config.early_keepalive],
    )
}
