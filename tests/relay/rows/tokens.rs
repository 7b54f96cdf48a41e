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
