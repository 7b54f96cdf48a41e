//! What reaches the client: the provider's status, headers and body, unchanged; failures that name their cause.

use serde_json::json;

use crate::support::*;

/// The answer that a client gets when the provider sends these bytes and closes.
fn through(bytes: impl Into<Vec<u8>>) -> Response {
    let upstream = Upstream::script(bytes);
    TestProxy::start(&config([provider("acme", &upstream)])).chat(chat("acme/m"))
}

#[test]
fn every_status_passes_with_its_reason() {
    let statuses = [
        "200 OK",
        "201 Made",
        "206 Part",
        "306 Unused",
        "309 Unknown",
        "400 Bad Request",
        "401 Unauthorized",
        "402 Pay",
        "404 Not Found",
        "413 Too Large",
        "418 I'm a teapot",
        "422 Unprocessable Entity",
        "429 Slow Down Please",
        "451 Law",
        "498 Odd",
        "499 Closed",
        "500 Oops",
        "502 Bad Gateway",
        "503 Later",
        "504 Late",
        "520 Web Server",
        "521 Down",
        "522 Timeout",
        "523 Origin",
        "524 A Timeout",
        "525 TLS",
        "526 Cert",
        "529 Overloaded",
        "599 X",
        "600 Y",
        "777 Z",
        "999 Last",
    ];
    let upstream = Upstream::each(move |request, connection| {
        let index = request.json()["index"].as_u64().expect("an index");
        let index = usize::try_from(index).expect("small");
        connection.send(json_answer(statuses[index], r#"{"error":{"message":"theirs"}}"#));
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    for (index, status) in statuses.iter().enumerate() {
        let answer = proxy.chat(format!(r#"{{"model":"{MODEL}","index":{index}}}"#));
        assert_eq!(format!("{} {}", answer.status, answer.reason), *status);
        assert_eq!(answer.text(), r#"{"error":{"message":"theirs"}}"#);
    }
}

#[test]
fn headers_that_clients_read_pass_in_order() {
    let headers = "Content-Type: application/json; charset=utf-8\r\nRetry-After: 20\r\nretry-after-ms: 20000\r\n\
        X-Request-Id: req_123\r\nx-ratelimit-limit-requests: 100\r\nx-ratelimit-remaining-requests: 0\r\n\
        x-ratelimit-reset-tokens: 6m0s\r\nx-should-retry: true\r\nopenai-processing-ms: 12\r\n\
        openai-organization: org\r\nanthropic-ratelimit-requests-limit: 5\r\nSet-Cookie: a=1; Path=/\r\n\
        Set-Cookie: b=2\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nServer: cloudflare\r\nCF-RAY: 1-FRA\r\n\
        X-Empty:\r\nETag: W/\"x\"\r\n";
    let got = through(answer("429 Too Many Requests", headers, b"{}"));
    assert_eq!(got.status, 429);
    let name_and_value = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_lowercase(), value.trim().to_owned())
    };
    let expected: Vec<_> = headers.split_terminator("\r\n").map(name_and_value).collect();
    let lossy = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let relayed = got.head.headers.iter().map(|(name, value)| (name.to_lowercase(), lossy(value)));
    let relayed: Vec<_> = relayed.filter(|header| expected.contains(header)).collect();
    assert_eq!(relayed, expected, "{}", show(&got.head.raw));
}

#[test]
fn hop_by_hop_headers_of_the_answer_stay_with_us() {
    let headers = "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n\
        Upgrade: h2c\r\nTrailer: X-T\r\nTE: x\r\nX-Kept: 1\r\n";
    let got = through(answer("200 OK", headers, b"{}"));
    for name in ["x-hop", "keep-alive", "proxy-connection", "upgrade", "trailer", "te"] {
        assert_eq!(got.head.all(name), [""; 0], "{name}");
    }
    assert_eq!(got.header("x-kept").as_deref(), Some("1"));
}

#[test]
fn a_providers_error_is_relayed_unchanged() {
    let body = "{\n  \"error\" : {\"message\":\"Rate limit \\u00e9\", \"type\":\"tokens\",\"code\":1.0}}\n";
    let got = through(answer(
        "429 Too Many Requests",
        "Content-Type: application/json\r\n",
        body.as_bytes(),
    ));
    assert_eq!((got.status, got.text().as_str()), (429, body));
    assert_eq!(got.header("content-length"), Some(body.len().to_string()));
}

#[test]
fn an_error_in_answer_to_a_stream_request_is_relayed_as_json() {
    let upstream = Upstream::json("401 Unauthorized", r#"{"error":{"message":"bad key"}}"#);
    let got = TestProxy::start(&config_for(&upstream)).chat(chat_stream(MODEL));
    assert_eq!((got.status, got.text().as_str()), (401, r#"{"error":{"message":"bad key"}}"#));
    assert_eq!(got.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(got.header("content-length").as_deref(), Some("31"));
}

#[test]
fn answers_with_content_length_keep_it_and_the_connection() {
    let upstream = Upstream::json("200 OK", r#"{"id":"x"}"#);
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    for body in [chat(MODEL), chat_stream(MODEL), chat(MODEL)] {
        let got = client.send(chat_request("", body.as_bytes())).response();
        assert_eq!(got.header("content-length").as_deref(), Some("10"));
        assert_eq!(got.header("transfer-encoding"), None);
        assert_eq!(got.text(), r#"{"id":"x"}"#);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_encoded_answer_passes_with_its_encoding() {
    let bytes: Vec<u8> = (0..=255).collect();
    let got = through(answer(
        "200 OK",
        "Content-Encoding: gzip\r\nContent-Type: application/json\r\n",
        &bytes,
    ));
    assert_eq!(got.header("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(got.body, bytes);
}

#[test]
fn no_date_is_invented() {
    let got =
        through("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(got.head.all("date"), [""; 0], "{}", show(&got.head.raw));
    assert_eq!(got.text(), "{}");
}

#[test]
fn header_values_of_any_bytes_pass_or_are_dropped_but_break_nothing() {
    for value in ["é".as_bytes(), b"\xe9", b"\xff\xfe\x80", "中文".as_bytes()] {
        let head = [
            b"HTTP/1.1 200 OK\r\nX-Odd: ".as_slice(),
            value,
            b"\r\nX-After: 1\r\nContent-Length: 2\r\n\r\n{}",
        ];
        let got = through(head.concat());
        assert_eq!((got.status, got.text().as_str()), (200, "{}"), "{value:?}");
        assert_eq!(got.header("x-after").as_deref(), Some("1"), "{value:?}");
        let odd = got.head.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-odd"));
        assert!(odd.is_none_or(|(_, relayed)| relayed == value), "{value:?} {odd:?}");
    }
}

#[test]
fn bodies_of_any_bytes_pass() {
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    assert!(through(answer("200 OK", "", &bytes)).body == bytes);
}

/// The message of a 502 that names the provider and gives nothing away.
fn bad_gateway(answer: &Response) -> String {
    let message = answer.error(502);
    assert!(message.contains("acme"), "the provider: {message}");
    assert!(!message.contains(KEY) && !message.contains(TOKEN), "{message}");
    message
}

#[test]
fn truncated_answers_are_502_before_the_head_is_out_and_cut_after() {
    for bytes in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n"] {
        bad_gateway(&through(bytes));
    }
    let partial = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ];
    for bytes in partial {
        let got = through(bytes);
        if got.status == 502 {
            bad_gateway(&got);
        } else {
            assert!(!got.complete, "{bytes:?} looked complete: {got:?}");
        }
    }
}

#[test]
fn a_reset_instead_of_an_answer_is_502() {
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::Reset]);
    bad_gateway(&TestProxy::start(&config([provider("acme", &upstream)])).chat(chat("acme/m")));
    assert_eq!(upstream.requests().len(), 1, "no retry on a fresh connection");
}

#[test]
fn garbage_is_502() {
    let garbage: [&[u8]; 8] = [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"<html>hello</html>\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 abc Word\r\nContent-Length: 0\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
    ];
    for bytes in garbage {
        bad_gateway(&through(bytes));
    }
}

/// The message of a chat with a provider `named` at this URL.
fn failure(url: &str) -> String {
    let one = json!({"provider": "named", "baseurl": url, "token": KEY, "model_list": ["m"]});
    let proxy = TestProxy::start(&config([one]));
    let message = proxy.chat(chat("named/m")).error(502);
    assert!(message.contains("named"), "{message}");
    assert!(!message.contains(KEY) && !message.contains("hunter2"), "{message}");
    assert!(!proxy.everything().contains(KEY) && !proxy.everything().contains("hunter2"));
    message
}

#[test]
fn a_refused_connection_is_502_naming_the_provider_and_the_cause() {
    let message = failure("http://127.0.0.1:1/v1").to_lowercase();
    assert!(message.contains("refused"), "{message}");
}

#[test]
fn a_name_that_does_not_resolve_is_502_naming_the_provider_and_the_host() {
    let message = failure("http://name.invalid/v1");
    assert!(message.contains("name.invalid"), "{message}");
}

#[test]
fn other_requests_go_on_while_one_provider_fails() {
    let good = Upstream::json("200 OK", "{}");
    let bad = Upstream::script("garbage\r\n\r\n");
    let proxy = TestProxy::start(&config([provider("good", &good), provider("bad", &bad)]));
    let mut client = proxy.connect();
    for _ in 0..5 {
        assert_eq!(client.send(chat_request("", chat("bad/m").as_bytes())).response().status, 502);
        assert_eq!(client.send(chat_request("", chat("good/m").as_bytes())).response().status, 200);
    }
}

#[test]
fn a_banner_is_502_at_once() {
    for banner in
        ["SSH-2.0-OpenSSH_9.2\r\n", "220 smtp ready\r\n", "\x15\x03\x01\x00\x02\x02\x16", "<html>"]
    {
        let upstream =
            Upstream::steps(vec![Step::ReadRequest, Step::Send(banner.into()), Step::WaitForClose]);
        // Far below `non_stream_timeout`.
        assert_eq!(TestProxy::start(&config_for(&upstream)).chat(chat(MODEL)).status, 502);
    }
}

#[test]
fn a_large_answer_without_length_that_breaks_off_is_502() {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = chunk(vec![b' '; 50_000]).repeat(100);
    let upstream = Upstream::script([head.as_bytes(), &body].concat());
    let message = TestProxy::start(&config_for(&upstream)).chat(chat(MODEL)).error(502);
    assert!(message.contains('p'), "{message}");
}

#[test]
fn a_slow_client_gets_all_of_a_large_answer() {
    // More than all buffers on the way can hold.
    let body = vec![b' '; 40_000_000];
    let upstream = Upstream::json("200 OK", std::str::from_utf8(&body).expect("spaces"));
    let changes = json!({"non_stream_timeout": 3, "max_response_size": 50_000_000});
    let proxy = TestProxy::start(&with(config_for(&upstream), changes));
    let mut client = proxy.connect();
    client.send(chat_request("", chat(MODEL).as_bytes()));
    pause(4000);
    let answer = client.response();
    assert!(answer.complete, "{} bytes", answer.body.len());
    assert_eq!(answer.body.len(), body.len());
}
