//! A8: what a provider has stored is asked of that provider, and of the key that it belongs to.

use serde_json::json;

use crate::place::key;
use crate::row::Row;
use crate::support::*;
use crate::world::World;

const STORED: &str = "200 | body {\"id\":\"resp_1\",\"object\":\"response\"}";

/// `anna`'s second key has stored `resp_1` for an alias of two targets.
fn stored(second: &str) -> World {
    let row = Row::new("stored", "anna:3 bert")
        .alias(&["anna/m", "bert/m"])
        .up("anna#1", "429 | retry-after: 1 ; 200")
        .up("anna#2", format!("{STORED} ; {second}"));
    let world = row.world();
    let answer = post(&world, r#"{"model":"a","input":"hi"}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(world.course(0), "anna#1 anna#2");
    world
}

fn post(world: &World, body: &str) -> Response {
    let request = format!(
        "POST /v1/responses HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    world.proxy.raw(request.as_bytes())
}

fn get(world: &World) -> Response {
    let fields = format!("Authorization: Bearer {TOKEN}\r\n");
    world.proxy.request("GET", "/v1/responses/resp_1", &fields)
}

#[test]
fn a_stored_response_is_asked_of_its_key_although_another_is_first() {
    let world = stored("200");
    pause(1100);
    for number in 0..3 {
        assert_eq!(get(&world).status, 200);
        let body = r#"{"model":"a","input":"more","previous_response_id":"resp_1"}"#;
        assert_eq!(post(&world, body).status, 200);
        let without = r#"{"input":"more","previous_response_id":"resp_1"}"#;
        assert_eq!(post(&world, without).status, 200);
        let course = world.course(2 + 3 * number);
        assert_eq!(course, "anna#2 anna#2 anna#2");
    }
    // What names nothing stored goes the usual way.
    assert_eq!(post(&world, r#"{"model":"a","input":"new"}"#).status, 200);
    assert_eq!(world.course(11), "anna#1");
}

#[test]
fn an_alias_goes_on_with_the_target_that_has_the_response() {
    let row = Row::new("alias", "anna bert")
        .alias(&["anna/x", "bert/y"])
        .up("anna", "503 ; 200")
        .up("bert", STORED);
    let world = row.world();
    assert_eq!(post(&world, r#"{"model":"a","input":"hi"}"#).status, 200);
    let body = r#"{"model":"a","input":"more","previous_response_id":"resp_1"}"#;
    assert_eq!(post(&world, body).status, 200);
    assert_eq!(world.course(0), "anna/x bert/y bert/y");
    let other = r#"{"model":"anna/x","input":"more","previous_response_id":"resp_1"}"#;
    let message = post(&world, other).error(400);
    assert!(message.contains("anna") && message.contains("bert"), "{message}");
    assert_eq!(world.calls().len(), 3);
}

#[test]
fn a_stored_response_follows_its_key_when_a_reload_moves_it() {
    let world = stored("200");
    let mut config = world.config.clone();
    config["providers"][0]["token"] = json!([key("anna", 3), key("anna", 1), key("anna", 2)]);
    assert_eq!(world.proxy.reload(&config).status, 200);
    assert_eq!(get(&world).status, 200);
    assert_eq!(world.course(2), "anna#2", "by the key itself");
    // The provider that gave it is still asked when its key is gone.
    config["providers"][0]["token"] = json!([key("anna", 3)]);
    assert_eq!(world.proxy.reload(&config).status, 200);
    assert_eq!(get(&world).status, 200);
    assert_eq!(world.course(3), "anna#3");
}

#[test]
fn a_stored_response_whose_key_refuses_is_asked_of_nobody_else() {
    for status in [429, 401, 404, 503, 500] {
        let world = stored(&status.to_string());
        for _ in 0..2 {
            let answer = get(&world);
            assert_eq!((answer.status, answer.header("x-ai-proxy-attempts")), (status, None));
        }
        let body = r#"{"model":"a","input":"more","previous_response_id":"resp_1"}"#;
        assert_eq!(post(&world, body).status, status);
        assert_eq!(world.course(2), "anna#2 anna#2 anna#2", "{status}");
    }
}
