//! A row of a table of keys is enough: for the reader, for `--check`, and for what a reload says.

use crate::language::{Language, Text, Words};
use std::time::Duration;

use super::keys::{self, key, Key, Kind, Presence, Shown, Value, KEYS, PROVIDER_KEYS};
use super::node::{Node, Source};
use super::tree::Tree;
use super::{Config, ConfigError, Listening};
use crate::config::secret::Secret;

/// A value other than the default, as JSON.
fn other<T>(key: &Key<T>) -> &'static str {
    match (key.name, key.doc.kind) {
        ("host", _) => r#""127.0.0.9""#,
        ("log_level", _) => r#""DEBUG""#,
        ("language", _) => r#""en""#,
        ("providers", _) => r#"["p|http://127.0.0.9|"]"#,
        ("tokens", _) => r#"["me|sk-x"]"#,
        ("cors_origins", _) => r#"["*"]"#,
        ("key_order", _) => r#""round_robin""#,
        ("retry_on", _) => r#"["timeout"]"#,
        (_, Kind::Named) => r#"{"x": "p/m"}"#,
        (_, Kind::Integer(..) | Kind::Size | Kind::Seconds | Kind::SecondsOrZero) => "7",
        (_, Kind::Boolean | Kind::SwitchOrUrl) => "true",
        (_, Kind::Text(_) | Kind::Word | Kind::StringOrList | Kind::Targets) => r#""x""#,
        (_, Kind::List(_) | Kind::Lines(_) | Kind::Mixed) => r#"["x"]"#,
    }
}

/// A file with one provider, no tokens, and one key that is not the default.
fn with(name: &str, json: &str) -> Config {
    let lists = [("providers", r#"["p|http://h|"]"#), ("tokens", "[]")];
    let lists = lists.into_iter().filter(|(list, _)| *list != name);
    let lists: String = lists.map(|(list, json)| format!(r#", "{list}": {json}"#)).collect();
    let text = format!(r#"{{"{name}": {json}{lists}}}"#);
    Config::parse_with(&text, "config.json", &|_| None).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn fields() -> impl Iterator<Item = &'static Key<Config>> {
    KEYS.iter().filter(|key| key.name != "$schema")
}

#[test]
fn each_field_of_the_configuration_has_a_row() {
    let shown = format!("{:#?}", Config::default());
    let fields = shown.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
    let mut fields: Vec<_> = fields
        .map(|(name, _)| name)
        .filter(|name| *name != "warnings" && !name.starts_with(' '))
        .collect();
    let mut rows: Vec<_> = self::fields().map(|key| key.name).collect();
    fields.sort_unstable();
    rows.sort_unstable();
    assert_eq!(fields, rows);
}

#[test]
fn each_key_is_read_and_shown_by_check() {
    let describe = |config: Config| Language::English.speak(|| config.describe("config.json"));
    let default = describe(with("$schema", "null"));
    for key in fields() {
        let shown = describe(with(key.name, other(key)));
        assert_ne!(shown, default, "{}", key.name);
        let label = match key.shown {
            Shown::Titled(_) | Shown::Given(_) => format!("\n{}: ", key.name),
            Shown::Limit | Shown::Plain => format!("\n  {}: ", key.name),
            Shown::Elsewhere => "\nlisten: ".to_owned(),
        };
        assert_eq!(shown.matches(&label).count(), 1, "{label}: {shown}");
    }
}

#[test]
fn each_changed_key_is_said_by_a_reload_in_one_line() {
    let old = with("$schema", "null");
    let started = Listening::new(&old);
    for key in fields() {
        let new = with(key.name, other(key));
        let said = old.diff(&new, &started);
        assert_eq!(said.len(), 1, "{}: {said:?}", key.name);
        assert_eq!(said[0].contains("restart"), key.restart, "{}: {said:?}", key.name);
        assert!(!said[0].contains("sk-x"), "{said:?}");
        let again = new.diff(&new, &started);
        assert_eq!(again, if key.restart { said } else { Vec::new() }, "{}", key.name);
    }
}

#[test]
fn each_key_of_a_provider_is_read_and_shown_by_check_and_its_change_said() {
    let config = |entries: &str| {
        let provider = r#""provider": "p", "baseurl": "http://h""#;
        let text = format!(r#"{{"providers": [{{{provider}{entries}}}], "tokens": []}}"#);
        Config::parse(&text, "config.json").unwrap_or_else(|error| panic!("{error}"))
    };
    let old = config("");
    let started = Listening::new(&old);
    let required = |key: &&Key<_>| matches!(key.presence, Presence::Required);
    for key in PROVIDER_KEYS.iter().filter(|key| !required(key) && key.name != "token_file") {
        let new = config(&format!(r#", "{}": {}"#, key.name, other(key)));
        assert_ne!(new.describe("config.json"), old.describe("config.json"), "{}", key.name);
        let said = old.diff(&new, &started);
        assert_eq!(said, ["提供商 p 已更改 (provider changed)"], "{}", key.name);
    }
}

#[test]
fn a_reload_says_changes_in_this_order() {
    let old = with("providers", r#"["a|http://h|", "b|http://h|"]"#);
    let text = r#"{"host": "h", "port": 1, "reuse_port": true, "log_level": "ERROR",
        "providers": ["c|http://h|", "a|http://h|k"], "tokens": ["x|y"],
        "supported_models": ["x"], "max_connections": 1, "sse_keepalive": 1}"#;
    let new = Config::parse(text, "config.json").expect("valid");
    assert_eq!(
        old.diff(&new, &Listening::new(&old)),
        [
            "新增提供商 c (provider added)",
            "提供商 a 已更改 (provider changed)",
            "移除提供商 b (provider removed)",
            "API token 0 → 1 个 (tokens changed)",
            "日志级别 WARNING → ERROR (log level)",
            "模型过滤规则已更改 (supported_models changed)",
            "限制或超时已更改 (limits or time-outs changed)",
            "监听地址改为 h:1，需要重启才能生效 (host and port need a restart)",
            "reuse_port 需要重启才能生效 (reuse_port needs a restart)",
        ]
    );
}

#[test]
fn a_key_given_twice_is_refused_however_it_is_written() {
    let refusal = |text: &str| Config::parse(text, "f").expect_err(text).to_string();
    for key in KEYS {
        let name = key.name;
        let line = refusal(&format!(r#"{{"{name}": null, "x": 1, "{name}": null}}"#));
        assert!(line.starts_with(&format!("f: {name}: 出现了两次 (is given twice)")), "{line}");
    }
    for key in PROVIDER_KEYS {
        let name = key.name;
        let line = refusal(&format!(r#"{{"providers": [{{"{name}": null, "{name}": 1}}]}}"#));
        let twice = format!("f: providers[0].{name}: 出现了两次 (is given twice)");
        assert!(line.starts_with(&twice), "{line}");
    }
    let line = refusal(r#"{"port": 1, "\u0070ort": 1}"#);
    assert!(line.starts_with("f: port: 出现了两次 (is given twice)"), "{line}");
}

#[test]
fn no_key_has_its_value_in_a_message() {
    let values =
        ["K7-q9z", "K7-q9z|", "|K7-q9z", "a|K7-q9z", "a|http://h/K7-q9z|K7-q9z x", "(K7-q9z"];
    let forms: &[fn(&str) -> String] = &[
        |value| format!("{value:?}"),
        |value| format!("[{value:?}]"),
        |value| format!("[[{value:?}]]"),
        |value| format!(r#"[{{"a": {value:?}}}]"#),
        |value| format!(r#"["{value}\ud800"]"#),
        |value| format!(r#""{value}\ud800""#),
        |value| format!(r#""{value}${{""#),
        |value| format!(r#""\"{value}\"""#),
    ];
    let is_shown = |name: &str| ["supported_models", "token_file", "provider"].contains(&name);
    for value in values {
        for form in forms {
            let json = form(value);
            for key in fields().map(|key| key.name).filter(|name| !is_shown(name)) {
                said_of(&format!(r#"{{"providers": [], "{key}": {json}}}"#));
                said_of(&format!(r#"{{"{key}": {json}, "providers": []}}"#));
                said_of(&format!(r#"{{"{key}": {json}}}"#));
            }
            for key in PROVIDER_KEYS.iter().map(|key| key.name).filter(|name| !is_shown(name)) {
                let others = [r#""provider": "p""#, r#""baseurl": "http://h""#];
                let others = others.into_iter().filter(|other| !other.contains(key));
                let others: String = others.map(|other| format!(", {other}")).collect();
                said_of(&format!(r#"{{"providers": [{{"{key}": {json}{others}}}]}}"#));
            }
        }
    }
}

/// Asserts that neither error nor warning holds the value.
fn said_of(text: &str) {
    let said = match Config::parse_with(text, "config.json", &|_| None) {
        Ok(config) => format!("{:?}", config.warnings),
        Err(error) => error.to_string(),
    };
    assert!(!said.contains("K7-q9z"), "{text}: {said}");
}

/// An object with keys of every presence and place.
#[derive(Debug, PartialEq)]
struct Sample {
    wait: Duration,
    names: Vec<String>,
    secret: Vec<Secret>,
    count: u16,
}

impl Default for Sample {
    fn default() -> Self {
        Self { wait: Duration::from_secs(7), names: Vec::new(), secret: Vec::new(), count: 3 }
    }
}

const SAMPLE_KEYS: &[Key<Sample>] = &[
    key! { "wait_time" => wait, Kind::Seconds, Shown::Plain, "", "" },
    key! { names, Kind::List(Words("全部", "all")), Shown::Titled(Words("标题", "title")), "", "" },
    Key {
        presence: Presence::Required,
        ..key! { secret, Kind::StringOrList, Shown::Plain, "", "" }
    },
    Key {
        presence: Presence::Wanted,
        ..key! { count, Kind::Integer(1, 70_000), Shown::Elsewhere, "", "" }
    },
];

fn sample(text: &str) -> Result<(Sample, Vec<Text>), ConfigError> {
    let source = Source::new("f", &|_| None, false);
    let tree = Tree::parse(text, text).expect("valid");
    let mut sample = Sample::default();
    keys::read(SAMPLE_KEYS, &Node::root(&source, &tree), &mut sample)?;
    Ok((sample, source.warnings.take()))
}

#[test]
fn an_object_is_read_by_its_table() {
    let (read, warnings) = sample(
        r#"{"count": 1, "secret": "sk-1", "names": ["a", "b"], "wait_time": 0.5, "wait": 1}"#,
    )
    .expect("valid");
    let wanted = Sample {
        wait: Duration::from_millis(500),
        names: vec!["a".to_owned(), "b".to_owned()],
        secret: vec![Secret::new("sk-1")],
        count: 1,
    };
    assert_eq!(read, wanted);
    assert_eq!(warnings, ["f: wait: 未知的键，已忽略 (unknown key, ignored)"]);
    let shown = Language::English.speak(|| keys::show(SAMPLE_KEYS, &read));
    assert_eq!(shown, "  wait_time: 0.5 s  title: a, b  secret: set");

    let (read, warnings) = sample(r#"{"secret": "", "count": null}"#).expect("valid");
    assert_eq!(read, Sample::default());
    assert_eq!(warnings, ["f: count: 缺少，按空列表处理 (missing, taken as an empty list)"]);
    let shown = Language::Chinese.speak(|| keys::show(SAMPLE_KEYS, &read));
    assert_eq!(shown, "  标题: 全部");
}

#[test]
fn what_is_wrong_is_told_in_the_order_of_the_table() {
    for (text, wanted) in [
        (r#"{"count": 0, "wait_time": 0}"#, "f: wait_time: 必须是大于 0"),
        (r#"{"count": 0}"#, "f: secret: 缺少此项 (is missing); f: count: 必须是"),
        (r#"{"count": 0, "secret": null}"#, "f: secret: 缺少此项 (is missing)"),
        (r#"{"count": 0, "secret": "x"}"#, "f: count: 必须是 1 到 70000 的整数"),
        (r#"{"count": 65536, "secret": "x"}"#, "f: count: 必须是 1 到 70000 的整数"),
        (r#"{"names": ["a", ""]}"#, "f: names[1]: 不能为空"),
        ("[]", "f: 必须是对象，这里是数组 (must be an object, found an array)"),
        (r#"{"\ud800": 1}"#, "f: 键含有无效的 \\u 转义 (invalid \\u escape in a key)"),
    ] {
        let line = sample(text).expect_err(text).to_string();
        assert!(line.starts_with(wanted), "{text}: {line}");
    }
}
