//! A7: names without a provider.

use serde_json::{json, Value};

use crate::row::{run, Row};
use crate::support::*;
use crate::world::World;

/// What a provider's own list says.
fn list(models: &[&str]) -> String {
    let data: Vec<Value> = models.iter().map(|id| json!({ "id": id })).collect();
    format!("200 | body {}", json!({ "data": data }))
}

fn bare(name: &str, providers: &str) -> Row {
    Row::new(name, providers).file(json!({"bare_models": true}))
}

#[test]
fn a_bare_name_resolves_where_one_manual_list_has_it() {
    let lists = |row: Row| {
        row.provider("anna", json!({"model_list": ["one", "both"]}))
            .provider("bert", json!({"model_list": ["two", "both", "org/three"]}))
    };
    run(vec![
        lists(bare("in one list", "anna:2 bert"))
            .up("anna#1", "429")
            .ask("one", 200, "anna#1/one=429, anna#2/one=200")
            .has("x-ai-proxy-model: anna/one")
            .logged(" 模型: one → anna/one ")
            .ask("two", 200, "bert/two=200")
            .has("x-ai-proxy-model: bert/two")
            .ask("org/three", 200, "bert/org/three=200")
            .has("x-ai-proxy-model: bert/org/three")
            .ask("anna/one", 200, "anna#2/one=200")
            .lacks("x-ai-proxy-model"),
        lists(bare("in two lists", "anna bert"))
            .ask("both", 404, "")
            .ours(&["both", "anna", "bert"]),
        lists(bare("in none", "anna bert")).ask("none", 404, "").ours(&["none"]),
        lists(Row::new("off by default", "anna bert")).ask("one", 404, "").ours(&["one"]),
        lists(bare("an alias before bare names", "anna bert"))
            .file(json!({"aliases": {"one": "bert/two"}}))
            .ask("one", 200, "bert/two=200"),
        lists(bare("a pattern before bare names", "anna bert"))
            .file(json!({"aliases": {"o*": "bert/two"}}))
            .ask("one", 200, "bert/two=200")
            .ask("two", 200, "bert/two=200"),
        lists(bare("what is filtered is not there", "anna bert"))
            .file(json!({"supported_models": ["^bert/"]}))
            .ask("one", 404, "")
            .ours(&["one"])
            .ask("both", 200, "bert/both=200"),
        lists(bare("a manual list wins over one that was never fetched", "anna bert cleo*"))
            .up("cleo/models", "stall")
            .ask("one", 200, "anna/one=200"),
    ]);
}

/// Asks until it is known: lists are fetched after the start.
fn ask_until_known(world: &World, model: &str) -> Response {
    let mut last = None;
    eventually("the lists are there", || {
        let answer = world.proxy.chat(chat(model));
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
            answer.error(503);
        }
        let known = answer.status != 503;
        last = Some(answer);
        known
    });
    last.expect("an answer")
}

#[test]
fn fetched_lists_count_behind_manual_ones() {
    let row = bare("fetched", "anna* bert* cleo")
        .up("anna/models", list(&["far", "both", "m"]))
        .up("bert/models", list(&["near", "both"]));
    let world = row.world();
    let answer = ask_until_known(&world, "far");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-ai-proxy-model").as_deref(), Some("anna/far"));
    assert_eq!(ask_until_known(&world, "near").status, 200);
    // `m` is in a manual list and in a fetched one.
    assert_eq!(ask_until_known(&world, "m").status, 200);
    assert_eq!(world.course(0), "anna/far bert/near cleo");
    let message = ask_until_known(&world, "both").error(404);
    assert!(message.contains("anna") && message.contains("bert"), "{message}");
    assert!(ask_until_known(&world, "none").error(404).contains("none"));
}

#[test]
fn while_a_list_has_never_come_a_bare_name_waits_five_seconds_at_most() {
    let row =
        bare("never", "anna* bert*").up("anna/models", "stall").up("bert/models", list(&["near"]));
    let world = row.world();
    let answer = world.proxy.chat(chat("unknown"));
    answer.error(503);
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    assert_eq!(world.course(0), "");
    // Then the lists that are known count.
    assert_eq!(ask_until_known(&world, "unknown").status, 404);
    assert_eq!(world.proxy.chat(chat("near")).status, 200);
}

#[test]
fn a_list_that_came_once_survives_a_reload() {
    let row = bare("reload", "anna*").up("anna/models", format!("{} ; 500", list(&["far"])));
    let world = row.world();
    assert_eq!(ask_until_known(&world, "far").status, 200);
    assert_eq!(world.proxy.reload(&world.config).status, 200);
    assert_eq!(world.proxy.chat(chat("far")).status, 200, "the last good list stays");
    assert_eq!(world.proxy.chat(chat("none")).status, 404, "and nobody waits anew");
}
