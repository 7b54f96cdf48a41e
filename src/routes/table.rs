//! Which endpoints there are: one row for each.

use percent_encoding::percent_decode_str;

use crate::report::{Dialect, Error};
use crate::wire::RequestHead;

/// What is behind a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// What the program is, or its page.
    About,
    /// Probes of all providers.
    Health,
    /// The figures of the page.
    Status,
    /// The configuration is read again.
    Reload,
    /// All models.
    Models,
    /// One of them.
    Model,
    /// A request whose JSON names the model: it goes to the model's provider.
    Relay,
    /// The same, but for one that goes on with a stored object: it goes where that is.
    Responses,
    /// A stored response: the request goes where that is.
    Stored,
    /// A form that names the model, and holds files: it goes to the model's provider.
    Upload,
    /// Requests of any kind for a provider that is open for them.
    Passthrough,
}

/// One row.
#[derive(Clone, Copy)]
pub struct Row {
    /// The path; rows of an API also work without their `/v1`. `{id}` is one segment that is not
    /// empty, but for a model, whose name may hold slashes.
    pub path: &'static str,
    /// The path without `/v1`, as it also stands behind a provider's `baseurl`.
    pub suffix: &'static str,
    /// The methods, as `Allow` lists them.
    pub methods: &'static str,
    /// What is behind.
    pub endpoint: Endpoint,
    /// How its clients want to be spoken to.
    pub dialect: Dialect,
}

const GET: &str = "GET, HEAD";
const POST: &str = "POST";
/// The usual ones of those that go on.
const ANY: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const MODELS: &str = "/models";
const PASSTHROUGH: &str = "/p/{provider}/{rest}";

const fn row(path: &'static str, methods: &'static str, endpoint: Endpoint) -> Row {
    Row { path, suffix: suffix(path), methods, endpoint, dialect: Dialect::OpenAi }
}

const fn relay(path: &'static str, endpoint: Endpoint, dialect: Dialect) -> Row {
    Row { path, suffix: suffix(path), methods: POST, endpoint, dialect }
}

const fn stored(path: &'static str, methods: &'static str) -> Row {
    Row { methods, ..relay(path, Endpoint::Stored, Dialect::Responses) }
}

const fn suffix(path: &'static str) -> &'static str {
    match path.as_bytes() {
        [b'/', b'v', b'1', ..] => path.split_at("/v1".len()).1,
        _ => path,
    }
}

/// All rows, in the order in which `GET /` names them.
pub const ROWS: [Row; 26] = [
    row("/", GET, Endpoint::About),
    row("/health", GET, Endpoint::Health),
    row("/v1/status", GET, Endpoint::Status),
    row("/v1/reload", POST, Endpoint::Reload),
    row("/v1/models", GET, Endpoint::Models),
    row("/v1/models/{id}", GET, Endpoint::Model),
    relay("/v1/chat/completions", Endpoint::Relay, Dialect::OpenAi),
    relay("/v1/completions", Endpoint::Relay, Dialect::OpenAi),
    relay("/v1/embeddings", Endpoint::Relay, Dialect::OpenAi),
    relay("/v1/moderations", Endpoint::Relay, Dialect::OpenAi),
    relay("/v1/rerank", Endpoint::Relay, Dialect::OpenAi),
    relay("/v1/images/generations", Endpoint::Relay, Dialect::OpenAi),
    relay("/v1/audio/speech", Endpoint::Relay, Dialect::OpenAi),
    relay("/v1/responses", Endpoint::Responses, Dialect::Responses),
    relay("/v1/responses/compact", Endpoint::Responses, Dialect::Responses),
    relay("/v1/responses/input_tokens", Endpoint::Responses, Dialect::Responses),
    stored("/v1/responses/{id}", "GET, HEAD, DELETE"),
    stored("/v1/responses/{id}/cancel", POST),
    stored("/v1/responses/{id}/input_items", GET),
    relay("/v1/audio/transcriptions", Endpoint::Upload, Dialect::OpenAi),
    relay("/v1/audio/translations", Endpoint::Upload, Dialect::OpenAi),
    relay("/v1/images/edits", Endpoint::Upload, Dialect::OpenAi),
    relay("/v1/images/variations", Endpoint::Upload, Dialect::OpenAi),
    relay("/v1/messages", Endpoint::Relay, Dialect::Anthropic),
    relay("/v1/messages/count_tokens", Endpoint::Relay, Dialect::Anthropic),
    row(PASSTHROUGH, ANY, Endpoint::Passthrough),
];

/// Where clients ask for WebSocket first, and then speak plain HTTP.
const UPGRADES: [&str; 2] = ["/responses", "/realtime"];

/// A path without the `/v1` that it may begin with: what stands behind a provider's `baseurl`.
pub fn bare(path: &str) -> &str {
    path.strip_prefix("/v1").unwrap_or(path)
}

/// The row of a path, if there is one.
pub fn find(path: &str) -> Option<&'static Row> {
    let bare = bare(path);
    ROWS.iter().find(|row| match row.endpoint {
        Endpoint::Relay | Endpoint::Models | Endpoint::Responses | Endpoint::Upload => {
            row.suffix == bare
        }
        Endpoint::Stored => stored_id(row, bare).is_some(),
        Endpoint::Model => {
            bare.strip_prefix(MODELS).is_some_and(|id| id.len() > 1 && id.starts_with('/'))
        }
        Endpoint::Passthrough => provider_and_rest(path).is_some(),
        Endpoint::About | Endpoint::Health | Endpoint::Status | Endpoint::Reload => {
            row.path == path
        }
    })
}

impl Row {
    /// What `GET /` says of it: a line for each method but `HEAD`.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let methods = if self.endpoint == Endpoint::Passthrough { "*" } else { self.methods };
        let methods = methods.split(", ").filter(|method| *method != "HEAD");
        methods.map(|method| format!("{method} {}", self.path))
    }

    fn allows(&self, method: &str) -> bool {
        // Most rows have one method.
        self.methods == method
            || self.endpoint == Endpoint::Passthrough
            || self.methods.split(", ").any(|allowed| allowed == method)
    }
}

/// What stands for `{id}` in a bare path of [`Endpoint::Stored`].
pub fn stored_id<'p>(row: &Row, bare: &'p str) -> Option<&'p str> {
    let (before, behind) = row.suffix.split_once("{id}")?;
    let id = bare.strip_prefix(before)?.strip_suffix(behind)?;
    // A client whose base URL ends with the path already.
    let is_twice = id == "responses";
    (!id.is_empty() && !id.contains('/') && !is_twice).then_some(id)
}

/// The provider's name, still encoded, and the path there, of [`Endpoint::Passthrough`].
pub fn provider_and_rest(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix("/p/")?;
    let slash = path.find('/').filter(|slash| *slash > 0)?;
    Some(path.split_at(slash))
}

/// How a client wants to be spoken to, as far as is known before its request is looked at.
pub fn dialect(head: &RequestHead, row: Option<&Row>) -> Dialect {
    match row {
        Some(Row { endpoint: Endpoint::Models | Endpoint::Model, .. }) if head.is_anthropic => {
            Dialect::Anthropic
        }
        _ => row.map_or(Dialect::OpenAi, |row| row.dialect),
    }
}

/// The name that the path of [`Endpoint::Model`] ends with, decoded.
pub fn model_id(path: &str) -> String {
    let id = bare(path).get(MODELS.len() + 1..).unwrap_or_default();
    percent_decode_str(id).decode_utf8_lossy().into_owned()
}

/// What is behind a request, and in which dialect.
///
/// # Errors
/// No such path, another method, or WebSocket.
pub fn endpoint(head: &RequestHead, row: Option<&'static Row>) -> Result<&'static Row, Error> {
    let path = head.path.as_str();
    let bare = bare(path);
    if head.wants_websocket && UPGRADES.contains(&bare) {
        return Err(Error::NoWebSocket);
    }
    let Some(row) = row else {
        let path = path.to_owned();
        return Err(if is_twice(bare) { Error::PathTwice(path) } else { Error::NotFound(path) });
    };
    if row.allows(&head.method) {
        Ok(row)
    } else {
        Err(Error::MethodNotAllowed(row.methods))
    }
}

/// Whether a path begins with `/v1` twice, or would be a row's if a part of it did not stand there twice.
fn is_twice(bare: &str) -> bool {
    let again =
        bare.strip_prefix("/v1").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let doubled = ROWS.iter().filter_map(|row| row.path.strip_prefix("/v1")).any(|path| {
        let before = bare.strip_suffix(path);
        before.is_some_and(|b| b.strip_suffix("/v1").unwrap_or(b).ends_with(path))
    });
    again || doubled
}

#[cfg(test)]
mod tests;
