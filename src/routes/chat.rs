//! Requests whose JSON names a model, such as chats: who asks, which provider answers, and the request
//! on its way.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use smol::channel::bounded;

use super::asking::{admit, conversation_of, names, routed, take_named_model};
use super::decoded::plain_body;
use super::draft::{Draft, Place, Request};
use super::sending::{send, Way};
use super::table::{Endpoint, Row};
use super::{models, stored};
use crate::downstream::{self, Connection};
use crate::language::Text;
use crate::relay::{Response, Terms};
use crate::report::{Entry, Error};
use crate::routing::{of_body, ChatRequest};
use crate::runtime::{offload, Share, IN_PLACE_BYTES_MAX};
use crate::state::{Settings, State};
use crate::upstream::Provider;
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
    let (request, body, share) = read(state, &settings, &mut head, connection).await?;
    let client =
        (row.endpoint == Endpoint::Responses).then(|| state.stored.client(token.secret.expose()));
    let conversation = conversation_of(&settings, token, &head, request.conversation);
    let lists = |provider: &Provider, model: &str| models::lists(state, provider, model);
    let names = names(&settings, row.suffix, conversation, &lists);
    let route = match client {
        Some(client) => {
            let named = request.model.is_none().then(|| take_named_model(&mut head)).flatten();
            stored::find(state, &names, client, &request, named, entry)?
        }
        None => {
            let model = request.model().map_err(Error::BadRequest)?;
            routed(names.route(model, request.ambiguous), Some(model), entry)?
        }
    };
    let creator = client.filter(|_| row.suffix == stored::CREATE);
    let way = Way { route, conversation, creator };
    let terms = Terms {
        dialect: row.dialect,
        provider: way.route.provider(),
        timeouts: settings.timeouts(request.stream),
        body_bytes_max: settings.max_response_size,
        budget: &state.memory.held,
        watch: Cell::default(),
    };
    let draft = Draft {
        settings: &settings,
        head,
        path: row.suffix.into(),
        framing: Framing::Length(0),
        body,
        share: Some(share),
        model: Place::Json(request),
    };
    send(state, &way, Request::Draft(draft), connection, &terms, entry).await
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
    parse(state, settings.by_conversation, body, share, connection).await
}

/// Reads the body; a large one on a thread of its own, a few at a time: it would hold up the event
/// loop. A thread that has begun ends its work, and keeps permit and memory until then, also when the
/// client has left.
async fn parse(
    state: &Rc<State>,
    by_conversation: bool,
    body: Vec<u8>,
    share: Share,
    connection: &mut Connection,
) -> Result<Parsed, Error> {
    if body.len() <= IN_PLACE_BYTES_MAX {
        let request = parse_one(&body, by_conversation).map_err(Error::BadRequest)?;
        return Ok((request, body, share));
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
        let request = match offload(move || parse_one(&theirs, by_conversation)).await {
            Ok(request) => request,
            // The system has no thread to give: it is read here, though it holds up the event loop.
            Err(_) => parse_one(&body, by_conversation),
        };
        let _ = sender.try_send((request, Arc::unwrap_or_clone(body), share));
    });
    let parsed = connection.unless_gone(receiver.recv()).await?;
    // The task ends without a result only when the program does.
    let (request, body, share) = parsed.map_err(|_| downstream::Error::Gone)?;
    Ok((request.map_err(Error::BadRequest)?, body, share))
}

fn parse_one(body: &[u8], by_conversation: bool) -> Result<ChatRequest, Text> {
    let mut request = ChatRequest::parse(body)?;
    if by_conversation {
        request.conversation = of_body(body);
    }
    Ok(request)
}

#[cfg(test)]
mod tests;
