//! The counters of errors, by kind and provider.

use serde_json::{json, Value};

use super::{assert_errors, stats, wait_for};
use crate::support::*;

/// A provider that fails as its name says.
fn failing(name: &'static str) -> Upstream {
    Upstream::serve(move |connection| {
        if connection.read_request().is_none() {
            return;
        }
        match name {
            "teapot" => connection.send(json_answer("418 Teapot", "{}")),
            "limited" => connection.send(json_answer("429 Slow Down", "{}")),
            "broken" => connection.send(json_answer("500 Broken", "{}")),
            "overloaded" => connection.send(json_answer("529 Overloaded", "{}")),
            "garbage" => connection.send("nonsense\r\n\r\n"),
            "short" => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            "huge" => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"),
            "cut" => connection.send([SSE_HEAD.as_bytes(), &event("one")].concat()),
            "silent" => drop(connection.wait_for_close()),
            _ => unreachable!("{name}"),
        }
    })
}

#[test]
fn errors_are_counted_by_provider_and_kind() {
    let cases = [
        ("teapot", "status_4xx"),
        ("limited", "status_4xx"),
        ("broken", "status_5xx"),
        ("overloaded", "status_5xx"),
        ("garbage", "upstream_failed"),
        ("short", "upstream_failed"),
        ("huge", "answer_too_large"),
        ("cut", "stream_cut"),
        ("silent", "upstream_timeout"),
    ];
    let upstreams = cases.map(|(name, _)| failing(name));
    let mut providers: Vec<_> = cases
        .iter()
        .zip(&upstreams)
        .map(|((name, _), upstream)| provider(name, upstream))
        .collect();
    providers.push(
        json!({"provider": "refusing", "baseurl": "http://127.0.0.1:1/v1", "model_list": ["m"]}),
    );
    let limits = json!({"non_stream_timeout": 1.5, "max_response_size": 100_000});
    let proxy = TestProxy::start(&with(config(providers), limits));
    let mut expected = json!({});
    for (name, kind) in cases.iter().chain(&[("refusing", "upstream_failed")]) {
        for count in 1..=2 {
            proxy.chat(chat(&format!("{name}/m")));
            expected[name] = json!({ *kind: count });
            assert_errors(&proxy, expected.clone());
        }
    }
    wait_for(&proxy, "/chats", 20);
    // A reload changes no counter.
    assert_eq!(proxy.reload(&config([])).status, 200);
    assert_errors(&proxy, expected);
}

#[test]
fn what_clients_do_wrong_is_no_providers_fault() {
    let upstream = Upstream::json("200 OK", "{}");
    let limits = json!({"max_request_size": 1000});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    let anonymous = chat_request("", chat(MODEL).as_bytes());
    let anonymous = String::from_utf8(anonymous).expect("ASCII").replace(TOKEN, "wrong");
    let long = format!(r#"{{"model":"p/m","x":"{}"}}"#, "x".repeat(2000));
    let cases: [(Vec<u8>, u16, &str); 6] = [
        (anonymous.into_bytes(), 401, "unauthorized"),
        (chat_request("", b"no json"), 400, "bad_request"),
        (chat_request("", chat("p/other").as_bytes()), 404, "model_not_found"),
        (chat_request("", chat("nobody/m").as_bytes()), 404, "model_not_found"),
        (chat_request("", long.as_bytes()), 413, "request_too_large"),
        (b"NOT HTTP\r\n\r\n".to_vec(), 400, "bad_request"),
    ];
    let mut expected = json!({ "-": {} });
    for (bytes, status, kind) in cases {
        assert_eq!(proxy.raw(&bytes).status, status, "{kind}");
        let count = expected["-"][kind].as_u64().unwrap_or(0) + 1;
        expected["-"][kind] = json!(count);
        assert_errors(&proxy, expected.clone());
    }
}

#[test]
fn wrong_paths_and_methods_are_counted() {
    let proxy = TestProxy::start(&config([]));
    assert_eq!(proxy.get("/nothing").status, 404);
    assert_errors(&proxy, json!({"-": {"not_found": 1}}));
    assert_eq!(proxy.request("DELETE", "/v1/models", "").status, 405);
    assert_errors(&proxy, json!({"-": {"not_found": 2}}));
}

#[test]
fn refused_reloads_are_counted() {
    let proxy = TestProxy::start(&config([]));
    proxy.write_config("broken");
    assert_eq!(proxy.request("POST", "/v1/reload", "").status, 400);
    let errors = stats(&proxy)["errors"].clone();
    let count: u64 =
        errors["-"].as_object().map_or(0, |kinds| kinds.values().filter_map(Value::as_u64).sum());
    assert_eq!(count, 1, "{errors}");
}

#[test]
fn listings_and_probes_that_fail_are_counted_with_their_provider() {
    let upstream = Upstream::json("503 Down", "{}");
    let proxy = TestProxy::start(&config([auto_provider("down", &upstream)]));
    assert_errors(&proxy, json!({"down": {"models_failed": 1}}));
    assert_eq!(proxy.get("/health").json()["status"], "unhealthy");
    assert_errors(&proxy, json!({"down": {"models_failed": 1, "unhealthy": 1}}));
    wait_for(&proxy, "/chats", 0);
}
