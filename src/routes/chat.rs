//! Requests whose JSON names a model, such as chats: who asks, which provider answers, and the request
//! on its way.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use smol::channel::bounded;

use super::asking::{admit, ask, call, routed, take_named_model, without_tokens};
use super::decoded::plain_body;
use super::stored;
use super::table::{Endpoint, Row};
use crate::downstream::{self, Connection};
use crate::relay::{Response, Terms};
use crate::report::{Entry, Error};
use crate::routing::{route, ChatRequest};
use crate::runtime::{offload, Share, IN_PLACE_BYTES_MAX};
use crate::state::{Settings, State};
use crate::upstream::Message;
use crate::wire::{Framing, RequestHead};

/// Relays one chat, or begins to.
///
/// # Errors
/// Whatever keeps a response from being begun.
pub async fn respond(
    state: &Rc<State>,
    row: &'static Row,
    mut head: Box<RequestHead>,
    connection: &mut Connection,
    entry: &mut Entry,
) -> Result<Response, Error> {
    let settings = state.settings();
    let token = admit(&settings, &head, entry)?;
    let (request, mut body, share) = read(state, &settings, &mut head, connection).await?;
    let client =
        (row.endpoint == Endpoint::Responses).then(|| state.stored.client(token.secret.expose()));
    let provider = match client {
        Some(client) => {
            let named = request.model.is_none().then(|| take_named_model(&mut head)).flatten();
            stored::find(state, &settings, client, &request, named, entry)?
        }
        None => {
            let provider = route(&settings.providers, &settings.supported_models, &request);
            routed(provider, request.model.as_deref(), entry)?
        }
    };
    request.splice(&mut body);
    let query = without_tokens(&head.query, &settings);
    let call = call(&head, row.suffix, &query, entry);
    let message =
        Message::new(provider.head(&call, Framing::Length(body.len() as u64)), body, Some(share));
    drop(head);
    connection.release_head();
    let timeouts = settings.timeouts(request.stream);
    let terms = Terms {
        dialect: row.dialect,
        provider,
        timeouts,
        body_bytes_max: settings.max_response_size,
        budget: &state.memory.held,
        watch: Cell::new(
            client
                .filter(|_| row.suffix == stored::CREATE)
                .map(|client| stored::watch(state, client, provider)),
        ),
    };
    ask(state, message, connection, &terms, entry).await
}

type Parsed = (ChatRequest, Vec<u8>, Share);

/// Reads the body, decoded if it has to be.
async fn read(
    state: &Rc<State>,
    settings: &Settings,
    head: &mut RequestHead,
    connection: &mut Connection,
) -> Result<Parsed, Error> {
    let mut share = state.memory.bodies.share();
    let body = plain_body(state, settings, head, connection, &mut share).await?;
    parse(state, body, share, connection).await
}

/// Reads the body; a large one on a thread of its own, a few at a time: it would hold up the event
/// loop. A thread that has begun ends its work, and keeps permit and memory until then, also when the
/// client has left.
async fn parse(
    state: &Rc<State>,
    body: Vec<u8>,
    share: Share,
    connection: &mut Connection,
) -> Result<Parsed, Error> {
    if body.len() <= IN_PLACE_BYTES_MAX {
        return Ok((ChatRequest::parse(&body).map_err(Error::BadRequest)?, body, share));
    }
    let (sender, receiver) = bounded(1);
    let parsers = state.parsers.clone();
    state.spawn(async move {
        let _permit = parsers.take().await;
        if sender.is_closed() {
            return;
        }
        let body = Arc::new(body);
        let theirs = body.clone();
        let request = match offload(move || ChatRequest::parse(&theirs)).await {
            Ok(request) => request,
            // The system has no thread to give: it is read here, though it holds up the event loop.
            Err(_) => ChatRequest::parse(&body),
        };
        let _ = sender.try_send((request, Arc::unwrap_or_clone(body), share));
    });
    let parsed = connection.unless_gone(receiver.recv()).await?;
    // The task ends without a result only when the program does.
    let (request, body, share) = parsed.map_err(|_| downstream::Error::Gone)?;
    Ok((request.map_err(Error::BadRequest)?, body, share))
}

#[cfg(test)]
mod tests;
