//! The rows that relay no JSON body of a model's: uploads, stored responses, pass-through.

use super::*;
use crate::uploads::{form, form_type};

/// A request, and the same one as the provider would have it without the proxy.
struct Both {
    method: &'static str,
    targets: [String; 2],
    kind: String,
    bodies: [Vec<u8>; 2],
}

impl Both {
    fn send(&self, upstream: &Upstream, proxy: &TestProxy, script: &str) -> [Response; 2] {
        let Self { method, kind, .. } = self;
        let bytes = |which: usize| {
            let (target, body) = (&self.targets[which], &self.bodies[which]);
            let length = if body.is_empty() {
                String::new()
            } else {
                format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len())
            };
            let head = format!(
                "{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
                 OpenAI-Beta: a ,b\r\nX-Script: {script}\r\n{length}\r\n"
            );
            [head.as_bytes(), body].concat()
        };
        let direct = Raw::connect(upstream.addr()).send(bytes(0)).response_to(method);
        let relayed = proxy.raw(&bytes(1));
        let requests = upstream.requests();
        let [.., first, second] = &requests[..] else { panic!("two requests: {requests:?}") };
        assert_eq!(second.head.start, first.head.start, "{self}");
        assert_eq!(fields(&second.head), fields(&first.head), "{self}");
        assert!(second.complete && second.body == first.body, "{self}: {}", show(&second.body));
        assert_eq!(second.head.get("authorization"), Some(format!("Bearer {KEY}")), "{self}");
        [direct, relayed]
    }
}

impl std::fmt::Display for Both {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.targets[1])
    }
}

fn every_other_row() -> Vec<Both> {
    let mut rows = Vec::new();
    for row in crate::uploads::ROWS {
        for parts in ["model prompt file", "prompt file model"] {
            let target = format!("/v1{row}?a=%2f");
            rows.push(Both {
                method: "POST",
                targets: [target.clone(), target],
                kind: form_type(),
                bodies: [form(parts, "m"), form(parts, MODEL)],
            });
        }
    }
    let json = |method, direct: &str, through: &str, body: &str| Both {
        method,
        targets: [direct.to_owned(), through.to_owned()],
        kind: "application/json".to_owned(),
        bodies: [body.into(), body.into()],
    };
    for (method, path) in
        [("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")]
    {
        for v1 in ["/v1", ""] {
            let target = format!("/responses/resp_1{path}?include[]=a%2Fb");
            rows.push(json(method, &format!("/v1{target}"), &format!("{v1}{target}"), ""));
        }
    }
    let body = format!("{{\"model\" : \"p/m\"{REST}");
    for method in ["GET", "DELETE", "OPTIONS", "POST", "PUT", "PATCH", "QUERY"] {
        let body = if method.starts_with('P') { &body } else { "" };
        rows.push(json(method, "/v1/files/a%2Fb?x=%zz&y", "/p/p/files/a%2Fb?x=%zz&y", body));
    }
    rows
}

fn start(upstream: &Upstream) -> TestProxy {
    TestProxy::start(&config([with(provider("p", upstream), json!({"passthrough": true}))]))
}

#[test]
fn every_other_row_relays_every_byte_of_request_and_response() {
    let upstream = scripted();
    let proxy = start(&upstream);
    for row in every_other_row() {
        for script in ["json", "events", "audio", "audio-chunked", "error", "refused"] {
            let [direct, relayed] = row.send(&upstream, &proxy, script);
            assert!(relayed.complete, "{row} {script}: {relayed:?}");
            assert_eq!(relayed.head.start, direct.head.start, "{row} {script}");
            assert_eq!(fields(&relayed.head), fields(&direct.head), "{row} {script}");
            assert!(relayed.body == direct.body, "{row} {script}: {}", show(&relayed.body));
            assert!(relayed.header("x-request-id").is_some(), "{row} {script}");
        }
    }
}

#[test]
fn a_response_that_is_cut_in_any_other_row_is_never_taken_for_a_whole_one() {
    let upstream = scripted();
    let proxy = start(&upstream);
    for row in every_other_row() {
        let [direct, relayed] = row.send(&upstream, &proxy, "cut-json");
        assert!(!direct.complete && relayed.complete, "{row}");
        assert_eq!(relayed.status, 502, "{row}: {}", relayed.text());
        for script in ["cut-events", "cut-audio"] {
            let [direct, relayed] = row.send(&upstream, &proxy, script);
            assert!(!direct.complete && !relayed.complete, "{row} {script}");
            assert_eq!(fields(&relayed.head), fields(&direct.head), "{row} {script}");
            assert!(relayed.body.starts_with(&direct.body), "{row} {script}");
            let more = String::from_utf8_lossy(&relayed.body[direct.body.len()..]).into_owned();
            if script == "cut-events" {
                assert!(more.starts_with("data: {\"error\":{"), "{row}: {more}");
            } else {
                assert_eq!(more, "", "{row}");
            }
        }
    }
}
