//! `/p/{provider}/…`: a request of any kind for one provider, whose path and body nobody reads here.

use std::cell::Cell;
use std::rc::Rc;

use percent_encoding::{percent_decode, percent_decode_str};

use super::asking::{admit, call, conversation_of, names, without_tokens, DECODINGS_MAX};
use super::draft::{Draft, Once, Place, Request};
use super::sending::{send, Way};
use super::table::{provider_and_rest, Row};
use crate::downstream::{self, Connection, UPLOAD_BYTES};
use crate::language::Words;
use crate::relay::{Response, Terms};
use crate::report::{Entry, Error};
use crate::routing::{Lists, Route};
use crate::state::{Settings, State};
use crate::upstream::{Message, Provider};
use crate::wire::{Framing, RequestHead};

/// A body up to this is held where the request may have to be sent more than once.
const HELD_BYTES_MAX: u64 = 256 * 1024;

/// Relays one request to its provider, or begins to.
///
/// # Errors
/// Whatever keeps a response from being begun.
pub async fn respond(
    state: &Rc<State>,
    row: &'static Row,
    head: Box<RequestHead>,
    connection: &mut Connection,
    entry: &mut Entry,
) -> Result<Response, Error> {
    let settings = state.settings();
    let not_found = || Error::NotFound(head.path.clone());
    let token = admit(&settings, &head, entry)?;
    // The one would show the client the provider's key, the other make a tunnel of the connection.
    if matches!(&*head.method, "TRACE" | "CONNECT") {
        return Err(Error::MethodNotAllowed(row.methods));
    }
    let (name, rest) = provider_and_rest(&head.path).ok_or_else(not_found)?;
    let name = percent_decode_str(name).decode_utf8_lossy();
    let provider = settings.passthrough.iter().find(|provider| provider.name() == name);
    let provider = provider.ok_or_else(not_found)?;
    if !stays_below(rest) {
        let reason = Words(
            "路径不能离开提供商的 baseurl",
            "the path must stay below the provider's baseurl",
        );
        return Err(Error::BadRequest(reason.into()));
    }
    connection.raise_read_ahead();
    let conversation = conversation_of(&settings, token, &head, None);
    let lists = |_: &Provider, _: &str| Lists::No;
    let route = names(&settings, row.suffix, conversation, &lists).direct(provider, "");
    if matches!(route, Route::Direct(..)) {
        entry.go_to(provider);
    }
    let may_repeat =
        head.retries != Some(0) && matches!(&route, Route::Plan(plan) if plan.retries() > 0);
    let rest = rest.to_owned();
    let request = Box::pin(request(state, &settings, rest, head, may_repeat, connection)).await?;
    let way = Way { route, conversation, creator: None };
    let terms = Terms {
        dialect: row.dialect,
        provider,
        timeouts: &settings.passthrough_timeouts,
        body_bytes_max: u64::MAX,
        budget: &state.memory.held,
        watch: Cell::default(),
    };
    send(state, &way, request, connection, &terms, entry).await
}

/// The request for the provider. What is not here yet of its body follows as it comes, unless it is short and
/// may have to be sent more than once.
async fn request<'r>(
    state: &State,
    settings: &'r Settings,
    path: String,
    head: Box<RequestHead>,
    may_repeat: bool,
    connection: &mut Connection,
) -> Result<Request<'r>, Error> {
    let mut share = state.memory.bodies.share();
    let incoming = connection.begin_body(head.framing, u64::MAX).await?;
    let mut incoming = incoming.without_limit();
    let mut whole = connection.take_more(&mut incoming, &mut share)?;
    // Some servers want to be told that there is nothing.
    let framing = match head.framing {
        Framing::None if matches!(&*head.method, "POST" | "PUT" | "PATCH") => Framing::Length(0),
        framing => framing,
    };
    let is_short = matches!(framing, Framing::Length(length) if length <= HELD_BYTES_MAX);
    while may_repeat && is_short && !whole {
        connection.wait_for_more(&mut incoming).await?;
        whole = connection.take_more(&mut incoming, &mut share)?;
    }
    let chunked = framing == Framing::Chunked;
    if whole && !chunked {
        let (path, body, share) = (path.into(), incoming.body, Some(share));
        let model = Place::Nowhere;
        return Ok(Request::Draft(Draft { settings, head, path, framing, body, share, model }));
    }
    if !share.grow_to(UPLOAD_BYTES) {
        return Err(downstream::Error::Overloaded(share.budget().limit()).into());
    }
    let retries = head.retries;
    let write: Once<'r> = Box::new(move |provider, key, _, connection, entry| {
        let query = without_tokens(&head.query, settings);
        let upstream_head = provider.head(&call(&head, &path, &query, entry), framing, key);
        let rest = connection.stream_body(incoming, chunked, None, share)?;
        Ok(Message::new(upstream_head, Vec::new(), None).followed_by(rest))
    });
    Ok(Request::Once(write, retries))
}

/// Whether a path stays below the one that it is put behind, however a server takes it apart.
fn stays_below(path: &str) -> bool {
    let mut path = path.as_bytes().to_vec();
    for _ in 0..DECODINGS_MAX {
        if leaves(&path) {
            return false;
        }
        path = percent_decode(&path).collect();
    }
    !leaves(&path)
}

/// Whether one of its segments leads upwards, or is empty, or could be cut by a zero. For some servers
/// the name of a segment ends at one of these signs, or holds no white space.
fn leaves(path: &[u8]) -> bool {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let mut segments = path.split(|byte| b"/\\".contains(byte)).peekable();
    while let Some(segment) = segments.next() {
        let name = segment.split(|byte| b";?#".contains(byte)).next().unwrap_or_default();
        let name =
            name.iter().filter(|byte| !byte.is_ascii_whitespace() && !byte.is_ascii_control());
        let is_inner = segments.peek().is_some();
        if name.eq(b"..") || segment.contains(&0) || (segment.is_empty() && is_inner) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_however_it_is_encoded() {
        for path in [
            "/",
            "/files",
            "/files/",
            "/files/file-1/content",
            "/a/...",
            "/a/..b",
            "/a/b..",
            "/a/./b",
            "/group%2Fname",
            "/a%20b",
            "/models/gemini-2.0:generate",
            "/%E5%90%8D",
            "/a;b/c",
            "/.",
        ] {
            assert!(stays_below(path), "{path}");
        }
        for path in [
            "/..",
            "/..%3Fx",
            "/a/..%23",
            "/..%20",
            "/.%09./x",
            "/..%0d%0a",
            "/../x",
            "/a/..",
            "/a/../..",
            "//",
            "//x",
            "/a//b",
            "/%2e%2e/x",
            "/.%2E/x",
            "/%2E./x",
            "/a/%2e%2e",
            "/%2F",
            "/a%2F%2Fb",
            "/a%2f..",
            "/..%2fx",
            "/%252e%252e/x",
            "/%25252e%2e/x",
            "/..;/x",
            "/..;a=b/x",
            "/\\x",
            "/..\\x",
            "/a\\..",
            "/%5c..%5c",
            "/a%00b",
            "/%5C",
        ] {
            assert!(!stays_below(path), "{path}");
        }
    }
}
