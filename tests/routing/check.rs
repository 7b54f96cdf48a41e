//! What `--check` says of keys, retries and aliases: how many attempts there may be, and what is refused.

use serde_json::{json, Value};

use crate::place::key;
use crate::support::*;

/// Two providers with manual lists; `anna` has two keys.
fn base() -> Value {
    let provider = |name: &str, keys: &[usize]| {
        let keys: Vec<String> = keys.iter().map(|number| key(name, *number)).collect();
        json!({"provider": name, "baseurl": "http://127.0.0.1:1/v1", "token": keys, "model_list": ["m", "x"]})
    };
    config([provider("anna", &[1, 2]), provider("bert", &[1])])
}

fn check(changes: Value) -> Finished {
    let run = run_with_config(&with(base(), changes).to_string(), &["--check"]);
    for secret in ["qZ", "s3cr3t", "WxYk", TOKEN] {
        assert!(!run.output().contains(secret), "{secret}: {run:?}");
    }
    run
}

#[test]
fn what_cannot_work_is_refused_with_file_path_and_reason() {
    let aliases = |aliases: Value| json!({ "aliases": aliases });
    let object =
        |more: Value| json!({"aliases": {"a": with(json!({"targets": ["anna/m"]}), more)}});
    let many: Vec<String> = (0..65).map(|number| format!("cleo/m{number}")).collect();
    let auto = json!({"provider": "cleo", "baseurl": "http://127.0.0.1:1/v1"});
    let mut providers = base()["providers"].as_array().expect("providers").clone();
    providers.push(auto);
    let key_order = |value: Value| {
        let mut providers = base()["providers"].clone();
        providers[0]["key_order"] = value;
        json!({ "providers": providers })
    };
    let token = |value: Value| {
        let mut providers = base()["providers"].clone();
        providers[0]["token"] = value;
        json!({ "providers": providers })
    };
    let mut wrong = Vec::new();
    for (changes, path, words) in [
        (json!({"retries": 11}), "retries", ""),
        (json!({"retries": -1}), "retries", ""),
        (json!({"retries": 1.5}), "retries", ""),
        (json!({"retries": "2"}), "retries", ""),
        (json!({"retry_on": 429}), "retry_on", ""),
        (json!({"retry_on": [200]}), "retry_on[0]", ""),
        (json!({"retry_on": [429, 600]}), "retry_on[1]", ""),
        (json!({"retry_on": [true]}), "retry_on[0]", ""),
        (json!({"retry_wait_max": -1}), "retry_wait_max", ""),
        (json!({"retry_wait_max": 1e10}), "retry_wait_max", ""),
        (json!({"bare_models": "yes"}), "bare_models", ""),
        (json!({"aliases": ["anna/m"]}), "aliases", ""),
        (key_order(json!("random")), "providers[0].key_order", "sticky"),
        (key_order(json!(1)), "providers[0].key_order", ""),
        (token(json!([key("anna", 1), 5])), "providers[0].token[1]", ""),
        (token(json!({})), "providers[0].token", ""),
        (aliases(json!({"a": []})), "aliases.a", ""),
        (aliases(json!({"a": 5})), "aliases.a", ""),
        (aliases(json!({"a": ["anna/m", 5]})), "aliases.a[1]", ""),
        (aliases(json!({"a": {}})), "aliases.a", ""),
        (aliases(json!({"a": "nobody/m"})), "aliases.a", "provider"),
        (aliases(json!({"a": "m"})), "aliases.a", "m"),
        (aliases(json!({"a": ["anna/m", "anna/unlisted"]})), "aliases.a[1]", "model_list"),
        (aliases(json!({"a": "a"})), "aliases.a", "a"),
        (aliases(json!({"a": "b", "b": ["anna/m", "c"], "c": "a"})), "aliases.", "a"),
        (aliases(json!({"a": "anna/*"})), "aliases.a", "*"),
        (aliases(json!({"*-x": "anna/m"})), "aliases.*-x", "*"),
        (aliases(json!({"a*b*": "anna/m"})), "aliases.a*b*", "*"),
        (aliases(json!({"a*": "anna/*-m"})), "aliases.a*", "*"),
        (aliases(json!({"a": many})), "aliases.a", "64"),
        (object(json!({"order": "cheapest"})), "aliases.a.order", "weights"),
        (object(json!({"retries": 11})), "aliases.a.retries", ""),
        (object(json!({"retry_on": [99]})), "aliases.a.retry_on[0]", ""),
        (object(json!({"targets": []})), "aliases.a.targets", ""),
        (
            object(json!({"targets": [{"model": "anna/m", "weight": 1001}]})),
            "aliases.a.targets[0].weight",
            "",
        ),
        (
            object(json!({"targets": [{"model": "anna/m", "weight": -1}]})),
            "aliases.a.targets[0].weight",
            "",
        ),
        (object(json!({"targets": ["anna/m", {"weight": 2}]})), "aliases.a.targets[1]", ""),
        (
            json!({"supported_models": ["^bert/"], "aliases": {"a": ["bert/m", "anna/m"]}}),
            "aliases.a[1]",
            "supported_models",
        ),
    ] {
        let changes = with(json!({ "providers": providers }), changes);
        let run = check(changes.clone());
        let line = run.stderr.trim_end();
        let said = ["config.json", path, words].iter().all(|part| line.contains(part));
        if run.code != Some(2) || line.lines().count() != 1 || !said {
            wrong.push(format!("{path} {words}: {:?} {line}", run.code));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_most_attempts_are_said() {
    for (changes, expected) in [
        (json!({}), vec!["anna", "2"]),
        (json!({"retries": 7}), vec!["anna", "8"]),
        (json!({"aliases": {"fast": ["anna/m", "bert/m"]}}), vec!["fast", "3"]),
        (
            json!({"aliases": {"fast": {"targets": ["anna/m", "bert/m"], "retries": 0}}}),
            vec!["fast", "1"],
        ),
        (json!({"retries": 10, "aliases": {"fast": ["anna/m", "bert/m"]}}), vec!["fast", "11"]),
    ] {
        let run = check(changes.clone());
        assert_eq!(run.code, Some(0), "{changes}: {run:?}");
        let words =
            [format!("最多 {} 次尝试", expected[1]), format!("at most {} attempt", expected[1])];
        let output = run.output();
        let told = output.lines().any(|line| {
            line.contains(expected[0]) && words.iter().any(|words| line.contains(words))
        });
        assert!(told, "{changes}: {output}");
    }
}

#[test]
fn what_is_odd_is_warned_of_and_works() {
    for (changes, word) in [
        (json!({"aliases": {"anna/m": "bert/x"}}), "anna/m"),
        (json!({"aliases": {"a": {"targets": "anna/m", "ordr": "weights"}}}), "ordr"),
    ] {
        let run = check(changes.clone());
        assert_eq!(run.code, Some(0), "{changes}: {run:?}");
        assert!(run.output().contains(word), "{changes}: {run:?}");
    }
    let twice = with(base(), json!({}));
    let plain = check(json!({})).output();
    assert!(!plain.contains("providers[0].token"), "{plain}");
    let mut providers = twice["providers"].clone();
    providers[0]["token"] = json!([key("anna", 1), key("anna", 1)]);
    let run = check(json!({ "providers": providers }));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.output().contains("providers[0].token"), "{run:?}");
}
