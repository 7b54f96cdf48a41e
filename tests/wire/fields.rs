//! What passes and what stays.

use crate::support::*;

/// A browser's, a front's, and a sign-in proxy's.
const STAY: &[&str] = &[
    "Origin: http://mybox:8001",
    "Origin: null",
    "Referer: http://mybox:8001/",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: cors",
    "sec-ch-ua: \"x\"",
    "Sec-GPC: 1",
    "DNT: 1",
    "Upgrade-Insecure-Requests: 1",
    "Access-Control-Request-Method: POST",
    "Access-Control-Request-Headers: authorization",
    "Forwarded: for=203.0.113.9",
    "Via: 1.1 front",
    "X-Forwarded: 203.0.113.9",
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Access-Token: t0",
    "X-Original-Forwarded-For: 203.0.113.9",
    "X-Original-URL: /x",
    "X-Real-IP: 203.0.113.9",
    "X-Client-IP: 203.0.113.9",
    "X-Cluster-Client-IP: 203.0.113.9",
    "True-Client-IP: 203.0.113.9",
    "CF-Connecting-IP: 203.0.113.9",
    "CF-Connecting-IPv6: 2001:db8::9",
    "CF-Ray: 230b030023ae2822-SJC",
    "CF-IPCountry: CN",
    "Cf-Access-Jwt-Assertion: t1",
    "CDN-Loop: cloudflare",
    "CloudFront-Viewer-Address: 203.0.113.9",
    "Fly-Client-IP: 203.0.113.9",
    "Fastly-Client-IP: 203.0.113.9",
    "X-Vercel-Forwarded-For: 203.0.113.9",
    "X-Envoy-External-Address: 203.0.113.9",
    "X-Azure-ClientIP: 203.0.113.9",
    "X-Azure-SocketIP: 203.0.113.9",
    "X-Azure-Ref: x",
    "X-Azure-FDID: x",
    "X-Appengine-User-IP: 203.0.113.9",
    "X-Amzn-Oidc-Data: t2",
    "X-Goog-IAP-JWT-Assertion: t3",
    "X-Goog-Authenticated-User-Email: a@b",
    "X-Auth-Request-Access-Token: t4",
    "X-MS-CLIENT-PRINCIPAL-NAME: a@b",
    "X-MS-TOKEN-AAD-ACCESS-TOKEN: t5",
    "X-authentik-jwt: t6",
    "Remote-User: alice",
    "Tailscale-User-Login: a@b",
];

/// An SDK's own, and what only looks like the others.
const PASS: &[&str] = &[
    "HTTP-Referer: https://app.example",
    "X-Title: me",
    "OpenAI-Organization: org",
    "OpenAI-Beta: x",
    "anthropic-version: 2023-06-01",
    "anthropic-beta: a,b",
    "x-stainless-lang: python",
    "traceparent: 00-1-2-03",
    "X-Azure-Region: x",
    "X-Token-Count: 5",
];

#[test]
fn what_a_browser_or_a_front_says_of_its_client_stays_here() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for spelt in [str::to_owned, str::to_lowercase, str::to_uppercase] as [fn(&str) -> String; 3] {
        let lines = STAY.iter().chain(PASS).map(|line| {
            let (name, value) = line.split_once(": ").expect("a field");
            format!("{}: {value}\r\n", spelt(name))
        });
        assert_eq!(proxy.chat_with(&lines.collect::<String>(), chat(MODEL)).status, 200);
        let head = upstream.requests().pop().expect("a request").head;
        let name = |line: &str| line.split(':').next().expect("a name").to_owned();
        for line in STAY {
            assert_eq!(head.all(&name(line)), [""; 0], "{line}");
        }
        for line in PASS {
            assert_eq!(head.all(&name(line)).len(), 1, "{line}");
        }
    }
}

#[test]
fn a_reload_for_somebody_else_needs_a_token() {
    let proxy = TestProxy::start(&config([]));
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for line in STAY.iter().filter(|line| !line.starts_with("Sec-Fetch-Mode")) {
        let answer = proxy.request("POST", "/v1/reload", &format!("{line}\r\n"));
        assert_eq!(answer.status, 401, "{line}");
        let answer = proxy.request("POST", "/v1/reload", &format!("{line}\r\n{token}"));
        assert_eq!(answer.status, 200, "{line}");
    }
    // Node's `fetch` is no browser.
    for line in PASS.iter().chain(&["Sec-Fetch-Mode: cors", "Accept-Language: *"]) {
        let answer = proxy.request("POST", "/v1/reload", &format!("{line}\r\n"));
        assert_eq!(answer.status, 200, "{line}");
    }
}

#[test]
fn a_token_in_any_other_field_never_reaches_a_provider() {
    let raw = Upstream::json("200 OK", "{}");
    let second = "second token/+=";
    let config = with(
        config_for(&raw),
        serde_json::json!({"tokens": [format!("a|{TOKEN}"), format!("b|{second}")]}),
    );
    let proxy = TestProxy::start(&config);
    let names =
        ["X-Api-Key", "api-key", "x-goog-api-key", "X-Anything", "openai-api-key", "X-Request-Id"];
    for name in names {
        for token in [TOKEN, second] {
            for form in ["{}", "Bearer {}", "bearer  {}", "BEARER {}", "Token {}", "  {}  "] {
                let value = form.replace("{}", token);
                let line = format!("{name}: {value}\r\n{name}: {value}\r\nX-Kept: yes\r\n");
                assert_eq!(proxy.chat_with(&line, chat(MODEL)).status, 200, "{line}");
                let head = raw.requests().pop().expect("a request").head;
                assert!(!contains(&head.raw, token), "{line}: {}", show(&head.raw));
                assert_eq!(head.all("x-kept"), ["yes"], "{line}");
            }
        }
    }
    // A client's own value passes, also one that only begins like a token.
    let line = format!("X-My-Key: {TOKEN}x\r\nX-Request-Id: mine\r\n");
    proxy.chat_with(&line, chat(MODEL));
    let head = raw.requests().pop().expect("a request").head;
    assert_eq!(head.get("x-my-key"), Some(format!("{TOKEN}x")));
    assert_eq!(head.get("x-request-id").as_deref(), Some("mine"));
    assert!(!proxy.everything().replace(&format!("{TOKEN}x"), "").contains(TOKEN));
}

#[test]
fn a_provider_does_not_speak_for_our_origin() {
    let stay = [
        "Proxy-Authenticate: Basic",
        "Alt-Svc: h3=\":443\"",
        "Strict-Transport-Security: max-age=31536000",
        "Clear-Site-Data: \"*\"",
        "NEL: {}",
        "Report-To: {}",
        "Reporting-Endpoints: a=\"b\"",
    ];
    let pass = ["Retry-After: 3", "retry-after-ms: 5", "Server: x", "Set-Cookie: a=b", "X-NEL: y"];
    let lines: String = stay.iter().chain(&pass).map(|line| format!("{line}\r\n")).collect();
    let sse = SSE_HEAD.replace("\r\n\r\n", &format!("\r\n{lines}\r\n"));
    for (bytes, body) in [
        (answer("429 Slow", &lines, b"{}"), chat(MODEL)),
        ([sse.as_bytes(), &event("one"), LAST_CHUNK].concat(), chat_stream(MODEL)),
    ] {
        let upstream = Upstream::script(bytes);
        let got = TestProxy::start(&config_for(&upstream)).chat(body);
        for line in stay {
            let name = line.split(':').next().expect("a name");
            assert_eq!(got.head.all(name), [""; 0], "{line}");
        }
        for line in pass {
            let (name, value) = line.split_once(": ").expect("a field");
            assert_eq!(got.header(name).as_deref(), Some(value));
        }
    }
}
