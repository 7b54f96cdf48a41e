//! Who may chat, and with which model: exact texts, statuses and the shape of every error.

use serde_json::json;

use crate::support::*;

pub fn start() -> (Upstream, TestProxy) {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy =
        TestProxy::start(&config([provider("p", &upstream), auto_provider("auto", &upstream)]));
    (upstream, proxy)
}

/// A chat with this `Authorization` header, or none.
fn with_authorization(proxy: &TestProxy, value: Option<&str>) -> Response {
    let body = chat(MODEL);
    let line = value.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\n{line}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    proxy.raw(request.as_bytes())
}

#[test]
fn no_bearer_token_is_401_with_the_exact_text() {
    let (upstream, proxy) = start();
    let basic = format!("Basic {TOKEN}");
    for value in [None, Some(basic.as_str()), Some(TOKEN), Some("")] {
        assert_eq!(with_authorization(&proxy, value).error(401), "未提供API token", "{value:?}");
    }
    let exact = with_authorization(&proxy, None).json();
    let expected =
        json!({"error": {"message": "未提供API token", "type": "http_error", "code": 401}});
    assert_eq!(exact, expected);
    assert!(upstream.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn a_token_that_is_not_on_the_list_is_401() {
    let (upstream, proxy) = start();
    let near = [
        format!("{TOKEN}x"),
        TOKEN[1..].to_owned(),
        TOKEN.to_uppercase(),
        format!("{TOKEN} {TOKEN}"),
    ];
    for token in near {
        let message = with_authorization(&proxy, Some(&format!("Bearer {token}"))).error(401);
        assert!(message.contains("API token无效"), "{message}");
        assert!(!message.contains(&token), "{message}");
    }
    let message = with_authorization(&proxy, Some(&format!("Bearer {KEY}"))).error(401);
    assert!(message.contains("API token无效"), "{message}");
    assert!(upstream.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn two_authorization_headers_open_no_door() {
    let (_upstream, proxy) = start();
    let two = format!("Bearer wrong\r\nAuthorization: Bearer {TOKEN}");
    assert!(matches!(with_authorization(&proxy, Some(&two)).status, 400 | 401));
}

#[test]
fn the_small_endpoints_need_no_token() {
    let (_upstream, proxy) = start();
    for path in ["/", "/health", "/v1/models"] {
        assert_eq!(proxy.get(path).status, 200, "{path}");
    }
}

#[test]
fn a_refused_client_can_go_on_with_the_right_token() {
    let (_upstream, proxy) = start();
    let mut client = proxy.connect();
    let body = chat(MODEL);
    let refused = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(client.send(refused).response().status, 401);
    // Closing after the refusal is allowed too; taking the body for a request is not.
    if client.try_send(chat_request("", body.as_bytes())).is_ok() {
        if let Ok(answer) = client.try_response("POST") {
            assert_eq!(answer.status, 200);
        }
    }
}

#[test]
fn an_unknown_provider_or_model_is_404_with_its_name() {
    let (upstream, proxy) = start();
    for model in ["nobody/m", "m", "gpt-4o", "p/unlisted", "p/M", "/m", "模型/一"] {
        let message = proxy.chat(chat(model)).error(404);
        assert!(message.contains("未找到模型") && message.contains(model), "{model}: {message}");
    }
    assert!(upstream.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn names_in_errors_are_escaped_and_bounded() {
    let (_upstream, proxy) = start();
    let message = proxy.chat(r#"{"model":"x\"y\\z\n\u0000\u001b[31m/m"}"#).error(404);
    assert!(message.contains("未找到模型"), "{message}");
    let long = "x".repeat(1_000_000);
    let answer = proxy.chat(chat(&long));
    assert!(matches!(answer.status, 400 | 404));
    proxy.wait_for_log("耗时:");
    assert!(proxy.log().lines().all(|line| line.len() < 10_000), "a log line of any length");
    assert!(!proxy.log().contains(['\0', '\u{1b}']), "control characters in the log");
}

#[test]
fn an_auto_fetched_list_refuses_nothing() {
    // This upstream's list is `{}`: nothing could be fetched.
    let (upstream, proxy) = start();
    assert_eq!(proxy.chat(chat("auto/anything")).status, 200);
    let chats: Vec<_> = upstream.requests().into_iter().filter(|r| r.method == "POST").collect();
    assert_eq!(chats[0].json()["model"], "anything");
    let listed = Upstream::json("200 OK", r#"{"data":[{"id":"a"}]}"#);
    let proxy = TestProxy::start(&config([auto_provider("auto", &listed)]));
    proxy.get("/v1/models");
    assert_eq!(proxy.chat(chat("auto/not-listed")).status, 200);
}

#[test]
fn secrets_never_appear_in_log_errors_or_output() {
    let upstream = Upstream::json("200 OK", "{}");
    let url = upstream.base_url().replace("http://", "http://user:hunter2@");
    let secret = json!({"provider": "cred", "baseurl": url, "token": KEY, "model_list": ["m"]});
    let gone =
        json!({"provider": "gone", "baseurl": "http://u:hunter2@127.0.0.1:1/v1", "token": KEY});
    let old = format!("old|{}|{KEY}", upstream.base_url());
    let all = config([provider("p", &upstream), gone.clone(), json!(old)]);
    let proxy = TestProxy::start(&with(all.clone(), json!({"log_level": "DEBUG"})));
    let mut answers = vec![
        proxy.chat(chat(MODEL)).text(),
        proxy.chat(chat("gone/m")).text(),
        proxy.chat(chat("old/m")).text(),
        proxy.get("/health").text(),
        proxy.get("/v1/models").text(),
        with_authorization(&proxy, Some("Bearer guessed-9d1e")).text(),
        proxy.reload(&all).text(),
        proxy.reload(&with(all, json!({"providers": [secret, gone, 5]}))).text(),
        proxy
            .raw(
                format!("GET / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nbroken\r\n\r\n")
                    .as_bytes(),
            )
            .text(),
    ];
    proxy.wait_for_log("耗时:");
    pause(100);
    answers.push(proxy.everything());
    for text in answers {
        for word in [TOKEN, KEY, "hunter2", "guessed-9d1e"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
}

#[test]
fn a_key_like_model_cannot_smuggle_a_model_past_a_filter() {
    let upstream = Upstream::json("200 OK", "{}");
    let harmless = r#"{"model":"p/m","Model":{"x":1},"MODEL":2}"#;
    assert_eq!(TestProxy::start(&config_for(&upstream)).chat(harmless).status, 200);
    let body = r#"{"model":"p/m","Model":"forbidden"}"#;
    let filtered = json!({"supported_models": ["^p/m$"]});
    let open = config([auto_provider("p", &upstream)]);
    for config in [config_for(&upstream), with(open.clone(), filtered)] {
        let message = TestProxy::start(&config).chat(body).error(400);
        assert!(message.contains("model"), "{message}");
    }
    assert_eq!(TestProxy::start(&open).chat(body).status, 200);
}
