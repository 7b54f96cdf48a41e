//! The `tokens` list: what a client's token needs.

use std::sync::Arc;

use super::keys::{Kind, Value};
use super::node::Node;
use super::secret::Secret;
use super::{odd, ConfigError};
use crate::language::Words;

/// A client's token and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// For the log; may be empty.
    pub description: Arc<str>,
    /// What the client sends behind `Bearer`.
    pub secret: Secret,
}

impl Value for Token {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        let text = node.string()?;
        let Some((description, secret)) = text.split_once('|') else {
            return Err(node
                .error(Words("必须形如 \"说明|token\"", "must look like \"description|token\"")));
        };
        if secret.trim().is_empty() {
            return Err(node.error(Words("| 后面缺少 token", "has no token behind the |")));
        }
        if secret != secret.trim() || secret.contains(char::is_control) {
            node.warn(Words(
                "token 首尾有空白或含控制字符，客户端无法使用",
                "white space around the token or control characters in it: no client can send it",
            ));
        }
        odd::about(secret).for_each(|reason| node.warn(reason));
        node.note_secret();
        Ok(Self { description: description.into(), secret: Secret::new(secret) })
    }

    fn show(&self, _: &Kind) -> String {
        match &*self.description {
            "" => Words("（无说明）", "(no description)").to_string(),
            description => description.to_owned(),
        }
    }
}
