//! Providers, tokens and what must never be seen of them.

use super::{Config, ConfigError};
use crate::config::Secret;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse_with(text, "config.json", &|_| None)
}

fn providers(list: &str) -> Result<Config, ConfigError> {
    parse(&format!(r#"{{"providers": [{list}], "tokens": []}}"#))
}

fn tokens(list: &str) -> Result<Config, ConfigError> {
    parse(&format!(r#"{{"providers": [], "tokens": [{list}]}}"#))
}

fn refusal(outcome: Result<Config, ConfigError>) -> String {
    outcome.expect_err("must be refused").to_string()
}

#[test]
fn objects_and_old_strings_stand_in_one_list() {
    let config = providers(
        r#"{"provider": "zhipu", "baseurl": "https://h.cn/v4/", "token": "k", "model_list": ["m"]},
        "old|https://o.cn/v1/|a|b|c", "empty|http://b:1|",
        {"provider": "ollama", "baseurl": "http://b:1/v1", "token": "", "model_list": null}"#,
    )
    .expect("all are valid");
    let token = |name| config.provider(name).and_then(|provider| provider.keys.first().cloned());
    assert_eq!(token("zhipu"), Some(Secret::new("k")));
    assert_eq!(token("old"), Some(Secret::new("a|b|c")));
    assert_eq!((token("empty"), token("ollama")), (None, None));
    assert_eq!(config.providers[0].base.target("/models", ""), "/v4/models");
    assert_eq!(config.providers[0].model_list, ["m"]);
    assert!(config.provider("nobody").is_none());
}

#[test]
fn a_changed_key_makes_providers_differ() {
    let with_key = |key: &str| {
        let text = format!("\"p|http://h|{key}\"");
        providers(&text).expect("a valid provider").providers.remove(0)
    };
    assert_eq!(with_key("k1"), with_key("k1"));
    assert_ne!(with_key("k1"), with_key("k2"));
}

/// What is refused, and a piece of the message.
const REFUSED_PROVIDERS: &[(&str, &str)] = &[
    ("1", "providers[0]: 必须是对象或字符串，这里是数字"),
    ("null", "providers[0]: 必须是对象或字符串，这里是 null"),
    (r#""sk-secret""#, "providers[0]: 必须形如"),
    (r#""p|sk-secret|k""#, "providers[0].baseurl: 必须以 http://"),
    (r#""p|http://h|sk-secret x""#, "providers[0].token: 含有空格"),
    (r#""|http://h|sk-secret""#, "providers[0].provider: 不能为空"),
    (r#"{"baseurl": "http://h", "token": "sk-secret"}"#, "providers[0].provider: 缺少此项"),
    (r#"{"provider": "p", "token": "sk-secret"}"#, "providers[0].baseurl: 缺少此项"),
    (r#"{"provider": "a/sk-secret", "baseurl": "http://h"}"#, "providers[0].provider: "),
    (r#"{"provider": "a\n", "baseurl": "http://h"}"#, "providers[0].provider: "),
    (r#"{"provider": 7, "baseurl": "http://h"}"#, "providers[0].provider: 必须是字符串"),
    (r#"{"provider": "p", "baseurl": "sk-secret"}"#, "providers[0].baseurl: 必须以"),
    (r#"{"provider": "p", "baseurl": "http://h", "token": 77123}"#, "providers[0].token: "),
    (r#"{"provider": "p", "baseurl": "http://h", "token": "sk-secret\n"}"#, "].token: 含有"),
    (r#"{"provider": "p", "baseurl": "http://h", "token": "sk-secret密"}"#, "].token: 含有"),
    (r#"{"provider": "p", "baseurl": "http://h", "token": "sk-secret\ud800"}"#, "].token: "),
    (r#"{"provider": "p", "baseurl": "http://h", "token": "${sk-secret"}"#, "].token: "),
    (r#"{"provider": "p", "baseurl": "http://h", "model_list": "m"}"#, "].model_list: 必须是"),
    (r#"{"provider": "p", "baseurl": "http://h", "model_list": [""]}"#, "].model_list[0]: "),
    (r#""p|http://h""#, "providers[0]: 必须形如"),
    (r#""p|sk-secret""#, "providers[0]: 必须形如"),
    (
        r#""p|http://h|", "q|http://h|", "p|http://i|""#,
        "providers[2].provider: 与 providers[0] 重名: p",
    ),
];

#[test]
fn bad_providers_are_refused_with_their_key_path_and_without_their_values() {
    for &(list, wanted) in REFUSED_PROVIDERS {
        let line = refusal(providers(list));
        assert!(line.contains(wanted), "{list}: {line}");
        assert!(!line.contains("secret") && !line.contains("77123"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

#[test]
fn bad_tokens_are_refused_without_their_values() {
    for list in
        [r#""sk-secret""#, r#""sk-secret|""#, r#""sk-secret| ""#, "77123", r#"["sk-secret"]"#]
    {
        let line = refusal(tokens(list));
        assert!(line.starts_with("config.json: tokens[0]: "), "{line}");
        assert!(!line.contains("secret") && !line.contains("77123"), "{line}");
    }
    for whole in [r#""x|sk-secret""#, r#"{"sk-secret": 1}"#, "77123"] {
        let line = refusal(parse(&format!(r#"{{"providers": [], "tokens": {whole}}}"#)));
        assert!(line.starts_with("config.json: tokens: 必须是数组"), "{line}");
        assert!(!line.contains("secret") && !line.contains("77123"), "{line}");
        let line = refusal(parse(&format!(r#"{{"providers": {whole}}}"#)));
        assert!(line.starts_with("config.json: providers: 必须是数组"), "{line}");
        assert!(!line.contains("secret") && !line.contains("77123"), "{line}");
    }
}

#[test]
fn a_client_token_is_found_by_its_exact_bytes_only() {
    let config = tokens(r#""甲|sk-1", "乙|sk|2", "|sk-3", "丁|sk-1""#).expect("all are valid");
    let found = |bytes: &[u8]| config.token(bytes).map(|token| token.description.as_str());
    assert_eq!(found(b"sk-1"), Some("甲"));
    assert_eq!(found(b"sk|2"), Some("乙"));
    assert_eq!(found(b"sk-3"), Some(""));
    for other in [&b""[..], b"sk", b"sk-", b"SK-1", b"sk-1 ", b"\xff"] {
        assert_eq!(found(other), None);
    }
}

#[test]
fn a_token_that_no_client_can_send_gives_a_warning() {
    let config = tokens(r#""a| sk-secret", "b|sk-\nsecret", "c|sk-fine""#).expect("only odd");
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert!(!format!("{:?}", config.warnings).contains("secret"), "{:?}", config.warnings);
}

#[test]
fn debug_output_of_the_whole_configuration_holds_no_secret() {
    let config = parse(
        r#"{"providers": ["p|https://u:sk-1@h/v1?key=sk-2|sk-3"],
        "tokens": ["me|sk-4"]}"#,
    )
    .expect("valid");
    assert!(!format!("{config:?}{config:#?}").contains("sk-"));
}

#[test]
fn the_demo_needs_no_file() {
    let config = Config::demo(4000);
    assert_eq!((config.host.as_str(), config.port), ("localhost", 8001));
    let provider = config.provider("demo").expect("its one provider");
    assert_eq!(provider.base.to_string(), "http://127.0.0.1:4000/v1");
    assert!(provider.keys.is_empty() && config.token(b"sk-test-123456").is_some());
}
