//! What is odd about keys, tokens and files: said at the start, by `--check` and at each reload, by key path and
//! never by value.

use std::fs::File;

use serde_json::{json, Value};

use crate::support::*;

/// The lines of a text that warn of `path`.
fn warnings<'t>(text: &'t str, path: &str) -> Vec<&'t str> {
    let place = format!(": {path}: ");
    text.lines().filter(|line| line.contains(&place)).collect()
}

/// What `--check` prints of a valid configuration.
fn checked(config: &Value) -> String {
    let run = run_with_config(&config.to_string(), &["--check"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.stdout
}

fn with_key(key: &str) -> Value {
    json!({"provider": "p", "baseurl": "http://127.0.0.1:1/v1", "token": key, "model_list": ["m"]})
}

/// Configurations that hold `secret` in each place where one may stand, and what the place is called.
fn places(secret: &str) -> Vec<(Value, &'static str)> {
    let old = json!(format!("p|http://127.0.0.1:1/v1|{secret}"));
    let tokens = json!({"tokens": ["good|sk-good", format!("me|{secret}")]});
    let several = |keys: Value| {
        let mut provider = with_key("");
        provider["token"] = keys;
        config([provider])
    };
    vec![
        (several(json!(["sk-good", secret])), "providers[0].token[1]"),
        (several(json!([secret, "sk-good", "sk-other"])), "providers[0].token[0]"),
        (config([with_key("good"), old]), "providers[1].token"),
        (config([with_key(secret)]), "providers[0].token"),
        (with(config([]), tokens), "tokens[1]"),
    ]
    .into_iter()
    .map(|(config, path)| {
        let mut config = config;
        if let Some(second) =
            config["providers"].get_mut(0).filter(|_| path == "providers[1].token")
        {
            second["provider"] = json!("q");
        }
        (config, path)
    })
    .collect()
}

#[test]
fn a_key_or_token_in_quotes_is_warned_about_by_its_place_and_never_shown() {
    for secret in ["\"sk-hidden-7\"", "'sk-hidden-7'", "sk-hidden-7\"", "'sk-hidden-7"] {
        for (config, path) in places(secret) {
            let said = checked(&config);
            let lines = warnings(&said, path);
            assert_eq!(lines.len(), 1, "{secret} in {path}: {said}");
            assert!(lines[0].contains("quot"), "{}", lines[0]);
            assert!(!said.contains("hidden"), "{said}");
        }
    }
}

#[test]
fn a_key_or_token_that_looks_like_a_variable_is_warned_about_by_its_place_and_never_shown() {
    for secret in ["$HIDDEN_KEY", "$${HIDDEN_KEY}", "$${HIDDEN_KEY:-x}", "\\\"$HIDDEN_KEY\\\""] {
        for (config, path) in places(&secret.replace('\\', "")) {
            let said = checked(&config);
            let lines = warnings(&said, path);
            assert!(lines.iter().any(|line| line.contains("$NAME")), "{secret} in {path}: {said}");
            assert!(!said.contains("HIDDEN"), "{said}");
        }
    }
}

#[test]
fn a_key_from_a_variable_or_a_file_is_looked_at_too() {
    let mut one = with_key("${TEST_QUOTED_KEY}");
    let directory = TempDir::new();
    directory.write("key", "\"sk-hidden-8\"\n");
    let mut two = json!({"provider": "q", "baseurl": "http://127.0.0.1:1/v1", "model_list": ["m"]});
    two["token_file"] = json!(directory.path().join("key"));
    one["provider"] = json!("from-a-variable");
    let both = with(config([one, two]), json!({"tokens": ["me|${TEST_QUOTED_TOKEN}"]}));
    let environment = vec![
        ("TEST_QUOTED_KEY".to_owned(), "\"sk-hidden-9\"".to_owned()),
        ("TEST_QUOTED_TOKEN".to_owned(), "'sk-hidden-10'".to_owned()),
    ];
    let proxy = TestProxy::launch(Launch {
        config: Some(both.to_string()),
        environment,
        ..Launch::default()
    });
    let paths = ["providers[0].token", "providers[1].token_file", "tokens[0]"];
    eventually("three warnings on the terminal and in the log", || {
        let (stderr, log) = (proxy.stderr(), proxy.log());
        let all = |text: &str| paths.iter().all(|path| warnings(text, path).len() == 1);
        all(&stderr) && all(&log)
    });
    assert_eq!(proxy.reload(&both).status, 200);
    eventually("the same at a reload", || {
        let log = proxy.log();
        paths.iter().all(|path| warnings(&log, path).len() == 2)
    });
    assert!(!proxy.everything().contains("hidden"), "{}", proxy.everything());
}

#[test]
fn ordinary_keys_and_tokens_are_not_warned_about() {
    for secret in ["sk-abc", "a\"b", "it's", "pa$$word", "x$NAME", "$1", "$", "a|b", "=$=", "$-x"] {
        for (config, path) in places(secret) {
            let said = checked(&config);
            assert!(warnings(&said, path).is_empty(), "{secret} in {path}: {said}");
        }
    }
}

/// The path of an open file that has no name any more, as a file behind a mount is once the one outside was replaced.
fn nameless(text: &str) -> (File, String) {
    let directory = TempDir::new();
    let file = File::open(directory.write("gone", text)).expect("it is there");
    drop(directory);
    use std::os::fd::AsRawFd;
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    (file, path)
}

#[test]
fn a_configuration_that_was_replaced_behind_its_mount_is_warned_about() {
    let (_kept, path) = nameless(&config([]).to_string());
    let directory = TempDir::new();
    let run = run(directory.path(), &["--check", "--config", &path]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("mount the directory"), "{run:?}");

    let launch = Launch { arguments: vec!["--config".to_owned(), path], ..Launch::default() };
    let proxy = TestProxy::launch(launch);
    eventually("a warning", || proxy.stderr().contains("mount the directory"));
    let said = |log: &str| log.matches("mount the directory").count();
    eventually("and in the log", || said(&proxy.log()) == 1);
    assert_eq!(proxy.request("POST", "/v1/reload", "").status, 200);
    eventually("and at a reload", || said(&proxy.log()) == 2);
}

#[test]
fn a_token_file_that_was_replaced_behind_its_mount_is_warned_about() {
    let (_kept, path) = nameless("sk-hidden-11");
    let mut one = with_key("");
    one["token_file"] = json!(path);
    let said = checked(&config([one]));
    let lines = warnings(&said, "providers[0].token_file");
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("mount the directory"), "{said}");
    assert!(!said.contains("hidden"), "{said}");
}

#[test]
fn a_file_with_a_name_is_not_warned_about() {
    assert!(!checked(&config([])).contains("mount the directory"));
}

#[test]
fn a_key_that_goes_out_over_plain_http_is_warned_about() {
    const PLAIN: &str = "provider p gets its key over plain http";
    for (base, passthrough, is_warned) in [
        ("https://a.example/v1", json!(true), false),
        ("http://a.example/v1", json!(false), true),
        ("http://localhost/v1", json!(true), false),
        ("https://a.example/v1", json!("http://b.example"), true),
        ("https://a.example/v1", json!("http://127.0.0.1:1/x"), false),
        ("https://a.example/v1", json!("https://b.example"), false),
    ] {
        for (token, url) in [(KEY, base.to_owned()), ("", base.replace("//", "//u:w@"))] {
            let provider = json!({"provider": "p", "baseurl": url, "token": token,
                "passthrough": passthrough});
            let text = checked(&json!({ "providers": [provider], "tokens": [] }));
            assert_eq!(text.contains(PLAIN), is_warned, "{base} {passthrough}: {text}");
        }
    }
}

#[test]
fn keys_that_stand_there_twice_count_once_with_a_warning_and_are_shown_by_their_number_only() {
    let directory = TempDir::new();
    directory.write("keys", "\n  sk-hidden-1  \r\n\nsk-hidden-2\n'sk-hidden-3'\nsk-hidden-2\n");
    let mut one = with_key("");
    one["token"] = json!(["sk-hidden-1", "sk-hidden-2", "", "sk-hidden-1", "sk-hidden-3"]);
    let mut two = json!({"provider": "q", "baseurl": "http://127.0.0.1:1/v1", "model_list": ["m"]});
    two["token_file"] = json!(directory.path().join("keys"));
    let said = checked(&config([one, two]));
    assert_eq!(said.matches("key: 3 set").count(), 2, "{said}");
    assert_eq!(said.matches("at most 3 attempts").count(), 2, "{said}");
    for (path, number) in [
        ("providers[0].token[2]", "empty"),
        ("providers[0].token[3]", "the same as token[0]"),
        ("providers[1].token_file:5", "quot"),
        ("providers[1].token_file:6", "the same as line 4"),
    ] {
        let lines = warnings(&said, path);
        assert!(lines.iter().any(|line| line.contains(number)), "{path} {number}: {said}");
    }
    assert!(!said.contains("hidden"), "{said}");
}
