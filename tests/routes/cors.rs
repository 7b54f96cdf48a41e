//! `cors_origins`: which pages of browsers may use the proxy, and what tells their browsers so.

use serde_json::json;

use crate::support::*;

const PAGE: &str = "https://chat.example";
const FROM_PAGE: &str = "Origin: https://chat.example\r\n";
const FROM_STRANGER: &str = "Origin: https://evil.example\r\n";
const PREFLIGHT: &str = "Access-Control-Request-Method: POST\r\n\
     Access-Control-Request-Headers: authorization,content-type,x-stainless-lang\r\n";

/// A proxy that the page may use.
fn start(upstream: &Upstream) -> TestProxy {
    let origins = json!([PAGE, "app://obsidian.md", "http://localhost:*"]);
    TestProxy::start(&with(config_for(upstream), json!({"cors_origins": origins})))
}

/// A provider that has an opinion of its own.
fn opinionated() -> Upstream {
    Upstream::each(|_, connection| {
        let fields = "Content-Type: application/json\r\nVary: Accept-Encoding\r\n\
             access-control-allow-origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
             ACCESS-CONTROL-EXPOSE-HEADERS: X-Theirs\r\nRetry-After: 7\r\n";
        connection.send(answer("200 OK", fields, b"{}"));
    })
}

/// All lines of a response that browsers read, in lower case.
fn told(answer: &Response) -> Vec<String> {
    let text = String::from_utf8_lossy(&answer.head.raw).to_ascii_lowercase();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("access-control-") || line.starts_with("vary:"));
    lines.map(str::to_owned).collect()
}

/// Asserts that the page may read this response, and that its browser is told so once.
#[track_caller]
fn assert_open(answer: &Response) {
    let lines = told(answer);
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(answer.head.all("access-control-allow-origin"), [PAGE], "{lines:?}");
    assert_eq!(count("access-control-expose-headers:"), 1, "{lines:?}");
    assert_eq!(count("access-control-allow-credentials"), 0, "{lines:?}");
    assert_eq!(lines.join("\n").matches("origin").count(), 2, "one name, one in Vary: {lines:?}");
    let exposed = answer.header("access-control-expose-headers").expect("exposed");
    let exposed: Vec<_> = exposed.split(", ").collect();
    for name in [
        "x-request-id",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-remaining-tokens",
        "anthropic-ratelimit-requests-reset",
    ] {
        assert!(exposed.contains(&name), "{name} in {exposed:?}");
    }
}

/// Asserts that no page may read this response.
#[track_caller]
fn assert_closed(answer: &Response) {
    let lines = told(answer);
    assert!(!lines.iter().any(|line| line.starts_with("access-control-")), "{lines:?}");
    let vary = answer.head.all("vary").join(", ").to_ascii_lowercase();
    assert_eq!(vary.matches("origin").count(), 1, "{lines:?}");
}

#[test]
fn a_preflight_of_a_listed_page_is_answered_before_authorisation() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start(&upstream);
    let mut client = proxy.connect();
    for (path, methods) in [
        ("/v1/chat/completions", "POST"),
        ("/chat/completions", "POST"),
        ("/v1/messages?beta=true", "POST"),
        ("/v1/responses", "POST"),
        ("/v1/responses/resp_1", "GET, HEAD, DELETE"),
        ("/v1/responses/resp_1/cancel", "POST"),
        ("/v1/responses/resp_1/input_items?limit=1", "GET, HEAD"),
        ("/v1/audio/transcriptions?model=p%2Fm", "POST"),
        ("/images/edits", "POST"),
        ("/v1/models", "GET, HEAD"),
        ("/v1/models/p/m", "GET, HEAD"),
        ("/health", "GET, HEAD"),
        ("/", "GET, HEAD"),
    ] {
        let request = format!("OPTIONS {path} HTTP/1.1\r\nHost: t\r\n{FROM_PAGE}{PREFLIGHT}\r\n");
        let answer = client.send(request).response_to("OPTIONS");
        assert_eq!((answer.status, answer.reason.as_str()), (204, "No Content"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some(PAGE), "{path}");
        assert_eq!(answer.header("access-control-allow-methods").as_deref(), Some(methods));
        let headers = answer.header("access-control-allow-headers");
        assert_eq!(headers.as_deref(), Some("authorization,content-type,x-stainless-lang"));
        assert_eq!(answer.header("access-control-max-age").as_deref(), Some("600"));
        assert_eq!(answer.head.all("vary"), ["Origin, Access-Control-Request-Headers"]);
        assert_eq!(answer.head.all("access-control-allow-private-network"), [""; 0]);
        // RFC 9110 §8.6 and §6.4.1.
        for name in ["content-length", "transfer-encoding", "content-type", "connection"] {
            assert_eq!(answer.header(name), None, "{path}: {name}");
        }
        assert!(answer.header("x-request-id").is_some());
    }
    // No provider is open for it.
    let request = format!("OPTIONS /p/p/files HTTP/1.1\r\nHost: t\r\n{FROM_PAGE}{PREFLIGHT}\r\n");
    assert_eq!(client.send(request).response_to("OPTIONS").status, 404);
    // The connection has served all of them, and it serves on.
    assert_eq!(client.send(GET).response().status, 200);
    assert_eq!(upstream.connections(), 0);
    // It is no chat: its line is that of a small endpoint, below INFO.
    assert!(!proxy.log().contains("OPTIONS"), "{}", proxy.log());
    assert_eq!(proxy.get("/").json()["stats"]["chats"], 0);
}

#[test]
fn a_preflight_may_ask_for_the_private_network() {
    let proxy = start(&Upstream::json("200 OK", "{}"));
    let ask = format!("{FROM_PAGE}{PREFLIGHT}Access-Control-Request-Private-Network: true\r\n");
    let answer = proxy.request("OPTIONS", "/v1/chat/completions", &ask);
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-private-network").as_deref(), Some("true"));
    // A page of a port that needs no name, and one that asks with no further field.
    for origin in ["http://localhost", "http://localhost:5173", "app://obsidian.md"] {
        let ask = format!("Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n");
        let answer = proxy.request("OPTIONS", "/v1/messages", &ask);
        assert_eq!(answer.status, 204, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some(origin));
        assert_eq!(answer.header("access-control-allow-headers"), None);
    }
}

#[test]
fn what_is_no_preflight_of_a_listed_page_is_answered_as_before() {
    let proxy = start(&Upstream::json("200 OK", "{}"));
    let chat = "/v1/chat/completions";
    let method = "Access-Control-Request-Method: POST\r\n";
    for (path, headers, status) in [
        (chat, "".to_owned(), 405),
        (chat, FROM_PAGE.to_owned(), 405),
        (chat, method.to_owned(), 405),
        (chat, format!("{FROM_STRANGER}{method}"), 405),
        (chat, format!("Origin: null\r\n{method}"), 405),
        (chat, format!("{FROM_PAGE}{FROM_STRANGER}{method}"), 405),
        ("/v1/reload", format!("{FROM_PAGE}{method}"), 405),
        ("/v1/nothing", format!("{FROM_PAGE}{method}"), 404),
        ("*", format!("{FROM_PAGE}{method}"), 404),
    ] {
        let answer = proxy.request("OPTIONS", path, &headers);
        answer.error(status);
        if headers.starts_with(FROM_PAGE) && !headers.contains(FROM_STRANGER) {
            assert_open(&answer);
        } else {
            assert_closed(&answer);
        }
    }
}

#[test]
fn every_response_of_ours_can_be_read_by_a_listed_page() {
    let proxy = start(&Upstream::json("200 OK", "{}"));
    let bad_token = "Authorization: Bearer sk-wrong\r\nContent-Length: 2\r\n";
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for (method, path, fields, status) in [
        ("GET", "/", "", 200),
        ("HEAD", "/", "", 200),
        ("GET", "/", "Accept: text/html\r\n", 200),
        ("GET", "/health", "", 200),
        ("GET", "/v1/models", "", 200),
        ("GET", "/nothing", "", 404),
        ("PUT", "/v1/models", "", 405),
        ("POST", "/v1/chat/completions", "Content-Length: 0\r\n", 401),
        ("POST", "/v1/messages", "Content-Length: 0\r\n", 401),
        ("GET", "/v1/realtime", websocket, 426),
    ] {
        let open = proxy.request(method, path, &format!("{FROM_PAGE}{fields}"));
        assert_eq!(open.status, status, "{method} {path}");
        assert_open(&open);
        for stranger in [FROM_STRANGER, ""] {
            let closed = proxy.request(method, path, &format!("{stranger}{fields}"));
            assert_eq!(closed.status, status, "{method} {path}");
            assert_closed(&closed);
        }
    }
    let request =
        format!("POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\n{FROM_PAGE}{bad_token}\r\n{{}}");
    assert_open(&proxy.raw(request.as_bytes()));
    let bad_body = proxy.chat_with(FROM_PAGE, "{");
    bad_body.error(400);
    assert_open(&bad_body);
    // Nothing is known of who sent a head that cannot be read.
    let refused = proxy.raw(b"GET / HTTP/1.1\r\nOrigin: https://chat.example\r\n\r\n");
    refused.error(400);
    assert_closed(&refused);
    let about = proxy.request("GET", "/", FROM_PAGE);
    assert_eq!(about.head.all("vary"), ["accept, Origin"]);
}

#[test]
fn what_a_provider_says_of_pages_is_dropped_and_its_vary_kept() {
    let upstream = opinionated();
    let proxy = start(&upstream);
    let open = proxy.chat_with(FROM_PAGE, chat(MODEL));
    assert_eq!((open.status, open.body.as_slice()), (200, &b"{}"[..]));
    assert_open(&open);
    assert_eq!(open.head.all("vary"), ["Accept-Encoding, Origin"]);
    assert_eq!(open.header("retry-after").as_deref(), Some("7"));
    assert_eq!(upstream.request().head.get("origin"), None);
    for stranger in [FROM_STRANGER, ""] {
        let closed = proxy.chat_with(stranger, chat(MODEL));
        assert_eq!(closed.status, 200);
        assert_closed(&closed);
        assert_eq!(closed.head.all("vary"), ["Accept-Encoding, Origin"]);
    }
}

#[test]
fn without_the_key_all_passes_as_it_did() {
    let upstream = opinionated();
    let proxy = TestProxy::start(&config_for(&upstream));
    let answer = proxy.chat_with(FROM_PAGE, chat(MODEL));
    assert_eq!(answer.head.all("access-control-allow-origin"), ["*"]);
    assert_eq!(answer.head.all("access-control-allow-credentials"), ["true"]);
    assert_eq!(answer.head.all("vary"), ["Accept-Encoding"]);
    let ask = format!("{FROM_PAGE}{PREFLIGHT}");
    let answer = proxy.request("OPTIONS", "/v1/chat/completions", &ask);
    answer.error(405);
    assert_eq!(told(&answer), [""; 0]);
    assert_eq!(told(&proxy.request("GET", "/", FROM_PAGE)), ["vary: accept"]);
}

#[test]
fn streams_refusals_and_early_heads_can_be_read_too() {
    let upstream = Upstream::each(|request, connection| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if body.contains("slow") {
            pause(600);
        }
        if body.contains("refuse") {
            let fields = "Retry-After: 3\r\nVary: origin\r\nAccess-Control-Allow-Origin: *\r\n";
            return connection.send(answer("429 Too Many Requests", fields, b"{}"));
        }
        let head = SSE_HEAD.replace("\r\n\r\n", "\r\nAccess-Control-Allow-Origin: *\r\n\r\n");
        connection.send([head.as_bytes(), &event("one"), &event("[DONE]"), LAST_CHUNK].concat());
    });
    let changes = json!({"cors_origins": [PAGE], "early_keepalive": 0.15});
    let proxy = TestProxy::start(&with(config_for(&upstream), changes));
    let mut client = proxy.connect();
    for (word, status) in [("quick", 200), ("slow", 200), ("refuse", 429), ("slow refuse", 200)] {
        let body = chat_stream(MODEL).replace("hi", word);
        let ask = |fields: &str| chat_request(fields, body.as_bytes());
        let open = client.send(ask(FROM_PAGE)).response();
        assert_eq!((open.status, open.complete), (status, true), "{word}");
        assert_open(&open);
        let closed = client.send(ask(FROM_STRANGER)).response();
        assert_eq!((closed.status, closed.complete), (status, true), "{word}");
        assert_closed(&closed);
    }
    // A provider that is not there.
    let address = free_address("127.0.0.79");
    let gone =
        json!({"provider": "p", "baseurl": format!("http://{address}"), "model_list": ["m"]});
    let proxy = TestProxy::start(&with(config([gone]), json!({"cors_origins": [PAGE]})));
    let answer = proxy.chat_with(FROM_PAGE, chat(MODEL));
    answer.error(502);
    assert_open(&answer);
}

#[test]
fn a_star_lets_every_page_in_and_is_told_as_one() {
    let changes = json!({"cors_origins": [PAGE, "*"]});
    let upstream = opinionated();
    let proxy = TestProxy::start(&with(config_for(&upstream), changes));
    for origin in [FROM_PAGE, FROM_STRANGER, "Origin: null\r\n"] {
        let answer = proxy.request("OPTIONS", "/v1/models", &format!("{origin}{PREFLIGHT}"));
        assert_eq!(answer.status, 204, "{origin}");
        assert_eq!(answer.head.all("access-control-allow-origin"), ["*"], "{origin}");
        let answer = proxy.chat_with(origin, chat(MODEL));
        assert_eq!(answer.head.all("access-control-allow-origin"), ["*"], "{origin}");
        assert_eq!(answer.head.all("access-control-allow-credentials"), [""; 0], "{origin}");
        assert_eq!(answer.head.all("vary"), ["Accept-Encoding, Origin"], "{origin}");
    }
    proxy.request("OPTIONS", "/v1/models", PREFLIGHT).error(405);
}

#[test]
fn fields_that_no_browser_asks_for_are_not_reflected() {
    let proxy = start(&Upstream::json("200 OK", "{}"));
    let mut request = format!("OPTIONS /v1/models HTTP/1.1\r\nHost: t\r\n{FROM_PAGE}").into_bytes();
    request.extend(b"Access-Control-Request-Method: G\xffT\r\n");
    request.extend(b"Access-Control-Request-Headers: x-\xe9, b\r\n\r\n");
    let answer = proxy.raw(&request);
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-headers"), None);
}

#[test]
fn an_entry_that_is_no_origin_is_refused_with_its_key_path() {
    for entry in ["https://chat.example/", "chat.example", "null", "", "https://*.example"] {
        let file = with(config([]), json!({"cors_origins": [PAGE, entry]}));
        let run = run_with_config(&file.to_string(), &["--check"]);
        let said = run.output();
        assert!(said.contains("config.json: cors_origins[1]: "), "{entry}: {said}");
    }
}

#[test]
fn a_reload_lets_another_page_in() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let changes = json!({"cors_origins": [PAGE]});
    assert_eq!(proxy.reload(&with(config_for(&upstream), changes)).status, 200);
    assert_open(&proxy.request("GET", "/v1/models", FROM_PAGE));
}
