//! R1: one budget for a request, over keys, targets and aliases together.

use serde_json::json;

use crate::row::{run, Row};

const TARGETS: [&str; 4] = ["anna", "bert", "cleo", "dora"];

/// Who is asked of 4 targets with 3 keys each, all limited, when `calls` are allowed: the keys of a target
/// come first, and one call stays reserved for each target that was not asked yet.
fn course(mut calls: usize) -> String {
    let mut course = Vec::new();
    for (number, target) in TARGETS.iter().enumerate() {
        let behind = TARGETS.len() - 1 - number;
        let here = calls.saturating_sub(behind).clamp(calls.min(1), 3);
        course.extend((1..=here).map(|key| format!("{target}#{key}=429")));
        calls -= here;
    }
    course.join(", ")
}

fn four(name: String) -> Row {
    Row::new(name, "anna:3 bert:3 cleo:3 dora:3")
        .alias(&["anna/m", "bert/m", "cleo/m", "dora/m"])
        .up("*", "429")
}

#[test]
fn retries_are_exactly_so_many_further_calls_over_keys_and_targets() {
    let mut rows: Vec<Row> = (0..=10)
        .map(|retries| {
            four(format!("retries: {retries}")).file(json!({"retries": retries})).ask(
                "a",
                429,
                &course(retries + 1),
            )
        })
        .collect();
    rows.push(four("by default at most 8".into()).ask("a", 429, &course(9)));
    rows.push(
        four("the alias' own count".into())
            .file(json!({"retries": 9, "aliases": {
                "a": {"targets": ["anna/m", "bert/m", "cleo/m", "dora/m"], "retries": 2},
                "b": ["anna/x", "bert/x", "cleo/x", "dora/x"],
            }}))
            .ask("a", 429, &course(3))
            .ask("b", 429, &course(10).replace('=', "/x=")),
    );
    run(rows);
}

#[test]
fn the_default_allows_each_target_and_two_further_keys_of_it() {
    let limited = |name: &str, providers: &str| Row::new(name, providers).up("*", "429");
    run(vec![
        limited("one target, one key: one call", "anna").ask("anna/m", 429, "anna=429"),
        limited("one target, no key: one call", "anna:0").ask("anna/m", 429, "anna=429"),
        limited("two keys", "anna:2").ask("anna/m", 429, "anna#1=429, anna#2=429"),
        limited("five keys: three of them", "anna:5").ask(
            "anna/m",
            429,
            "anna#1=429, anna#2=429, anna#3=429",
        ),
        limited("two targets", "anna bert").alias(&["anna/m", "bert/m"]).ask(
            "a",
            429,
            "anna=429, bert=429",
        ),
        limited("three keys and a target without one", "anna:3 bert:0")
            .alias(&["anna/m", "bert/m"])
            .ask("a", 429, "anna#1=429, anna#2=429, anna#3=429, bert=429"),
        Row::new("keys for other faults are not in it", "anna:3 bert")
            .alias(&["anna/m", "bert/m"])
            .up("*", "503")
            .ask("a", 503, "anna#1=503, bert=503"),
        Row::new("one further key for 403 in all", "anna:3 bert:3")
            .alias(&["anna/m", "bert/m"])
            .up("*", "403")
            .ask("a", 403, "anna#1=403, anna#2=403, bert#1=403"),
    ]);
}

#[test]
fn a_client_may_ask_for_fewer_and_no_provider_hears_of_it() {
    let all = |name: &str| Row::new(name, "anna:3").up("anna", "429 | retry-after: 50");
    run(vec![
        all("x-ai-proxy-retries: 0")
            .ask("anna/m", 429, "anna#1=429")
            .with("x-ai-proxy-retries: 0")
            .has("x-ai-proxy-upstream-retry-after: 50")
            .has("retry-after: 1"),
        all("x-ai-proxy-retries: 1")
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .with("X-AI-Proxy-Retries: 1"),
        all("x-ai-proxy-retries: more than allowed")
            .ask("anna/m", 429, "anna#1=429, anna#2=429, anna#3=429")
            .with("x-ai-proxy-retries: 9"),
        all("x-ai-proxy-retries: more than `retries`")
            .file(json!({"retries": 1}))
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .with("x-ai-proxy-retries: 10"),
        all("x-ai-proxy-retries: the lowest of several")
            .ask("anna/m", 429, "anna#1=429")
            .with("x-ai-proxy-retries: 0")
            .with("x-ai-proxy-retries: 2"),
        all("x-ai-proxy-retries: no number")
            .ask("anna/m", 429, "anna#1=429, anna#2=429, anna#3=429")
            .with("x-ai-proxy-retries: many"),
        Row::new("x-ai-proxy-retries of targets", "anna bert cleo")
            .alias(&["anna/m", "bert/m", "cleo/m"])
            .up("*", "503")
            .ask("a", 503, "anna=503, bert=503")
            .with("x-ai-proxy-retries: 1"),
        Row::new("x-ai-proxy-retries where there is one way", "anna")
            .ask("anna/m", 200, "anna=200")
            .with("x-ai-proxy-retries: 3"),
    ]);
}
