//! Aliases and attempts: what is taken, what is refused, and what is odd.

use super::{Config, ConfigError, Name, TargetOrder};

/// A file with three providers: one with a list, one that is filtered, one of which all is known by itself.
fn with(entries: &str) -> Result<Config, ConfigError> {
    let text = format!(
        r#"{{"providers": [
            {{"provider": "listed", "baseurl": "http://h", "model_list": ["a", "b/c"]}},
            "open|http://h|", "other|http://h|"],
        "tokens": [], "supported_models": ["^listed/", "^open/", "^other/fine$"], {entries}}}"#
    );
    Config::parse_with(&text, "f", &|name| (name == "NAME").then(|| "open/env".to_owned()))
}

fn aliases(entries: &str) -> Result<Config, ConfigError> {
    with(&format!(r#""aliases": {{{entries}}}"#))
}

fn refusal(outcome: Result<Config, ConfigError>) -> String {
    outcome.expect_err("must be refused").to_string()
}

fn name(text: &str, starred: bool) -> Name {
    Name { text: text.to_owned(), starred }
}

#[test]
fn a_target_a_list_and_an_object_are_aliases() {
    let config = aliases(
        r#""one": "open/m", "two": ["listed/b/c", "${NAME}", "one"], "open": "other/fine",
        "mix-*": {"targets": [{"model": "open/x-*", "weight": 1000}, {"model": "one", "weight": 0}, "other/fine"],
            "order": "weights", "retries": 0, "retry_on": [429, "timeout", "too_long", 429, "too_long"]},
        "*": {"targets": "other/*", "order": "round_robin", "retries": null},
        "turns": {"targets": ["open/m", {"model": "open/n", "weight": 0}], "order": "round_robin"}"#,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings, [""; 0]);
    let [one, two, _, mix, all, _] = &config.aliases[..] else { panic!("{:?}", config.aliases) };
    assert_eq!((&one.name, &one.targets[0].model), (&name("one", false), &name("open/m", false)));
    assert_eq!((one.order, one.retries, one.targets[0].weight), (TargetOrder::InOrder, None, 1));
    assert_eq!(two.targets[1].model, name("open/env", false));
    assert_eq!(
        (&mix.name, mix.order, mix.retries),
        (&name("mix-", true), TargetOrder::Weights, Some(0))
    );
    assert_eq!(mix.targets[0].model, name("open/x-", true));
    assert_eq!(mix.targets.iter().map(|target| target.weight).collect::<Vec<_>>(), [1000, 0, 1]);
    assert_eq!((&mix.retry_on.statuses[..], mix.retry_on.timeout), (&[429][..], true));
    assert_eq!(mix.retry_on.codes, ["too_long"]);
    assert_eq!((&all.name, all.order), (&name("", true), TargetOrder::RoundRobin));
    assert_eq!(all.targets[0].model, name("other/", true));
}

/// Entries of `aliases`, and the beginning of the refusal.
const REFUSED: &[(&str, &str)] = &[
    (r#""": "open/m""#, "f: aliases.: 不能为空"),
    (r#""a\nb": "open/m""#, "f: aliases.a b: 不能为空，也不能含有控制字符"),
    (r#""a*b": "open/m""#, "f: aliases.a*b: 只能有一个 *，且在末尾"),
    (r#""a**": "open/m""#, "f: aliases.a**: 只能有一个 *"),
    (r#""a": "open/m", "a": "open/m""#, "f: aliases.a: 出现了两次 (is given twice)"),
    (r#""a": 1"#, "f: aliases.a: 必须是字符串或数组，这里是数字"),
    (r#""a": null"#, "f: aliases.a: 必须是字符串或数组，这里是 null"),
    (r#""a": []"#, "f: aliases.a: 至少要有一个目标 (needs at least one target)"),
    (r#""a": {}"#, "f: aliases.a.targets: 缺少此项 (is missing)"),
    (r#""a": {"target": "open/m"}"#, "f: aliases.a.targets: 缺少此项；target 是否应为 targets？"),
    (r#""a": {"targets": []}"#, "f: aliases.a.targets: 至少要有一个目标"),
    (r#""a": {"targets": {}}"#, "f: aliases.a.targets: 必须是字符串或数组，这里是对象"),
    (r#""a": [true]"#, "f: aliases.a[0]: 必须是字符串或对象，这里是布尔值"),
    (r#""a": [""]"#, "f: aliases.a[0]: 不能为空"),
    (r#""a": [{"weight": 1}]"#, "f: aliases.a[0].model: 缺少此项"),
    (r#""a": {"targets": [{"model": 1}]}"#, "f: aliases.a.targets[0].model: 必须是字符串"),
    (r#""a": [{"model": "open/m", "weight": 1001}]"#, "f: aliases.a[0].weight: 必须是 0 到 1000"),
    (r#""a": [{"model": "open/m", "weight": -1}]"#, "f: aliases.a[0].weight: 必须是 0 到 1000"),
    (r#""a": {"targets": "open/m", "order": "fast"}"#, "f: aliases.a.order: 必须是 in_order、weights"),
    (r#""a": {"targets": "open/m", "retries": 11}"#, "f: aliases.a.retries: 必须是 0 到 10"),
    (r#""a": {"targets": "open/m", "retry_on": [1]}"#, "f: aliases.a.retry_on[0]: 必须是 400 到 599"),
    (
        r#""a": {"targets": [{"model": "open/m", "weight": 0}], "order": "weights"}"#,
        "f: aliases.a.targets: 权重不能全部为 0 (not all weights may be 0)",
    ),
    (r#""a": "open/*""#, "f: aliases.a: 只有名称带 * 的别名，目标才能带 *"),
    (r#""a": ["open/m", "b"]"#, "f: aliases.a[1]: 既不是别名，也不是 提供商/模型"),
    (r#""a": "open/""#, "f: aliases.a: 既不是别名，也不是 提供商/模型"),
    (r#""a*": "*""#, "f: aliases.a*: 必须形如 提供商/*"),
    (r#""a*": "opn/*""#, "f: aliases.a*: 没有这个提供商；是否应为 open？"),
    (r#""a": "nobody/m""#, "f: aliases.a: 没有这个提供商 (no such provider)"),
    (r#""a*": ["open/*", "nobody/m"]"#, "f: aliases.a*[1]: 没有这个提供商 (no such provider)"),
    (r#""a": "b*", "b*": "open/*""#, "f: aliases.a: 只有名称带 *"),
    (r#""a": {"targets": [{"model": "listed/c"}]}"#, "f: aliases.a.targets[0].model: 该提供商的 model_list 中没有"),
    (r#""a": {"targets": "other/x"}"#, "f: aliases.a.targets: 这个模型被 supported_models 过滤"),
    (r#""a": "a""#, "f: aliases.a: 别名成环: a → a (a circle: a → a)"),
    (r#""x": "a", "a": ["open/m", "b"], "b": "a""#, "f: aliases.b: 别名成环: a → b → a"),
    (
        r#""a": "b", "b": ["c", "b"], "c": "a""#,
        "f: aliases.c: 别名成环: a → b → c → a (a circle: a → b → c → a); f: aliases.b[1]: 别名成环: b → b",
    ),
];

#[test]
fn aliases_that_lead_nowhere_are_refused_with_their_key_path_and_the_reason() {
    for (entries, wanted) in REFUSED {
        let line = refusal(aliases(entries));
        assert!(line.starts_with(wanted), "{entries}: {line}");
    }
    let line = refusal(with(r#""aliases": ["open/m"]"#));
    assert!(line.starts_with("f: aliases: 必须是对象，这里是数组"), "{line}");
}

#[test]
fn an_alias_of_providers_that_are_refused_is_not_blamed() {
    let text = r#"{"providers": ["open|ftp://h|"], "aliases": {"a": "open/m"}}"#;
    let error = Config::parse(text, "f").expect_err("no http");
    assert_eq!(error.lines().len(), 1, "{error}");
}

#[test]
fn what_is_odd_about_an_alias_is_a_warning() {
    for (entries, wanted) in [
        (r#""open/m": "other/fine""#, "f: aliases.open/m: 以提供商 open 开头，将优先于"),
        (r#""open/*": "other/fine""#, "f: aliases.open/*: 永远不会匹配"),
        (r#""a": ["open/m", "open/n", "open/m"]"#, "f: aliases.a[2]: 与第 1 个目标相同，已忽略"),
        (r#""a": [{"model": "open/m", "weight": 2}]"#, "f: aliases.a.targets: 权重只在"),
        (
            r#""a": {"targets": "open/m", "ordr": 1}"#,
            "f: aliases.a.ordr: 未知的键，已忽略；是否应为 order？",
        ),
        (
            r#""a": {"targets": "open/m", "fallbacks": 1}"#,
            "f: aliases.a.fallbacks: 未知的键，已忽略；是否应为 targets？",
        ),
        (
            r#""a": [{"model": "open/m", "wieght": 1}]"#,
            "f: aliases.a[0].wieght: 未知的键，已忽略；是否应为 weight？",
        ),
    ] {
        let config = aliases(entries).unwrap_or_else(|error| panic!("{entries}: {error}"));
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
        assert!(config.warnings[0].starts_with(wanted), "{:?}", config.warnings);
    }
    let twice = aliases(r#""a": ["open/m", "open/n", "open/m"]"#).expect("only odd");
    assert_eq!(twice.aliases[0].targets.len(), 2);
}

/// An alias with so many models of its own, and further targets.
fn wide(name: &str, models: usize, further: &[String]) -> String {
    let models = (0..models).map(|model| format!("\"open/{name}{model}\""));
    let targets: Vec<_> = models.chain(further.iter().map(|name| format!("\"{name}\""))).collect();
    format!("\"{name}\": [{}]", targets.join(", "))
}

#[test]
fn an_alias_leads_to_64_models_at_most_however_they_are_nested() {
    let many = "总共不能超过 64 个目标 (leads to more than 64 targets)";
    let nest = |own: usize| {
        let parts: Vec<_> = (0..8).map(|part| format!("n{part}")).collect();
        let lists = parts.iter().map(|part| wide(part, 8, &[])).collect::<Vec<_>>();
        format!("{}, {}", wide("all", own, &parts), lists.join(", "))
    };
    for (entries, refused) in [
        (wide("a", 64, &[]), None),
        (wide("a", 65, &[]), Some(format!("f: aliases.a[64]: {many}"))),
        (nest(0), None),
        (nest(1), Some(format!("f: aliases.all: {many}"))),
    ] {
        assert_eq!(aliases(&entries).err().map(|error| error.to_string()), refused);
    }
}

#[test]
fn hostile_nests_are_checked_at_once() {
    // Each alias has the next one twice over: 2^40 paths to one model, through 40 × 2 aliases at most.
    let doubled = |depth: usize| {
        let level = |level: usize| {
            let next = [format!("a{}", level + 1), format!("b{}", level + 1)];
            let next = if level + 1 < depth { &next[..] } else { &[] };
            let models = usize::from(next.is_empty());
            format!(
                "{}, {}",
                wide(&format!("a{level}"), models, next),
                wide(&format!("b{level}"), models, next)
            )
        };
        (0..depth).map(level).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(aliases(&doubled(31)).map(|config| config.aliases.len()), Ok(62));
    assert!(refusal(aliases(&doubled(60))).contains("64"));
    // A chain and a circle as long as a file may be.
    let chain = |end: &str| {
        let links = (0..20_000).map(|link| format!("\"{link}\": \"{}\"", link + 1));
        links.chain([format!("\"20000\": \"{end}\"")]).collect::<Vec<_>>().join(", ")
    };
    assert!(refusal(aliases(&chain("open/m"))).contains("64"));
    let line = refusal(aliases(&chain("0")));
    assert!(line.contains("0 → 1 → 2") && line.contains("→ …") && line.len() < 1000, "{line}");
}

#[test]
fn attempts_are_limited_and_their_reasons_checked() {
    for (entries, wanted) in [
        (r#""retries": 11"#, "f: retries: 必须是 0 到 10 的整数"),
        (r#""retries": 1.5"#, "f: retries: 必须是 0 到 10 的整数"),
        (r#""retry_wait_max": -1"#, "f: retry_wait_max: 必须是 0 到 31536000 的秒数"),
        (r#""bare_models": "yes""#, "f: bare_models: 必须是布尔值"),
        (r#""retry_on": 429"#, "f: retry_on: 必须是数组，这里是数字"),
        (r#""retry_on": [429, 399]"#, "f: retry_on[1]: 必须是 400 到 599 的状态码"),
        (r#""retry_on": [600]"#, "f: retry_on[0]: 必须是 400 到 599 的状态码"),
        (r#""retry_on": [429.0]"#, "f: retry_on[0]: 必须是 400 到 599 的状态码"),
        (r#""retry_on": [null]"#, "f: retry_on[0]: 必须是 400 到 599 的状态码"),
        (r#""retry_on": [""]"#, "f: retry_on[0]: 必须是 400 到 599 的状态码"),
        (r#""retry_on": ["a b"]"#, "f: retry_on[0]: 必须是 400 到 599 的状态码"),
        (r#""retry_on": ["错误"]"#, "f: retry_on[0]: 必须是 400 到 599 的状态码"),
        (&format!(r#""retry_on": ["{}"]"#, "x".repeat(65)), "f: retry_on[0]: 必须是 400 到 599"),
    ] {
        let line = refusal(with(entries));
        assert!(line.starts_with(wanted), "{entries}: {line}");
    }
    let code = "x".repeat(64);
    let config = with(&format!(
        r#""retry_on": ["{code}", "1302", "a_b.c-d", 400, 599, "timeout"], "retries": 0"#
    ));
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.retry_on.codes, [&*code, "1302", "a_b.c-d"]);
    assert_eq!((config.retry_on.statuses, config.retry_on.timeout), (vec![400, 599], true));
    assert_eq!((config.retries, config.warnings.len()), (Some(0), 0));
    let config = with(r#""retry_on": ["429"]"#).expect("only odd");
    assert!(config.warnings[0].contains("retry_on[0]"), "{:?}", config.warnings);
}
