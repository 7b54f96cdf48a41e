//! What is wrong with a configuration is said in one line, with exit code 2; `--check` and the other arguments.

use serde_json::{json, Value};

use crate::support::*;

/// Runs with this file and asserts the promised refusal; returns the line.
fn refusal(config: &str, arguments: &[&str]) -> String {
    let run = run_with_config(config, arguments);
    assert_eq!(run.code, Some(2), "{config}\n{run:?}");
    let line = run.stderr.trim_end().to_owned();
    assert_eq!(line.lines().count(), 1, "one line: {run:?}");
    assert!(line.contains("config.json"), "the file is named: {line}");
    assert!(!run.output().contains(KEY) && !run.output().contains(TOKEN), "a secret: {run:?}");
    line
}

fn base() -> Value {
    let one = json!({"provider": "p", "baseurl": "http://127.0.0.1:1/v1", "token": KEY, "model_list": ["m"]});
    config([one])
}

/// Asserts that `changes` are refused with `path` named, by a start and by `--check`.
fn refused(changes: Value, path: &str) {
    let config = with(base(), changes.clone()).to_string();
    for arguments in [&[][..], &["--check"]] {
        let line = refusal(&config, arguments);
        assert!(line.contains(path), "{changes}: {path} in {line}");
    }
}

fn refused_provider(provider: Value, path: &str) {
    let good = json!({"provider": "good", "baseurl": "http://127.0.0.1:1/v1", "token": KEY});
    refused(json!({"providers": [good, provider]}), path);
}

#[test]
fn wrong_types_are_refused_with_their_key() {
    refused(json!({"host": 5}), "host");
    refused(json!({"port": "80"}), "port");
    refused(json!({"port": 80.5}), "port");
    refused(json!({"log_level": 1}), "log_level");
    refused(json!({"providers": {}}), "providers");
    refused(json!({"providers": "p|http://x|y"}), "providers");
    refused(json!({"tokens": "a|b"}), "tokens");
    refused(json!({"tokens": ["a|b", 5]}), "tokens[1]");
    refused(json!({"supported_models": ".*"}), "supported_models");
    refused(json!({"supported_models": [".*", {}]}), "supported_models[1]");
    refused(json!({"max_connections": "many"}), "max_connections");
    refused(json!({"max_connections": 1.5}), "max_connections");
    refused(json!({"max_keepalive_connections": true}), "max_keepalive_connections");
    refused(json!({"keepalive_expiry": "30"}), "keepalive_expiry");
    refused(json!({"stream_timeout": []}), "stream_timeout");
    refused(json!({"non_stream_timeout": {}}), "non_stream_timeout");
    refused(json!({"max_response_size": "10MB"}), "max_response_size");
    refused(json!({"max_request_size": "10MB"}), "max_request_size");
    refused(json!({"max_client_connections": "10"}), "max_client_connections");
}

#[test]
fn numbers_out_of_range_are_refused_with_their_key() {
    refused(json!({"port": 65536}), "port");
    refused(json!({"port": -1}), "port");
    refused(json!({"max_connections": 0}), "max_connections");
    refused(json!({"max_connections": -1}), "max_connections");
    refused(json!({"max_keepalive_connections": -1}), "max_keepalive_connections");
    refused(json!({"keepalive_expiry": -0.5}), "keepalive_expiry");
    refused(json!({"keepalive_expiry": 1e300}), "keepalive_expiry");
    refused(json!({"stream_timeout": -1}), "stream_timeout");
    refused(json!({"stream_timeout": 0}), "stream_timeout");
    refused(json!({"stream_timeout": 1e19}), "stream_timeout");
    refused(json!({"non_stream_timeout": 0}), "non_stream_timeout");
    refused(json!({"non_stream_timeout": 1e30}), "non_stream_timeout");
    refused(json!({"max_response_size": -5}), "max_response_size");
    refused(json!({"max_request_size": -5}), "max_request_size");
    refused(json!({"max_client_connections": 0}), "max_client_connections");
}

#[test]
fn bad_values_are_refused_with_their_key() {
    refused(json!({"log_level": "LOUD"}), "log_level");
    refused(json!({"supported_models": ["ok", "("]}), "supported_models[1]");
    refused(json!({"host": ""}), "host");
}

#[test]
fn bad_providers_are_refused_with_their_place() {
    refused_provider(json!(5), "providers[1]");
    refused_provider(json!("only-a-name"), "providers[1]");
    refused_provider(json!("name|"), "providers[1]");
    refused_provider(json!("|http://127.0.0.1/v1|key"), "providers[1]");
    refused_provider(json!({"provider": "q"}), "providers[1].baseurl");
    refused_provider(json!({"baseurl": "http://127.0.0.1/v1"}), "providers[1].provider");
    refused_provider(
        json!({"provider": "", "baseurl": "http://127.0.0.1/v1"}),
        "providers[1].provider",
    );
    refused_provider(
        json!({"provider": "a/b", "baseurl": "http://127.0.0.1/v1"}),
        "providers[1].provider",
    );
    refused_provider(
        json!({"provider": 1, "baseurl": "http://127.0.0.1/v1"}),
        "providers[1].provider",
    );
    let list = json!({"provider": "q", "baseurl": "http://127.0.0.1/v1", "model_list": "m"});
    refused_provider(list, "providers[1].model_list");
    let list = json!({"provider": "q", "baseurl": "http://127.0.0.1/v1", "model_list": ["m", 5]});
    refused_provider(list, "providers[1].model_list[1]");
    let token = json!({"provider": "q", "baseurl": "http://127.0.0.1/v1", "token": 5});
    refused_provider(token, "providers[1].token");
    let token = json!({"provider": "q", "baseurl": "http://127.0.0.1/v1", "token": "a\r\nX: y"});
    refused_provider(token, "providers[1].token");
}

#[test]
fn bad_urls_are_refused_with_their_place() {
    let urls = [
        "",
        "nonsense",
        "ftp://127.0.0.1/v1",
        "http://",
        "http:///v1",
        "https://:443/v1",
        "//127.0.0.1/v1",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:x/v1",
        "http://a b/v1",
        "http://127.0.0.1/v1\r\nX: y",
        "http://127.0.0.1/a b",
        "file:///etc/passwd",
        "http://[::1/v1",
    ];
    for url in urls {
        refused_provider(json!({"provider": "q", "baseurl": url}), "providers[1].baseurl");
    }
    refused_provider(json!("q|nonsense|key"), "providers[1]");
}

#[test]
fn two_providers_of_one_name_are_refused() {
    refused_provider(
        json!({"provider": "good", "baseurl": "http://127.0.0.1:2/v1"}),
        "providers[1]",
    );
    refused_provider(json!("good|http://127.0.0.1:2/v1|key"), "providers[1]");
    for (one, two) in [
        (json!("twice|http://127.0.0.1:1|"), json!("twice|http://127.0.0.1:2|")),
        (json!("twice|http://127.0.0.1:1|"), base()["providers"][0].clone()),
        (base()["providers"][0].clone(), json!({"provider": "twice", "baseurl": "http://h"})),
    ] {
        let named = |mut one: Value| {
            if one.is_object() {
                one["provider"] = json!("twice");
            }
            one
        };
        let line = refusal(&config([named(one), named(two)]).to_string(), &[]);
        assert!(line.contains("twice") && line.contains("providers[0]"), "{line}");
    }
}

#[test]
fn an_old_string_needs_both_bars_even_without_a_key() {
    for one in ["a|http://127.0.0.1:1/v1", "a|https://u:p@127.0.0.1/v1", "a|${TEST_NONE:-http://h}"]
    {
        refused_provider(json!(one), "providers[1]");
        let run = run_with_config(&config([json!(format!("{one}|"))]).to_string(), &["--check"]);
        assert_eq!(run.code, Some(0), "{one}| has an empty token: {run:?}");
    }
    let line = refusal(&config([json!("a|http://127.0.0.1:1/v1")]).to_string(), &[]);
    assert!(line.contains("name|baseurl|token"), "{line}");
}

#[test]
fn missing_providers_are_refused() {
    let line = refusal(r#"{"tokens": []}"#, &[]);
    assert!(line.contains("providers"), "{line}");
}

#[test]
fn a_file_that_is_not_json_is_refused_with_line_and_column() {
    let line = refusal("{\n  \"port\": 80,\n  \"host\" \"x\"\n}", &[]);
    assert!(line.contains('3'), "the line: {line}");
    for text in
        ["", "   ", "[]", "null", "\"text\"", "{", "{\"providers\": []} x", "{\"a\": /* open"]
    {
        refusal(text, &[]);
    }
    refusal(&format!("{{\"providers\":{}", "[".repeat(100_000)), &[]);
}

#[test]
fn a_missing_file_is_named() {
    let directory = TempDir::new();
    for arguments in [&["--config", "absent.json"][..], &["--check", "--config", "absent.json"]] {
        let run = run(directory.path(), arguments);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert_eq!(run.stderr.trim_end().lines().count(), 1, "{run:?}");
        assert!(run.stderr.contains("absent.json"), "{run:?}");
    }
    let run = run(directory.path(), &["--config", "."]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[test]
fn a_file_that_is_not_utf8_is_refused() {
    let directory = TempDir::new();
    directory.write("config.json", b"{\"providers\": [], \"host\": \"\xff\"}");
    assert_eq!(run(directory.path(), &[]).code, Some(2));
}

#[test]
fn check_prints_what_it_understood_and_no_secret() {
    let config =
        with(base(), json!({"supported_models": ["^p/"], "tokens": [format!("alice|{TOKEN}")]}));
    let run = run_with_config(&config.to_string(), &["--check"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for part in ["p", "127.0.0.1:1", "alice", "^p/", "m"] {
        assert!(run.stdout.contains(part), "{part} in {run:?}");
    }
    assert!(!run.output().contains(KEY) && !run.output().contains(TOKEN), "{run:?}");
}

#[test]
fn check_does_not_print_credentials_of_a_url() {
    let one = json!({"provider": "p", "baseurl": "http://user:hunter2@127.0.0.1:1/v1", "model_list": ["m"]});
    let run = run_with_config(&config([one]).to_string(), &["--check"]);
    assert!(!run.output().contains("hunter2"), "{run:?}");
}

#[test]
fn version_and_help_print_and_end_well() {
    let directory = TempDir::new();
    let version = run(directory.path(), &["--version"]);
    assert_eq!(version.code, Some(0));
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{version:?}");
    let help = run(directory.path(), &["--help"]);
    assert_eq!(help.code, Some(0));
    for option in ["--config", "--check", "--version", "--help"] {
        assert!(help.stdout.contains(option), "{option} in {help:?}");
    }
}

#[test]
fn unknown_arguments_are_refused() {
    let directory = TempDir::new();
    for arguments in [&["--frobnicate"][..], &["extra"], &["--config"]] {
        let run = run(directory.path(), arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
        assert!(!run.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_and_no_more_than_ten() {
    let lines = |tokens: usize| {
        let tokens: Vec<_> = (0..tokens).map(|index| format!("no-bar-{index}")).collect();
        let config = json!({"port": "x", "providers": [{"name": "p"}], "tokens": tokens});
        let run = run_with_config(&config.to_string(), &["--check"]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(!run.output().contains("no-bar"), "{run:?}");
        run.stderr.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let few = lines(2);
    let places =
        ["port", "providers[0].provider", "providers[0].baseurl", "tokens[0]", "tokens[1]"];
    assert_eq!(few.len(), places.len(), "{few:?}");
    for (line, place) in few.iter().zip(places) {
        assert!(line.starts_with(&format!("ai_proxy: config.json: {place}: ")), "{line}");
    }
    assert!(few[1].contains("is name meant to be provider?"), "{few:?}");
    assert_eq!(lines(30).len(), 10);
}
