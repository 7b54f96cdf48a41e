//! What comes back through pass-through: as from the provider itself, and logged.

use super::*;
use crate::rows::{fields, scripted};

#[test]
fn answers_arrive_as_they_were_sent() {
    let upstream = scripted();
    let proxy = start(&upstream);
    for script in ["json", "events", "audio", "audio-chunked", "error", "refused"] {
        for method in ["GET", "POST", "DELETE"] {
            let request = |target: &str| {
                let fields = authorised(&format!("X-Script: {script}\r\nContent-Length: 2\r\n"));
                format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n{{}}")
            };
            let direct = Raw::connect(upstream.addr()).send(request("/v1/x")).response_to(method);
            let relayed = proxy.connect().send(request("/p/p/x")).response_to(method);
            let what = format!("{method} {script}");
            assert!(relayed.complete, "{what}");
            assert_eq!(relayed.head.start, direct.head.start, "{what}");
            assert_eq!(fields(&relayed.head), fields(&direct.head), "{what}");
            assert!(relayed.body == direct.body, "{what}: {}", show(&relayed.body));
            assert!(relayed.header("x-request-id").is_some(), "{what}");
        }
    }
}

#[test]
fn answers_without_a_body_have_none_and_the_connections_serve_on() {
    let upstream = Upstream::each(|request, connection| {
        let head = request.head.get("x-head").expect("a head").replace('|', "\r\n");
        connection.send(format!("HTTP/1.1 {head}\r\n\r\n"));
    });
    let proxy = start(&upstream);
    let mut client = proxy.connect();
    for (method, head) in [
        ("DELETE", "204 No Content"),
        ("GET", "304 Not Modified|ETag: \"x\""),
        ("GET", "304 Not Modified|ETag: \"x\"|Content-Length: 1234"),
        ("HEAD", "200 OK|Content-Length: 1234|Content-Type: audio/mpeg"),
        ("HEAD", "200 OK|Content-Type: text/plain"),
        ("HEAD", "404 Not Found|Content-Length: 12"),
        ("OPTIONS", "204 No Content|Allow: GET, POST"),
    ] {
        let lines = authorised(&format!("X-Head: {head}\r\n"));
        let request = format!("{method} /p/p/files/x HTTP/1.1\r\nHost: t\r\n{lines}\r\n");
        let answer = client.send(request).response_to(method);
        let mut parts = head.split('|');
        let status = parts.next().expect("a status");
        assert_eq!(answer.head.start, format!("HTTP/1.1 {status}"), "{method} {head}");
        for part in parts {
            let (name, value) = part.split_once(": ").expect("a field");
            assert_eq!(answer.header(name).as_deref(), Some(value), "{method} {head}");
        }
        assert_eq!(client.send(GET).response().status, 200, "{method} {head}: in step");
    }
}

#[test]
fn a_stream_goes_out_event_by_event_and_ends_with_its_client() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::serve(move |connection| {
        while connection.read_request().is_some() {
            connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
            if connection.number == 0 {
                held.wait();
                connection.send([&event("[DONE]")[..], LAST_CHUNK].concat());
            } else {
                connection.wait_for_close();
            }
        }
    });
    let proxy = start(&upstream);
    let request =
        format!("GET /p/p/runs/1?stream=true HTTP/1.1\r\nHost: t\r\n{}\r\n", authorised(""));
    let mut client = proxy.connect();
    client.send(&request).wait_for("data: one\n\n");
    let mut leaving = proxy.connect();
    leaving.send(&request).wait_for("data: one\n\n");
    drop(leaving);
    upstream.wait_closed_by_proxy(1);
    gate.open();
    let answer = client.response();
    assert_eq!((answer.complete, answer.text().as_str()), (true, "data: one\n\ndata: [DONE]\n\n"));
}

#[test]
fn a_redirect_is_502_as_for_a_chat() {
    let location = "Location: http://127.0.0.1:1/elsewhere\r\n";
    let upstream = Upstream::keep_alive(answer("302 Found", location, b""));
    let proxy = start(&upstream);
    let message = proxy.request("GET", "/p/p/files/x/content", &authorised("")).error(502);
    assert!(message.contains("重定向"), "{message}");
}

#[test]
fn a_request_that_passes_through_is_logged() {
    let upstream = Upstream::json("200 OK", "{\"a\":1}");
    let proxy = start(&upstream);
    let fields = authorised("X-Request-Id: passing-1\r\n");
    assert_eq!(proxy.request("GET", "/p/p/files?secret=x", &fields).status, 200);
    let log = proxy.wait_for_log("耗时:");
    let line = log.lines().find(|line| line.contains("请求 passing-1 ")).expect("a line");
    for part in ["客户端: tester@", "提供商: p", "状态: 200", "大小: 7 字节", "完成 (complete)"]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(line.ends_with(" 秒"), "{line}");
    assert_eq!(proxy.get("/").json()["stats"]["errors"], json!({}));
}

#[test]
fn rows_and_models_are_as_without_pass_through() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start(&upstream);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    assert_eq!(proxy.get("/v1/models").json()["data"][0]["id"], MODEL);
    proxy.get("/nope").error(404);
    assert_eq!(upstream.request().target, "/v1/chat/completions");
}
