//! K12, K13, K1: what a reload forgets, which key lists and checks use, and how keys are given.

use serde_json::json;

use crate::place::key;
use crate::row::{run, Row};
use crate::support::*;

#[test]
fn a_reload_keeps_rests_of_limits_and_forgets_the_others() {
    let second = |name: &str, script: &str| Row::new(name, "anna:2").up("anna#1", script);
    let quota =
        "429 | retry-after: 1000 | body {\"error\":{\"code\":\"insufficient_quota\"}} ; 200";
    run(vec![
        second("a limit stays", "429 | retry-after: 1000 ; 200")
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .reload(json!({}))
            .ask("anna/m", 200, "anna#2=200"),
        second("a limit stays when other things change", "429 | retry-after: 1000 ; 200")
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .reload(json!({"retries": 4, "aliases": {"a": "anna/m"}, "non_stream_timeout": 9}))
            .ask("a", 200, "anna#2=200"),
        second("a used-up quota is forgotten", quota)
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .reload(json!({}))
            .ask("anna/m", 200, "anna#1=200"),
        second("402 is forgotten", "402 ; 200")
            .ask("anna/m", 200, "anna#1=402, anna#2=200")
            .reload(json!({}))
            .ask("anna/m", 200, "anna#1=200"),
        second("401 is forgotten", "401 ; 200")
            .ask("anna/m", 200, "anna#1=401, anna#2=200")
            .reload(json!({}))
            .ask("anna/m", 200, "anna#1=200"),
        second("403 is forgotten", "403 ; 200")
            .ask("anna/m", 200, "anna#1=403, anna#2=200")
            .reload(json!({}))
            .ask("anna/m", 200, "anna#1=200"),
        second(
            "doubling of a quota is forgotten",
            "429 | body {\"error\":{\"code\":\"quota_exceeded\"}}",
        )
        .up("anna#2", "429 | retry-after: 3500")
        .ask("anna/m", 429, "anna#1=429, anna#2=429")
        .has("retry-after: 600~")
        .reload(json!({}))
        .ask("anna/m", 429, "anna#1=429")
        .has("retry-after: 600~"),
        Row::new("the rest of a single key beside another target", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .up("anna", "429 | retry-after: 1000 ; 200")
            .ask("a", 200, "anna=429, bert=200")
            .reload(json!({}))
            .ask("a", 200, "bert=200"),
    ]);
}

#[test]
fn a_limit_stays_with_its_key_wherever_that_stands() {
    let world = Row::new("moved", "anna:2").up("anna#1", "429 | retry-after: 1000 ; 200").world();
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    let mut config = world.config.clone();
    config["providers"][0]["token"] = json!(["a-new-one-0001", key("anna", 1), key("anna", 2)]);
    assert_eq!(world.proxy.reload(&config).status, 200);
    world.rescript("anna#unknown", "429");
    let answer = world.proxy.chat(chat("anna/m"));
    assert_eq!(answer.header("x-ai-proxy-attempts").as_deref(), Some("anna#1=429, anna#3=200"));
    assert_eq!(world.course(2), "anna#unknown anna#2");
    // A key that was taken off and comes back is a new one.
    config["providers"][0]["token"] = json!([key("anna", 2)]);
    assert_eq!(world.proxy.reload(&config).status, 200);
    assert_eq!(world.proxy.reload(&world.config).status, 200);
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    assert_eq!(world.course(4), "anna#1");
}

#[test]
fn a_reload_in_the_middle_of_a_request_changes_nothing_for_it() {
    let row = Row::new("middle", "anna:2 bert")
        .alias(&["anna/m", "bert/m"])
        .up("anna#1", "429 | gate")
        .up("anna#2", "429");
    let world = row.world();
    let mut client = world.proxy.connect();
    client.send(chat_request("", chat("a").as_bytes()));
    world.wait_calls(1);
    let mut config = world.config.clone();
    config["aliases"] = json!({"a": "bert/x"});
    config["providers"].as_array_mut().expect("providers").remove(0);
    assert_eq!(world.proxy.reload(&config).status, 200);
    assert_eq!(world.proxy.chat(chat("a")).status, 200);
    world.open_gate();
    let answer = client.response();
    let trail = answer.header("x-ai-proxy-attempts");
    assert_eq!(trail.as_deref(), Some("anna#1=429, anna#2=429, bert=200"));
    assert_eq!(world.course(0), "anna#1 bert/x anna#2 bert");
}

#[test]
fn checks_and_lists_use_the_first_key_that_does_not_rest_as_a_whole() {
    let row = Row::new("checks", "anna:3*")
        .up("anna/models", "200 | body {\"data\":[{\"id\":\"m\"}]}")
        .up("anna#1", "401")
        .up("anna#2/m", "429 | retry-after: 1000");
    let world = row.world();
    assert!(world.proxy.get("/v1/models").text().contains("anna/m"));
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    assert_eq!(world.course(0), "anna#1 anna#2 anna#3");
    assert_eq!(world.proxy.get("/health").json()["status"], "healthy");
    let asked: Vec<String> = world.lists().iter().map(|call| call.label.clone()).collect();
    // A limit of one model keeps no key from being asked for a list.
    assert_eq!(asked, ["anna#1", "anna#2"]);
    let status = world.proxy.raw(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(world.leak(Some(&status)), None);
    let resting = status.json()["providers"][0]["keys_resting"].as_u64();
    assert!(resting.is_some_and(|resting| resting >= 1), "{}", status.text());
}

#[test]
fn a_key_given_twice_is_one_key_and_a_warning() {
    let [first, second] = [key("anna", 1), key("anna", 2)];
    let row = Row::new("twice", "anna:2")
        .provider("anna", json!({"token": [first, first, second, first]}))
        .up("anna#1", "429")
        .file(json!({"retries": 10}));
    let world = row.world();
    let answer = world.proxy.chat(chat("anna/m"));
    assert_eq!(answer.header("x-ai-proxy-attempts").as_deref(), Some("anna#1=429, anna#2=200"));
    let log = world.proxy.wait_for_log("providers[0].token");
    assert!(log.contains(" WARNING "), "{log}");
    assert_eq!(world.leak(None), None);
}

#[test]
fn a_file_may_hold_a_key_a_line() {
    let directory = TempDir::new();
    let lines = format!("{}\n\n  {}  \r\n{}\n\n", key("anna", 1), key("anna", 2), key("anna", 1));
    let path = directory.write("keys", lines);
    let row = Row::new("file", "anna:2")
        .provider("anna", json!({"token_file": path}))
        .up("anna#1", "429");
    let world = row.world_with(|config| {
        config["providers"][0].as_object_mut().expect("an object").remove("token");
    });
    let answer = world.proxy.chat(chat("anna/m"));
    assert_eq!(answer.header("x-ai-proxy-attempts").as_deref(), Some("anna#1=429, anna#2=200"));
    assert_eq!(world.course(0), "anna#1 anna#2");
    assert_eq!(world.leak(Some(&answer)), None);
}
