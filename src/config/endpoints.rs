//! A provider's `endpoints`: the paths that it answers.

use super::node::Node;
use super::similar::similar;
use super::{ConfigError, Mistakes, Provider};
use crate::language::Words;
use crate::message;

/// Paths behind `/v1/` that may stand there; requests for others go to no provider.
pub const ENDPOINTS: [&str; 17] = [
    "chat/completions",
    "completions",
    "embeddings",
    "moderations",
    "rerank",
    "images/generations",
    "images/edits",
    "images/variations",
    "audio/speech",
    "audio/transcriptions",
    "audio/translations",
    "responses",
    "responses/compact",
    "responses/input_tokens",
    "messages",
    "messages/count_tokens",
    "models",
];

pub(super) fn read_endpoints(provider: &mut Provider, node: &Node<'_>) -> Result<(), ConfigError> {
    let mut mistakes = Mistakes::default();
    for node in node.array()? {
        match read(&node) {
            Ok(endpoint) => provider.endpoints.push(endpoint),
            Err(error) => mistakes.add(error),
        }
    }
    mistakes.none()
}

fn read(node: &Node<'_>) -> Result<String, ConfigError> {
    let text = node.string()?;
    let endpoint = bare(&text);
    if endpoint.is_empty() || endpoint.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(node.error(Words(
            "必须是接口路径，如 chat/completions",
            "must be a path such as chat/completions",
        )));
    }
    match similar(endpoint, ENDPOINTS.into_iter()) {
        _ if ENDPOINTS.contains(&endpoint) => {}
        None => node.warn(Words("未知的接口", "unknown endpoint")),
        Some(meant) => node.warn(message!(
            "未知的接口；是否应为 {meant}？",
            "unknown endpoint; did you mean {meant}?"
        )),
    }
    Ok(endpoint.to_owned())
}

/// The path without what stands before it in a URL.
fn bare(text: &str) -> &str {
    let path = text.trim_matches('/');
    path.strip_prefix("v1/").unwrap_or(path)
}
