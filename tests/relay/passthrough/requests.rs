//! What reaches the provider: the target below `baseurl`, and none of the client's credentials.

use super::*;
use crate::rows::fields;

/// Answers everything, a HEAD without a body.
fn answering() -> Upstream {
    Upstream::each(|request, connection| match request.method.as_str() {
        "HEAD" => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"),
        _ => connection.send(json_answer("200 OK", "{}")),
    })
}

const FIELDS: &str =
    "OpenAI-Beta: assistants=v2\r\nX-Twice: one\r\nX-Twice: two\r\nX-Spaces: a  b\r\n\
    anthropic-version: 2023-06-01\r\nx-ai-proxy-model: q/m\r\n";

fn framing(request: &Request) -> [Vec<String>; 2] {
    ["content-length", "transfer-encoding"].map(|name| request.head.all(name))
}

#[test]
fn every_method_goes_to_its_target_with_its_own_fields_and_body() {
    let upstream = answering();
    let proxy = start(&upstream);
    let length = "Content-Type: application/json\r\nContent-Length: 9\r\n";
    for (method, fields_of_body, body) in [
        ("GET", "", ""),
        ("HEAD", "", ""),
        ("DELETE", "", ""),
        ("OPTIONS", "", ""),
        ("PROPFIND", "", ""),
        ("POST", "Content-Length: 0\r\n", ""),
        ("POST", length, "{\"a\": 1 }"),
        ("POST", length, "not JSON "),
        ("PUT", length, "{\"a\": 1 }"),
        ("PATCH", length, "{\"a\": 1 }"),
        ("DELETE", length, "{\"a\": 1 }"),
        ("GET", length, "{\"a\": 1 }"),
        ("POST", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"),
        ("PUT", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ] {
        let request = |target: &str| {
            let fields = authorised(&format!("{FIELDS}{fields_of_body}"));
            format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n{body}")
        };
        let direct = request("/v1/files/x?limit=2&after=%2F");
        Raw::connect(upstream.addr()).send(direct).response_to(method);
        let mut client = proxy.connect();
        let answer = client.send(request("/p/p/files/x?limit=2&after=%2F")).response_to(method);
        let what = format!("{method} {fields_of_body} {body}");
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert_eq!(client.send(GET).response().status, 200, "{what}: the connection is in step");
        let requests = upstream.requests();
        let [.., first, second] = &requests[..] else { panic!("{requests:?}") };
        assert!(second.complete, "{what}");
        assert_eq!(second.head.start, first.head.start, "{what}");
        assert_eq!(fields(&second.head), fields(&first.head), "{what}");
        assert_eq!(show(&second.body), show(&first.body), "{what}");
        let (sent, got) = (framing(first), framing(second));
        let said = matches!(method, "GET" | "HEAD") || !fields_of_body.is_empty();
        assert!(sent == got || !said && got == [vec!["0".to_owned()], vec![]], "{what}: {got:?}");
        assert_eq!(second.head.get("authorization"), Some(format!("Bearer {KEY}")), "{what}");
        assert_eq!(second.head.get("host"), Some(upstream.addr().to_string()), "{what}");
    }
}

#[test]
fn the_rest_of_the_path_and_the_query_go_on_as_they_were_sent() {
    let upstream = answering();
    let versioned = format!("{}?api-version=1", upstream.base_url());
    let versioned =
        json!({"provider": "q", "baseurl": versioned, "passthrough": true, "model_list": ["m"]});
    let named = open("智谱 1", &upstream);
    let proxy = TestProxy::start(&config([open("p", &upstream), versioned, named]));
    for (target, expected) in [
        ("/p/p/files", "/v1/files"),
        ("/p/p/files/", "/v1/files/"),
        ("/p/p/a%2Fb/%E6%96%87/c%20d", "/v1/a%2Fb/%E6%96%87/c%20d"),
        ("/p/p/a..b/...", "/v1/a..b/..."),
        ("/p/p/..a/b..", "/v1/..a/b.."),
        (
            "/p/p/models/gemini-2:generateContent?alt=sse",
            "/v1/models/gemini-2:generateContent?alt=sse",
        ),
        ("/p/p/x;y=1,2@(z)!$&'*+~_-", "/v1/x;y=1,2@(z)!$&'*+~_-"),
        ("/p/p/v1/files", "/v1/v1/files"),
        ("/p/p/chat/completions/chat/completions", "/v1/chat/completions/chat/completions"),
        ("/p/p/p/p/x", "/v1/p/p/x"),
        ("/p/p/x?", "/v1/x"),
        ("/p/p/x?a=../..//&b=%2e%2e%2F\\&c", "/v1/x?a=../..//&b=%2e%2e%2F\\&c"),
        (
            "/p/p/x?a=%zz&&b[]=\"<x>\"&model=q/m&key=own",
            "/v1/x?a=%zz&&b[]=\"<x>\"&model=q/m&key=own",
        ),
        ("/p/q/x", "/v1/x?api-version=1"),
        ("/p/q/x?beta=true", "/v1/x?api-version=1&beta=true"),
        ("/p/%E6%99%BA%E8%B0%B1%201/files", "/v1/files"),
        ("/p/%e6%99%ba%e8%b0%b1%201/files?a", "/v1/files?a"),
        ("/p/%70/files", "/v1/files"),
    ] {
        let answer = proxy.request("GET", target, &authorised(""));
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let got = upstream.requests().pop().expect("a request").target;
        // An empty query is none.
        assert_eq!(got.trim_end_matches('?'), expected, "{target}");
    }
}

#[test]
fn no_credential_of_a_client_reaches_the_provider() {
    const OWN: &str = "own-key-c40b";
    let upstream = answering();
    let keyless = json!({"provider": "o", "baseurl": upstream.base_url(), "passthrough": true, "model_list": ["m"]});
    let proxy = TestProxy::start(&config([open("p", &upstream), keyless]));
    let all = |value: &str| {
        format!("Authorization: Bearer {value}\r\nX-Api-Key: {value}\r\napi-key: {value}\r\nX-Goog-Api-Key: {value}\r\n")
    };
    let mixed = format!(
        "Authorization: Bearer {TOKEN}\r\nX-Api-Key: {OWN}\r\napi-key: {TOKEN}\r\nX-Goog-Api-Key: {OWN}\r\n"
    );
    let more = format!("X-Mine: {TOKEN}\r\nX-Auth: bearer {TOKEN}\r\nCookie: a={TOKEN}\r\n");
    for (name, fields, own) in [
        ("p", all(TOKEN), 0),
        ("o", all(TOKEN), 0),
        ("p", mixed.clone(), 0),
        ("o", mixed, 2),
        ("p", format!("x-goog-api-key: {TOKEN}\r\n"), 0),
        ("o", format!("api-key: {TOKEN}\r\n"), 0),
    ] {
        for (query, rest) in [
            (String::new(), ""),
            (format!("?key={TOKEN}"), ""),
            (format!("?key={TOKEN}&alt=sse"), "?alt=sse"),
            (format!("?a=%2F&key={TOKEN}&b"), "?a=%2F&b"),
            (format!("?a&key={}", TOKEN.replace('-', "%2D")), "?a"),
        ] {
            let target = format!("/p/{name}/files{query}");
            let answer = proxy.request("GET", &target, &format!("{fields}{more}"));
            let what = format!("{target} {fields}");
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            let request = upstream.requests().pop().expect("a request");
            assert!(!contains(&request.head.raw, TOKEN), "{what}: {}", show(&request.head.raw));
            assert!(!contains(&request.head.raw, "%2D4f1d"), "{what}");
            assert_eq!(request.target, format!("/v1/files{rest}"), "{what}");
            let names = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
            let got: Vec<_> = names.iter().flat_map(|name| request.head.all(name)).collect();
            let expected =
                if name == "p" { vec![format!("Bearer {KEY}")] } else { vec![OWN.to_owned(); own] };
            assert_eq!(got, expected, "{what}");
        }
    }
}

#[test]
fn pass_through_may_have_a_base_of_its_own() {
    let (upstream, own) = (answering(), answering());
    for base in ["/base", "/base/", "", "/a/b"] {
        let url = format!("http://{}{base}", own.addr());
        let provider = with(provider("p", &upstream), json!({ "passthrough": url }));
        let proxy = TestProxy::start(&config([provider]));
        let answer = proxy.request("GET", "/p/p/api/tags?x=%2F", &authorised(""));
        assert_eq!(answer.status, 200, "{base}: {}", answer.text());
        let got = own.requests().pop().expect("a request");
        assert_eq!(got.target, format!("{}/api/tags?x=%2F", base.trim_end_matches('/')), "{base}");
        assert_eq!(got.head.get("authorization"), Some(format!("Bearer {KEY}")));
        assert_eq!(got.head.get("host"), Some(own.addr().to_string()));
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
        assert_eq!(upstream.requests().pop().expect("a chat").target, "/v1/chat/completions");
    }
    assert_eq!((upstream.requests().len(), own.requests().len()), (4, 4));
}
