//! What a reload says: what changed, line by line, or why the file is refused.

use serde_json::{json, Value};

use crate::support::*;

/// The lines of `changes` after a reload from one configuration to another.
fn changes(from: &Value, to: &Value) -> Vec<String> {
    let proxy = TestProxy::start(from);
    let answer = proxy.reload(to).json();
    let Some(lines) = answer.get("changes") else { return Vec::new() };
    let lines = lines.as_array().expect("changes").iter();
    lines.map(|line| line.as_str().expect("text").to_owned()).collect()
}

fn one_change(from: &Value, to: &Value, words: &[&str]) {
    let lines = changes(from, to);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for word in words {
        assert!(lines[0].contains(word), "no {word} in {lines:?}");
    }
}

#[test]
fn changes_are_reported_one_by_one_and_show_no_secret() {
    let upstream = Upstream::json("200 OK", "{}");
    let [one, two] = ["one", "two"].map(|name| provider(name, &upstream));
    let base = config([one.clone(), two.clone()]);
    assert_eq!(changes(&base, &base), Vec::<String>::new());
    one_change(&config([one.clone()]), &base, &["two", "added"]);
    one_change(&base, &config([two.clone()]), &["one", "removed"]);
    one_change(&base, &with(base.clone(), json!({"log_level": "ERROR"})), &["INFO", "ERROR"]);
    for (key, value) in [("model_list", json!(["x"])), ("baseurl", json!("http://127.0.0.1:1/v2"))]
    {
        let mut other = two.clone();
        other[key] = value;
        one_change(&base, &config([one.clone(), other]), &["two", "changed"]);
    }
    let mut rekeyed = two.clone();
    rekeyed["token"] = json!("key-other-7d2a");
    let lines = changes(&base, &config([one.clone(), rekeyed]));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("two") && !lines[0].contains("7d2a"), "{lines:?}");
    let tokens = |list: Value| with(base.clone(), json!({ "tokens": list }));
    let lines = changes(&base, &tokens(json!(["tester|sk-other-99aa", "more|sk-more-11bb"])));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains('1') && lines[0].contains('2'), "{lines:?}");
    assert!(!lines[0].contains("99aa") && !lines[0].contains(TOKEN), "{lines:?}");
    one_change(&base, &with(base.clone(), json!({"supported_models": ["one/"]})), &["models"]);
    for limit in [
        json!({"max_connections": 7}),
        json!({"stream_timeout": 7.5}),
        json!({"max_response_size": 777}),
        json!({"sse_keepalive": 7}),
    ] {
        one_change(&base, &with(base.clone(), limit), &["limits"]);
    }
    one_change(&base, &with(base.clone(), json!({"port": 7777})), &["7777", "restart"]);
}

#[test]
fn a_reload_that_changed_nothing_has_two_keys_and_one_that_waits_for_a_restart_three() {
    let upstream = Upstream::json("200 OK", "{}");
    let two = config([provider("one", &upstream), provider("two", &upstream)]);
    let proxy = TestProxy::start(&two);
    let nothing = r#"{"message":"配置重新加载成功","providers_count":2}"#;
    assert_eq!(proxy.reload(&two).text(), nothing);
    let elsewhere = with(two.clone(), json!({"reuse_port": true}));
    for _ in 0..2 {
        let waits = proxy.reload(&elsewhere).json();
        assert_eq!(waits["changes"].as_array().map(Vec::len), Some(1), "{waits}");
    }
    assert_eq!(proxy.reload(&two).text(), nothing);
}

#[test]
fn a_change_of_everything_is_reported_line_by_line_and_logged() {
    let upstream = Upstream::json("200 OK", "{}");
    let [one, two] = ["one", "two"].map(|name| provider(name, &upstream));
    let proxy = TestProxy::start(&config([one]));
    let all = json!({"tokens": [], "log_level": "DEBUG", "supported_models": ["x"]});
    let answer = proxy.reload(&with(config([two]), all)).json();
    let lines = answer["changes"].as_array().expect("changes");
    assert_eq!(lines.len(), 5, "{lines:?}");
    let log = proxy.wait_for_log("configuration reloaded");
    for line in lines {
        assert!(log.contains(line.as_str().expect("text")), "{line} is not in the log");
    }
    assert!(!proxy.everything().contains(KEY) && !proxy.everything().contains(TOKEN));
}

/// Every kind of broken file: 400 with the reason, and the old configuration stays in force for each of its parts.
#[test]
fn broken_files_are_refused_with_a_reason_and_change_nothing() {
    let upstream = Upstream::json("200 OK", r#"{"id":"still here"}"#);
    let good = config_for(&upstream);
    let proxy = TestProxy::start(&good);
    let mut client = proxy.connect();
    let wrong = |changes: Value| with(good.clone(), changes).to_string().into_bytes();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "config.json"),
        (b"{\"providers\": [".to_vec(), "config.json"),
        (good.to_string().into_bytes()[..40].to_vec(), "config.json"),
        (b"\xff\xfe{}".to_vec(), "config.json"),
        (b"[]".to_vec(), "config.json"),
        (wrong(json!({"providers": "none"})), "providers"),
        (wrong(json!({"tokens": [7]})), "tokens[0]"),
        (wrong(json!({"log_level": "LOUD"})), "log_level"),
        (wrong(json!({"supported_models": ["("]})), "supported_models[0]"),
        (wrong(json!({"stream_timeout": -1})), "stream_timeout"),
        (wrong(json!({"max_connections": 0.5})), "max_connections"),
        (wrong(json!({"providers": [{"provider": "p"}]})), "providers[0]"),
    ];
    for (bytes, reason) in cases {
        proxy.write_config(&bytes);
        let message = proxy.request("POST", "/v1/reload", "").error(400);
        assert!(message.contains(reason), "{reason}: {message}");
        assert!(!message.contains(KEY) && !message.contains(TOKEN), "{message}");
        let answer = client.send(chat_request("", chat(MODEL).as_bytes())).response();
        assert_eq!(answer.text(), r#"{"id":"still here"}"#, "after {reason}");
    }
    std::fs::remove_file(proxy.directory().path().join("config.json")).expect("it was there");
    proxy.request("POST", "/v1/reload", "").error(400);
    assert_eq!(upstream.connections(), 1, "even the idle connection stayed");
    // The repaired file loads.
    assert_eq!(proxy.reload(&good).json().get("changes"), None);
}
