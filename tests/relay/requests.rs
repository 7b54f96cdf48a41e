//! What reaches the provider: the request's body with only the model's bytes changed, and the right headers.

use serde_json::json;

use crate::support::*;

/// A proxy whose provider `p` (auto-fetched: refuses no model) answers every chat with `{}`.
fn start() -> (Upstream, TestProxy) {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config([
        auto_provider("p", &upstream),
        auto_provider("zhipu", &upstream),
    ]));
    (upstream, proxy)
}

/// The chats that reached the upstream.
fn chats(upstream: &Upstream) -> Vec<Request> {
    upstream.requests().into_iter().filter(|request| request.method == "POST").collect()
}

/// The body that the provider gets for `body`.
fn relayed(body: &[u8]) -> Vec<u8> {
    let (upstream, proxy) = start();
    let mut client = proxy.connect();
    // Of 32 MB a busy machine takes its time.
    client.set_patience(3 * PATIENCE);
    let answer = client.send(chat_request("", body)).response();
    assert_eq!(answer.status, 200, "{}: {}", show(body), answer.text());
    let request = chats(&upstream).remove(0);
    assert!(request.complete);
    request.body
}

#[test]
fn only_the_bytes_of_the_model_name_change() {
    let bodies: [&[u8]; 12] = [
        br#"{"model":"p/m"}"#,
        br#"{"temperature":1.0,"top_p":1e-0,"seed":12345678901234567890123,"n":-0.0,"x":1E+2,"model":"p/m"}"#,
        br#"{"z":1,"a":2,"model":"p/m","m":3,"unknown":{"model":"p/m","deep":["model",{"model":7}]}}"#,
        "{\"model\":\"p/m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\u4f60\\u597d \\ud83d\\ude00 \u{1F600} é\\/\\b\\f\"}]}".as_bytes(),
        b" \r\n\t{ \"model\" \t:\n \"p/m\"  , \"x\" : [ ] , \"y\":{ } }\r\n\t ",
        br#"{"messages":[{"role":"user","content":"\"model\":\"p/m\""}],"stream":false,"model":"p/m"}"#,
        br#"{"mod\u0065l":"p/m","x":1}"#,
        br#"{"model":"p/m","stream":null}"#,
        br#"{"model":"p/m","x":"a","x":"b"}"#,
        br#"{"model":"p/m","content":"p/m p/m \"p/m\""}"#,
        br#"{"":0,"Model":"x","MODEL":"y","model ":"z","model":"p/m"}"#,
        br#"{"model":"p/m","big":1e999,"small":0.1000000000000000055511151231257827}"#,
    ];
    for body in bodies {
        let expected = if contains(body, "\"content\":\"p/m p/m") {
            br#"{"model":"m","content":"p/m p/m \"p/m\""}"#.to_vec()
        } else {
            replace_model(body)
        };
        let got = relayed(body);
        assert_eq!(got, expected, "sent {}\ngot {}", show(body), show(&got));
    }
}

/// `body` with the value of the top-level model key, known to be `"p/m"` there, replaced by `"m"`.
fn replace_model(body: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(body).expect("UTF-8");
    let mut keys = ["\"model\"", "\"mod\\u0065l\""].iter().flat_map(|key| text.match_indices(key));
    let at = keys.find_map(|(at, key)| {
        let rest = text[at + key.len()..].trim_start().strip_prefix(':')?.trim_start();
        let value = text.len() - rest.len();
        let depth = text[..at].matches('{').count() - text[..at].matches('}').count();
        (rest.starts_with("\"p/m\"") && depth == 1).then_some(value)
    });
    let at = at.expect("a model");
    [&text[..at], "\"m\"", &text[at + 5..]].concat().into_bytes()
}

#[test]
fn model_ids_are_split_at_the_first_slash_only() {
    let got = relayed(br#"{"model":"p/deepseek-ai/DeepSeek-V3","x":1}"#);
    assert_eq!(got, br#"{"model":"deepseek-ai/DeepSeek-V3","x":1}"#);
    let got = relayed(br#"{"model":"p//odd/","x":1}"#);
    assert_eq!(got, br#"{"model":"/odd/","x":1}"#);
}

#[test]
fn escapes_in_the_model_name_are_understood() {
    let got = relayed(br#"{"model":"zhipu\/glm-4","x":"\/"}"#);
    assert_eq!(got, br#"{"model":"glm-4","x":"\/"}"#);
    for (sent, name) in [
        (r"\u007a\u0068ipu/glm", "glm"),
        (r"zhipu\u002fglm", "glm"),
        (r#"zhipu/a\"b\\c"#, "a\"b\\c"),
        (r"zhipu/\u4f60\ud83d\ude00", "你😀"),
        ("zhipu/你好", "你好"),
        (r"zhipu/a\nb\u0000", "a\nb\0"),
    ] {
        let got = relayed(format!(r#"{{"a":1.0,"model":"{sent}","z":2.50}}"#).as_bytes());
        assert!(got.starts_with(br#"{"a":1.0,"model":""#), "{}", show(&got));
        assert!(got.ends_with(br#"","z":2.50}"#), "{}", show(&got));
        let json: serde_json::Value = serde_json::from_slice(&got).expect("still JSON");
        assert_eq!(json["model"], name, "{sent}");
    }
}

#[test]
fn a_large_body_arrives_whole() {
    let body = format!(r#"{{"messages":"{}","model":"p/m"}}"#, "x".repeat(8_000_000));
    let got = relayed(body.as_bytes());
    assert!(got == body.replace("p/m", "m").into_bytes(), "{} bytes", got.len());
}

#[test]
fn a_body_of_32_megabytes_is_accepted_by_default() {
    let body = format!(r#"{{"model":"p/m","x":"{}"}}"#, "x".repeat(32_000_000));
    assert_eq!(relayed(body.as_bytes()).len(), body.len() - 2);
}

#[test]
fn end_to_end_headers_reach_the_provider() {
    let (upstream, proxy) = start();
    let headers = "OpenAI-Organization: org-1\r\nOpenAI-Beta: assistants=v2\r\nx-stainless-lang: python\r\n\
        X-Stainless-Retry-Count: 0\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
        Accept: application/json\r\nUser-Agent: OpenAI/Python 1.2.3\r\nX-Twice: one\r\nX-Twice: two\r\n\
        X-Empty:\r\nX-Spaces: \t a  b \t\r\nIdempotency-Key: k-1\r\n";
    assert_eq!(proxy.chat_with(headers, chat(MODEL)).status, 200);
    let head = chats(&upstream).remove(0).head;
    for line in headers.split_terminator("\r\n") {
        let (name, value) = line.split_once(':').expect("a header");
        let value = value.trim_matches([' ', '\t']).to_owned();
        assert!(head.all(name).contains(&value), "{name}: {value:?} in {}", show(&head.raw));
    }
    assert_eq!(head.all("x-twice"), ["one", "two"]);
    assert_eq!(head.get("content-type").as_deref(), Some("application/json"));
}

#[test]
fn the_provider_gets_its_own_key_host_and_length() {
    let (upstream, proxy) = start();
    proxy.chat(chat(MODEL));
    let request = chats(&upstream).remove(0);
    assert_eq!(request.target, "/v1/chat/completions");
    assert_eq!(request.head.start, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(request.head.get("authorization"), Some(format!("Bearer {KEY}")));
    assert_eq!(request.head.get("host"), Some(upstream.addr().to_string()));
    assert_eq!(request.head.get("content-length"), Some(request.body.len().to_string()));
    assert!(!contains(&request.head.raw, TOKEN));
}

#[test]
fn hop_by_hop_headers_cookies_and_addresses_stay_with_us() {
    let (upstream, proxy) = start();
    let headers = "Cookie: session=1\r\nConnection: keep-alive, X-Mine\r\nX-Mine: secret\r\nKeep-Alive: 5\r\n\
        Proxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: X-T\r\nUpgrade: h2c\r\n\
        Proxy-Authorization: Basic eDp5\r\nX-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n\
        X-Real-IP: 203.0.113.9\r\nX-Forwarded-Host: h\r\nCF-Connecting-IP: 203.0.113.9\r\n\
        True-Client-IP: 203.0.113.9\r\nVia: 1.1 front\r\nX-Kept: yes\r\n";
    assert_eq!(proxy.chat_with(headers, chat(MODEL)).status, 200);
    let head = chats(&upstream).remove(0).head;
    let gone = [
        "cookie",
        "x-mine",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "proxy-authorization",
        "expect",
        "transfer-encoding",
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "x-forwarded-host",
        "cf-connecting-ip",
        "true-client-ip",
        "via",
    ];
    for name in gone {
        assert_eq!(head.all(name), [""; 0], "{name} in {}", show(&head.raw));
    }
    assert!(!head.all("connection").iter().any(|value| value.to_lowercase().contains("x-mine")));
    assert_eq!(head.get("x-kept").as_deref(), Some("yes"));
}

#[test]
fn a_connection_header_cannot_strip_what_the_provider_needs() {
    let (upstream, proxy) = start();
    let headers = "Connection: close, authorization, content-length, host, content-type\r\n";
    assert_eq!(proxy.chat_with(headers, chat(MODEL)).status, 200);
    let request = chats(&upstream).remove(0);
    assert!(request.complete);
    assert_eq!(request.head.get("authorization"), Some(format!("Bearer {KEY}")));
    assert_eq!(request.head.get("host"), Some(upstream.addr().to_string()));
    assert_eq!(request.json()["model"], "m");
}

#[test]
fn the_provider_is_asked_for_identity() {
    let (upstream, proxy) = start();
    assert_eq!(proxy.chat_with("Accept-Encoding: gzip, br\r\n", chat(MODEL)).status, 200);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    for request in chats(&upstream) {
        assert_eq!(request.head.get("accept-encoding").as_deref(), Some("identity"));
    }
}

#[test]
fn a_query_is_ignored_by_the_dispatcher() {
    let (upstream, proxy) = start();
    let body = chat(MODEL);
    let request = String::from_utf8(chat_request("", body.as_bytes())).expect("ASCII");
    let request = request.replacen("completions HTTP", "completions?api-version=1&x=%2F HTTP", 1);
    assert_eq!(proxy.raw(request.as_bytes()).status, 200);
    assert!(chats(&upstream)[0].target.starts_with("/v1/chat/completions"));
    assert_eq!(proxy.get("/health?x=/v1/models").status, 200);
    assert_eq!(proxy.get("/?").status, 200);
}

#[test]
fn a_header_of_the_old_request_never_leaks_into_the_next() {
    let (upstream, proxy) = start();
    let mut client = proxy.connect();
    client.send(chat_request("X-First: 1\r\n", chat("p/first-model-name").as_bytes())).response();
    client.send(chat_request("X-Second: 2\r\n", chat("p/2").as_bytes())).response();
    let second = chats(&upstream).remove(1);
    assert!(!contains(&second.head.raw, "X-First"));
    assert_eq!(second.body, chat("2").as_bytes());
}

#[test]
fn providers_are_chosen_by_the_exact_name() {
    let (a, b) = (Upstream::json("200 OK", r#""a""#), Upstream::json("200 OK", r#""b""#));
    let proxy = TestProxy::start(&config([auto_provider("a", &a), auto_provider("a.b", &b)]));
    assert_eq!(proxy.chat(chat("a/x")).json(), json!("a"));
    assert_eq!(proxy.chat(chat("a.b/x")).json(), json!("b"));
    assert!(proxy.chat(chat("A/x")).error(404).contains("A/x"));
    assert!(proxy.chat(chat("a.b.c/x")).error(404).contains("a.b.c/x"));
}
