//! `GET /v1/models` and `GET /v1/models/{id}` in the dialect of who asks.

use serde_json::{json, Value};

use crate::support::*;

const ANTHROPIC: &str = "anthropic-version: 2023-06-01\r\n";

/// A proxy with a fetched list (provider `p`) and a manual one (`q`).
fn proxy() -> TestProxy {
    let list = r#"{"data":[{"id":"m","created":1686935002},{"id":"vendor/deep:free","created":1712361441},
        {"id":"a@b c","created":0},{"id":"名","created":1}]}"#;
    let upstream = Upstream::json("200 OK", list);
    let proxy =
        TestProxy::start(&config([auto_provider("p", &upstream), provider("q", &upstream)]));
    // What was fetched is kept; the provider may go.
    assert_eq!(proxy.get("/v1/models").status, 200);
    proxy
}

fn anthropic(proxy: &TestProxy, path: &str) -> Response {
    proxy.request("GET", path, ANTHROPIC)
}

/// The ids of a page, and whether there are more.
fn page(proxy: &TestProxy, query: &str) -> (Vec<String>, bool) {
    let answer = anthropic(proxy, &format!("/v1/models{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let page = answer.json();
    let data = page["data"].as_array().expect("data");
    let ids: Vec<String> =
        data.iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(page["first_id"], json!(ids.first()), "{page}");
    assert_eq!(page["last_id"], json!(ids.last()), "{page}");
    (ids, page["has_more"].as_bool().expect("has_more"))
}

/// The message of an error in Anthropic's shape.
fn refusal(answer: &Response, status: u16, kind: &str) -> String {
    let body = answer.json();
    assert_eq!((answer.status, &body["type"]), (status, &json!("error")), "{body}");
    assert_eq!(body["error"]["type"], kind, "{body}");
    assert_eq!(body["request_id"], json!(answer.header("x-request-id")), "{body}");
    body["error"]["message"].as_str().expect("a message").to_owned()
}

#[test]
fn the_list_has_the_shape_of_the_asker() {
    let proxy = proxy();
    let openai = proxy.get("/v1/models").text();
    let first = r#"{"object":"list","data":[{"id":"p/m","object":"model","owned_by":"p","created":1686935002},"#;
    assert!(openai.starts_with(first), "{openai}");
    let answer = anthropic(&proxy, "/v1/models");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(answer.header("vary").as_deref(), Some("anthropic-version"));
    let text = answer.text();
    let first = r#"{"data":[{"type":"model","id":"p/m","display_name":"p/m","created_at":"2023-06-16T17:03:22Z"},"#;
    assert!(text.starts_with(first), "{text}");
    let last = "\"has_more\":false,\"first_id\":\"p/m\",\"last_id\":\"q/m\"}\n";
    assert!(text.ends_with(last), "{text}");
    let ids = ["p/m", "p/vendor/deep:free", "p/a@b c", "p/名", "q/m"].map(str::to_owned);
    assert_eq!(page(&proxy, ""), (ids.to_vec(), false));
    assert_eq!(anthropic(&proxy, "/models").text(), text, "without /v1");
    // A query means nothing to OpenAI's clients, and today's bytes are theirs.
    assert_eq!(proxy.get("/v1/models?limit=1").text(), openai);
    assert_eq!(proxy.get("/v1/models").header("vary"), None);
}

#[test]
fn pages_follow_each_other_in_both_directions() {
    let proxy = proxy();
    for (query, ids, more) in [
        ("?limit=2", &["p/m", "p/vendor/deep:free"][..], true),
        ("?limit=2&after_id=p/vendor/deep:free", &["p/a@b c", "p/名"], true),
        ("?after_id=p%2F%E5%90%8D&limit=2", &["q/m"], false),
        ("?limit=2&after_id=q/m", &[], false),
        ("?limit=2&before_id=q/m", &["p/a@b c", "p/名"], true),
        ("?limit=2&before_id=p/a@b+c", &["p/m", "p/vendor/deep:free"], false),
        ("?limit=1&before_id=p/a%40b%20c&limit=9", &["p/vendor/deep:free"], true),
        ("?before_id=p/m", &[], false),
        ("?limit=&after_id=&before_id=p/a%40b%20c", &["p/m", "p/vendor/deep:free"], false),
        ("?beta=true&limit=5", &["p/m", "p/vendor/deep:free", "p/a@b c", "p/名", "q/m"], false),
    ] {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(page(&proxy, query), (ids, more), "{query}");
    }
}

#[test]
fn a_page_that_cannot_be_is_refused_in_that_dialect() {
    let proxy = proxy();
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=two",
        "limit=1.5",
        "limit=+5",
        "limit=99999999999999999999999",
        "after_id=p/none",
        "before_id=m",
        "after_id=p/m&before_id=q/m",
    ] {
        let answer = anthropic(&proxy, &format!("/v1/models?{query}"));
        let name = query.split('=').next().expect("a name");
        let message = refusal(&answer, 400, "invalid_request_error");
        assert!(message.contains(name), "{query}: {message}");
    }
}

#[test]
fn one_model_is_told_in_the_dialect_of_the_asker() {
    let proxy = proxy();
    for (path, id) in [
        ("/v1/models/p/m", "p/m"),
        ("/v1/models/p%2Fm", "p/m"),
        ("/models/p%2fm", "p/m"),
        ("/v1/models/p/vendor/deep:free", "p/vendor/deep:free"),
        ("/v1/models/p%2Fvendor%2Fdeep%3Afree?x=1", "p/vendor/deep:free"),
        ("/v1/models/p/a@b%20c", "p/a@b c"),
        ("/v1/models/p/a%40b%20c", "p/a@b c"),
        ("/v1/models/p/%E5%90%8D", "p/名"),
        ("http://h/v1/models/q/m", "q/m"),
    ] {
        let answer = proxy.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("location"), None);
        let listed = proxy.get("/v1/models").json()["data"].clone();
        let is_it = |entry: &&Value| entry["id"] == id;
        let entry = listed.as_array().and_then(|all| all.iter().find(is_it)).expect("it is listed");
        assert_eq!(&answer.json(), entry, "{path}");
        let listed = anthropic(&proxy, "/v1/models").json()["data"].clone();
        let entry = listed.as_array().and_then(|all| all.iter().find(is_it)).expect("it is listed");
        assert_eq!(&anthropic(&proxy, path).json(), entry, "{path}");
    }
    let bytes = r#"{"id":"p/m","object":"model","owned_by":"p","created":1686935002}"#;
    assert_eq!(proxy.get("/v1/models/p/m").text(), format!("{bytes}\n"));
    let bytes =
        r#"{"type":"model","id":"p/m","display_name":"p/m","created_at":"2023-06-16T17:03:22Z"}"#;
    assert_eq!(anthropic(&proxy, "/v1/models/p/m").text(), format!("{bytes}\n"));
}

#[test]
fn an_unknown_model_is_404_with_its_name() {
    let proxy = proxy();
    let empty = TestProxy::start(&config([]));
    for (path, name) in [
        ("/v1/models/m", "m"),
        ("/v1/models/p/", "p/"),
        ("/models/p/none", "p/none"),
        ("/v1/models/p/a+b", "p/a+b"),
        ("/v1/models/P/m", "P/m"),
        ("/v1/models/p%252Fm", "p%2Fm"),
        ("/v1/models/p/m%20", "p/m "),
        ("/v1/models/../health", "../health"),
        ("/v1/models/p/%zz", "p/%zz"),
        ("/v1/models/models", "models"),
        ("/v1/models/%FF", "\u{fffd}"),
    ] {
        for proxy in [&proxy, &empty] {
            let expected = format!("未找到模型 {name} (no such model)");
            assert_eq!(proxy.get(path).error(404), expected, "{path}");
            let answer = anthropic(proxy, path);
            assert_eq!(refusal(&answer, 404, "not_found_error"), expected, "{path}");
        }
    }
    let long = format!("/v1/models/{}", "x".repeat(5000));
    assert!(proxy.get(&long).error(404).len() < 400, "a long name is cut");
}

#[test]
fn filtered_models_are_unknown() {
    let upstream = Upstream::json("200 OK", r#"{"data":[{"id":"keep"},{"id":"drop"}]}"#);
    let one = config([auto_provider("p", &upstream)]);
    let proxy = TestProxy::start(&with(one, json!({"supported_models": ["^p/keep"]})));
    assert_eq!(proxy.get("/v1/models/p/keep").status, 200);
    assert!(proxy.get("/v1/models/p/drop").error(404).contains("p/drop"));
    assert_eq!(page(&proxy, ""), (vec!["p/keep".to_owned()], false));
}

#[test]
fn other_methods_are_refused_in_the_dialect_of_the_asker() {
    let proxy = proxy();
    for path in ["/v1/models", "/models", "/v1/models/p/m", "/models/p/m"] {
        let answer = proxy.request("POST", path, "");
        assert!(!answer.error(405).is_empty(), "{path}");
        assert_eq!(answer.header("allow").as_deref(), Some("GET, HEAD"), "{path}");
        let answer = proxy.request("DELETE", path, ANTHROPIC);
        assert_eq!(answer.header("allow").as_deref(), Some("GET, HEAD"), "{path}");
        assert!(refusal(&answer, 405, "invalid_request_error").contains("GET"), "{path}");
    }
    // Where no model is asked for, that field says nothing.
    assert!(!anthropic(&proxy, "/v1/modelss").error(404).is_empty());
    assert!(!anthropic(&proxy, "/v1/models/").error(404).is_empty());
    assert!(!proxy.request("POST", "/health", ANTHROPIC).error(405).is_empty());
}

#[test]
fn head_is_get_without_the_body_in_both_dialects() {
    let proxy = proxy();
    for (path, status) in [
        ("/v1/models", 200),
        ("/v1/models/p/m", 200),
        ("/models/p%2Fm", 200),
        ("/v1/models/none", 404),
        ("/v1/models?limit=0", 200),
    ] {
        for fields in ["", ANTHROPIC] {
            let status = if path.contains("limit") && !fields.is_empty() { 400 } else { status };
            let get = proxy.request("GET", path, fields);
            let mut client = proxy.connect();
            let request = format!("HEAD {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
            let head = client.send(request).response_to("HEAD");
            assert_eq!((get.status, head.status), (status, status), "{path}");
            for field in ["content-type", "vary"] {
                assert_eq!(head.header(field), get.header(field), "{path}");
            }
            // Ids of requests, which errors of Anthropic's shape hold, are all of one length.
            assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
            assert_eq!(client.send(GET).response().status, 200);
        }
    }
}

#[test]
fn one_known_model_does_not_wait_for_the_lists_of_others() {
    let silent = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let manual = Upstream::json("200 OK", "{}");
    let proxy =
        TestProxy::start(&config([auto_provider("silent", &silent), provider("p", &manual)]));
    silent.wait_requests(1);
    assert_eq!(proxy.get("/v1/models/p/m").status, 200);
    assert_eq!(silent.closed_by_proxy(), 0, "the fetch still waits");
}
