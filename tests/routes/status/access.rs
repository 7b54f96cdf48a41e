//! Who may ask, that nobody is waited for, what makes a provider up or down, and what a reload keeps.

use std::net::{SocketAddr, UdpSocket};

use serde_json::{json, Value};

use super::{gone, keys, status, sum, wait_for};
use crate::support::*;

fn ask(proxy: &TestProxy, host: &str, headers: &str) -> Response {
    proxy.raw(format!("GET /v1/status HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes())
}

#[test]
fn this_machine_needs_no_token_and_everybody_else_does() {
    let proxy = TestProxy::start(&config([]));
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let own = "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n";
    for (host, headers, expected) in [
        ("localhost:8001", "", 200),
        ("127.0.0.1", "", 200),
        ("[::1]:8001", "", 200),
        ("localhost:8001", own, 200),
        ("localhost:8001", "Origin: http://localhost:8001\r\n", 200),
        // A page whose name resolves to this machine: to the browser it asks itself.
        ("evil.example:8001", "", 401),
        ("evil.example:8001", own, 401),
        ("evil.example:8001", "Origin: http://evil.example:8001\r\n", 401),
        ("localhost.evil.example", "", 401),
        // Pages of other places.
        ("localhost:8001", "Origin: http://localhost:3000\r\n", 401),
        ("localhost:8001", "Origin: null\r\n", 401),
        ("localhost:8001", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", 401),
        ("localhost:8001", "Sec-Fetch-Site: same-site\r\n", 401),
        // A reverse proxy.
        ("localhost:8001", "X-Forwarded-For: 127.0.0.1\r\n", 401),
        ("localhost:8001", "Forwarded: for=127.0.0.1\r\n", 401),
        // A token opens it to all of them, and another one to nobody.
        ("evil.example", &bearer, 200),
        ("localhost:8001", &format!("X-Forwarded-For: 1.2.3.4\r\n{bearer}"), 200),
        ("localhost:8001", &format!("{own}Origin: http://elsewhere\r\n{bearer}"), 200),
        ("evil.example", "Authorization: Bearer sk-wrong\r\n", 401),
    ] {
        let answer = ask(&proxy, host, headers);
        assert_eq!(answer.status, expected, "{host} {headers}");
        if expected == 401 {
            let message = answer.error(401);
            assert!(message.contains("API token"), "{host} {headers}: {message}");
            assert!(!answer.text().contains("uptime"));
        } else {
            assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
            assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"));
        }
    }
}

#[test]
fn a_front_that_adds_nothing_is_known_by_its_old_version() {
    let proxy = TestProxy::start(&config([]));
    proxy
        .raw(b"GET /v1/status HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        .error(401);
}

#[test]
fn another_machine_needs_a_token_whatever_host_it_names() {
    // No packet is sent by this.
    let probe = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let reached = probe.connect("192.0.2.1:9").and_then(|()| probe.local_addr());
    let Ok(own) = reached.map(|address| address.ip()) else { return };
    if own.is_loopback() {
        return;
    }
    let proxy = TestProxy::start(&with(config([]), json!({"host": "0.0.0.0"})));
    let address = SocketAddr::new(own, proxy.addr().port());
    for (headers, expected) in [(String::new(), 401), (format!("x-api-key: {TOKEN}\r\n"), 200)] {
        let request = format!("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        assert_eq!(Raw::connect(address).send(request).response().status, expected);
    }
}

#[test]
fn pages_that_may_use_the_proxy_need_a_token_for_it_too() {
    let proxy = TestProxy::start(&with(config([]), json!({"cors_origins": ["*"]})));
    let page = "Origin: http://chat.example\r\nSec-Fetch-Site: cross-site\r\n";
    ask(&proxy, "localhost", page).error(401);
    let bearer = format!("{page}Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(ask(&proxy, "localhost", &bearer).status, 200);
}

#[test]
fn other_methods_and_paths_are_refused_and_head_tells_the_length() {
    let proxy = TestProxy::start(&config([]));
    for method in ["POST", "DELETE", "OPTIONS"] {
        assert_eq!(proxy.request(method, "/v1/status", "").status, 405, "{method}");
    }
    proxy.request("GET", "/status", "").error(404);
    let mut client = proxy.connect();
    let head =
        client.send("HEAD /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n").response_to("HEAD");
    assert_eq!(head.status, 200);
    assert!(head.header("content-length").is_some());
    assert_eq!(client.send(GET).response().status, 200);
}

#[test]
fn no_secret_is_told_wherever_a_client_writes_it() {
    let upstream = Upstream::json("401 No", &json!({"error": KEY}).to_string());
    let base = upstream.base_url().replace("http://", "http://user:password-8271@");
    let more = json!({"provider": "q", "baseurl": base, "model_list": ["m"]});
    let proxy = TestProxy::start(&config([provider("p", &upstream), more, gone("r")]));
    for body in [
        chat(MODEL),
        chat("q/m"),
        chat("r/m"),
        chat(TOKEN),
        chat(&format!("p/{TOKEN}")),
        chat(&format!("p/{KEY}")),
        json!({"model": "p/m", "messages": [{"role": "user", "content": "prompt-5519"}]})
            .to_string(),
    ] {
        let header = format!("x-request-id: id-{TOKEN}\r\n");
        proxy.chat_with(&header, body);
    }
    proxy.get("/health");
    let seen = wait_for(&proxy, "/rates/errors_last_hour", &json!(7)).to_string();
    for secret in [TOKEN, KEY, "password-8271", "prompt-5519", "user:"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
    assert!(seen.contains("tester"), "{seen}");
}

#[test]
fn reasons_are_told_in_both_languages_with_their_code() {
    let refusing = Upstream::json("401 Unauthorized", "{}");
    let page = Upstream::keep_alive(answer("200 OK", "Content-Type: text/html\r\n", b"<html>"));
    let moved = Upstream::keep_alive(answer("302 Found", "Location: /login\r\n", b""));
    let providers = [
        provider("key", &refusing),
        provider("page", &page),
        provider("moved", &moved),
        gone("gone"),
        json!({"provider": "name", "baseurl": "http://nobody.invalid/v1", "model_list": ["m"]}),
    ];
    let proxy = TestProxy::start(&config(providers));
    proxy.get("/health");
    let seen = status(&proxy);
    for (row, (code, status)) in seen["providers"].as_array().expect("a list").iter().zip([
        ("status", json!(401)),
        ("page", Value::Null),
        ("redirect", json!(302)),
        ("connect", Value::Null),
        ("dns", Value::Null),
    ]) {
        assert_eq!(
            (&row["state"], &row["code"], &row["status"]),
            (&json!("down"), &json!(code), &status),
            "{row}"
        );
        assert_eq!(row["check"]["reason"], row["reason"], "{row}");
        let [chinese, english] =
            ["zh", "en"].map(|language| row["reason"][language].as_str().expect("text"));
        let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        assert!(is_chinese(chinese) && !is_chinese(english), "{row}");
    }
}

#[test]
fn one_slow_provider_holds_back_neither_the_answer_nor_the_others_rows() {
    let gate = Gate::default();
    let held = gate.clone();
    let slow = Upstream::each(move |_, connection| {
        held.wait();
        connection.send(json_answer("200 OK", "{}"));
    });
    let quick = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config([provider("slow", &slow), provider("quick", &quick)]));
    let mut caller = proxy.connect();
    caller.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n");
    let seen = wait_for(&proxy, "/providers/1/state", &json!("up"));
    assert_eq!(seen["providers"][0]["state"], "unknown", "{seen}");
    assert_eq!(seen["checking"], true);
    gate.open();
    caller.response();
    let seen = status(&proxy);
    assert_eq!((&seen["providers"][0]["state"], &seen["checking"]), (&json!("up"), &json!(false)));
}

#[test]
fn it_asks_no_provider() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for _ in 0..5 {
        status(&proxy);
    }
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn the_list_that_is_fetched_at_the_start_tells_whether_a_provider_is_up() {
    let upstream = Upstream::json("200 OK", r#"{"data":[{"id":"m"}]}"#);
    let refusing = Upstream::json("403 Forbidden", "{}");
    let proxy =
        TestProxy::start(&config([auto_provider("p", &upstream), auto_provider("q", &refusing)]));
    wait_for(&proxy, "/providers/0/state", &json!("up"));
    wait_for(&proxy, "/providers/1/state", &json!("down"));
}

#[test]
fn a_provider_whose_chats_succeed_is_up_though_its_list_cannot_be_had() {
    let upstream = Upstream::each(|request, connection| {
        let status = if request.method == "GET" { "500 Oops" } else { "200 OK" };
        connection.send(json_answer(status, "{}"));
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    proxy.get("/health");
    assert_eq!(status(&proxy)["providers"][0]["state"], "down");
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    let up = wait_for(&proxy, "/providers/0/state", &json!("up"));
    assert!(up["providers"][0]["since"].is_u64(), "{up}");
    assert_eq!(
        (&up["providers"][0]["reason"], &up["providers"][0]["check"]["ok"]),
        (&json!(null), &json!(false))
    );
}

#[test]
fn a_provider_whose_chats_fail_is_down_though_its_list_is_there() {
    let upstream = Upstream::each(|request, connection| {
        let status = if request.method == "GET" { "200 OK" } else { "402 Payment Required" };
        connection.send(json_answer(status, "{}"));
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    assert_eq!(proxy.chat(chat(MODEL)).status, 402);
    wait_for(&proxy, "/rates/errors_last_hour", &json!(1));
    proxy.get("/health");
    let seen = status(&proxy);
    let row = &seen["providers"][0];
    assert_eq!(
        (&row["state"], &row["status"], &row["check"]["ok"]),
        (&json!("down"), &json!(402), &json!(true))
    );
}

#[test]
fn a_reload_keeps_the_history_of_providers_whose_name_stays() {
    let failing = Upstream::json("500 Oops", "{}");
    let proxy = TestProxy::start(&config([provider("p", &failing), provider("q", &failing)]));
    for model in ["p/m", "p/m", "q/m"] {
        assert_eq!(proxy.chat(chat(model)).status, 500);
    }
    wait_for(&proxy, "/rates/errors_last_hour", &json!(3));
    // The one stays as it is, the other is gone.
    assert_eq!(proxy.reload(&config([gone("new"), provider("p", &failing)])).status, 200);
    let seen = status(&proxy);
    assert_eq!(sum(&seen["providers"][0]), [0, 0]);
    assert_eq!(
        (sum(&seen["providers"][1]), &seen["providers"][1]["state"]),
        ([2, 2], &json!("down"))
    );
    assert_eq!(seen["problems"].as_array().map(Vec::len), Some(3));
    // Mended: what happened stays, and whether it is up is to be seen.
    let mended = Upstream::json("200 OK", "{}");
    assert_eq!(proxy.reload(&config([provider("p", &mended)])).status, 200);
    let seen = status(&proxy);
    assert_eq!(
        (sum(&seen["providers"][0]), &seen["providers"][0]["state"]),
        ([2, 2], &json!("unknown"))
    );
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    let seen = wait_for(&proxy, "/providers/0/state", &json!("up"));
    assert_eq!(sum(&seen["providers"][0]), [3, 2]);
    assert_eq!(keys(&seen).len(), 10);
}
