//! K2, K3, K5–K10: which key is asked, and when one is spared.

use serde_json::json;

use crate::row::{run, Row};
use crate::support::*;

#[test]
fn one_key_has_no_state_and_beside_another_target_its_rest_is_an_order() {
    run(vec![
        Row::new("one key: every request is asked, every answer as it came", "anna")
            .up("anna", "429 | retry-after: 100 | retry-after-ms: 100000 | x-should-retry: true")
            .ask("anna/m", 429, "anna=429")
            .has("retry-after: 100")
            .has("retry-after-ms: 100000")
            .has("x-should-retry: true")
            .lacks("x-ai-proxy-upstream-retry-after")
            .lacks("x-ai-proxy-model")
            .times(3),
        Row::new("one key: 401 and quota are asked again", "anna")
            .up("anna", "401 ; 429 | body {\"error\":{\"code\":\"insufficient_quota\"}} ; 200")
            .ask("anna/m", 401, "anna=401")
            .ask("anna/m", 429, "anna=429")
            .lacks("retry-after")
            .ask("anna/m", 200, "anna=200"),
        Row::new("an alias of one target is no second way", "anna")
            .alias(&["anna/m"])
            .up("anna", "429 | retry-after: 100")
            .ask("a", 429, "anna=429")
            .has("retry-after: 100")
            .has("x-ai-proxy-model: anna/m")
            .lacks("x-ai-proxy-upstream-retry-after")
            .times(2),
        Row::new("no key at all rests as well where there is another target", "anna:0 bert:0")
            .alias(&["anna/m", "bert/m"])
            .up("anna", "429")
            .ask("a", 200, "anna=429, bert=200")
            .ask("a", 200, "bert=200"),
        Row::new("one key of two targets: its rest is an order", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .up("anna", "429 | retry-after: 100 ; 200")
            .up("bert", "200*2 ; 500")
            .ask("a", 200, "anna=429, bert=200")
            .ask("a", 200, "bert=200")
            .ask("a", 200, "bert=500, anna=200"),
        Row::new("… and asked by its own name it is asked", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .up("anna", "429 | retry-after: 100 ; 200")
            .ask("a", 200, "anna=429, bert=200")
            .ask("anna/m", 200, "anna=200"),
    ]);
}

#[test]
fn a_403_or_404_that_all_give_rests_nobody() {
    let mut rows = Vec::new();
    for status in [403, 404] {
        rows.push(
            Row::new(format!("{status} of all keys, twenty times"), "anna:5")
                .up("anna", format!("{status}*40 ; 200"))
                .ask("anna/m", status, &format!("anna#1={status}, anna#2={status}"))
                .times(20)
                .ask("anna/m", 200, "anna#1=200"),
        );
        let all: Vec<String> = (1..=5).map(|key| format!("anna#{key}={status}")).collect();
        rows.push(
            Row::new(format!("{status} of all keys with `retries`: each once"), "anna:5")
                .file(json!({"retries": 4}))
                .up("anna", format!("{status}*20 ; 200"))
                .ask("anna/m", status, &all.join(", "))
                .times(4)
                .ask("anna/m", 200, "anna#1=200"),
        );
        rows.push(
            Row::new(format!("{status} of all targets"), "anna bert")
                .alias(&["anna/m", "bert/m"])
                .up("*", status.to_string())
                .ask("a", status, &format!("anna={status}, bert={status}"))
                .times(4),
        );
        rows.push(
            Row::new(format!("{status}, then a failure: nobody is to blame"), "anna bert")
                .alias(&["anna/m", "bert/m"])
                .up("anna", status.to_string())
                .up("bert", "500")
                .ask("a", 500, &format!("anna={status}, bert=500"))
                .times(2),
        );
        rows.push(
            Row::new(format!("{status} of one, a stream by the other"), "anna:2")
                .up("anna#1", status.to_string())
                .up("anna#2", "200 | sse")
                .ask("anna/m", 200, &format!("anna#1={status}, anna#2=200"))
                .streamed()
                .ask("anna/m", 200, "anna#2=200")
                .streamed(),
        );
    }
    run(rows);
}

#[test]
fn when_all_rest_the_one_that_is_free_soonest_is_asked_once() {
    let limited = |seconds: u32| format!("429 | retry-after: {seconds} ; 429 ; 200");
    run(vec![
        Row::new("all keys rest: the soonest, and its real answer", "anna:3")
            .up("anna#1", limited(100))
            .up("anna#2", limited(50))
            .up("anna#3", limited(70))
            .ask("anna/m", 429, "anna#1=429, anna#2=429, anna#3=429")
            .has("retry-after: 50~")
            .ask("anna/m", 429, "anna#2=429"),
        Row::new("… also a good one", "anna:2")
            .up("anna#1", "429 | retry-after: 100")
            .up("anna#2", "429 | retry-after: 50 ; 200")
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .ask("anna/m", 200, "anna#2=200"),
        Row::new("… once, whatever `retries` says", "anna:2")
            .file(json!({"retries": 1}))
            .up("anna#1", "429 | retry-after: 30")
            .up("anna#2", "429 | retry-after: 20 ; 429 | retry-after: 1")
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .ask("anna/m", 429, "anna#2=429"),
        Row::new("all keys of a target rest: the next target", "anna:2 bert")
            .alias(&["anna/m", "bert/m"])
            .up("anna", "429 | retry-after: 100")
            .ask("a", 200, "anna#1=429, anna#2=429, bert=200")
            .ask("a", 200, "bert=200"),
        Row::new("all targets rest: the soonest of all", "anna:2 bert")
            .alias(&["anna/m", "bert/m"])
            .up("anna", "429 | retry-after: 100")
            .up("bert", "429 | retry-after: 50 ; 200")
            .ask("a", 429, "anna#1=429, anna#2=429, bert=429")
            .has("retry-after: 50~")
            .ask("a", 200, "bert=200"),
        Row::new("a key's fault is one for all its models", "anna")
            .alias(&["anna/x", "anna/y"])
            .up("anna", "402")
            .ask("a", 402, "anna/x=402"),
        Row::new("a limit is one for its model", "anna")
            .alias(&["anna/x", "anna/y"])
            .up("anna/x", "429")
            .ask("a", 200, "anna/x=429, anna/y=200")
            .ask("a", 200, "anna/y=200"),
        Row::new("a denial is one for its model", "anna")
            .alias(&["anna/x", "anna/y"])
            .up("anna/x", "403")
            .ask("a", 200, "anna/x=403, anna/y=200")
            .ask("a", 200, "anna/y=200"),
        Row::new("a resting key is not asked where a well one refuses", "anna:2")
            .up("anna#1", "402")
            .up("anna#2", "200 ; 429 | retry-after: 30")
            .ask("anna/m", 200, "anna#1=402, anna#2=200")
            .ask("anna/m", 429, "anna#2=429")
            .has("retry-after: 30~"),
    ]);
}

#[test]
fn in_order_and_round_robin_are_what_they_say() {
    run(vec![Row::new("in_order: the first that is well", "anna:3")
        .ask("anna/m", 200, "anna#1=200")
        .times(5)]);
    let row =
        Row::new("round robin", "anna:3").provider("anna", json!({"key_order": "round_robin"}));
    let world = row.world();
    for _ in 0..9 {
        assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    }
    for at in [0, 3, 6] {
        let mut turn: Vec<String> =
            world.calls()[at..at + 3].iter().map(|c| c.label.clone()).collect();
        turn.sort();
        assert_eq!(turn, ["anna#1", "anna#2", "anna#3"], "{}", world.course(0));
    }
    let row = Row::new("round robin passes over who rests", "anna:3")
        .provider("anna", json!({"key_order": "round_robin"}))
        .up("anna#2", "401");
    let world = row.world();
    for _ in 0..8 {
        assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    }
    let course = world.course(0);
    assert_eq!(course.matches("anna#2").count(), 1, "{course}");
    assert!(course.matches("anna#1").count() >= 3, "{course}");
    assert!(course.matches("anna#3").count() >= 3, "{course}");
}

#[test]
fn when_a_rest_ends_one_request_goes_first() {
    let row = Row::new("one goes first", "anna:2")
        .up("anna#1", "429 | retry-after: 1 ; 200 | gate ; 200");
    let world = row.world();
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    pause(1100);
    let mut first = world.proxy.connect();
    first.send(chat_request("", chat("anna/m").as_bytes()));
    world.wait_calls(3);
    for _ in 0..3 {
        assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    }
    assert_eq!(world.course(0), "anna#1 anna#2 anna#1 anna#2 anna#2 anna#2");
    world.open_gate();
    assert_eq!(first.response().status, 200);
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    assert_eq!(world.course(6), "anna#1");
}

#[test]
fn who_goes_first_and_leaves_lets_another_go_first() {
    let row = Row::new("leaves", "anna:2").up("anna#1", "429 | retry-after: 1 ; stall ; 200");
    let world = row.world();
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    pause(1100);
    let mut first = world.proxy.connect();
    first.send(chat_request("", chat("anna/m").as_bytes()));
    world.wait_calls(3);
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    drop(first);
    world.proxy.wait_for_log("客户端断开");
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    assert_eq!(world.course(2), "anna#1 anna#2 anna#1");
}

#[test]
fn a_limit_of_all_keys_at_once_is_the_providers_and_does_not_double() {
    // "At once" is within 2 s, which a busy machine may need for itself: tried until it keeps them.
    let kept = (0..20).any(|_| {
        let world = Row::new("all limited", "anna:2").up("anna", "429").world();
        for _ in 0..4 {
            let answer = world.proxy.chat(chat("anna/m"));
            let told = answer.header("retry-after").and_then(|value| value.parse::<u64>().ok());
            if world.started.elapsed().as_secs_f64() > 1.9 {
                return false;
            }
            let told = told.unwrap_or_else(|| panic!("no delay: {answer:?}"));
            assert!((13..=15).contains(&told), "{told}: {}", world.course(0));
        }
        true
    });
    assert!(kept, "never within two seconds");
}

#[test]
fn at_most_64_resting_models_are_remembered() {
    let models: Vec<String> = (1..=65).map(|number| format!("m{number}")).collect();
    let row = Row::new("65 models", "anna:2")
        .provider("anna", json!({"model_list": models}))
        .up("anna#1", "429 | retry-after: 1000");
    let world = row.world();
    for model in &models {
        assert_eq!(world.proxy.chat(chat(&format!("anna/{model}"))).status, 200);
    }
    let before = world.calls().len();
    assert_eq!(before, 130);
    for model in ["m65", "m3", "m1"] {
        assert_eq!(world.proxy.chat(chat(&format!("anna/{model}"))).status, 200);
    }
    assert_eq!(world.course(before), "anna#2/m65 anna#2/m3 anna#1/m1 anna#2/m1");
}

#[test]
fn no_client_sees_a_limit_while_any_key_is_well() {
    let row = Row::new("crowd", "anna:3")
        .provider("anna", json!({"key_order": "sticky"}))
        .up("anna#1", "429 | retry-after: 1")
        .up("anna#2", "429 | retry-after: 1");
    let world = row.world();
    for round in 0..3 {
        std::thread::scope(|scope| {
            for client in 0..12 {
                let world = &world;
                scope.spawn(move || {
                    let mut connection = world.proxy.connect();
                    for number in 0..5 {
                        let session = format!("session-id: {round}-{client}-{number}\r\n");
                        let request = chat_request(&session, chat("anna/m").as_bytes());
                        let answer = connection.send(request).response();
                        assert_eq!(answer.status, 200, "{answer:?}");
                    }
                });
            }
        });
        // So long do the limited keys rest.
        pause(1050);
    }
    let course = world.course(0);
    assert!(course.contains("anna#1") && course.contains("anna#2"), "{course}");
    assert_eq!(course.matches("anna#3").count(), 180);
}
