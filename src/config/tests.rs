//! Whole files in, a checked configuration or one line of reason out.

use std::time::Duration;

use super::keys::{KEYS, PROVIDER_KEYS};
use super::{Config, LogLevel};

const LOCAL: &str = r#"{"provider": "p", "baseurl": "http://127.0.0.1:1/v1"}"#;

fn parse(text: &str) -> Config {
    Config::parse_with(text, "config.json", &|_| None).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(text: &str) -> String {
    let error = Config::parse_with(text, "config.json", &|_| None).expect_err(text);
    let line = error.to_string();
    assert!(line.starts_with("config.json: ") && !line.contains('\n'), "{line}");
    line
}

/// A file with empty lists and one more entry.
fn with(entry: &str) -> String {
    format!(r#"{{"providers": [], "tokens": [], {entry}}}"#)
}

fn with_providers(list: &str) -> String {
    format!(r#"{{"providers": [{list}], "tokens": []}}"#)
}

#[test]
fn absent_and_null_keys_take_the_defaults_of_the_contract() {
    let nulls: String = KEYS
        .iter()
        .map(|key| key.name)
        .filter(|key| !["providers", "tokens"].contains(key))
        .map(|key| format!(r#", "{key}": null"#))
        .collect();
    for extra in ["", &nulls] {
        let config = parse(&format!(r#"{{"providers": [], "tokens": []{extra}}}"#));
        assert_eq!((config.host.as_str(), config.port), ("localhost", 8080));
        assert_eq!(config.log_level, LogLevel::Warning);
        assert_eq!((config.max_connections, config.max_keepalive_connections), (100, 20));
        assert_eq!(config.keepalive_expiry, Duration::from_secs(30));
        assert_eq!(config.stream_timeout, Duration::from_secs(300));
        assert_eq!(config.non_stream_timeout, Duration::from_secs(30));
        assert_eq!((config.max_response_size, config.max_request_size), (10_485_760, 33_554_432));
        assert_eq!((config.max_client_connections, config.sse_keepalive), (1024, None));
        assert!(!config.reuse_port && config.warnings.is_empty(), "{:?}", config.warnings);
    }
}

#[test]
fn given_values_are_taken() {
    let config = parse(&with(
        r#""host": "[::1]", "port": 0, "log_level": "info", "keepalive_expiry": 0,
        "stream_timeout": 0.25, "non_stream_timeout": 5, "max_keepalive_connections": 0,
        "sse_keepalive": 15.5, "reuse_port": true, "max_response_size": 1"#,
    ));
    assert_eq!((config.host.as_str(), config.port), ("::1", 0));
    assert_eq!(config.log_level, LogLevel::Info);
    assert_eq!(config.keepalive_expiry, Duration::ZERO);
    assert_eq!(config.stream_timeout, Duration::from_millis(250));
    assert_eq!(config.non_stream_timeout, Duration::from_secs(5));
    assert_eq!((config.max_keepalive_connections, config.max_response_size), (0, 1));
    assert_eq!(config.sse_keepalive, Some(Duration::from_millis(15_500)));
    assert!(config.reuse_port);
}

#[test]
fn the_example_file_loads_without_warnings_and_says_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.json.example");
    let text = std::fs::read_to_string(path).expect("the example is part of the repository");
    let config = parse(&text);
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!((config.port, config.providers.len()), (8001, 3));
    assert_eq!(config.providers[0].base.to_string(), "https://open.bigmodel.cn/api/paas/v4");
    let token = config.token(b"sk-test-123456").map(|token| &*token.description);
    assert_eq!(token, Some("测试"));
    let defaults = Config::default();
    assert_eq!(config.stream_timeout, defaults.stream_timeout);
    assert_eq!(config.max_request_size, defaults.max_request_size);
    for key in KEYS.iter().map(|key| key.name).filter(|key| !key.starts_with('$')) {
        assert!(text.contains(&format!("\"{key}\":")), "{key}");
    }
}

/// What is refused, and a piece of the message.
const REFUSED_ENTRIES: &[(&str, &str)] = &[
    (r#""port": 65536"#, "port: 必须是 0 到 65535 的整数 (must be an integer from 0 to 65535)"),
    (r#""port": -1"#, "port: 必须是 0 到 65535"),
    (r#""port": 8001.0"#, "port: 必须是 0 到 65535"),
    (r#""port": "8001""#, "port: 必须是 0 到 65535 的整数，这里是字符串"),
    (r#""host": 1"#, "host: 必须是字符串，这里是数字 (must be a string, found a number)"),
    (r#""host": """#, "host: "),
    (r#""host": "a b""#, "host: "),
    (r#""host": "0.0.0.0:80""#, "host: "),
    (r#""log_level": "LOUD""#, "log_level: 必须是 DEBUG"),
    (r#""max_connections": 0"#, "max_connections: 必须是 1 到 100000"),
    (r#""max_connections": 100001"#, "max_connections: 必须是 1 到 100000"),
    (r#""max_client_connections": 10001"#, "max_client_connections: 必须是 1 到 10000"),
    (r#""max_keepalive_connections": true"#, "found a boolean"),
    (r#""max_response_size": 0"#, "max_response_size: 必须是 1 到"),
    (r#""max_request_size": 1e30"#, "max_request_size: 必须是 1 到"),
    (r#""stream_timeout": 0"#, "stream_timeout: 必须是大于 0"),
    (r#""stream_timeout": 31536001"#, "stream_timeout: 必须是大于 0"),
    (r#""stream_timeout": 1e400"#, "stream_timeout: 必须是大于 0"),
    (r#""non_stream_timeout": -1"#, "non_stream_timeout: 必须是大于 0"),
    (r#""non_stream_timeout": {}"#, "found an object"),
    (r#""keepalive_expiry": -0.5"#, "keepalive_expiry: 必须是 0 到 31536000"),
    (r#""sse_keepalive": []"#, "sse_keepalive: 必须是 0 到 31536000 的秒数，这里是数组"),
    (r#""reuse_port": 1"#, "reuse_port: 必须是布尔值"),
    (r#""port": 1, "port": 1"#, "port: 出现了两次 (is given twice)"),
    (r#""supported_models": "gpt""#, "supported_models: 必须是数组"),
    (r#""supported_models": ["a", null]"#, "supported_models[1]: 必须是字符串，这里是 null"),
];

#[test]
fn wrong_types_and_numbers_out_of_range_name_key_and_rule() {
    for &(entry, wanted) in REFUSED_ENTRIES {
        let line = refusal(&with(entry));
        assert!(line.contains(wanted), "{entry}: {line}");
    }
}

#[test]
fn tiny_times_round_up_so_that_no_wait_is_zero() {
    let config = parse(&with(r#""stream_timeout": 1e-300, "sse_keepalive": 1e-12"#));
    assert_eq!(config.stream_timeout, Duration::from_millis(1));
    assert_eq!(config.sse_keepalive, Some(Duration::from_millis(1)));
}

#[test]
fn a_bad_regex_names_its_index_and_the_reason_without_the_drawing() {
    let line = refusal(&with(r#""supported_models": ["ok", "a(b\n"]"#));
    assert!(line.contains("supported_models[1]: 正则表达式无效: unclosed group"), "{line}");
}

#[test]
fn a_model_passes_when_any_regex_finds_a_match_in_it() {
    let config = parse(&with(r#""supported_models": ["^zhipu/", "gpt-4"]"#));
    for (id, passes) in [("zhipu/glm-4", true), ("openai/gpt-4o", true), ("a/zhipu/x", false)] {
        assert_eq!(config.allows(id), passes, "{id}");
    }
    assert!(parse(&with(r#""supported_models": []"#)).allows("any/thing"));
}

#[test]
fn unknown_keys_only_warn_and_are_named_with_file_and_place() {
    let config = parse(
        r#"{"providers": [{"provider": "p", "baseurl": "http://h", "Token": "sk-x"}],
        "tokens": [], "debug\n": true, "note": 1, "note": 2}"#,
    );
    assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
    assert!(config.warnings[0].starts_with("config.json: debug : "));
    assert!(config.warnings[1].starts_with("config.json: note: 未知的键"));
    assert!(config.warnings[2].starts_with("config.json: providers[0].Token: "));
    assert!(!format!("{:?}", config.warnings).contains("sk-x"));
}

#[test]
fn missing_providers_are_an_error_and_missing_tokens_a_warning() {
    for text in ["{}", r#"{"providers": null}"#] {
        let line = refusal(text);
        assert_eq!(line, "config.json: providers: 缺少此项 (is missing)");
    }
    let config = parse(r#"{"providers": []}"#);
    assert!(config.tokens.is_empty());
    assert!(config.warnings[0].starts_with("config.json: tokens: "), "{:?}", config.warnings);
}

#[test]
fn syntax_errors_give_line_and_column() {
    let line = refusal("{\n  \"port\": 8001\n  \"host\": \"x\"\n}");
    assert!(line.contains("line 3 column 3"), "{line}");
    for text in ["", "[]", "\"x\"", "null"] {
        refusal(text);
    }
}

#[test]
fn every_value_of_known_keys_can_be_garbage_without_a_panic() {
    let garbage =
        ["0", "-1", "1e999", "\"\"", "\"|\"", "\"||\"", "\"\\ud800\"", "[]", "[[]]", "{}"];
    let names = KEYS.iter().map(|key| key.name);
    for key in names.chain(PROVIDER_KEYS.iter().map(|key| key.name)) {
        for value in garbage {
            let _ = Config::parse_with(&with(&format!("\"{key}\": {value}")), "f", &|_| None);
            let list = format!(r#"{{"provider": "p", "baseurl": "http://h", "{key}": {value}}}"#);
            let _ = Config::parse_with(&with_providers(&list), "f", &|_| None);
        }
    }
    assert!(parse(&with_providers(LOCAL)).provider("p").is_some());
}
