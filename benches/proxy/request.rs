//! Reads a request as the mock upstreams need it: where it ends, what it asks for, and whether its body
//! is byte for byte what the load generator sent (with or without the provider's prefix).

use std::sync::LazyLock;

use crate::payload::{Model, PROVIDER};

/// What a complete request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `POST …/chat/completions` with exactly the expected body.
    Chat(Model),
    /// `GET …/models`.
    Models,
    /// Anything else: refused.
    Other,
}

static BODIES: LazyLock<Vec<(Vec<u8>, Model)>> = LazyLock::new(|| {
    let prefixes = ["".to_owned(), format!("{PROVIDER}/")];
    let of = |model: Model| prefixes.iter().map(move |prefix| (model.request_body(prefix), model));
    Model::ALL.into_iter().flat_map(of).collect()
});

/// `None` until `bytes` hold a whole request.
pub fn parse(bytes: &[u8]) -> Option<Asked> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some(Asked::Other),
    };
    let length = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    let body = bytes[head..].get(..length)?;
    let path = request.path.unwrap_or_default();
    Some(match request.method {
        Some("POST") if path.ends_with("/chat/completions") => chat(body),
        Some("GET") if path.ends_with("/models") => Asked::Models,
        _ => Asked::Other,
    })
}

fn chat(body: &[u8]) -> Asked {
    BODIES
        .iter()
        .find(|(expected, _)| expected == body)
        .map_or(Asked::Other, |(_, model)| Asked::Chat(*model))
}
