//! Request ids: one for each request, the client's own when it is plain; in the log, to the provider, and back.

use std::collections::HashSet;

use crate::support::*;

/// A provider that echoes the id it was sent in its body, and sends one of its own when it is asked to.
fn echo() -> Upstream {
    Upstream::each(|request, connection| {
        let ids = request.head.all("x-request-id");
        let own = match request.json()["own"].as_str() {
            Some(own) => format!("X-Request-ID: {own}\r\n"),
            None => String::new(),
        };
        let body = serde_json::json!({ "ids": ids }).to_string();
        connection.send(answer("200 OK", &own, body.as_bytes()));
    })
}

fn start() -> (Upstream, TestProxy) {
    let upstream = echo();
    let proxy = TestProxy::start(&config_for(&upstream));
    (upstream, proxy)
}

/// The id that the provider got, and the one that the client got.
fn ids(answer: &Response) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = answer.json()["ids"].clone();
    let sent = sent.as_array().expect("ids");
    assert_eq!(sent.len(), 1, "one id for the provider: {sent:?}");
    let told = answer.header("x-request-id").expect("one id for the client");
    (sent[0].as_str().expect("text").to_owned(), told)
}

/// Whether an id is one that we make: plain and short.
fn assert_made(id: &str) {
    assert!(!id.is_empty() && id.len() <= 128, "{id:?}");
    assert!(id.bytes().all(|byte| byte.is_ascii_graphic()), "{id:?}");
}

/// The log's only line that tells of a request with this id.
fn line_of(proxy: &TestProxy, id: &str) -> String {
    let named = format!("请求 {id} ");
    let log = proxy.wait_for_log(&named);
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&named)).collect();
    assert_eq!(lines.len(), 1, "{id} in {lines:?}");
    lines[0].to_owned()
}

#[test]
fn a_plain_id_of_the_client_is_used_everywhere() {
    let (_upstream, proxy) = start();
    let longest = "x".repeat(128);
    for id in ["abc-123", "a", "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", &longest] {
        let answer = proxy.chat_with(&format!("X-Request-Id: {id}\r\n"), chat(MODEL));
        assert_eq!(ids(&answer), (id.to_owned(), id.to_owned()));
        assert!(line_of(&proxy, id).contains("完成"));
    }
    // White space around a value is none of it.
    let answer = proxy.chat_with("x-request-id:   padded \t\r\n", chat(MODEL));
    assert_eq!(ids(&answer), ("padded".to_owned(), "padded".to_owned()));
}

#[test]
fn an_id_that_is_not_plain_is_replaced() {
    let (_upstream, proxy) = start();
    let too_long = "x".repeat(129);
    let bad: [&[u8]; 6] =
        [b"", b"two words", b"tab\there", "h\u{e4}h".as_bytes(), b"\xe4\xff", too_long.as_bytes()];
    for id in bad {
        let header = [b"X-Request-Id: ", id, b"\r\n"].concat();
        let mut request = chat_request("", chat(MODEL).as_bytes());
        let end = memchr::memmem::find(&request, b"Content-Type").expect("a header");
        request.splice(end..end, header);
        let (sent, told) = ids(&proxy.raw(&request));
        assert_made(&sent);
        assert_eq!(sent, told);
        assert!(id.is_empty() || sent.as_bytes() != id, "{sent}");
        line_of(&proxy, &sent);
    }
}

#[test]
fn without_an_id_each_request_gets_its_own() {
    let (_upstream, proxy) = start();
    let mut client = proxy.connect();
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let answer = client.send(chat_request("", chat(MODEL).as_bytes())).response();
        let (sent, told) = ids(&answer);
        assert_made(&sent);
        assert_eq!(sent, told);
        assert!(seen.insert(sent), "the same id twice");
    }
    for id in seen {
        line_of(&proxy, &id);
    }
}

#[test]
fn an_id_is_of_one_request_only() {
    let (_upstream, proxy) = start();
    let mut client = proxy.connect();
    let first = client.send(chat_request("X-Request-Id: first\r\n", chat(MODEL).as_bytes()));
    assert_eq!(ids(&first.response()).0, "first");
    let second = client.send(chat_request("", chat(MODEL).as_bytes()));
    assert_ne!(ids(&second.response()).0, "first");
}

#[test]
fn the_providers_id_goes_to_the_client_and_ours_to_the_log() {
    let (_upstream, proxy) = start();
    let body = chat(MODEL).replace("{\"model\"", "{\"own\":\"req_of_provider\",\"model\"");
    let answer = proxy.chat_with("X-Request-Id: of-client\r\n", &body);
    assert_eq!(ids(&answer), ("of-client".to_owned(), "req_of_provider".to_owned()));
    line_of(&proxy, "of-client");
}

#[test]
fn streams_carry_an_id_too() {
    for (head, told) in [
        (SSE_HEAD.to_owned(), "mine"),
        (SSE_HEAD.replace("\r\n\r\n", "\r\nx-request-id: theirs\r\n\r\n"), "theirs"),
    ] {
        let stream = [head.as_bytes(), &event("one"), LAST_CHUNK].concat();
        let upstream = Upstream::keep_alive(stream);
        let proxy = TestProxy::start(&config_for(&upstream));
        let answer = proxy.chat_with("X-Request-Id: mine\r\n", chat_stream(MODEL));
        assert!(answer.complete);
        assert_eq!(answer.header("x-request-id").as_deref(), Some(told));
        assert_eq!(upstream.request().head.get("x-request-id").as_deref(), Some("mine"));
        line_of(&proxy, "mine");
    }
}

#[test]
fn errors_of_the_provider_carry_an_id() {
    let upstream = Upstream::json("429 Slow Down", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let answer = proxy.chat_with("X-Request-Id: mine\r\n", chat(MODEL));
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("x-request-id").as_deref(), Some("mine"));
    assert!(line_of(&proxy, "mine").contains("429"));
}

#[test]
fn errors_of_ours_carry_an_id_and_are_logged_with_it() {
    let upstream = Upstream::script("garbage\r\n\r\n");
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = chat(MODEL);
    let cases = [
        (chat_request("X-Request-Id: id-502\r\n", body.as_bytes()), 502),
        (chat_request("X-Request-Id: id-404\r\n", chat("p/other").as_bytes()), 404),
        (chat_request("X-Request-Id: id-400\r\n", b"no json"), 400),
        (
            String::from_utf8(chat_request("X-Request-Id: id-401\r\n", body.as_bytes()))
                .expect("ASCII")
                .replace(TOKEN, "wrong")
                .into_bytes(),
            401,
        ),
    ];
    for (request, status) in cases {
        let answer = proxy.raw(&request);
        answer.error(status);
        let id = format!("id-{status}");
        assert_eq!(answer.header("x-request-id").as_ref(), Some(&id));
        assert!(line_of(&proxy, &id).contains(&status.to_string()));
    }
}

#[test]
fn small_endpoints_carry_an_id() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy =
        TestProxy::start(&with(config_for(&upstream), serde_json::json!({"log_level": "DEBUG"})));
    for (method, path) in [
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "/health"),
        ("GET", "/v1/models"),
        ("POST", "/v1/reload"),
        ("GET", "/nothing"),
        ("DELETE", "/health"),
    ] {
        let id = format!("{method}{}", path.replace('/', "-"));
        let answer = proxy.request(method, path, &format!("X-Request-Id: {id}\r\n"));
        assert_eq!(answer.header("x-request-id").as_ref(), Some(&id), "{method} {path}");
        line_of(&proxy, &id);
        let made = proxy.request(method, path, "").header("x-request-id");
        assert_made(&made.unwrap_or_else(|| panic!("no id: {method} {path}")));
    }
}

#[test]
fn a_request_that_is_refused_unread_gets_an_id_too() {
    let proxy = TestProxy::start(&config([]));
    let answer = proxy.raw(b"NOT HTTP\r\n\r\n");
    assert_eq!(answer.status, 400);
    let id = answer.header("x-request-id").expect("an id");
    assert_made(&id);
    assert!(proxy.wait_for_log(&id).contains("被拒绝"));
}

#[test]
fn an_id_cannot_forge_a_line_of_the_log() {
    let (_upstream, proxy) = start();
    // `\n` cannot be in a head; what looks like a line's parts can.
    let forged = "x耗时:";
    let answer = proxy.chat_with(&format!("X-Request-Id: {forged}\r\n"), chat(MODEL));
    let (sent, _) = ids(&answer);
    assert_made(&sent);
    line_of(&proxy, &sent);
    assert!(!proxy.log().contains(forged));
}

#[test]
fn two_ids_are_one_for_everybody() {
    let (_upstream, proxy) = start();
    let answer = proxy.chat_with("X-Request-Id: one\r\nX-Request-Id: two\r\n", chat(MODEL));
    let (sent, told) = ids(&answer);
    assert_eq!(sent, told);
    line_of(&proxy, &sent);
}
