//! A provider's `endpoints`: the paths that it answers.

use super::keys::{Kind, Value};
use super::node::Node;
use super::similar::similar;
use super::{ConfigError, Provider};
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
    provider.endpoints = Value::read(node, &Kind::Text(bare))?;
    for (endpoint, node) in provider.endpoints.iter().zip(node.array()?) {
        match similar(endpoint, ENDPOINTS.into_iter()) {
            _ if ENDPOINTS.contains(&&**endpoint) => {}
            None => node.warn(Words("未知的接口", "unknown endpoint")),
            Some(meant) => node.warn(message!(
                "未知的接口；是否应为 {meant}？",
                "unknown endpoint; did you mean {meant}?"
            )),
        }
    }
    Ok(())
}

/// The path without what stands before it in a URL.
fn bare(text: &str) -> Result<String, Words> {
    let path = text.trim_matches('/');
    let path = path.strip_prefix("v1/").unwrap_or(path);
    match path.is_empty() || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Err(Words(
            "必须是接口路径，如 chat/completions",
            "must be a path such as chat/completions",
        )),
        false => Ok(path.to_owned()),
    }
}
