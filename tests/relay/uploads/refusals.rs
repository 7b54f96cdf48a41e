//! Uploads that are refused by us: with which status, and that the provider never gets a whole one.

use std::time::Duration;

use super::*;

/// The answer to a request that may be refused before all of it was read.
fn refused(proxy: &TestProxy, request: Vec<u8>, status: u16) -> String {
    let mut client = proxy.connect();
    client.send_in_background(request);
    client.response_to("POST").error(status)
}

fn assert_none_complete(upstream: &Upstream, what: &str) {
    assert!(upstream.requests().iter().all(|request| !request.complete), "{what}");
}

#[test]
fn a_file_before_its_model_that_is_too_large_is_413_and_says_what_to_do() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = small_proxy(&upstream);
    for row in ROWS {
        for framing in FRAMINGS {
            for parts in ["file model", "prompt file", "long long model file"] {
                let request = upload(row, "", framing, &form(parts, MODEL));
                let message = refused(&proxy, request, 413);
                assert!(message.contains("send model before file, or `?model=`"), "{message}");
                assert!(message.contains("150000"), "the limit: {message}");
            }
        }
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn the_limit_of_a_held_upload_is_exact_to_the_byte() {
    let upstream = Upstream::json("200 OK", "{}");
    let body = form("file model", MODEL);
    for (limit, fits) in [(body.len(), true), (body.len() - 1, false)] {
        let limits = json!({"max_request_size": limit});
        let proxy = TestProxy::start(&with(config_for(&upstream), limits));
        for framing in FRAMINGS {
            let request = upload(ROW, "", framing, &body);
            if fits {
                assert_eq!(proxy.raw(&request).status, 200, "{framing:?}");
                let got = upstream.requests().pop().expect("a request").body;
                assert!(got == form("file model", "m"), "{}", show(&got));
            } else {
                refused(&proxy, request, 413);
            }
        }
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn two_models_are_400_and_none_is_400() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for framing in FRAMINGS {
        for parts in
            ["model model small", "small model model", "model small model", "file model model"]
        {
            let message = refused(&proxy, upload(ROW, "", framing, &form(parts, MODEL)), 400);
            assert!(message.contains("model"), "{parts}: {message}");
        }
        for parts in ["file", "prompt file", "prompt", "long small prompt"] {
            let message = refused(&proxy, upload(ROW, "", framing, &form(parts, MODEL)), 400);
            assert!(message.contains("model"), "{parts}: {message}");
        }
    }
    assert_none_complete(&upstream, "two models or none");
}

#[test]
fn a_second_model_behind_a_file_that_streams_ends_the_exchange() {
    let (upstream, begun) = taking();
    let proxy = TestProxy::start(&config_for(&upstream));
    for (number, framing) in FRAMINGS.into_iter().enumerate() {
        let request = upload(ROW, "", framing, &form("model file model file", MODEL));
        let (start, rest) = split(&request);
        let mut client = proxy.connect();
        client.send(start);
        wait_begun(&begun, number + 1);
        client.send_in_background(rest.to_vec());
        client.response_to("POST").error(400);
        client.half_close();
        assert_ne!(client.ending(), Ending::TimedOut, "{framing:?}");
        upstream.wait_closed_by_proxy(number + 1);
    }
    assert_none_complete(&upstream, "two models");
}

#[test]
fn what_is_no_form_is_400() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let good = "multipart/form-data; boundary=b";
    let long = format!("multipart/form-data; boundary={}", "b".repeat(5000));
    let part = "Content-Disposition: form-data; name=\"model\"";
    let large = format!("--b\r\n{part}\r\n\r\n{}\r\n--b--\r\n", "p/m".repeat(100_000));
    for (kind, body) in [
        ("multipart/form-data", format!("--b\r\n{part}\r\n\r\np/m\r\n--b--\r\n")),
        ("multipart/form-data; boundary=", format!("--\r\n{part}\r\n\r\np/m\r\n----\r\n")),
        ("multipart/form-data; boundary=\"\"", format!("--\r\n{part}\r\n\r\np/m\r\n----\r\n")),
        (long.as_str(), "--b--\r\n".to_owned()),
        (good, String::new()),
        (good, "--b--\r\n".to_owned()),
        (good, "{\"model\":\"p/m\"}".to_owned()),
        (good, format!("--c\r\n{part}\r\n\r\np/m\r\n--c--\r\n")),
        (good, format!("--b\r\n{part}")),
        (good, format!("--b\r\n{part}; x={}\r\n\r\np/m\r\n--b--\r\n", "y".repeat(200_000))),
        (good, format!("--b\r\n{part}\r\n\r\n\r\n--b--\r\n")),
        (good, large),
    ] {
        for framing in FRAMINGS {
            let fields = format!("Content-Type: {kind}\r\n");
            let mut client = proxy.connect();
            client.send_in_background(framed("POST", ROW, &fields, framing, body.as_bytes()));
            let answer = client.response_to("POST");
            let what = format!("{kind}: {} {}", show(body.as_bytes()), answer.text());
            // A name that is empty or absurdly long may as well be one that is not found.
            let name = body.contains("\r\n\r\n\r\n--b--") || body.len() > 200_000;
            assert!(answer.status == 400 || name && matches!(answer.status, 404 | 413), "{what}");
            answer.error(answer.status);
        }
    }
    assert_none_complete(&upstream, "no form");
}

/// Where the models are limited, the provider must not find another one than the proxy did.
#[test]
fn a_form_in_which_some_readers_find_another_model_is_400_where_models_are_limited() {
    let upstream = Upstream::json("200 OK", "{}");
    let open = json!({"provider": "o", "baseurl": upstream.base_url()});
    let proxy = TestProxy::start(&config([provider("p", &upstream), open]));
    let plain = "Content-Disposition: form-data; name=";
    let good = "multipart/form-data; boundary=b";
    for (kind, before, behind) in [
        (r#"multipart/form-data; boundary="\b""#, String::new(), String::new()),
        (r#"multipart/form-data; x="; boundary=e; "; boundary=b"#, String::new(), String::new()),
        ("multipart/form-data; xboundary=e; boundary=b", String::new(), String::new()),
        (good, format!("--b--\r\n--b\r\n{plain}z\r\n\r\nx\r\n"), String::new()),
        (good, String::new(), format!("--b\r\n{plain}\"model\"\r\n\r\nx\r\n--b--\r\n")),
        (good, format!("--b\r\n{plain}\"=?utf-8?B?bW9kZWw=?=\"\r\n\r\nx\r\n"), String::new()),
        (good, format!("--b\r\n{plain}\"\u{feff}model\"\r\n\r\nx\r\n"), String::new()),
        (
            good,
            format!("--b\r\n{plain}z; filename=\"; name=model; x\"\r\n\r\nx\r\n"),
            String::new(),
        ),
        (
            good,
            format!("--b\r\n{plain}z\r\n\r\ny\n--b\n{plain}*=mod%65l\r\n\r\nx\r\n"),
            String::new(),
        ),
    ] {
        for (provider, query, is_refused) in
            [("p", "", true), ("p", "?model=p/m", true), ("o", "?model=o/m", false)]
        {
            let model = format!("--b\r\n{plain}\"model\"\r\n\r\n{provider}/m\r\n--b--\r\n");
            let body = [&before[..], &model, &behind].concat();
            let fields = format!("Content-Type: {kind}\r\n");
            let target = format!("{ROW}{query}");
            let request = framed("POST", &target, &fields, Framing::Sized, body.as_bytes());
            let answer = proxy.raw(&request);
            let expected = if is_refused { 400 } else { 200 };
            assert_eq!(answer.status, expected, "{kind} {body:?}: {}", answer.text());
        }
    }
}

#[test]
fn a_form_that_is_url_encoded_is_400() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let fields = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n";
    let body = b"{\"model\":\"p/m\",\"x\":\"&model=bad&y=\"}";
    let message = proxy.raw(&framed("POST", ROW, fields, Framing::Sized, body)).error(400);
    assert!(message.contains("multipart/form-data"), "{message}");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_form_of_two_types_is_400() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\np/m\r\n--b--\r\n";
    let kind =
        |boundary: &str| format!("Content-Type: multipart/form-data; boundary={boundary}\r\n");
    for second in [kind("c"), kind("b"), "content-type: application/json\r\n".to_owned()] {
        let request = framed("POST", ROW, &(kind("b") + &second), Framing::Sized, body.as_bytes());
        let message = proxy.raw(&request).error(400);
        assert!(message.contains("Content-Type"), "{second}: {message}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn unknown_models_are_404_with_their_name() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for model in ["p/nope", "nobody/m", "whisper-1", "模型/一"] {
        for parts in ["model file", "small model"] {
            let request = upload(ROW, "", Framing::Sized, &form(parts, model));
            let message = refused(&proxy, request, 404);
            assert!(message.contains("未找到模型") && message.contains(model), "{message}");
        }
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn nobody_uploads_without_a_token_or_is_told_to_go_on() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = form("model file", MODEL);
    for row in ROWS {
        for (token, text) in [("", "未提供API token"), ("x-api-key: nope\r\n", "API token无效")]
        {
            for expect in ["", "Expect: 100-continue\r\n"] {
                let head = format!(
                    "POST {row}?model=p/m HTTP/1.1\r\nHost: t\r\n{token}{expect}Content-Type: {}\r\n\
                     Content-Length: {}\r\n\r\n",
                    form_type(),
                    body.len()
                );
                let mut client = proxy.connect();
                client.send(&head);
                if expect.is_empty() {
                    client.send_in_background(body.clone());
                }
                assert!(client.response_to("POST").error(401).contains(text), "{row} {expect}");
            }
        }
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn an_accepted_client_that_asks_is_told_to_go_on() {
    let (upstream, _begun) = taking();
    let proxy = TestProxy::start(&config_for(&upstream));
    for query in ["", "?model=p/m"] {
        for framing in FRAMINGS {
            for parts in ["model file", "file model"] {
                let body = form(parts, MODEL);
                let fields = "Expect: 100-continue\r\n";
                let request = upload(&format!("{ROW}{query}"), fields, framing, &body);
                let at = memchr::memmem::find(&request, b"\r\n\r\n").expect("a head") + 4;
                let mut client = proxy.connect();
                assert_eq!(client.send(&request[..at]).response_to("POST").status, 100);
                let answer = client.send(&request[at..]).response_to("POST");
                assert_eq!(answer.status, 200, "{parts} {framing:?}");
                let got = upstream.requests().pop().expect("a request");
                assert!(got.complete && got.body == form(parts, "m"), "{parts} {framing:?}");
                assert_eq!(got.head.get("expect"), None, "{parts} {framing:?}");
            }
        }
    }
}

#[test]
fn a_compressed_upload_is_415() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for row in ROWS {
        for query in ["", "?model=p/m"] {
            for coding in ["gzip", "zstd", "br"] {
                let fields = format!("Content-Encoding: {coding}\r\n");
                let body = form("model small", MODEL);
                let request = upload(&format!("{row}{query}"), &fields, Framing::Sized, &body);
                let message = refused(&proxy, request, 415);
                assert!(message.contains(coding), "{row}{query}: {message}");
            }
        }
    }
    assert!(upstream.requests().is_empty());
    let request =
        upload(ROW, "Content-Encoding: identity\r\n", Framing::Sized, &form("model file", MODEL));
    assert_eq!(proxy.raw(&request).status, 200);
}

#[test]
fn other_methods_are_405_and_a_path_that_repeats_itself_is_404() {
    let proxy = TestProxy::without_providers();
    for row in ROWS {
        let answer = proxy.get(&format!("/v1{row}"));
        answer.error(405);
        assert_eq!(answer.header("allow").as_deref(), Some("POST"), "{row}");
        let path = format!("/v1/v1{row}");
        let message = proxy.request("POST", &path, "Content-Length: 0\r\n").error(404);
        assert!(message.contains("base_url"), "{message}");
        let listed = proxy.get("/").json()["endpoints"].to_string();
        assert!(listed.contains(&format!("POST /v1{row}")), "{listed}");
    }
}

#[test]
fn held_uploads_take_no_more_than_the_budget() {
    let upstream = Upstream::json("200 OK", "{}");
    let limits = json!({"max_request_size": 1_000_000});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    let mut clients: Vec<Raw> = (0..30).map(|_| proxy.connect()).collect();
    let four = "file file file file model";
    for client in &clients {
        let mut request = upload(ROW, "", Framing::Sized, &form(four, MODEL));
        // The model does not come.
        request.truncate(request.len() - 300);
        client.send_in_background(request);
    }
    let mut refused = 0;
    for client in &mut clients {
        client.set_patience(Duration::from_millis(300));
        if let Ok(response) = client.try_response("POST") {
            response.error(503);
            assert_eq!(response.header("retry-after").as_deref(), Some("1"));
            refused += 1;
        }
    }
    assert!(refused > 0 && refused < 30, "{refused}");
    drop(clients);
    let whole = upload(ROW, "", Framing::Sized, &form(four, MODEL));
    eventually("room for a held upload", || proxy.raw(&whole).status == 200);
}
