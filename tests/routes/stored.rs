//! Stored responses: what names one goes to the provider that gave it, for the client that asked for it.

mod bodies;
mod learning;
mod paths;

use serde_json::{json, Value};

use crate::support::*;

/// A second client's token.
pub const OTHER: &str = "sk-other-55ad01";

/// Two providers with model `m`, and a proxy for two clients.
pub struct House {
    pub alpha: Upstream,
    pub beta: Upstream,
    pub proxy: TestProxy,
}

/// A provider that does what the body says, piece by piece, and else tells its name.
fn storing(name: &'static str) -> Upstream {
    Upstream::each(move |request, connection| {
        if request.method == "HEAD" {
            return connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let Some(pieces) = body["pieces"].as_array() else {
            let body = json!({ "from": name }).to_string();
            return connection.send(json_answer("200 OK", &body));
        };
        for piece in pieces {
            connection.send(piece.as_str().expect("a text"));
            if pieces.len() > 1 {
                pause(2);
            }
        }
    })
}

impl House {
    pub fn new() -> Self {
        let (alpha, beta) = (storing("alpha"), storing("beta"));
        let both = config([provider("alpha", &alpha), provider("beta", &beta)]);
        let tokens = json!({"tokens": [format!("one|{TOKEN}"), format!("two|{OTHER}")]});
        let proxy = TestProxy::start(&with(both, tokens));
        Self { alpha, beta, proxy }
    }

    /// Posts a body with the first client's token.
    pub fn post(&self, target: &str, fields: &str, body: &str) -> Response {
        let length = body.len();
        let fields = format!("{fields}Content-Type: application/json\r\nContent-Length: {length}");
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\n{fields}\r\n\r\n{body}"
        );
        self.proxy.raw(request.as_bytes())
    }

    /// Asks `provider` on a row, whose answer is `pieces`.
    pub fn teach(&self, row: &str, provider: &str, pieces: &[&str]) -> Response {
        let body = json!({"model": format!("{provider}/m"), "pieces": pieces}).to_string();
        self.post(row, "", &body)
    }

    /// Has `provider` give a response of this id.
    pub fn stored(&self, provider: &str, id: &str) {
        let answer = json_text(&json!({"id": id, "object": "response"}).to_string());
        assert_eq!(self.teach("/v1/responses", provider, &[&answer]).status, 200);
    }

    /// Asks without a body.
    pub fn ask(&self, method: &str, target: &str, fields: &str) -> Response {
        let fields = format!("Authorization: Bearer {TOKEN}\r\n{fields}");
        self.proxy.request(method, target, &fields)
    }

    /// Whether the first client's id leads somewhere.
    pub fn knows(&self, id: &str) -> bool {
        self.ask("GET", &format!("/v1/responses/{id}"), "").status == 200
    }

    pub fn upstream(&self, name: &str) -> &Upstream {
        if name == "alpha" {
            &self.alpha
        } else {
            &self.beta
        }
    }

    pub fn last(&self, name: &str) -> Request {
        self.upstream(name).requests().pop().expect("a request")
    }

    /// How many requests have reached any provider.
    pub fn sent(&self) -> usize {
        self.alpha.requests().len() + self.beta.requests().len()
    }
}

/// A whole JSON answer.
pub fn json_text(body: &str) -> String {
    String::from_utf8(json_answer("200 OK", body)).expect("UTF-8")
}

/// A 404 of ours that says what helps.
pub fn assert_unknown(answer: &Response, what: &str) {
    assert_eq!(answer.status, 404, "{what}: {}", answer.text());
    let message = answer.error(404);
    assert!(message.contains("?model="), "{what}: {message}");
}
