//! R3, R4: when the same is asked again, how long that waits, and what ends it.

use std::time::Duration;

use serde_json::json;

use crate::row::{run, Row};
use crate::support::*;

/// One key, `retries` at most, and what its calls get.
fn one(name: &str, retries: u8, script: &str) -> Row {
    Row::new(name, "anna").file(json!({"retries": retries})).up("anna", script)
}

#[test]
fn the_same_is_asked_again_after_its_stated_delay_if_that_is_short() {
    run(vec![
        one("stated 1 s", 1, "429 | retry-after: 1 ; 200").ask("anna/m", 200, "anna=429, anna=200"),
        one("stated in milliseconds", 1, "503 | retry-after-ms: 1200 ; 200").ask(
            "anna/m",
            200,
            "anna=503, anna=200",
        ),
        one("nothing stated", 2, "503 ; 503 ; 200").ask(
            "anna/m",
            200,
            "anna=503, anna=503, anna=200",
        ),
        one("nothing stated with 429", 1, "429 ; 200").ask("anna/m", 200, "anna=429, anna=200"),
        one("overloaded", 1, "529 ; 200").ask("anna/m", 200, "anna=529, anna=200"),
        one("stated over 5 s: the end", 3, "429 | retry-after: 6")
            .ask("anna/m", 429, "anna=429")
            .has("retry-after: 6"),
        one("stated over retry_wait_max: the end", 3, "429 | retry-after: 2")
            .file(json!({"retry_wait_max": 1.5}))
            .ask("anna/m", 429, "anna=429"),
        one("no more than `retries`", 1, "503").ask("anna/m", 503, "anna=503, anna=503"),
        one("what may have run is never asked again", 3, "500").ask("anna/m", 500, "anna=500"),
        one("a closed connection is never asked again", 3, "close")
            .ask("anna/m", 502, "anna=closed")
            .ours(&["anna"]),
        one("a bad key is not asked again", 3, "401").ask("anna/m", 401, "anna=401"),
        one("a used-up quota is not asked again", 3, "402 | retry-after: 1")
            .ask("anna/m", 402, "anna=402"),
        Row::new("by default one way is asked once", "anna")
            .up("anna", "429 | retry-after: 1 ; 200")
            .ask("anna/m", 429, "anna=429"),
        Row::new("refused connections are tried again, too", "anna!refused")
            .file(json!({"retries": 1}))
            .ask("anna/m", 502, "anna=connect, anna=connect")
            .ours(&["anna"]),
        Row::new("another target is asked without a wait", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .file(json!({"retries": 2}))
            .up("anna", "429 | retry-after: 60")
            .up("bert", "503 ; 200")
            .ask("a", 200, "anna=429, bert=503, bert=200"),
        Row::new("all asked: the one that is free soonest again", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .file(json!({"retries": 2}))
            .up("anna", "429 | retry-after: 3")
            .up("bert", "429 | retry-after: 1 ; 200")
            .ask("a", 200, "anna=429, bert=429, bert=200"),
        Row::new("all stated long: the end", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .file(json!({"retries": 5}))
            .up("anna", "429 | retry-after: 60")
            .up("bert", "429 | retry-after: 30")
            .ask("a", 429, "anna=429, bert=429")
            .has("retry-after: 30~"),
    ]);
}

/// A provider that says when it may be asked again is not asked sooner, on however slow a machine.
#[test]
fn a_stated_delay_is_kept() {
    let world = one("kept", 1, "429 | retry-after-ms: 1300 ; 200").world();
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    let calls = world.calls();
    let passed = calls[1].at.duration_since(calls[0].at);
    assert!(passed >= Duration::from_millis(1300), "{passed:?}");
}

#[test]
fn the_requests_time_ends_trying() {
    run(vec![
        one("a wait beyond the time is not begun", 3, "429 | retry-after: 1")
            .file(json!({"non_stream_timeout": 0.6}))
            .ask("anna/m", 429, "anna=429")
            .has("retry-after: 1"),
        one("… of a stream neither", 3, "429 | retry-after: 1")
            .file(json!({"stream_timeout": 0.6}))
            .ask("anna/m", 429, "anna=429")
            .streamed(),
        Row::new("the time runs out at the second: the first one's 429", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .file(json!({"non_stream_timeout": 0.8, "retries": 5}))
            .up("anna", "429 | retry-after: 60")
            .up("bert", "stall")
            .ask("a", 429, "anna=429, bert=timeout")
            .from(0),
        Row::new("the time is that of all attempts together", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .file(json!({"non_stream_timeout": 1.5}))
            .up("anna", "503 | after 700")
            .up("bert", "200 | after 1300")
            .ask("a", 503, "anna=503, bert=timeout")
            .from(0),
        Row::new("a body that says whose fault it is is waited for a second, once", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .file(json!({"non_stream_timeout": 1.8}))
            .up("anna", "429 | half")
            .ask("a", 200, "anna=429, bert=200"),
        Row::new("the body of another refusal holds up no other target", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .file(json!({"non_stream_timeout": 0.9}))
            .up("anna", "503 | half")
            .ask("a", 200, "anna=503, bert=200"),
        Row::new("… and that of the answer's body", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .file(json!({"non_stream_timeout": 1.5}))
            .up("anna", "503 | after 700")
            .up("bert", "200 | slow")
            .ask("a", 504, "anna=503, bert=200")
            .ours(&["bert"]),
    ]);
}

#[test]
fn a_client_that_leaves_ends_waiting_and_trying() {
    let world = one("leaves while waiting", 3, "429 | retry-after: 1 ; 200").world();
    let mut client = world.proxy.connect();
    client.send(chat_request("", chat("anna/m").as_bytes()));
    world.wait_calls(1);
    drop(client);
    world.proxy.wait_for_log("客户端断开");
    pause(1400);
    assert_eq!(world.course(0), "anna");

    let row = Row::new("leaves while the second is asked", "anna:3")
        .up("anna#1", "429")
        .up("anna#2", "429 | gate");
    let world = row.world();
    let mut client = world.proxy.connect();
    client.send(chat_request("", chat("anna/m").as_bytes()));
    world.wait_calls(2);
    drop(client);
    world.proxy.wait_for_log(" 尝试: anna#1=429 结束: 客户端断开");
    world.open_gate();
    pause(200);
    assert_eq!(world.course(0), "anna#1 anna#2");

    let row = Row::new("nobody rests because a client left", "anna:2").up("anna#1", "stall ; 200");
    let world = row.world();
    let mut client = world.proxy.connect();
    client.send(chat_request("", chat("anna/m").as_bytes()));
    world.wait_calls(1);
    drop(client);
    world.proxy.wait_for_log("客户端断开");
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    assert_eq!(world.course(0), "anna#1 anna#1");
}
