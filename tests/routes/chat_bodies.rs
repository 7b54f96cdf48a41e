//! What is wrong with the body of a chat, and what is not: exact texts and statuses.

use crate::auth::start;
use crate::support::*;

/// The message of the 400 for this body.
fn bad_request(body: impl AsRef<[u8]>) -> String {
    let (upstream, proxy) = start();
    let message = proxy.chat(&body).error(400);
    assert!(upstream.requests().iter().all(|request| request.method == "GET"));
    message
}

#[test]
fn a_body_that_is_not_json_is_400_with_line_and_column() {
    let message = bad_request("{\"model\": \"p/m\",\n  \"x\": }");
    assert!(message.contains('2') && message.contains('8'), "line 2 column 8: {message}");
    for body in [
        "",
        " ",
        "{",
        "model=p/m",
        "{\"model\":\"p/m\"",
        "{\"model\":\"p/m\"} x",
        "{'model':'p/m'}",
    ] {
        bad_request(body);
    }
    for body in
        ["{\"model\":\"p/m\",}", "{\"model\":\"p/m\"}{}", "{\"model\":\"p/m\",\"x\":01}", "nul"]
    {
        bad_request(body);
    }
    bad_request("{\"model\":\"p/m\",\"x\":\"\n\"}");
    bad_request("{\"model\":\"p/m\\ud800\"}");
}

#[test]
fn a_body_without_a_model_is_400() {
    for body in
        [r#"{"messages":[]}"#, "{}", r#"{"messages":[{"model":"p/m"}]}"#, r#"{"Model":"p/m"}"#]
    {
        let message = bad_request(body);
        assert!(message.contains("model"), "{message}");
    }
}

#[test]
fn a_model_that_is_not_a_string_is_400() {
    for value in ["5", "null", "true", "[]", "{}", r#"["p/m"]"#, r#"{"id":"p/m"}"#] {
        let message = bad_request(format!(r#"{{"model":{value}}}"#));
        assert!(message.contains("model"), "{value}: {message}");
    }
}

#[test]
fn a_body_that_is_not_an_object_is_400() {
    for body in [r#"[{"model":"p/m"}]"#, r#""p/m""#, "5", "null", "true", "[]"] {
        bad_request(body);
    }
}

#[test]
fn a_body_that_is_not_utf8_is_400() {
    bad_request(b"{\"model\":\"p/m\",\"x\":\"\xff\"}");
    bad_request(b"{\"model\":\"p/m\",\"x\":\"\xed\xa0\x80\"}");
    bad_request(b"\xff\xfe{\0}\0");
}

#[test]
fn two_models_are_400() {
    bad_request(r#"{"model":"p/m","model":"p/m"}"#);
    bad_request(r#"{"model":"p/m","x":1,"mod\u0065l":"q/n"}"#);
}

#[test]
fn a_hundred_thousand_brackets_are_400() {
    let (_upstream, proxy) = start();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let closed = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        for body in [
            format!(r#"{{"model":"p/m","x":{closed}}}"#),
            format!(r#"{{"model":"p/m","x":{}"#, open.repeat(100_000)),
            open.repeat(100_000),
            format!(r#"{{"model":{closed}}}"#),
        ] {
            proxy.chat(body).error(400);
        }
    }
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
}

#[test]
fn reasonable_nesting_is_accepted() {
    let (_upstream, proxy) = start();
    let body = format!(r#"{{"model":"p/m","x":{}{}}}"#, "[".repeat(60), "]".repeat(60));
    assert_eq!(proxy.chat(body).status, 200);
}

#[test]
fn a_byte_order_mark_is_accepted() {
    let (upstream, proxy) = start();
    assert_eq!(proxy.chat(format!("\u{feff}{}", chat(MODEL))).status, 200);
    let got = upstream.requests().into_iter().rfind(|request| request.method == "POST");
    let got = got.expect("a chat").body;
    let body = got.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&got);
    assert_eq!(body, chat("m").as_bytes());
}

#[test]
fn a_stream_flag_that_is_no_boolean_is_left_to_the_provider_or_400() {
    let (_upstream, proxy) = start();
    for value in ["1", "\"true\"", "null", "[]"] {
        let status = proxy.chat(format!(r#"{{"model":"p/m","stream":{value}}}"#)).status;
        assert!(matches!(status, 200 | 400), "{value}: {status}");
    }
}

#[test]
fn a_model_name_of_megabytes_is_404_and_not_kept() {
    let proxy = TestProxy::start(&config_for(&Upstream::json("200 OK", "{}")));
    let message = proxy.chat(chat(&format!("p/{}", "测".repeat(1_000_000)))).error(404);
    assert!(message.contains("未找到模型 p/测测") && message.len() < 1000, "{message}");
}

#[test]
fn a_body_in_a_coding_that_cannot_be_read_is_415_and_says_which() {
    let proxy = TestProxy::start(&config([]));
    for coding in ["br", "gzip, zstd", "x-unknown"] {
        let answer = proxy.chat_with(&format!("Content-Encoding: {coding}\r\n"), b"\x1f\x8b\x08");
        assert!(answer.error(415).contains(coding), "{}", answer.text());
        assert_eq!(answer.header("accept-encoding").as_deref(), Some("gzip, deflate, zstd"));
    }
}
