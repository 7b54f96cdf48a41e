//! One provider, as its requests need it. What all of them have in common is written once for each
//! configuration.

use std::cell::Cell;
use std::rc::Rc;

use http_types::auth::BasicAuth;

use super::connect::Origin;
use super::history::History;
use super::rests::{Reach, Rests};
use crate::config::Provider as Configured;
use crate::config::Secret;
use crate::wire::{push_field, Framing};

/// Ids of stored responses and conversations are not longer.
const STORED_ID_BYTES_MAX: usize = 128;

/// A provider of the configuration, ready for use.
#[derive(Debug)]
pub struct Provider {
    /// What the configuration says of it.
    pub config: Configured,
    /// Where its connections lead.
    pub origin: Rc<Origin>,
    /// What was seen of it, under this configuration and those before.
    pub history: Rc<History>,
    /// Whether its origin can be reached, which others may share.
    pub reach: Rc<Reach>,
    /// Its keys in their order; one without a secret where it has none.
    pub keys: Vec<Key>,
    /// Whose turn it is, where keys take turns.
    pub turn: Cell<usize>,
}

/// One key of a provider.
#[derive(Debug)]
pub struct Key {
    /// What stands behind the target in every head: the host, the key, and which codings are read.
    prefix: Secret,
    /// What it rests from.
    pub rests: Rc<Rests>,
}

/// What a provider takes over from the one that it follows.
#[derive(Default)]
pub struct Past {
    /// What was seen of it.
    pub history: Rc<History>,
    /// Whether its origin can be reached.
    pub reach: Rc<Reach>,
    /// The rests of its keys.
    pub rests: Vec<(Option<Secret>, Rc<Rests>)>,
}

/// One request for a provider, but for its body.
pub struct Call<'c> {
    /// As it was sent.
    pub method: &'c str,
    /// The path behind `baseurl`, such as `/chat/completions`.
    pub path: &'c str,
    /// The client's query, which may be empty.
    pub query: &'c str,
    /// The client's field lines that go on.
    pub relayed: &'c [u8],
    /// The client's credentials, which go on to a provider that has no key of its own.
    pub credentials: &'c [u8],
    /// The request's id.
    pub id: &'c str,
}

impl Provider {
    /// Prepares what its requests have in common; nothing was seen of it yet.
    pub fn new(config: Configured) -> Rc<Provider> {
        Provider::with_past(config, Past::default())
    }

    /// The same for one of which something was seen.
    pub fn with_past(config: Configured, past: Past) -> Rc<Provider> {
        let base = &config.base;
        let origin = Origin { https: base.https, host: base.host.clone(), port: base.port };
        let key = |secret: Option<&Secret>| {
            let authorization = authorization(secret, base.credentials.as_ref())
                .map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
            let prefix = Secret::new(format!(
                " HTTP/1.1\r\nHost: {}\r\n{authorization}Accept-Encoding: identity\r\n",
                base.authority(),
            ));
            let known = past.rests.iter().find(|(known, _)| known.as_ref() == secret);
            Key { prefix, rests: known.map(|(_, rests)| rests.clone()).unwrap_or_default() }
        };
        let keys = match &config.keys[..] {
            [] => vec![key(None)],
            secrets => secrets.iter().map(|secret| key(Some(secret))).collect(),
        };
        let Past { history, reach, .. } = past;
        let (origin, turn) = (Rc::new(origin), Cell::default());
        Rc::new(Provider { origin, history, reach, keys, turn, config })
    }

    /// What one that follows it, perhaps elsewhere, takes over.
    pub fn past(&self) -> Past {
        let secrets = self.config.keys.iter().map(Some).chain([None]);
        let rests = secrets.zip(&self.keys);
        Past {
            history: self.history.clone(),
            reach: Rc::default(),
            rests: rests.map(|(secret, key)| (secret.cloned(), key.rests.clone())).collect(),
        }
    }

    /// What stands before the first slash of a model's id.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// A request's head: the provider's own lines with the key of this number, from 0, the client's that go
    /// on, and ours.
    pub fn head(&self, call: &Call<'_>, framing: Framing, key: usize) -> Vec<u8> {
        let (prefix, base) = (self.keys[key].prefix.expose().as_bytes(), &self.config.base);
        let target = base.path.len() + call.path.len() + call.query.len();
        // Room for our lines, and for a small body, which is sent with the head.
        let room = target + prefix.len() + call.relayed.len() + 96 + call.id.len();
        let body = match framing {
            Framing::Length(length) => length.min(16 * 1024) as usize,
            _ => 0,
        };
        let mut head = Vec::with_capacity(room + body);
        head.extend_from_slice(call.method.as_bytes());
        head.push(b' ');
        base.push_target(&mut head, call.path, call.query);
        head.extend_from_slice(prefix);
        head.extend_from_slice(call.relayed);
        if self.config.keys.is_empty() && base.credentials.is_none() {
            head.extend_from_slice(call.credentials);
        }
        push_field(&mut head, "X-Request-Id", call.id.as_bytes());
        match framing {
            Framing::Length(length) => {
                let mut digits = itoa::Buffer::new();
                push_field(&mut head, "Content-Length", digits.format(length).as_bytes());
            }
            Framing::Chunked => push_field(&mut head, "Transfer-Encoding", b"chunked"),
            Framing::None | Framing::UntilClose => {}
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// Whether `text` can be the id that a provider gave to a stored object.
pub fn is_stored_id(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=STORED_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_part)
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
