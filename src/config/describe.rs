//! What `--check` prints. It knows words and the tables of keys; secrets have nothing to show.

use super::keys::{Shown, KEYS};
use super::value::one_line;
use super::Config;
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
            let is_default = (key.same)(self, &Self::default());
            if let Shown::Titled(title) | Shown::Given(title) = key.shown {
                if is_default && matches!(key.shown, Shown::Given(_)) {
                    continue;
                }
                let (name, value) = (key.name, (key.show)(self));
                add(message!("{title} ({name}): {value}\n", "{name}: {value}\n"));
            }
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
        assert!(!shown.contains("sk-"), "{shown}");
    }
}
