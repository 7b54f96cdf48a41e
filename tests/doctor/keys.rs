//! Several keys of one provider: each is shown to it, and one that is refused is named by its number.

use serde_json::{json, Value};

use crate::support::*;
use crate::{answer_well, codes, examine, run_doctor};

/// The number of the key that came with a request.
fn number(request: &Request) -> usize {
    let sent = request.head.get("authorization").unwrap_or_default();
    sent.strip_prefix(&format!("Bearer {KEY}-")).and_then(|end| end.parse().ok()).unwrap_or(0)
}

/// A provider that refuses these keys, and says them in doing so.
fn refusing(dead: &'static [usize]) -> Upstream {
    Upstream::each(move |request, connection| match number(request) {
        key if dead.contains(&key) => {
            let text = format!(r#"{{"error":{{"message":"no such key: {KEY}-{key}"}}}}"#);
            connection.send(json_answer("401 Unauthorized", &text));
        }
        _ => answer_well(request, connection),
    })
}

fn with_keys(upstream: &Upstream, count: usize) -> Value {
    let mut provider = auto_provider("several", upstream);
    provider["token"] = (1..=count).map(|number| format!("{KEY}-{number}")).collect();
    provider
}

fn stage<'r>(provider: &'r Value, name: &str) -> &'r Value {
    let stages = provider["stages"].as_array().expect("stages");
    stages.iter().find(|stage| stage["stage"] == name).expect("each stage is there")
}

#[test]
fn a_dead_key_is_named_by_its_number_and_the_others_are_well() {
    for (count, dead, blamed, keys, asked) in [
        (2, &[][..], None, "#1 ✓ #2 ✓", &[1, 2][..]),
        (2, &[2], Some("#2"), "#1 ✓ #2 ✗ 401", &[1, 2]),
        (2, &[1], Some("#1"), "#1 ✗ 401 #2 ✓", &[1, 2]),
        (4, &[1, 3], Some("#1, #3"), "#1 ✗ 401 #2 ✓ #3 ✗ 401 #4 ✓", &[1, 2, 3, 4]),
        (2, &[1, 2], Some("#1, #2"), "#1 ✗ 401 #2 ✗ 401", &[1, 2]),
    ] {
        let upstream = refusing(dead);
        let provider = with_keys(&upstream, count);
        let (run, report) = examine(std::slice::from_ref(&provider), &[], &[]);
        let told = &report["providers"][0];
        assert_eq!(run.code, Some(i32::from(blamed.is_some())), "{keys}: {run:?}");
        assert_eq!(told["facts"]["keys"], keys, "{told:#}");
        let shown: Vec<_> = upstream.requests().iter().map(number).collect();
        assert_eq!(shown, asked, "{keys}");
        let all_dead = dead.len() == count;
        assert_eq!(told["facts"]["models"], if all_dead { Value::Null } else { json!(2) });
        let text = run_doctor(&[provider], &[], &[]).stdout;
        assert!(text.contains(keys), "{text}");
        let Some(blamed) = blamed else {
            assert_eq!(codes(told), []);
            continue;
        };
        let fault = ["key", "fail", "unauthorized"].map(str::to_owned);
        assert_eq!(codes(told), [fault.into()], "{told:#}");
        let key = stage(told, "key");
        assert_eq!(key["keys"], blamed);
        assert_eq!(key["said"], "no such key: ***");
        let what = key["what"]["en"].as_str().unwrap_or_default();
        assert!(what.starts_with(&format!("{blamed}: ")) && text.contains(what), "{what}: {text}");
    }
}

#[test]
fn chats_are_tried_with_a_key_that_is_accepted() {
    let upstream = refusing(&[1]);
    let (run, report) = examine(&[with_keys(&upstream, 3)], &["--spend"], &[]);
    let told = &report["providers"][0];
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(stage(told, "chat")["status"], "ok", "{told:#}");
    let requests = upstream.requests();
    let chats = requests.iter().filter(|request| request.method == "POST");
    let chats: Vec<_> = chats.map(number).collect();
    assert!(!chats.is_empty() && chats.iter().all(|key| *key == 2), "{chats:?}");
}

#[test]
fn a_key_in_quotes_among_several_is_named_by_its_number() {
    let upstream = refusing(&[]);
    let mut provider = with_keys(&upstream, 2);
    provider["token"][1] = json!(format!("'{KEY}-2'"));
    let (_, report) = examine(&[provider], &[], &[]);
    let config = stage(&report["providers"][0], "config");
    assert_eq!((&config["code"], &config["keys"]), (&json!("quoted_key"), &json!("#2")));
}

#[test]
fn one_key_is_told_without_a_number() {
    let upstream = refusing(&[1]);
    let (_, report) = examine(&[with_keys(&upstream, 1)], &[], &[]);
    let told = &report["providers"][0];
    assert_eq!(told["facts"]["keys"], Value::Null);
    assert_eq!(stage(told, "key")["keys"], Value::Null);
    assert!(!report.to_string().contains('#'), "{report:#}");
}
