//! What `--check` adds to the warnings of a start: settings that work on somebody's machine, and are
//! mistakes on most.

use super::{Config, Provider, Secret};
use crate::language::Text;
use crate::text;

/// Keys of examples begin so.
const PLACEHOLDERS: [&str; 6] = ["your-", "your_", "sk-your", "sk-xxx", "xxx", "<"];

/// Providers whose base is the host alone.
const HOSTS_WITHOUT_PATH: [&str; 2] = ["api.deepseek.com", "api.perplexity.ai"];

impl Config {
    /// One line for each.
    pub fn advice(&self) -> Vec<Text> {
        let mut advice = Vec::new();
        let published = self.tokens.iter().any(|token| is_published(token.secret.expose()));
        if published {
            advice.push(text!(
                "tokens 含有文档中的示例 token，人人皆知；请换成自己的",
                "tokens holds a token of the documentation, which everybody knows: use your own"
            ));
        }
        self.providers.iter().for_each(|provider| provider.advise(&mut advice));
        advice
    }
}

/// Those that documentation and examples show.
fn is_published(token: &str) -> bool {
    token == Config::DEMO_TOKEN
        || ["sk-a-long-random-text", "sk-change-me-to-a-long-random-text"].contains(&token)
}

impl Provider {
    fn advise(&self, advice: &mut Vec<Text>) {
        let (name, base) = (&self.name, &self.base);
        let is_placeholder = |key: &Secret| {
            let key = key.expose().to_ascii_lowercase();
            PLACEHOLDERS.iter().any(|start| key.starts_with(start))
        };
        if self.keys.iter().any(is_placeholder) {
            advice.push(text!(
                "提供商 {name} 的 token 是占位符，请填写真正的密钥",
                "the token of provider {name} is a placeholder: write the real key"
            ));
        }
        if base.path.is_empty() && !HOSTS_WITHOUT_PATH.contains(&&*base.host) {
            advice.push(text!(
                "提供商 {name} 的 baseurl 没有路径；多数提供商以 /v1 结尾",
                "baseurl of provider {name} has no path: most providers want /v1 at its end"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_published_tokens_and_bases_without_a_path_are_told_and_nothing_else() {
        for (provider, token, told) in [
            ("p|https://h/v1|sk-1", "sk-2", &[][..]),
            ("p|https://h/v4|your-zhipu-api-key", "sk-2", &["placeholder"]),
            ("p|https://h/v1|<key>", "sk-2", &["placeholder"]),
            ("p|https://h|k", "sk-2", &["/v1"]),
            ("p|https://api.deepseek.com|k", "sk-2", &[]),
            ("p|https://h/v1|", "sk-test-123456", &["documentation"]),
            ("p|https://h/v1|", "sk-a-long-random-text", &["documentation"]),
            ("p|http://h/|YOUR_KEY", "sk-test-123456", &["documentation", "placeholder", "/v1"]),
        ] {
            let text = format!(r#"{{"providers": ["{provider}"], "tokens": ["a|{token}"]}}"#);
            let advice = Config::parse(&text, "f").expect("valid").advice();
            assert_eq!(advice.len(), told.len(), "{text}: {advice:?}");
            for (line, word) in advice.iter().zip(told) {
                assert!(line.contains(word), "{line}");
            }
        }
    }
}
