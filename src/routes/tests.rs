use std::time::Duration;

use serde_json::json;

use super::*;
use crate::runtime::testing::Peer;
use crate::state::testing::{chat, Bench, TOKEN};

/// What a client gets that sends `bytes`, and its connection.
#[track_caller]
fn answer(bench: &Bench, bytes: &str) -> (String, Connection, Peer) {
    let (mut connection, mut client) = bench.connect();
    client.send(bytes);
    let state = &bench.state;
    bench.finish(async {
        let is_secret = |value: &[u8]| state.holds_token(value);
        let request = connection.next_request(&is_secret).await.expect("no request");
        let (response, mut entry) = respond(state, request, &mut connection).await;
        let outcome = response.send(&mut connection, &mut entry).await;
        entry.close(&outcome);
    });
    (client.text(), connection, client)
}

fn body(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn the_first_page_lists_the_endpoints_of_the_contract() {
    let bench = Bench::new();
    let (text, ..) = answer(&bench, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let about = body(&text);
    assert_eq!(about["service"], "ai_proxy");
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    let endpoints = about["endpoints"].as_array().expect("a list");
    for known in ["GET /", "GET /health", "POST /v1/reload", "GET /v1/models"] {
        assert!(endpoints.contains(&json!(known)), "{known}");
    }
    for path in ["chat/completions", "embeddings", "responses", "messages", "audio/speech"] {
        assert!(endpoints.contains(&json!(format!("POST /v1/{path}"))), "{path}");
    }
    // It counts itself as a request, and not as a chat.
    assert_eq!((&about["stats"]["requests"], &about["stats"]["chats"]), (&json!(1), &json!(0)));
}

#[test]
fn a_head_request_is_answered_with_the_head_alone() {
    let bench = Bench::new();
    let (text, ..) = answer(&bench, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\n"), "{text}");
    let length = text.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
    assert!(length.parse::<usize>().unwrap() > 100, "{text}");
}

#[test]
fn every_refusal_has_its_status_its_words_and_its_count() {
    let model = "{\"model\":\"p/m\"}";
    let chat_as = |token: &str| chat("", model).replace(TOKEN, token);
    let no_token = chat("", model).replace("Authorization", "X-Other");
    let none = chat("", "{\"model\":\"q/m\"}");
    let coded = chat("Content-Encoding: br\r\n", model);
    let long = chat("", model).replace("Content-Length: 15", "Content-Length: 99999999");
    for (request, status, words, field, kind, chats, closes) in [
        ("GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 404, "/x", "", "not_found", 0, false),
        (
            "GET /v1/reload HTTP/1.1\r\nHost: x\r\n\r\n",
            405,
            "POST",
            "allow: POST",
            "not_found",
            0,
            false,
        ),
        ("GET / HTTP/1.1\r\n\r\n", 400, "Host", "", "bad_request", 0, true),
        (&no_token, 401, "未提供API token", "www-authenticate: Bearer", "unauthorized", 1, false),
        (
            &chat_as("sk-wrong"),
            401,
            "API token无效",
            "www-authenticate: Bearer",
            "unauthorized",
            1,
            false,
        ),
        (&none, 404, "未找到模型 q/m", "", "model_not_found", 1, false),
        (&chat("", "{"), 400, "column 1", "", "bad_request", 1, false),
        (&coded, 415, "br", "accept-encoding: gzip, deflate, zstd", "bad_request", 1, false),
        (&long, 413, "33554432", "", "request_too_large", 1, true),
    ] {
        let bench = Bench::new();
        let (text, connection, _client) = answer(&bench, request);
        let error = &body(&text)["error"];
        assert_eq!((&error["code"], &error["type"]), (&json!(status), &json!("http_error")));
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && text.contains(field), "{text}");
        assert!(error["message"].as_str().unwrap().contains(words), "{text}");
        assert_eq!(connection.may_reuse(), !closes, "{text}");
        assert_eq!(text.contains("\r\nconnection: close\r\n"), closes, "{text}");
        let report = bench.report();
        assert_eq!((&report["errors"]["-"][kind], &report["chats"]), (&json!(1), &json!(chats)));
        assert_eq!(bench.state.memory.bodies.used(), 0, "{text}");
    }
}

#[test]
fn a_clients_own_request_id_is_given_back_and_else_one_is_made() {
    let bench = Bench::new();
    let (text, ..) = answer(&bench, "GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-1\r\n\r\n");
    assert!(text.contains("\r\nx-request-id: mine-1\r\n"), "{text}");
    let (text, ..) = answer(&bench, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = text.split("\r\nx-request-id: ").nth(1).unwrap().split('\r').next().unwrap();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
}

#[test]
fn nothing_follows_on_a_connection_whose_request_came_too_slowly() {
    let bench = Bench::new();
    let (mut connection, mut client) = bench.connect();
    let text = chat("", "{\"model\":\"p/m\"}");
    client.send(&text[..text.len() - 1]);
    let mut answering = Box::pin(async {
        let request = connection.next_request(&|_| false).await.expect("no request");
        let (response, mut entry) = respond(&bench.state, request, &mut connection).await;
        let outcome = response.send(&mut connection, &mut entry).await;
        entry.close(&outcome);
    });
    assert!(bench.poll(&mut answering).is_none());
    bench.pass(Duration::from_secs(20));
    bench.finish(answering);
    let text = client.text();
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("\r\nconnection: close\r\n"));
    assert!(!connection.may_reuse());
    assert_eq!(bench.report()["errors"], json!({"-": {"client_timeout": 1}}));
}
