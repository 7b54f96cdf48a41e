//! Who is let in by which field, and that no client's token leaves for a provider.

use serde_json::json;

use crate::support::*;

/// A token for each field, and one of nobody's.
const OTHERS: [&str; 4] = ["tok-x-2a9e51", "tok-a-77c0d3", "tok-g-51fe08", "tok/q+8=é"];
/// A client's own key at a provider.
const OWN: &str = "own-key-c40b";
/// The fields in the order in which they count.
const NAMES: [&str; 4] = ["Authorization", "X-Api-Key", "api-key", "X-Goog-Api-Key"];

fn start(upstream: &Upstream) -> TestProxy {
    let with_key =
        json!({"provider": "k", "baseurl": upstream.base_url(), "token": KEY, "model_list": ["m"]});
    let open = json!({"provider": "o", "baseurl": upstream.base_url(), "model_list": ["m"]});
    let url = upstream.base_url().replace("http://", "http://user:hunter2@");
    let user = json!({"provider": "u", "baseurl": url, "model_list": ["m"]});
    let tokens: Vec<_> =
        OTHERS.iter().chain([&TOKEN]).map(|token| format!("tester|{token}")).collect();
    TestProxy::start(&with(config([with_key, open, user]), json!({"tokens": tokens})))
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// No bytes that went to a provider hold a token of a client's.
fn assert_no_token(request: &Request, what: &str) {
    for token in OTHERS.iter().chain([&TOKEN]) {
        for form in
            [(*token).to_owned(), percent_encoded(token), percent_encoded(token).to_lowercase()]
        {
            let found = contains(&request.head.raw, &form) || contains(&request.body, &form);
            assert!(!found, "{token} in {} ({what})", show(&request.head.raw));
        }
    }
}

/// What one field may say, and whether it lets in; `None`: it does not count.
fn values(field: usize) -> Vec<(String, Option<bool>)> {
    if field > 0 {
        let token = OTHERS[field - 1];
        return vec![
            (String::new(), None),
            (token.to_owned(), Some(true)),
            (format!("{OWN}-{field}"), Some(false)),
        ];
    }
    vec![
        (String::new(), None),
        (format!("Bearer {TOKEN}"), Some(true)),
        (format!("bEaReR  {TOKEN}"), Some(true)),
        (format!("Bearer {OWN}-0"), Some(false)),
        ("Basic dXNlcjpwYXNz".to_owned(), None),
        (format!("Basic {TOKEN}"), None),
    ]
}

#[test]
fn the_first_field_that_is_present_counts_and_no_token_goes_on() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start(&upstream);
    let mut client = proxy.connect();
    let mut sent = 0;
    for provider in ["k", "o", "u"] {
        for authorization in values(0) {
            for x_api_key in values(1) {
                for api_key in values(2) {
                    for goog in values(3) {
                        let all = [&authorization, &x_api_key, &api_key, &goog];
                        // The order of the lines must not matter.
                        let reversed = sent % 2 == 1;
                        let lines: Vec<_> = NAMES
                            .iter()
                            .zip(all)
                            .filter(|(_, (value, _))| !value.is_empty())
                            .map(|(name, (value, _))| format!("{name}: {value}\r\n"))
                            .collect();
                        let text: String = if reversed {
                            lines.iter().rev().map(String::as_str).collect()
                        } else {
                            lines.concat()
                        };
                        let body = chat(&format!("{provider}/m"));
                        let path = ["/v1/messages", "/v1/chat/completions"][sent % 2];
                        let answer = client
                            .send(format!(
                                "POST {path} HTTP/1.1\r\nHost: t\r\n{text}Content-Length: {}\r\n\r\n{body}",
                                body.len()
                            ))
                            .response_to("POST");
                        let first = all.iter().find_map(|(_, lets_in)| *lets_in);
                        let expected = if first == Some(true) { 200 } else { 401 };
                        assert_eq!(answer.status, expected, "{provider}: {text}");
                        if expected == 401 {
                            continue;
                        }
                        sent += 1;
                        let request = upstream.requests().pop().expect("a request");
                        assert_no_token(&request, &text);
                        let got: Vec<_> =
                            NAMES.iter().flat_map(|name| request.head.all(name)).collect();
                        let own: Vec<_> = all
                            .iter()
                            .filter(|(value, _)| value.contains(OWN) || value.contains("dXNl"))
                            .map(|(value, _)| value.clone())
                            .collect();
                        let expected = match provider {
                            "k" => vec![format!("Bearer {KEY}")],
                            "u" => vec!["Basic dXNlcjpodW50ZXIy".to_owned()],
                            _ => own,
                        };
                        assert_eq!(got, expected, "{provider}: {text}");
                    }
                }
            }
        }
    }
    assert_eq!(upstream.requests().len(), sent);
}

#[test]
fn no_other_field_and_no_part_of_the_query_carries_a_token_on() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = start(&upstream);
    let body = |provider: &str| chat(&format!("{provider}/m"));
    for provider in ["k", "o", "u"] {
        for token in OTHERS {
            let encoded = percent_encoded(token);
            let plain: String = token
                .bytes()
                .map(|b| {
                    if b.is_ascii_alphanumeric() || b == b'-' {
                        (b as char).to_string()
                    } else {
                        format!("%{b:02x}")
                    }
                })
                .collect();
            for (query, rest) in [
                (format!("key={encoded}"), ""),
                (format!("key={plain}&a=b"), "?a=b"),
                (format!("a=b&key={encoded}&c=%2F"), "?a=b&c=%2F"),
                (format!("key={OWN}&key={encoded}"), "?key=own-key-c40b"),
                (format!("%6bey={encoded}&x"), "?x"),
                (format!("KEY={encoded}&x"), "?x"),
                (format!("api_key={encoded}&x"), "?x"),
                (format!("x&{encoded}"), "?x"),
                (format!("key=Bearer+{encoded}&x"), "?x"),
                (format!("key=Bearer%20{encoded}&x"), "?x"),
                (format!("key={encoded}%20&x"), "?x"),
                (format!("key=={encoded}&x"), "?x"),
                (format!("a=1;key={encoded}&x"), "?x"),
                (format!("{encoded}=1&x"), "?x"),
                (format!("a=b=c={encoded}&x"), "?x"),
                (format!("key=%22{encoded}%22&x"), "?x"),
                (format!("key={encoded}%00&x"), "?x"),
                (format!("key={}&x", encoded.replace('%', "%25")), "?x"),
            ] {
                let body = body(provider);
                let header = if token.is_ascii() {
                    format!("X-Mine: {token}\r\nX-Auth: Bearer {token}\r\n")
                } else {
                    String::new()
                };
                let request = format!(
                    "POST /v1/messages?{query} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\n{header}\
                     X-Key: Token  {TOKEN}\r\nX-Request-Id: {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                assert_eq!(proxy.raw(request.as_bytes()).status, 200, "{query}");
                let request = upstream.requests().pop().expect("a request");
                assert_no_token(&request, &query);
                assert_eq!(request.target, format!("/v1/messages{rest}"), "{query}");
            }
        }
    }
}

/// Every row: method, target for this provider, type and body.
fn every_row(provider: &str) -> Vec<(&'static str, String, &'static str, String)> {
    const JSON: &str = "application/json";
    const FORM: &str = "multipart/form-data; boundary=b";
    let post = |row: &str| ("POST", format!("/v1{row}?"), JSON, chat(&format!("{provider}/m")));
    let upload = |row: &str, file_first: bool| {
        let model = format!(
            "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{provider}/m\r\n"
        );
        let file = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\nx\r\n";
        let parts = if file_first { [file, &model] } else { [&model, file] };
        ("POST", format!("/v1{row}?"), FORM, parts.concat() + "--b--\r\n")
    };
    let stored = |method, path: &str| {
        let target = format!("/v1/responses/resp_1{path}?model={provider}/m&");
        (method, target, JSON, String::new())
    };
    let through =
        |method, body: &str| (method, format!("/p/{provider}/files?"), JSON, body.to_owned());
    let mut rows: Vec<_> = super::ROWS.into_iter().map(post).collect();
    rows.extend(crate::uploads::ROWS.map(|row| upload(row, false)));
    rows.extend(crate::uploads::ROWS.map(|row| upload(row, true)));
    rows.extend([stored("GET", ""), stored("DELETE", ""), stored("GET", "/input_items")]);
    rows.extend([stored("POST", "/cancel"), through("GET", ""), through("PUT", "{\"a\":1}")]);
    rows
}

#[test]
fn no_row_carries_a_token_on_in_any_of_its_fields() {
    let upstream = Upstream::json("200 OK", "{}");
    let provider = |name: &str, more: serde_json::Value| {
        let fixed = json!({"provider": name, "model_list": ["m"], "passthrough": true});
        with(with(fixed, json!({"baseurl": upstream.base_url()})), more)
    };
    let url = upstream.base_url().replace("http://", "http://user:hunter2@");
    let query = format!("{}?api-version=1", upstream.base_url());
    let providers = [
        provider("k", json!({ "token": KEY })),
        provider("o", json!({})),
        provider("u", json!({ "baseurl": url })),
        provider("q", json!({ "baseurl": query, "token": KEY })),
    ];
    let tokens: Vec<_> =
        OTHERS.iter().chain([&TOKEN]).map(|token| format!("tester|{token}")).collect();
    let proxy = TestProxy::start(&with(config(providers), json!({ "tokens": tokens })));
    let mut client = proxy.connect();
    let mut sent = Vec::new();
    for name in ["k", "o", "u", "q"] {
        for (method, target, kind, body) in every_row(name) {
            // Each set of fields in which a token may stand; at least one lets in.
            for set in 1..32_usize {
                let mut fields = String::new();
                for (field, name) in NAMES.iter().enumerate().filter(|(n, _)| set >> n & 1 == 1) {
                    let token = if field == 0 { TOKEN } else { OTHERS[field - 1] };
                    let scheme = if field == 0 { "Bearer " } else { "" };
                    fields += &format!("{name}: {scheme}{token}\r\n");
                }
                let key = percent_encoded(OTHERS[3]);
                let query = if set & 16 == 0 { String::new() } else { format!("key={key}&") };
                if set == 16 {
                    fields += &format!("Authorization: bearer {}\r\n", OTHERS[0]);
                }
                let request = format!(
                    "{method} {target}{query}a=b HTTP/1.1\r\nHost: t\r\n{fields}Content-Type: {kind}\r\n\
                     X-Again: {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let answer = client.send(&request).response_to(method);
                assert_eq!(answer.status, 200, "{request}: {}", answer.text());
                let keys = match name {
                    "o" => vec![],
                    "u" => vec!["Basic dXNlcjpodW50ZXIy".to_owned()],
                    _ => vec![format!("Bearer {KEY}")],
                };
                sent.push((request, keys));
            }
        }
    }
    let got = upstream.requests();
    assert_eq!(got.len(), sent.len());
    for (got, (request, expected)) in got.iter().zip(sent) {
        assert_no_token(got, &request);
        assert!(got.target.ends_with("a=b"), "{}", got.target);
        let keys: Vec<_> = NAMES.iter().flat_map(|name| got.head.all(name)).collect();
        assert_eq!(keys, expected, "{request}");
    }
}
