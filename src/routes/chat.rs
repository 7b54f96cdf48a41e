//! Requests whose JSON names a model, such as chats: who asks, which provider answers, and the request
//! on its way.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use smol::channel::bounded;

use super::decoded::decoded;
use super::table::Row;
use crate::config::Token;
use crate::downstream::{self, Connection};
use crate::relay::{relay, Early, Response, Terms};
use crate::report::{Entry, Error};
use crate::routing::{route, ChatRequest, Refusal};
use crate::runtime::{offload, Share, Timer, IN_PLACE_BYTES_MAX};
use crate::state::{Settings, State};
use crate::upstream::{exchange, Call, Message};
use crate::wire::{push_field, Coding, Decoding, RequestHead};

/// The client's token must be on the list.
///
/// # Errors
/// [`Error::NoToken`] or [`Error::BadToken`].
pub fn authorise<'s>(settings: &'s Settings, head: &RequestHead) -> Result<&'s Token, Error> {
    let token = head.token.as_deref().ok_or(Error::NoToken)?;
    settings.token(token).ok_or(Error::BadToken)
}

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
    entry.begin_chat();
    let settings = state.settings();
    entry.client.clone_from(&authorise(&settings, &head)?.description);
    connection.raise_read_ahead();
    let known = |name: String| Coding::of(&name).ok_or(Error::UnknownCoding(name));
    let coding = head.coding.take().map(known).transpose()?;
    let mut share = state.memory.bodies.share();
    let limit = settings.max_request_size;
    let body = Box::pin(connection.read_body(head.framing, limit, &mut share)).await?;
    let body = match coding {
        Some(coding) => {
            let decoding = Decoding::new(coding, body, limit);
            Box::pin(decoded(state, decoding, connection, &mut share)).await?
        }
        None => body,
    };
    let (request, mut body, share) = parse(state, body, share, connection).await?;
    let provider = route(&settings.providers, &settings.supported_models, &request);
    if !matches!(provider, Err(Refusal::LongName(_))) {
        entry.model = request.model.clone().unwrap_or_default();
    }
    let provider = provider.map_err(|refusal| refused(refusal, entry))?;
    entry.provider = Some(provider.clone());
    request.splice(&mut body);
    let query = without_tokens(&head.query, &settings);
    let call = Call {
        method: &head.method,
        path: row.suffix,
        query: &query,
        relayed: &head.relayed,
        credentials: &head.credentials,
        id: &entry.id,
    };
    let message = Message::new(provider.head(&call, body.len()), body, Some(share));
    drop(head);
    connection.release_head();
    let timeouts = settings.timeouts(request.stream);
    let terms = Terms {
        dialect: row.dialect,
        provider,
        timeouts,
        body_bytes_max: settings.max_response_size,
        budget: &state.memory.held,
    };
    ask(state, message, connection, &terms, entry).await
}

/// Sends a request to its provider and relays the response, or begins to.
async fn ask(
    state: &State,
    message: Message,
    connection: &mut Connection,
    terms: &Terms<'_>,
    entry: &mut Entry,
) -> Result<Response, Error> {
    let Terms { provider, timeouts, .. } = terms;
    // Boxed, like all that is over before the response streams: an open stream stays small.
    let timer = Timer::new(state.clock());
    let exchange = Box::pin(exchange(&state.pool, &provider.origin, message, timeouts, &timer));
    let mut early =
        timeouts.early_after.map(|after| Box::new(Early::new(after, terms, connection)));
    let response = match &mut early {
        None => connection.unless_gone(exchange).await?,
        Some(early) => Box::pin(early.wait(exchange, connection, entry)).await?,
    };
    if let Ok(response) = &response {
        entry.note_provider_head(response.lease.reused);
    }
    if let Some(early) = early.filter(|early| early.opened) {
        return Ok(Box::pin(early.relay(response, connection, entry)).await);
    }
    let mut response = response.map_err(|error| Error::of_exchange(provider, error))?;
    if !response.head.has_request_id {
        push_field(&mut response.head.relayed, "x-request-id", entry.id.as_bytes());
    }
    relay(response, connection, terms, entry).await
}

/// A query without the parts that are tokens of clients: `key`, and whatever else they call it.
fn without_tokens<'q>(query: &'q str, settings: &Settings) -> Cow<'q, str> {
    if query.is_empty() {
        return Cow::Borrowed(query);
    }
    let is_token = |part: &&str| {
        let value = part.split_once('=').map_or(*part, |(_, value)| value);
        settings.holds_token(&Cow::from(percent_decode_str(value)))
    };
    if !query.split('&').any(|part| is_token(&part)) {
        return Cow::Borrowed(query);
    }
    let parts: Vec<&str> = query.split('&').filter(|part| !is_token(part)).collect();
    Cow::Owned(parts.join("&"))
}

fn refused(refusal: Refusal, entry: &Entry) -> Error {
    match refusal {
        Refusal::NoSuchModel => Error::ModelNotFound(entry.model.clone()),
        Refusal::LongName(start) => Error::ModelNotFound(start),
        Refusal::BadRequest(reason) => Error::BadRequest(reason),
        Refusal::UnknownStored(id) => Error::UnknownStored(id),
    }
}

type Parsed = (ChatRequest, Vec<u8>, Share);

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
