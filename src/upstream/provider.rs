//! One provider, as its requests need it. What all of them have in common is written once for each
//! configuration.

use std::rc::Rc;

use http_types::auth::BasicAuth;

use super::connect::Origin;
use crate::config::Provider as Configured;
use crate::config::Secret;
use crate::wire::push_field;

/// A provider of the configuration, ready for use.
#[derive(Debug)]
pub struct Provider {
    /// What the configuration says of it.
    pub config: Configured,
    /// Where its connections lead.
    pub origin: Rc<Origin>,
    /// The lines that begin every chat's head; they hold its key.
    chat_prefix: Secret,
}

impl Provider {
    /// Prepares what its requests have in common.
    pub fn new(config: Configured) -> Rc<Provider> {
        let base = &config.base;
        let origin = Origin { https: base.https, host: base.host.clone(), port: base.port };
        let authorization = authorization(config.token.as_ref(), base.credentials.as_ref())
            .map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
        let chat_prefix = Secret::new(format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\n{authorization}Accept-Encoding: identity\r\n",
            base.target("/chat/completions"),
            base.authority(),
        ));
        Rc::new(Provider { origin: Rc::new(origin), chat_prefix, config })
    }

    /// What stands before the first slash of a model's id.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// A chat's head: the provider's own lines, the client's that go on, and ours.
    pub fn chat_head(&self, relayed: &[u8], body_length: usize, id: &str) -> Vec<u8> {
        let prefix = self.chat_prefix.expose().as_bytes();
        // Room for our lines, and for a small body, which is sent with the head.
        let room = prefix.len() + relayed.len() + 64 + id.len() + body_length.min(16 * 1024);
        let mut head = Vec::with_capacity(room);
        head.extend_from_slice(prefix);
        head.extend_from_slice(relayed);
        push_field(&mut head, "X-Request-Id", id.as_bytes());
        push_field(&mut head, "Content-Length", body_length.to_string().as_bytes());
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// What a provider is told in `Authorization`: its token, else the credentials of its URL.
pub fn authorization(token: Option<&Secret>, credentials: Option<&Secret>) -> Option<String> {
    match (token, credentials) {
        (Some(token), _) => Some(format!("Bearer {}", token.expose())),
        (None, Some(pair)) => {
            let (user, password) = pair.expose().split_once(':').unwrap_or((pair.expose(), ""));
            Some(BasicAuth::new(user, password).value().as_str().to_owned())
        }
        (None, None) => None,
    }
}
