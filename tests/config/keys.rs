//! Every key of the configuration has an effect; each test fails when its key is ignored.

use std::net::{TcpListener, TcpStream};

use serde_json::json;

use crate::support::*;

fn get(proxy: &TestProxy) -> u16 {
    proxy.get("/").status
}

#[test]
fn host_is_the_listen_address() {
    let proxy = TestProxy::start(&with(config([]), json!({"host": "127.0.0.9"})));
    assert_eq!(proxy.addr().ip().to_string(), "127.0.0.9");
    assert_eq!(get(&proxy), 200);
    let elsewhere = (std::net::Ipv4Addr::LOCALHOST, proxy.addr().port());
    assert!(TcpStream::connect(elsewhere).is_err(), "listens on more than its host");
}

#[test]
fn host_may_be_a_name() {
    let proxy = TestProxy::start(&with(config([]), json!({"host": "localhost"})));
    assert!(proxy.addr().ip().is_loopback());
    assert_eq!(get(&proxy), 200);
}

#[test]
fn port_is_the_listen_port() {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let proxy = TestProxy::start(&with(config([]), json!({ "port": port })));
    assert_eq!(proxy.addr().port(), port);
}

#[test]
fn port_0_picks_a_free_one_and_the_banner_says_which() {
    let proxy = TestProxy::start(&config([]));
    assert_ne!(proxy.addr().port(), 0);
    assert_eq!(get(&proxy), 200);
    let expected =
        format!("ai_proxy {} listening on http://{}", env!("CARGO_PKG_VERSION"), proxy.addr());
    assert_eq!(proxy.stdout().lines().next(), Some(expected.as_str()));
}

#[test]
fn a_port_in_use_is_said_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let run = run_with_config(&with(config([]), json!({ "port": port })).to_string(), &[]);
    assert!(run.code.is_some_and(|code| code != 0), "{run:?}");
    assert!(run.stderr.contains(&port.to_string()), "{run:?}");
}

#[test]
fn log_level_decides_what_is_logged() {
    let upstream = Upstream::json("200 OK", "{}");
    let quiet = TestProxy::start(&with(config_for(&upstream), json!({"log_level": "ERROR"})));
    let info = TestProxy::start(&with(config_for(&upstream), json!({"log_level": "INFO"})));
    assert_eq!(quiet.chat(chat(MODEL)).status, 200);
    assert_eq!(info.chat(chat(MODEL)).status, 200);
    info.wait_for_log("耗时:");
    pause(200);
    assert!(!quiet.log().contains("耗时:"), "{}", quiet.log());
}

#[test]
fn log_level_changes_on_reload() {
    let upstream = Upstream::json("200 OK", "{}");
    let quiet = with(config_for(&upstream), json!({"log_level": "ERROR"}));
    let proxy = TestProxy::start(&quiet);
    proxy.chat(chat(MODEL));
    assert_eq!(proxy.reload(&config_for(&upstream)).status, 200);
    proxy.chat(chat(MODEL));
    proxy.wait_for_log("耗时:");
    assert_eq!(proxy.reload(&quiet).status, 200);
    let chats =
        |log: String| log.lines().filter(|l| l.contains("耗时:") && l.contains(MODEL)).count();
    proxy.chat(chat(MODEL));
    pause(200);
    assert_eq!(chats(proxy.log()), 1, "{}", proxy.log());
}

#[test]
fn both_provider_formats_stand_in_one_list() {
    let (old, new) = (Upstream::json("200 OK", "{}"), Upstream::json("200 OK", "{}"));
    let line = json!(format!("old|{}|old-key", old.base_url()));
    let proxy = TestProxy::start(&config([line, provider("new", &new)]));
    assert_eq!(proxy.chat(chat("old/any")).status, 200);
    assert_eq!(proxy.chat(chat("new/m")).status, 200);
    let chats: Vec<_> = old.requests().into_iter().filter(|r| r.method == "POST").collect();
    assert_eq!(chats[0].head.get("authorization").as_deref(), Some("Bearer old-key"));
    assert_eq!(chats[0].json()["model"], "any");
    assert_eq!(new.request().head.get("authorization"), Some(format!("Bearer {KEY}")));
}

#[test]
fn a_provider_without_token_gets_no_authorization() {
    let upstream = Upstream::json("200 OK", "{}");
    let absent = json!({"provider": "absent", "baseurl": upstream.base_url(), "model_list": ["m"]});
    let empty = json!({"provider": "empty", "baseurl": upstream.base_url(), "token": "", "model_list": ["m"]});
    let string = json!(format!("string|{}|", upstream.base_url()));
    let proxy = TestProxy::start(&config([absent, empty, string]));
    for name in ["absent", "empty", "string"] {
        assert_eq!(proxy.chat(chat(&format!("{name}/m"))).status, 200, "{name}");
    }
    let chats: Vec<_> = upstream.requests().into_iter().filter(|r| r.method == "POST").collect();
    assert_eq!(chats.len(), 3);
    assert!(chats.iter().all(|request| request.head.get("authorization").is_none()));
}

#[test]
fn slashes_at_the_end_of_baseurl_go_away() {
    let upstream = Upstream::json("200 OK", r#"{"data":[]}"#);
    let mut slashes = provider("p", &upstream);
    slashes["baseurl"] = json!(format!("http://{}/api/paas/v4//", upstream.addr()));
    let mut bare = provider("bare", &upstream);
    bare["baseurl"] = json!(format!("http://{}/", upstream.addr()));
    let proxy = TestProxy::start(&config([slashes, bare]));
    proxy.chat(chat("p/m"));
    proxy.chat(chat("bare/m"));
    let targets: Vec<_> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/api/paas/v4/chat/completions", "/chat/completions"]);
}

#[test]
fn every_token_of_the_list_opens_the_door_and_no_other_does() {
    let upstream = Upstream::json("200 OK", "{}");
    let tokens = json!(["first|aaa", "second|bbb"]);
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({ "tokens": tokens })));
    let status = |token: &str| {
        let body = chat(MODEL);
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        proxy.raw(head.as_bytes()).status
    };
    assert_eq!(status("aaa"), 200);
    assert_eq!(status("bbb"), 200);
    for wrong in ["aa", "aaaa", "AAA", "first|aaa", "first", "aaa bbb", TOKEN] {
        assert_eq!(status(wrong), 401, "{wrong}");
    }
}

#[test]
fn an_empty_token_list_lets_nobody_chat_and_the_start_says_so() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"tokens": []})));
    proxy.chat(chat(MODEL)).error(401);
    eventually("the start says so", || proxy.output().contains("tokens"));
    assert!(upstream.requests().is_empty());
}

#[test]
fn an_empty_provider_list_starts_and_says_so() {
    let proxy = TestProxy::start(&config([]));
    proxy.chat(chat(MODEL)).error(404);
    assert_eq!(proxy.get("/health").json()["total_providers"], 0);
    eventually("the start says so", || proxy.output().contains("provider"));
}

#[test]
fn supported_models_decide_by_any_match_anywhere() {
    let upstream = Upstream::json("200 OK", "{}");
    let mut listed = provider("p", &upstream);
    listed["model_list"] = json!(["glm-4-air", "gpt-4o", "other"]);
    let filter = json!({"supported_models": ["glm-\\d", "^p/gpt"]});
    let proxy = TestProxy::start(&with(config([listed]), filter));
    assert_eq!(proxy.chat(chat("p/glm-4-air")).status, 200);
    assert_eq!(proxy.chat(chat("p/gpt-4o")).status, 200);
    let refused = proxy.chat(chat("p/other")).error(404);
    assert!(refused.contains("未找到模型") && refused.contains("p/other"), "{refused}");
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn model_list_refuses_what_it_does_not_name() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let refused = proxy.chat(chat("p/unlisted")).error(404);
    assert!(refused.contains("未找到模型") && refused.contains("p/unlisted"), "{refused}");
    assert!(upstream.requests().is_empty());
}

#[test]
fn max_request_size_is_checked_against_the_declared_length() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"max_request_size": 500})));
    assert_eq!(proxy.chat(padded_chat(500)).status, 200);
    // Refused from the head alone.
    let answer = proxy.raw(&chat_head("Content-Length: 501\r\n"));
    assert!(answer.error(413).contains("500"), "{}", answer.text());
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn max_request_size_is_checked_against_the_bytes_of_a_chunked_body() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"max_request_size": 500})));
    let head = chat_head("Transfer-Encoding: chunked\r\n");
    let chunked = |size: usize| {
        let pieces: Vec<_> = padded_chat(size).as_bytes().chunks(99).flat_map(chunk).collect();
        [&head, &pieces, LAST_CHUNK].concat()
    };
    assert_eq!(proxy.raw(&chunked(500)).status, 200);
    let answer = proxy.raw(&chunked(501));
    assert!(answer.error(413).contains("500"), "{}", answer.text());
    // A huge chunk is refused before its end.
    let answer =
        proxy.raw(&[&head, format!("ffffff\r\n{{{}", " ".repeat(600)).as_bytes()].concat());
    answer.error(413);
}

/// A chat body of exactly `size` bytes.
fn padded_chat(size: usize) -> String {
    let body = format!(r#"{{"model":"{MODEL}","user":""}}"#);
    body.replace(r#""user":"""#, &format!(r#""user":"{}""#, "x".repeat(size - body.len())))
}

#[test]
fn comments_and_trailing_commas_are_accepted() {
    let upstream = Upstream::json("200 OK", "{}");
    let text = format!(
        r#"{{
            // where to listen
            "host": "127.0.0.1", "port": 0, /* any
            port */
            "tokens": ["a // b /* c|{TOKEN}",],
            "providers": [
                {{"provider": "p", "baseurl": "{}", "model_list": ["m",],}},
            ],
        }} // the end"#,
        upstream.base_url()
    );
    let proxy = TestProxy::start_text(&text);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
}

#[test]
fn unknown_keys_are_named_in_a_warning() {
    let upstream = Upstream::json("200 OK", "{}");
    let mut odd = provider("p", &upstream);
    odd["modle_list"] = json!(["x"]);
    let proxy =
        TestProxy::start(&with(config([odd]), json!({"prot": 8001, "log_level": "WARNING"})));
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    eventually("the keys are named", || {
        proxy.everything().contains("prot") && proxy.everything().contains("modle_list")
    });
}

#[test]
fn the_config_argument_names_another_file() {
    let upstream = Upstream::json("200 OK", "{}");
    let directory = TempDir::new();
    let path = directory.write("other.json", config_for(&upstream).to_string());
    let arguments = vec!["--config".to_owned(), path.to_string_lossy().into_owned()];
    let proxy = TestProxy::launch(Launch { arguments, ..Launch::default() });
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    directory.write("other.json", config([]).to_string());
    assert_eq!(proxy.request("POST", "/v1/reload", "").json()["providers_count"], 0);
}
