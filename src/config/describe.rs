//! What `--check` prints. It knows words and the tables of keys; secrets have nothing to show.

use super::keys::{self, Kind, Shown, Value, ALIAS_KEYS, KEYS};
use super::value::one_line;
use super::{Config, Provider};
use crate::language::{pick, Message};
use crate::message;

impl Config {
    /// Everything that the file says, in lines: tokens by their description, keys by whether they
    /// are there.
    pub fn describe(&self, file: &str) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let (file, port) = (one_line(file), self.port);
        let mut text = message!("配置文件: {file}\n", "configuration: {file}\n").to_string();
        let mut add = |line: Message<'_>| text.push_str(&line.to_string());
        add(message!("监听地址: http://{host}:{port}\n", "listen: http://{host}:{port}\n"));
        for key in KEYS {
            let title = match key.shown {
                Shown::Titled(title) => title,
                Shown::Given(title) if !(key.same)(self, &Self::default()) => title,
                _ => continue,
            };
            let (name, value) = (key.name, (key.show)(self));
            add(message!("{title} ({name}): {value}\n", "{name}: {value}\n"));
        }
        text.push_str(pick("限制与超时:\n", "limits and time-outs:\n"));
        for key in KEYS.iter().filter(|key| matches!(key.shown, Shown::Limit | Shown::Plain)) {
            text.push_str(&format!("  {}: {}\n", key.name, (key.show)(self)));
        }
        let count = self.warnings.len();
        text.push_str(&message!("警告: {count}\n", "warnings: {count}\n").to_string());
        for warning in &self.warnings {
            text.push_str(&format!("  {warning}\n"));
        }
        text
    }

    /// A line for each provider, with its attempts if there may be several.
    pub(super) fn show_providers(&self) -> String {
        let line = |provider: &Provider| match self.attempts_at(provider) {
            1 => provider.show(&Kind::Word),
            count => format!("{}  {}", provider.show(&Kind::Word), attempts(count)),
        };
        lines(self.providers.iter().map(line))
    }

    /// A line for each alias, with its attempts.
    pub(super) fn show_aliases(&self) -> String {
        let exact = self.exact_aliases();
        lines(self.aliases.iter().map(|alias| {
            let (name, rest) = (&alias.name, keys::show(ALIAS_KEYS, alias));
            let targets = alias.targets.show(&Kind::Targets);
            let attempts = attempts(self.attempts_behind(alias, &exact));
            format!("{name}: {targets}{rest}  {attempts}")
        }))
    }
}

/// Their number, and each on a line of its own.
fn lines(shown: impl Iterator<Item = String>) -> String {
    let lines: Vec<_> = shown.map(|line| one_line(&line)).collect();
    [lines.len().to_string()].into_iter().chain(lines).collect::<Vec<_>>().join("\n  ")
}

fn attempts(count: u8) -> String {
    let plural = if count == 1 { "" } else { "s" };
    message!("最多 {count} 次尝试", "at most {count} attempt{plural}").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn the_description_shows_everything_but_secrets() {
        let text = r#"{"host": "::1", "port": 1, "sse_keepalive": 15, "log_level": "info",
            "providers": ["zhipu|https://me:sk-1@h.cn/v4?k=sk-2|sk-3",
                {"provider": "local", "baseurl": "http://h:1", "model_list": ["a", "b"]}],
            "tokens": ["测试|sk-4", "|sk-5"], "supported_models": ["^zhipu/"], "typo": 1}"#;
        let config = Config::parse(text, "config.json").expect("valid");
        let shown = Language::English.speak(|| config.describe("config.json"));
        for wanted in [
            "config.json",
            "http://[::1]:1",
            "INFO",
            "zhipu: https://h.cn/v4  key: set  models: asked for at the start",
            "local: http://h:1  key: none  models: a, b",
            "  测试\n",
            "^zhipu/",
            "stream_timeout: 300 s",
            "sse_keepalive: 15 s",
            "max_request_size: 33554432 bytes",
            "config.json: typo: ",
        ] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
        assert!(!shown.contains("sk-") && !shown.contains("attempt"), "{shown}");
    }

    #[test]
    fn what_is_not_given_is_not_told() {
        let text = r#"{"providers": ["p|http://h/v1|k"], "tokens": ["me|t"]}"#;
        let config = Config::parse(text, "config.json").expect("valid");
        let shown = Language::English.speak(|| config.describe("config.json"));
        let expected = "configuration: config.json\nlisten: http://localhost:8080\n\
            log_level: WARNING\nproviders: 1\n  p: http://h/v1  key: set  models: asked for at the start\n\
            tokens: 1\n  me\nsupported_models: all models pass\nlimits and time-outs:\n  language: ";
        assert!(shown.starts_with(expected), "{shown}");
    }

    #[test]
    fn keys_have_their_number_and_routes_their_attempts() {
        let text = r#"{"providers": [
                {"provider": "groq", "baseurl": "http://h", "token": ["sk-1", "sk-2", "sk-3"]},
                "one|http://h|sk-4"],
            "tokens": [], "retry_on": [429, "x", "timeout"], "aliases": {"fast": "groq/m",
                "one": "one/m", "mix*": {"targets": [{"model": "groq/*", "weight": 3}, "fast"],
                "order": "weights", "retries": 9, "retry_on": ["timeout"]}}}"#;
        let config = Config::parse(text, "config.json").expect("valid");
        let shown = Language::English.speak(|| config.describe("config.json"));
        for wanted in [
            "\nproviders: 2\n  groq: http://h  key: 3 set  models: asked for at the start  at most 3 attempts\n",
            "\n  one: http://h  key: set  models: asked for at the start\n",
            "\naliases: 3\n  fast: groq/m  at most 3 attempts\n  one: one/m  at most 1 attempt\n",
            "\n  mix*: groq/* (3), fast  order: weights  retries: 9  retry_on: timeout  at most 10 attempts\n",
            "\nretry_on: 429, timeout, x\n",
        ] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
        assert!(!shown.contains("sk-"), "{shown}");
        let shown = Language::Chinese.speak(|| config.describe("config.json"));
        assert!(
            shown.contains("密钥: 已设置 3 个") && shown.contains("  最多 3 次尝试\n"),
            "{shown}"
        );
    }
}
