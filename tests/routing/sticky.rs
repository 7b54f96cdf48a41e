//! K3: a conversation stays on one key, because providers cache prompts per account.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{json, Value};

use crate::place::key;
use crate::row::Row;
use crate::support::*;
use crate::world::World;

const OTHER: &str = "sk-other-55ad01";

fn five_keys() -> World {
    let tokens = json!({"tokens": [format!("one|{TOKEN}"), format!("two|{OTHER}")]});
    Row::new("sticky", "anna:5")
        .file(tokens)
        .provider("anna", json!({"key_order": "sticky"}))
        .world()
}

/// Sends a body on a connection that stays; nothing is checked but the status.
fn send(client: &mut Raw, token: &str, fields: &str, body: &Value) {
    let body = body.to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(client.send(request).response().status, 200);
}

/// Which key got each call.
fn labels(world: &World, from: usize) -> Vec<String> {
    world.calls()[from..].iter().map(|call| call.label.clone()).collect()
}

fn turns(conversation: usize, count: usize) -> Value {
    let mut messages = vec![
        json!({"role": "system", "content": "You are kind."}),
        json!({"role": "user", "content": format!("Question {conversation}?")}),
    ];
    for turn in 1..count {
        messages.push(json!({"role": "assistant", "content": format!("Answer {turn}.")}));
        messages.push(json!({"role": "user", "content": format!("And {turn}?")}));
    }
    json!({"model": "anna/m", "messages": messages})
}

/// Which key each of `count` conversations is on; all their turns are on the same.
fn places(world: &World, count: usize, turns_each: usize) -> Vec<String> {
    let before = world.calls().len();
    let mut client = world.proxy.connect();
    for conversation in 0..count {
        for turn in 1..=turns_each {
            send(&mut client, TOKEN, "", &turns(conversation, turn));
        }
    }
    let labels = labels(world, before);
    labels
        .chunks(turns_each)
        .map(|chunk| {
            assert!(chunk.iter().all(|label| *label == chunk[0]), "{chunk:?}");
            chunk[0].clone()
        })
        .collect()
}

#[test]
fn conversations_stay_spread_evenly_and_a_removed_key_moves_only_its_own() {
    const COUNT: usize = 1000;
    let world = five_keys();
    let before = places(&world, COUNT, 3);
    let mut shares = BTreeMap::new();
    before.iter().for_each(|label| *shares.entry(label.as_str()).or_insert(0) += 1);
    assert_eq!(shares.len(), 5, "{shares:?}");
    assert!(shares.values().all(|share| (150..=250).contains(share)), "{shares:?}");
    // Without the third key, and the others in another order. Calls are labelled by the key itself.
    let mut config = world.config.clone();
    let kept: Vec<String> = [5, 1, 4, 2].iter().map(|number| key("anna", *number)).collect();
    config["providers"][0]["token"] = json!(kept);
    assert_eq!(world.proxy.reload(&config).status, 200);
    let after = places(&world, COUNT, 1);
    for (conversation, (before, after)) in before.iter().zip(&after).enumerate() {
        if before == "anna#3" {
            assert_ne!(after, "anna#3", "{conversation}");
        } else {
            assert_eq!(after, before, "{conversation}");
        }
    }
    let moved: BTreeSet<&String> =
        before.iter().zip(&after).filter(|(b, _)| *b == "anna#3").map(|(_, a)| a).collect();
    assert_eq!(moved.len(), 4, "those of the removed key spread over all others");
}

#[test]
fn each_sign_of_a_conversation_keeps_it_whatever_else_changes() {
    let in_field = |name: &str, id: usize| (format!("{name}: conversation-{id}\r\n"), json!({}));
    let in_body = |body: Value| (String::new(), body);
    type Sign = Box<dyn Fn(usize) -> (String, Value)>;
    let mut signs: Vec<(String, Sign)> = Vec::new();
    for name in [
        "session-id",
        "session_id",
        "x-session-id",
        "x-session-affinity",
        "X-Claude-Code-Session-Id",
        "thread-id",
    ] {
        signs.push((name.to_owned(), Box::new(move |id| in_field(name, id))));
    }
    for name in ["prompt_cache_key", "conversation"] {
        let sign = move |id| in_body(json!({ name: format!("c-{id}") }));
        signs.push((name.to_owned(), Box::new(sign)));
    }
    let user = move |id| in_body(json!({"metadata": {"user_id": format!("c-{id}")}}));
    signs.push(("metadata.user_id".to_owned(), Box::new(user)));
    let world = five_keys();
    let mut client = world.proxy.connect();
    for (name, sign) in &signs {
        let before = world.calls().len();
        for id in 0..30 {
            let (fields, more) = sign(id);
            for text in ["first", "quite another one"] {
                let body =
                    json!({"model": "anna/m", "messages": [{"role": "user", "content": text}]});
                send(&mut client, TOKEN, &fields, &with(body, more.clone()));
            }
        }
        let labels = labels(&world, before);
        let same = labels.chunks(2).all(|pair| pair[0] == pair[1]);
        assert!(same, "{name}: {labels:?}");
        let keys: BTreeSet<&String> = labels.iter().collect();
        assert!(keys.len() >= 3, "{name}: conversations differ: {labels:?}");
    }
}

#[test]
fn a_field_counts_before_the_body_and_the_client_always() {
    let world = five_keys();
    let mut client = world.proxy.connect();
    for id in 0..30 {
        let body =
            json!({"model": "anna/m", "messages": [], "prompt_cache_key": format!("k-{id}")});
        send(&mut client, TOKEN, &format!("session-id: one\r\nthread-id: {id}\r\n"), &body);
    }
    let keys: BTreeSet<String> = labels(&world, 0).into_iter().collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let mut of_clients = Vec::new();
    for token in [TOKEN, OTHER] {
        let before = world.calls().len();
        for id in 0..30 {
            send(&mut client, token, "", &turns(id, 1));
        }
        of_clients.push(labels(&world, before));
    }
    assert_ne!(of_clients[0], of_clients[1], "another client's conversation is another");
}

#[test]
fn the_beginning_of_a_conversation_tells_it_from_others() {
    let world = five_keys();
    let mut client = world.proxy.connect();
    let of = |client: &mut Raw, path: &str, body: &Value| {
        let before = world.calls().len();
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(client.send(request).response().status, 200);
        labels(&world, before).remove(0)
    };
    let (mut by_system, mut by_input, mut by_instructions) = (Vec::new(), Vec::new(), Vec::new());
    for id in 0..30 {
        let system = |messages: Value| json!({"model": "anna/m", "system": format!("s {id}"), "messages": messages});
        let first = json!({"role": "user", "content": "hi"});
        let one = of(&mut client, "/v1/messages", &system(json!([first])));
        let more = json!([first, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "go"}]);
        assert_eq!(of(&mut client, "/v1/messages", &system(more)), one);
        by_system.push(one);
        let input = json!({"model": "anna/m", "input": format!("i {id}")});
        by_input.push(of(&mut client, "/v1/responses", &input));
        let items = |more: &[Value]| {
            let first = json!({"role": "user", "content": "hi"});
            let all: Vec<Value> = [&[first], more].concat();
            json!({"model": "anna/m", "instructions": format!("i {id}"), "input": all})
        };
        let one = of(&mut client, "/v1/responses", &items(&[]));
        let later =
            of(&mut client, "/v1/responses", &items(&[json!({"role": "user", "content": "go"})]));
        assert_eq!(later, one);
        by_instructions.push(one);
    }
    for labels in [by_system, by_input, by_instructions] {
        let keys: BTreeSet<&String> = labels.iter().collect();
        assert!(keys.len() >= 3, "{labels:?}");
    }
}

#[test]
fn a_limited_key_gives_its_conversations_away_and_gets_them_back() {
    let row = Row::new("back", "anna:3")
        .provider("anna", json!({"key_order": "sticky"}))
        .up("anna/m", "429 | retry-after: 1 ; 200");
    let world = row.world();
    for _ in 0..2 {
        assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    }
    pause(1100);
    assert_eq!(world.proxy.chat(chat("anna/m")).status, 200);
    let labels = labels(&world, 0);
    assert_ne!(labels[0], labels[1], "{labels:?}");
    assert_eq!(labels[1], labels[2], "{labels:?}");
    assert_eq!(labels[3], labels[0], "{labels:?}");
}

#[test]
fn two_processes_agree() {
    let [first, second] = [five_keys(), five_keys()];
    let (first, second) = (places(&first, 40, 1), places(&second, 40, 1));
    assert_eq!(first, second);
}
