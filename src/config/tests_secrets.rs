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
fn several_keys_stand_in_a_list_and_each_counts_once() {
    let config = providers(
        r#"{"provider": "p", "baseurl": "http://h", "token": ["sk-1", "", "sk-2", "sk-1"]},
        {"provider": "one", "baseurl": "http://h", "token": ["sk-3"]},
        {"provider": "none", "baseurl": "http://h", "token": []}"#,
    )
    .expect("valid");
    let keys: Vec<_> = config.providers.iter().map(|provider| provider.keys.len()).collect();
    assert_eq!(keys, [2, 1, 0]);
    assert!(config.providers[0].keys == [Secret::new("sk-1"), Secret::new("sk-2")]);
    let wanted = [
        "config.json: providers[0].token[1]: 为空，已忽略 (empty, ignored)",
        "config.json: providers[0].token[3]: 与 token[0] 相同，已忽略 (the same as token[0], ignored)",
    ];
    assert_eq!(config.warnings, wanted.each_ref().map(|line| &**line));
    let shown = config.describe("config.json");
    assert!(shown.contains("已设置 2 个") && !shown.contains("sk-"), "{shown}");
}

#[test]
fn each_key_of_a_list_is_looked_at_for_what_is_odd_and_for_plain_http() {
    let list = r#"["sk-1", "'sk-2'", "your-key"]"#;
    let entry = format!(r#"{{"provider": "p", "baseurl": "http://h/v1", "token": {list}}}"#);
    let config = providers(&entry).expect("only odd");
    assert!(config.warnings[0].starts_with("config.json: providers[0].token[1]: "));
    let mut said = config.warnings(&[], usize::MAX);
    said.extend(config.advice());
    for word in ["plain http", "placeholder"] {
        assert_eq!(said.iter().filter(|line| line.contains(word)).count(), 1, "{word}: {said:?}");
    }
    let all = format!("{:?}{said:?}{config:?}", config.warnings);
    assert!(!all.contains("sk-") && !all.contains("your-key"), "{all}");
}

#[test]
fn a_changed_key_order_or_list_of_keys_makes_providers_differ() {
    let with = |entries: &str| {
        let text = format!(r#"{{"provider": "p", "baseurl": "http://h", {entries}}}"#);
        providers(&text).expect("a valid provider").providers.remove(0)
    };
    let two = with(r#""token": ["sk-1", "sk-2"]"#);
    assert_eq!(two, with(r#""token": ["sk-1", "sk-2", "sk-2"], "key_order": "sticky""#));
    assert_ne!(two, with(r#""token": ["sk-2", "sk-1"]"#));
    assert_ne!(two, with(r#""token": "sk-1""#));
    assert_ne!(two, with(r#""token": ["sk-1", "sk-2"], "key_order": "in_order""#));
}

#[test]
fn endpoints_are_paths_and_unknown_ones_only_odd() {
    let with = |list: &str| {
        providers(&format!(r#"{{"provider": "p", "baseurl": "http://h", "endpoints": {list}}}"#))
    };
    let config = with(r#"["chat/completions", "/v1/embeddings", "/messages/"]"#).expect("known");
    assert_eq!(config.providers[0].endpoints, ["chat/completions", "embeddings", "messages"]);
    assert_eq!(config.warnings, [""; 0]);
    let config = with(r#"["chat/completion", "x"]"#).expect("only odd");
    let place = "config.json: providers[0].endpoints";
    let wanted = [
        format!("{place}[0]: 未知的接口；是否应为 chat/completions？ (unknown endpoint; did you mean chat/completions?)"),
        format!("{place}[1]: 未知的接口 (unknown endpoint)"),
    ];
    assert_eq!(config.warnings, wanted.each_ref().map(|line| &**line));
    for (list, wanted) in [
        (r#""x""#, "endpoints: 必须是数组"),
        ("[1]", "endpoints[0]: 必须是字符串"),
        (r#"["/"]"#, "endpoints[0]: 必须是接口路径"),
        (r#"["chat completions"]"#, "endpoints[0]: 必须是接口路径"),
    ] {
        assert!(refusal(with(list)).contains(wanted), "{list}");
    }
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
    (
        r#"{"provider": "p", "baseurl": "http://h", "token": ["k", 77123]}"#,
        "].token[1]: 必须是字符串",
    ),
    (
        r#"{"provider": "p", "baseurl": "http://h", "token": ["k", "sk-secret x"]}"#,
        "].token[1]: 含有",
    ),
    (r#"{"provider": "p", "baseurl": "http://h", "token": [["sk-secret"]]}"#, "].token[0]: 必须是"),
    (r#"{"provider": "p", "baseurl": "http://h", "token": {"sk-secret": 1}}"#, "].token: 必须是"),
    (
        r#"{"provider": "p", "baseurl": "http://h", "key_order": "sk-secret"}"#,
        "].key_order: 必须是",
    ),
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
    let found = |bytes: &[u8]| config.token(bytes).map(|token| &*token.description);
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
        r#"{"providers": ["p|https://u:sk-1@h/v1?key=sk-2|sk-3",
            {"provider": "q", "baseurl": "http://h", "token": ["sk-5", "sk-6"]}],
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
