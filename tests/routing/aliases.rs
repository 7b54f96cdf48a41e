//! A1–A6, A8: names that stand for targets.

use serde_json::{json, Value};

use crate::row::{run, Row};
use crate::support::*;

fn aliases(name: &str, providers: &str, aliases: Value) -> Row {
    Row::new(name, providers).file(json!({ "aliases": aliases }))
}

#[test]
fn every_form_of_an_alias_leads_to_its_targets() {
    run(vec![
        aliases("a string", "anna", json!({"fast": "anna/x"}))
            .ask("fast", 200, "anna/x=200")
            .has("x-ai-proxy-model: anna/x")
            .logged(" 模型: fast → anna/x 提供商: anna ")
            .lacks("x-ai-proxy-attempts"),
        aliases("a list", "anna bert", json!({"a": ["anna/x", "bert/y"]}))
            .up("anna", "503")
            .ask("a", 200, "anna/x=503, bert/y=200")
            .has("x-ai-proxy-model: bert/y")
            .logged(" 模型: a → bert/y 提供商: bert "),
        aliases("an object of one target", "anna", json!({"a": {"targets": "anna/x"}}))
            .ask("a", 200, "anna/x=200")
            .has("x-ai-proxy-model: anna/x"),
        aliases(
            "an object in order",
            "anna bert",
            json!({"a": {"targets": [{"model": "anna/x"}, "bert/y"], "order": "in_order"}}),
        )
        .up("anna", "503")
        .ask("a", 200, "anna/x=503, bert/y=200"),
        aliases(
            "a failed answer tells whose it is",
            "anna bert",
            json!({"a": ["anna/x", "bert/y"]}),
        )
        .up("anna", "429")
        .up("bert", "500")
        .ask("a", 429, "anna/x=429, bert/y=500")
        .from(0)
        .has("x-ai-proxy-model: anna/x"),
        aliases("a name in Chinese", "anna", json!({"快": "anna/x"}))
            .ask("快", 200, "anna/x=200")
            .has("x-ai-proxy-model: anna/x"),
        aliases("a target's name with a slash", "anna*", json!({"a": "anna/org/model-7"}))
            .ask("a", 200, "anna/org/model-7=200")
            .has("x-ai-proxy-model: anna/org/model-7"),
        aliases("a name that is no alias", "anna", json!({"a": "anna/x"}))
            .ask("anna/y", 200, "anna/y=200")
            .lacks("x-ai-proxy-model")
            .ask("b", 404, "")
            .ours(&["b"])
            .ask("A", 404, "")
            .ours(&["A"]),
        aliases("an alias wins over a provider", "anna bert", json!({"anna/m": "bert/x"}))
            .ask("anna/m", 200, "bert/x=200")
            .has("x-ai-proxy-model: bert/x")
            .ask("anna/x", 200, "anna/x=200"),
        aliases(
            "supported_models filters targets, not aliases",
            "anna bert",
            json!({"a": "bert/m"}),
        )
        .file(json!({"supported_models": ["^bert/m$"]}))
        .ask("a", 200, "bert=200")
        .ask("bert/x", 404, "")
        .ours(&["bert/x"]),
        aliases(
            "its own count of retries",
            "anna bert",
            json!({
            "a": {"targets": ["anna/m", "bert/m"], "retries": 0},
            "b": {"targets": ["anna/m", "bert/m"], "retries": 2}}),
        )
        .up("*", "503*2 ; 200")
        .ask("a", 503, "anna=503")
        .ask("b", 200, "anna=503, bert=200"),
        aliases("a stream", "anna bert", json!({"a": ["anna/x", "bert/y"]}))
            .up("anna", "503")
            .up("bert", "200 | sse")
            .ask("a", 200, "anna/x=503, bert/y=200")
            .streamed()
            .has("x-ai-proxy-model: bert/y"),
    ]);
}

#[test]
fn an_alias_of_an_alias_stands_for_its_targets_in_its_place() {
    run(vec![
        aliases(
            "flattened",
            "anna bert cleo",
            json!({"a": ["b", "cleo/m"], "b": ["anna/x", "bert/y"]}),
        )
        .up("anna", "503")
        .up("bert", "503")
        .ask("a", 200, "anna/x=503, bert/y=503, cleo=200")
        .has("x-ai-proxy-model: cleo/m"),
        aliases("declared in any order", "anna bert", json!({"b": ["anna/m", "bert/m"], "a": "b"}))
            .up("anna", "503")
            .ask("a", 200, "anna=503, bert=200"),
        aliases(
            "twice is once",
            "anna bert",
            json!({"a": ["anna/m", "b"], "b": ["bert/m", "anna/m"]}),
        )
        .up("*", "503")
        .ask("a", 503, "anna=503, bert=503"),
        aliases(
            "the asked one's own count",
            "anna bert",
            json!({
            "a": ["b"], "b": {"targets": ["anna/m", "bert/m"], "retries": 0}}),
        )
        .up("anna", "503")
        .ask("a", 200, "anna=503, bert=200")
        .ask("b", 503, "anna=503"),
        aliases("three deep", "anna", json!({"a": "b", "b": "c", "c": "anna/x"})).ask(
            "a",
            200,
            "anna/x=200",
        ),
    ]);
}

#[test]
fn a_pattern_stands_for_names_that_begin_so() {
    run(vec![
        aliases("a star in both", "anna*", json!({"claude-*": "anna/claude-*"}))
            .ask("claude-opus-4", 200, "anna/claude-opus-4=200")
            .has("x-ai-proxy-model: anna/claude-opus-4")
            .logged(" 模型: claude-opus-4 → anna/claude-opus-4 ")
            .ask("gpt-4", 404, "")
            .ours(&["gpt-4"]),
        aliases("another beginning", "anna*", json!({"my-*": "anna/their-*"})).ask(
            "my-model",
            200,
            "anna/their-model=200",
        ),
        aliases("a fixed target", "anna", json!({"gpt-*": "anna/x"})).ask(
            "gpt-4",
            200,
            "anna/x=200",
        ),
        aliases(
            "the longest first",
            "anna* bert*",
            json!({"g*": "anna/g*", "gpt-*": "bert/gpt-*"}),
        )
        .ask("gpt-4", 200, "bert/gpt-4=200")
        .ask("gemini", 200, "anna/gemini=200"),
        aliases(
            "a whole name before patterns",
            "anna bert*",
            json!({"gpt-*": "bert/gpt-*", "gpt-4": "anna/x"}),
        )
        .ask("gpt-4", 200, "anna/x=200")
        .ask("gpt-5", 200, "bert/gpt-5=200"),
        aliases("all other names", "anna* bert*", json!({"*": "bert/*"}))
            .ask("meta/llama-3", 200, "bert/meta/llama-3=200")
            .ask("anna/q", 200, "anna/q=200")
            .lacks("x-ai-proxy-model"),
        aliases("several targets", "anna* bert*", json!({"c-*": ["anna/c-*", "bert/d-*"]}))
            .up("anna", "503")
            .ask("c-1", 200, "anna/c-1=503, bert/d-1=200"),
        aliases(
            "a target that is an alias",
            "anna bert",
            json!({"a": ["anna/m", "bert/m"], "c-*": "a"}),
        )
        .up("anna", "503")
        .ask("c-1", 200, "anna=503, bert=200"),
        aliases("a manual list refuses what it does not name", "anna", json!({"z*": "anna/z*"}))
            .ask("zebra", 404, "")
            .ours(&["zebra"]),
    ]);
}

#[test]
fn a_weight_of_none_is_only_a_fallback() {
    let weights =
        json!({"a": {"targets": [{"model": "anna/m", "weight": 0}, "bert/m"], "order": "weights"}});
    run(vec![
        aliases("weight 0 is not asked first", "anna bert", weights.clone())
            .ask("a", 200, "bert=200")
            .times(10),
        aliases("weight 0 is asked at the end", "anna bert", weights).up("bert", "503").ask(
            "a",
            200,
            "bert=503, anna=200",
        ),
    ]);
}

/// The body of a chat's conversation `number`.
fn conversation(number: usize) -> String {
    format!(r#"{{"model":"a","messages":[{{"role":"user","content":"conversation {number}"}}]}}"#)
}

#[test]
fn weights_share_conversations_and_keep_each_where_it_is() {
    let targets = json!([{"model": "anna/m", "weight": 3}, {"model": "bert/m", "weight": 1}]);
    let row =
        aliases("weights", "anna bert", json!({"a": {"targets": targets, "order": "weights"}}));
    let world = row.world();
    const COUNT: usize = 400;
    for number in (0..COUNT).chain(0..COUNT) {
        assert_eq!(world.proxy.chat(conversation(number)).status, 200);
    }
    let places: Vec<String> = world.calls().iter().map(|call| call.label.clone()).collect();
    assert_eq!(places[..COUNT], places[COUNT..], "each stays where it is");
    let share = places[..COUNT].iter().filter(|place| *place == "anna").count();
    assert!((COUNT * 65 / 100..=COUNT * 85 / 100).contains(&share), "{share} of {COUNT}");
}

#[test]
fn round_robin_takes_turns_among_targets() {
    let alias = json!({"targets": ["anna/m", "bert/m", "cleo/m"], "order": "round_robin"});
    let world = aliases("turns", "anna bert cleo", json!({ "a": alias })).world();
    for _ in 0..9 {
        assert_eq!(world.proxy.chat(chat("a")).status, 200);
    }
    let course = world.course(0);
    for name in ["anna", "bert", "cleo"] {
        assert_eq!(course.matches(name).count(), 3, "{course}");
    }
}

#[test]
fn a_target_that_does_not_offer_the_endpoint_is_passed_over() {
    let row = |name: &str| {
        Row::new(name, "anna bert cleo")
            .alias(&["anna/m", "bert/m", "cleo/m"])
            .provider("anna", json!({"endpoints": ["embeddings", "audio/speech"]}))
    };
    run(vec![
        row("not offered: the next one").ask("a", 200, "bert=200"),
        row("offered: as ever").ask("a", 200, "anna=200").to("/v1/embeddings"),
        row("the path without /v1").ask("a", 200, "anna=200").to("/audio/speech"),
        row("nobody offers it")
            .provider("bert", json!({"endpoints": ["chat/completions"]}))
            .provider("cleo", json!({"endpoints": ["chat/completions"]}))
            .ask("a", 404, "")
            .to("/v1/rerank")
            .ours(&[]),
        row("not offered by the asked provider").ask("anna/m", 404, "").ours(&[]),
        row("it is not asked when the others refuse").up("*", "503").ask(
            "a",
            503,
            "bert=503, cleo=503",
        ),
        row("one that is left is no choice")
            .provider("bert", json!({"endpoints": ["embeddings"]}))
            .up("cleo", "429 | retry-after: 50")
            .ask("a", 429, "cleo=429")
            .has("retry-after: 50")
            .lacks("x-ai-proxy-upstream-retry-after")
            .unlogged(),
    ]);
}

#[test]
fn aliases_are_listed_once_and_patterns_are_not() {
    let all = json!({"fast": "anna/x", "anna/m": "bert/y", "claude-*": "bert/m", "*": "bert/x"});
    let all = aliases("lists", "anna bert", all);
    // A filter of models leaves aliases alone.
    let world = all.file(json!({"supported_models": ["^(anna|bert)/[mxy]$"]})).world();
    let list = world.proxy.get("/v1/models").json();
    let entries: Vec<(String, String)> = list["data"]
        .as_array()
        .expect("data")
        .iter()
        .map(|entry| {
            assert_eq!((&entry["object"], entry["created"].is_u64()), (&json!("model"), true));
            let word = |name: &str| entry[name].as_str().expect("a string").to_owned();
            (word("id"), word("owned_by"))
        })
        .collect();
    let mut aliases: Vec<&str> = entries[..2].iter().map(|(id, _)| id.as_str()).collect();
    aliases.sort_unstable();
    assert_eq!(aliases, ["anna/m", "fast"], "{entries:?}");
    assert!(entries[..2].iter().all(|(_, owner)| owner == "ai_proxy"), "{entries:?}");
    let rest: Vec<&str> = entries[2..].iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(rest, ["anna/x", "anna/y", "bert/m", "bert/x", "bert/y"], "{entries:?}");
    let one = world.proxy.get("/v1/models/fast").json();
    assert_eq!((&one["id"], &one["owned_by"]), (&json!("fast"), &json!("ai_proxy")));
    assert_eq!(world.proxy.get("/v1/models/claude-*").status, 404);
    let anthropic = world.proxy.request("GET", "/v1/models", "anthropic-version: 2023-06-01\r\n");
    let ids = anthropic.text();
    assert!(ids.contains("\"fast\"") && !ids.contains("claude-*"), "{ids}");
}
