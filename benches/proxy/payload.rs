//! What is asked and what is answered: the mock upstream and the load generator build the same bytes
//! from here, so that both sides can compare what arrives with what was sent. No sockets.

/// Events of one complete stream.
pub const EVENTS: usize = 200;
/// Bytes of one event, its blank line included.
pub const EVENT_BYTES: usize = 250;
/// Bytes of one event on the wire: chunk size line, event, CRLF.
pub const CHUNK_BYTES: usize = EVENT_BYTES + 6;
/// Body of a `small` answer.
pub const SMALL_BYTES: usize = 1024;
/// Body of a `big` answer; just below the product's default `max_response_size`.
pub const BIG_BYTES: usize = 10_000_000;
/// Provider name in the product's configuration.
pub const PROVIDER: &str = "mock";

/// The behaviours of the mock upstream, chosen by the `model` of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// 1 KB of JSON with `Content-Length`.
    Small,
    /// [`EVENTS`] events as fast as possible, each a chunk, then the end.
    Events,
    /// An event every 10 ms until the client leaves.
    Paced,
    /// One event, then silence until the client leaves.
    Hold,
    /// 10 MB of JSON with `Content-Length`.
    Big,
}

impl Model {
    /// All of them.
    pub const ALL: [Model; 5] =
        [Model::Small, Model::Events, Model::Paced, Model::Hold, Model::Big];

    /// The bare model name.
    pub fn name(self) -> &'static str {
        match self {
            Model::Small => "small",
            Model::Events => "events",
            Model::Paced => "paced",
            Model::Hold => "hold",
            Model::Big => "big",
        }
    }

    /// The model of this bare name.
    pub fn named(name: &str) -> Option<Model> {
        Model::ALL.into_iter().find(|model| model.name() == name)
    }

    fn streams(self) -> bool {
        matches!(self, Model::Events | Model::Paced | Model::Hold)
    }

    /// The request body, about 300 bytes; `prefix` is `mock/` or empty.
    pub fn request_body(self, prefix: &str) -> Vec<u8> {
        format!(
            concat!(
                r#"{{"model":"{}{}","messages":[{{"role":"system","content":"You are a careful assistant. "#,
                r#"Answer in one short paragraph, and say so when you do not know."}},{{"role":"user","#,
                r#""content":"用一句话解释代理是什么 – what does a proxy do?"}}],"temperature":0.7,"#,
                r#""top_p":0.95,"max_tokens":256,"stream":{}}}"#
            ),
            prefix,
            self.name(),
            self.streams()
        )
        .into_bytes()
    }

    /// The request as the OpenAI Python client sends it.
    pub fn request(self, host: &str) -> Vec<u8> {
        let body = self.request_body(&format!("{PROVIDER}/"));
        let mut request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\n\
             Connection: keep-alive\r\nAccept: application/json\r\nContent-Type: application/json\r\n\
             User-Agent: OpenAI/Python 1.54.0\r\nX-Stainless-Lang: python\r\n\
             X-Stainless-Package-Version: 1.54.0\r\nX-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\n\
             X-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.12.1\r\n\
             Authorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        request
    }

    /// The answer's body, or one turn of it where the stream has no end.
    pub fn answer_body(self) -> Vec<u8> {
        match self {
            Model::Small => json_of(SMALL_BYTES),
            Model::Big => json_of(BIG_BYTES),
            Model::Events | Model::Paced | Model::Hold => (0..EVENTS).flat_map(event).collect(),
        }
    }

    /// Whether the answer ends by itself.
    pub fn ends(self) -> bool {
        !matches!(self, Model::Paced | Model::Hold)
    }
}

/// The client token that the proxies are configured with.
pub const TOKEN: &str = "sk-bench-0123456789abcdef0123456789abcdef";

const HEAD: &str = "HTTP/1.1 200 OK\r\nDate: Sun, 23 Nov 2025 10:00:00 GMT\r\nServer: mock\r\n\
     x-request-id: req_0123456789abcdef0123456789abcdef\r\nopenai-processing-ms: 12\r\n\
     x-ratelimit-remaining-requests: 9999\r\n";

/// Head of an answer with a length.
pub fn json_head(length: usize, close: bool) -> Vec<u8> {
    let close = if close { "Connection: close\r\n" } else { "" };
    format!("{HEAD}{close}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n")
        .into_bytes()
}

/// Head of a stream.
pub fn stream_head() -> Vec<u8> {
    format!("{HEAD}Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n")
        .into_bytes()
}

/// The chunks of one turn of a stream, [`CHUNK_BYTES`] each, without the last chunk.
pub fn stream_chunks() -> Vec<u8> {
    (0..EVENTS)
        .flat_map(|index| {
            [format!("{EVENT_BYTES:x}\r\n").into_bytes(), event(index), b"\r\n".to_vec()].concat()
        })
        .collect()
}

fn event(index: usize) -> Vec<u8> {
    let lead = format!(
        r#"data: {{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"mock","choices":[{{"index":0,"delta":{{"content":"{index:05} "#
    );
    padded(&lead, "\"},\"finish_reason\":null}]}\n\n", EVENT_BYTES)
}

fn json_of(length: usize) -> Vec<u8> {
    let lead = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"mock","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let tail = r#""},"finish_reason":"stop"}],"usage":{"prompt_tokens":42,"completion_tokens":200,"total_tokens":242}}"#;
    padded(lead, tail, length)
}

/// `lead`, as many letters as it takes, `tail`: exactly `length` bytes.
fn padded(lead: &str, tail: &str, length: usize) -> Vec<u8> {
    let letters = (b'a'..=b'z').cycle().take(length - lead.len() - tail.len());
    lead.bytes().chain(letters).chain(tail.bytes()).collect()
}
