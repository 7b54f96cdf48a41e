//! Forms and pass-through: what can be held may be sent again, the rest has one attempt.

use serde_json::json;

use crate::row::Row;
use crate::support::*;
use crate::world::World;

const BOUNDARY: &str = "----a1b2c3";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
/// Of the warning that a request cannot be sent twice.
const ONE_ATTEMPT: &str = "只尝试一次";

/// A form with a file of this many bytes; the model stands before or behind it.
fn form(model: &str, bytes: usize, model_first: bool) -> Vec<u8> {
    let part = |name: &str, value: &[u8]| {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name={name}\r\n\r\n");
        [head.as_bytes(), value, b"\r\n"].concat()
    };
    let model = part("\"model\"", model.as_bytes());
    let noise: Vec<u8> =
        (0..bytes as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    let file = part("\"file\"; filename=\"a.mp3\"", &noise);
    let end = format!("--{BOUNDARY}--\r\n").into_bytes();
    if model_first {
        [model, file, end].concat()
    } else {
        [file, model, end].concat()
    }
}

fn upload(world: &World, fields: &str, body: &[u8]) -> Response {
    upload_to(world, "", fields, body)
}

fn upload_to(world: &World, query: &str, fields: &str, body: &[u8]) -> Response {
    let chunked = fields.contains("chunked");
    let length = format!("Content-Length: {}\r\n", body.len());
    let head = format!(
        "POST /v1/audio/transcriptions{query} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n{fields}{}\r\n",
        if chunked { "" } else { &length }
    );
    let in_chunks: Vec<u8> = body.chunks(4999).flat_map(chunk).chain(LAST_CHUNK.to_vec()).collect();
    let body = if chunked { &in_chunks } else { body };
    let mut client = world.proxy.connect();
    client.send_in_background([head.as_bytes(), body].concat());
    client.response()
}

#[test]
fn a_form_that_can_be_held_is_sent_again_whole() {
    for (model_first, fields) in [(true, ""), (false, ""), (true, CHUNKED), (false, CHUNKED)] {
        let row = Row::new("form", "anna:2 bert")
            .alias(&["anna/m", "bert/long-name"])
            .provider("bert", json!({"model_list": ["long-name"]}))
            .up("anna", "429");
        let world = row.world();
        let answer = upload(&world, fields, &form("a", 300_000, model_first));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let trail = answer.header("x-ai-proxy-attempts");
        assert_eq!(trail.as_deref(), Some("anna#1=429, anna#2=429, bert=200"));
        assert_eq!(answer.header("x-ai-proxy-model").as_deref(), Some("bert/long-name"));
        assert_eq!(world.course(0), "anna#1 anna#2 bert/long-name");
        for (call, model) in world.calls().iter().zip(["m", "m", "long-name"]) {
            assert!(call.request.complete, "{}", call.label);
            assert!(call.request.body == form(model, 300_000, model_first), "{}", call.label);
        }
        world.proxy.wait_for_log(" 尝试: anna#1=429, anna#2=429, bert=200 结束:");
        assert_eq!(world.leak(Some(&answer)), None);
    }
}

#[test]
fn the_query_or_a_field_may_name_an_alias_for_a_form() {
    for (query, fields) in [("?model=a", ""), ("", "x-ai-proxy-model: a\r\n")] {
        let row = Row::new("named", "anna bert").alias(&["anna/x", "bert/y"]).up("anna", "503");
        let world = row.world();
        let answer = upload_to(&world, query, fields, &form("whatever", 1000, true));
        let trail = answer.header("x-ai-proxy-attempts");
        assert_eq!((answer.status, trail.as_deref()), (200, Some("anna=503, bert=200")));
        let [first, second] = &world.calls()[..] else { panic!("{}", world.course(0)) };
        assert!(first.request.body == form("x", 1000, true), "{query}");
        assert!(second.request.body == form("y", 1000, true), "{query}");
        assert!(!second.request.target.contains('?'), "{}", second.request.target);
    }
}

#[test]
fn a_form_that_is_too_large_to_be_held_has_one_attempt() {
    let row = Row::new("large", "anna:2")
        .file(json!({"max_request_size": 100_000}))
        .up("anna#1", "429 | retry-after: 50 ; 200");
    let world = row.world();
    let answer = upload(&world, "", &form("anna/m", 300_000, true));
    assert_eq!((answer.status, answer.header("x-ai-proxy-attempts")), (429, None));
    assert_eq!(world.course(0), "anna#1");
    assert!(world.calls()[0].request.body == form("m", 300_000, true), "whole and unchanged");
    world.proxy.wait_for_log(" 尝试: anna#1=429 结束:");
    let log = world.proxy.wait_for_log(ONE_ATTEMPT);
    assert!(log.lines().any(|l| l.contains(" WARNING ") && l.contains(ONE_ATTEMPT)), "{log}");
    // What rests is remembered all the same.
    assert_eq!(upload(&world, "", &form("anna/m", 1000, true)).status, 200);
    assert_eq!(world.course(1), "anna#2");
    // A length that is not known shows while it comes.
    assert_eq!(upload(&world, CHUNKED, &form("anna/m", 300_000, true)).status, 200);
    let last = world.calls().pop().expect("a call");
    assert!(last.label == "anna#2" && last.request.body == form("m", 300_000, true));
}

#[test]
fn a_form_where_there_is_one_way_streams_as_ever() {
    let world = Row::new("one way", "anna").file(json!({"max_request_size": 100_000})).world();
    let answer = upload(&world, "", &form("anna/m", 300_000, true));
    assert_eq!((answer.status, answer.header("x-ai-proxy-attempts")), (200, None));
    assert_eq!(world.course(0), "anna");
}

#[test]
fn retries_turned_off_by_a_client_let_a_form_stream() {
    let row = Row::new("off", "anna:2").file(json!({"max_request_size": 100_000}));
    let world = row.world();
    let answer = upload(&world, "x-ai-proxy-retries: 0\r\n", &form("anna/m", 300_000, true));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(world.course(0), "anna#1");
    let log = world.proxy.log();
    assert!(!log.contains(ONE_ATTEMPT), "nobody wanted another: {log}");
}

/// A form that comes while the budget is nearly full: whether it was sent on, once. `None`: the budget was
/// too full, or not full enough.
fn sent_once_while_memory_is_used_up() -> Option<()> {
    // The budget is the largest request and 8 MiB; bodies that never end take nearly all of it.
    let row = Row::new("full", "anna:2")
        .file(json!({"max_request_size": 1_000_000, "retries": 3}))
        .up("anna#1", "429");
    let world = row.world();
    let mut unfinished = chat_request("", &vec![b' '; 900_000]);
    unfinished.truncate(unfinished.len() - 1);
    let holders: Vec<Raw> = (0..12).map(|_| world.proxy.connect()).collect();
    holders.iter().for_each(|holder| holder.send_in_background(unfinished.clone()));
    pause(200);
    let answer = upload(&world, "", &form("anna/m", 700_000, true));
    if answer.status != 429 {
        return None;
    }
    assert_eq!(answer.header("x-ai-proxy-attempts"), None);
    assert_eq!(world.course(0), "anna#1");
    assert!(world.calls()[0].request.body == form("m", 700_000, true), "whole and unchanged");
    world.proxy.wait_for_log(ONE_ATTEMPT);
    Some(())
}

#[test]
fn a_full_budget_leaves_one_attempt() {
    let found = (0..20).find_map(|_| sent_once_while_memory_is_used_up());
    assert!(found.is_some(), "the budget never was as full as it must be");
}

#[test]
fn what_passes_through_tries_another_key_where_it_is_short() {
    let row = Row::new("pass-through", "anna:2")
        .provider("anna", json!({"passthrough": true}))
        .up("anna#1", "429 | retry-after: 100");
    let world = row.world();
    let fields = format!("Authorization: Bearer {TOKEN}\r\n");
    let answer = world.proxy.request("GET", "/p/anna/files?x=1", &fields);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-ai-proxy-attempts").as_deref(), Some("anna#1=429, anna#2=200"));
    assert_eq!(world.course(0), "anna#1 anna#2");
    assert!(world.calls().iter().all(|call| call.request.target == "/v1/files?x=1"));
    let body = "{\"purpose\":\"batch\"}";
    let head = world.proxy.request("HEAD", "/p/anna/files/2", &fields);
    assert_eq!(head.status, 200);
    let posted = format!("{fields}Content-Length: {}\r\n", body.len());
    let request = format!("POST /p/anna/batches HTTP/1.1\r\nHost: t\r\n{posted}\r\n{body}");
    assert_eq!(world.proxy.raw(request.as_bytes()).status, 200);
    let last = world.calls().pop().expect("a call");
    assert_eq!((last.label.as_str(), last.request.body.as_slice()), ("anna#2", body.as_bytes()));
    assert_eq!(world.leak(Some(&answer)), None);
}

#[test]
fn what_passes_through_is_held_up_to_256_kib_and_longer_bodies_have_one_attempt() {
    for (length, status, course) in
        [(256 * 1024, 200, "anna#1 anna#2"), (256 * 1024 + 1, 429, "anna#1")]
    {
        let row = Row::new("pass-through", "anna:2")
            .provider("anna", json!({"passthrough": true}))
            .up("anna#1", "429 | retry-after: 100");
        let world = row.world();
        let head = format!(
            "POST /p/anna/files HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let mut client = world.proxy.connect();
        client.send(head);
        // It does not come with the head.
        client.send(vec![b'x'; length]);
        assert_eq!(
            (client.response().status, world.course(0).as_str()),
            (status, course),
            "{length}"
        );
        // The request's own line is behind that of the warning.
        let log = world.proxy.wait_for_log("结束:");
        assert_eq!(log.contains("只尝试一次"), status == 429, "{length}: {log}");
    }
}

#[test]
fn a_head_without_a_body_is_no_reason_to_wait_for_one() {
    let row = Row::new("HEAD", "anna:2")
        .provider("anna", json!({"passthrough": true}))
        .up("anna#1", "429 | retry-after: 100");
    let world = row.world();
    let fields = format!("Authorization: Bearer {TOKEN}\r\n");
    let mut client = world.proxy.connect();
    let head = format!("HEAD /p/anna/files HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
    let answer = client.send(head).response_to("HEAD");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-ai-proxy-attempts").as_deref(), Some("anna#1=429, anna#2=200"));
    assert_eq!(client.send(GET).response().status, 200);
}

#[test]
fn passing_through_keeps_a_client_on_one_key() {
    let row = Row::new("sticky", "anna:5")
        .provider("anna", json!({"passthrough": true, "key_order": "sticky"}));
    let world = row.world();
    let fields = format!("Authorization: Bearer {TOKEN}\r\n");
    for number in 0..10 {
        let path = format!("/p/anna/files/{number}");
        assert_eq!(world.proxy.request("GET", &path, &fields).status, 200);
    }
    let calls = world.calls();
    assert!(calls.iter().all(|call| call.label == calls[0].label), "{}", world.course(0));
}
