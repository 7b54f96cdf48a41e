//! Bodies that name a stored response or a conversation.

use super::*;

const ROWS: [&str; 4] =
    ["/v1/responses", "/responses", "/v1/responses/input_tokens", "/responses/compact"];

fn house() -> House {
    let house = House::new();
    let body = "{\"id\":\"resp_b\",\"conversation\":{\"id\":\"conv_b\"}}";
    assert_eq!(house.teach("/v1/responses", "beta", &[&json_text(body)]).status, 200);
    house.stored("alpha", "resp_a");
    house
}

#[test]
fn a_body_without_model_goes_where_its_response_is_as_it_was_sent() {
    let house = house();
    for row in ROWS {
        for (body, name) in [
            ("{\"previous_response_id\":\"resp_b\"}", "beta"),
            (" {\"x\":1e400,\t\"previous_response_id\" : \"resp_a\", \"y\":[1.0 ,-0],\"z\":\"\\u00e9\\/\"}\r\n", "alpha"),
            ("{\"input\":[{\"previous_response_id\":\"resp_a\"}],\"previous_response_id\":\"resp\\u005fb\"}", "beta"),
            ("{\"conversation\":\"conv_b\",\"stream\":false}", "beta"),
            ("{\"conversation\":{\"id\":\"conv_b\" }, \"previous_response_id\":null}", "beta"),
            ("{\"model\":\"beta/m\",\"previous_response_id\":\"resp_b\",\"x\":1.0}", "beta"),
            ("{\"previous_response_id\":\"resp_a\", \"model\" : \"alpha/m\"}", "alpha"),
            ("{\"model\":\"beta/m\",\"conversation\":{\"id\":\"conv_b\"}}", "beta"),
        ] {
            let answer = house.post(row, "", body);
            assert_eq!(answer.status, 200, "{row} {body}: {}", answer.text());
            assert_eq!(answer.json()["from"], name, "{row} {body}");
            let got = house.last(name);
            let expected = body.replace("beta/m", "m").replace("alpha/m", "m");
            assert_eq!(show(&got.body), show(expected.as_bytes()), "{row}");
            assert_eq!(got.target, format!("/v1{}", row.trim_start_matches("/v1")));
        }
    }
}

#[test]
fn a_model_of_another_provider_is_400_that_names_both() {
    let house = house();
    let before = house.sent();
    for body in [
        "{\"model\":\"alpha/m\",\"previous_response_id\":\"resp_b\"}",
        "{\"previous_response_id\":\"resp_a\",\"model\":\"beta/m\"}",
        "{\"model\":\"alpha/m\",\"conversation\":\"conv_b\"}",
        "{\"model\":\"alpha/m\",\"conversation\":{\"id\":\"conv_b\"}}",
    ] {
        let message = house.post("/v1/responses", "", body).error(400);
        assert!(message.contains("alpha") && message.contains("beta"), "{body}: {message}");
    }
    let unknown = "{\"model\":\"beta/nope\",\"previous_response_id\":\"resp_b\"}";
    house.post("/v1/responses", "", unknown).error(404);
    assert_eq!(house.sent(), before);
}

#[test]
fn what_is_unknown_goes_by_its_model_or_as_query_or_header_say() {
    let house = house();
    let before = house.sent();
    for body in [
        "{\"previous_response_id\":\"resp_unknown\"}",
        "{\"conversation\":\"conv_unknown\"}",
        "{\"conversation\":{\"id\":\"conv_unknown\"},\"x\":1.0}",
    ] {
        assert_unknown(&house.post("/v1/responses", "", body), body);
    }
    // Another client's are unknown as well.
    let body = "{\"previous_response_id\":\"resp_b\"}";
    let other = house.proxy.raw(
        format!(
            "POST /v1/responses HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {OTHER}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    assert_unknown(&other, "another client's");
    assert_eq!(house.sent(), before);
    for (query, fields, body, name, rest) in [
        ("", "", "{\"previous_response_id\":\"resp_unknown\",\"model\":\"alpha/m\"}", "alpha", ""),
        ("?a=b", "", "{\"model\":\"beta/m\",\"conversation\":\"conv_unknown\"}", "beta", "?a=b"),
        (
            "?a=%2F&model=beta%2Fm",
            "",
            "{\"previous_response_id\":\"resp_unknown\" }",
            "beta",
            "?a=%2F",
        ),
        ("", "x-ai-proxy-model: alpha/m\r\n", "{\"conversation\":\"conv_unknown\"}", "alpha", ""),
    ] {
        let answer = house.post(&format!("/v1/responses{query}"), fields, body);
        assert_eq!(answer.status, 200, "{query} {body}: {}", answer.text());
        let got = house.last(name);
        let expected = body.replace("beta/m", "m").replace("alpha/m", "m");
        assert_eq!(show(&got.body), show(expected.as_bytes()));
        assert_eq!(got.target, format!("/v1/responses{rest}"));
        assert_eq!(got.head.get("x-ai-proxy-model"), None);
    }
}

#[test]
fn with_one_provider_a_body_that_names_a_response_needs_no_model() {
    let alpha = storing("alpha");
    let proxy = TestProxy::start(&config([provider("alpha", &alpha)]));
    let body = "{ \"previous_response_id\":\"resp_unknown\"}";
    let answer = proxy.raw(
        format!(
            "POST /v1/responses HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(show(&alpha.request().body), show(body.as_bytes()));
}

#[test]
fn what_names_no_response_needs_a_model_as_ever() {
    let house = house();
    let before = house.sent();
    for body in [
        "{}",
        "{\"input\":\"x\"}",
        "{\"previous_response_id\":null}",
        "{\"conversation\":null}",
        "{\"conversation\":{}}",
        "{\"input\":{\"previous_response_id\":\"resp_a\"}}",
        "{\"previous_response_id\":\"resp_a\",\"model\":5}",
    ] {
        let message = house.post("/v1/responses", "", body).error(400);
        assert!(message.contains("model"), "{body}: {message}");
    }
    for row in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] {
        let message = house.post(row, "", "{\"previous_response_id\":\"resp_a\"}").error(400);
        assert!(message.contains("model"), "{row}: {message}");
    }
    assert_eq!(house.sent(), before);
    // Elsewhere these names mean nothing.
    let body = "{\"model\":\"beta/m\",\"previous_response_id\":\"resp_a\"}";
    assert_eq!(house.post("/v1/chat/completions", "", body).json()["from"], "beta");
}

#[test]
fn a_request_for_a_stored_response_is_logged_with_its_provider() {
    let house = house();
    let fields = "X-Request-Id: stored-1\r\n";
    assert_eq!(house.ask("GET", "/v1/responses/resp_b", fields).status, 200);
    let log = house.proxy.wait_for_log("请求 stored-1 ");
    let line = log.lines().find(|line| line.contains("请求 stored-1 ")).expect("a line");
    for part in ["客户端: one@", "提供商: beta", "状态: 200", "完成 (complete)", "耗时: "]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
}
