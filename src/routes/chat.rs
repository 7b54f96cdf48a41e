//! `POST /v1/chat/completions`: who asks, which provider answers, and the request on its way.
//! Knows nothing of sockets and TLS.

use std::rc::Rc;
use std::sync::Arc;

use crate::config::Token;
use crate::downstream::Connection;
use crate::relay::{relay, Early, Manner, RelayError, Relayed, Stream, StreamLimits};
use crate::report::entry::Record;
use crate::report::error::Error;
use crate::routing::splice::ChatRequest;
use crate::runtime::blocking::{offload, IN_PLACE_BYTES_MAX};
use crate::runtime::timer::{label, Timer, Wait};
use crate::state::{Settings, State};
use crate::upstream::exchange::{exchange, Message};
use crate::upstream::provider::chat_head;
use crate::wire::head::{push_field, RequestHead};

/// Nobody has a model with a longer name, which would be kept as long as its answer streams.
const MODEL_BYTES_MAX: usize = 4 * 1024;
/// How much of such a name stands in the error.
const MODEL_CHARS_SHOWN: usize = 100;

/// The bearer's token must be on the list.
///
/// # Errors
/// [`Error::NoToken`] or [`Error::BadToken`].
pub fn authorise<'s>(settings: &'s Settings, head: &RequestHead) -> Result<&'s Token, Error> {
    let bearer = head.bearer.as_deref().ok_or(Error::NoToken)?;
    settings.token(bearer).ok_or(Error::BadToken)
}

/// Where a request goes.
struct Route {
    index: usize,
    streams: bool,
    message: Message,
}

/// An answer that streams, and what the log will say of it: all that an open stream keeps.
pub struct Streaming {
    /// The stream.
    pub stream: Box<Stream>,
    /// Its line in the log.
    pub record: Record,
}

impl Streaming {
    /// Relays the rest. Returns whether the client's connection is in step.
    pub async fn run(
        mut self: Box<Self>,
        state: &State,
        client: &mut Connection,
        timer: &Timer,
    ) -> bool {
        let ending = self.stream.run(client, timer).await;
        let Streaming { stream, mut record } = *self;
        let in_step = stream.finish(ending, client, &mut record);
        done(state, &record, timer);
        in_step
    }
}

/// Writes down a chat that was answered.
pub fn done(state: &State, record: &Record, timer: &Timer) {
    record.log(None, timer.real_now());
    state.stats.chat(record, None);
}

/// Relays one chat, or begins to.
///
/// # Errors
/// Whatever keeps an answer from being begun; what happens later stands in `record`.
pub async fn complete(
    state: &Rc<State>,
    mut head: Box<RequestHead>,
    client: &mut Connection,
    timer: &Timer,
    record: &mut Record,
) -> Result<Relayed, Error> {
    let settings = state.settings();
    record.client.clone_from(&authorise(&settings, &head)?.description);
    client.raise_read_ahead();
    if let Some(coding) = head.coding.take() {
        return Err(Error::UnknownCoding(coding));
    }
    let mut share = state.bodies.share();
    let limit = settings.max_request_size;
    let body = Box::pin(client.read_body(timer, head.framing, limit, &mut share)).await?;
    let (minor, keep_alive) = (head.minor, head.keep_alive);
    let relayed = std::mem::take(&mut head.relayed);
    drop(head);
    let (request, body) = parse(state, body).await;
    let request = request.map_err(Error::BadRequest)?;
    let route = route(&settings, relayed, request, body, record)?;
    let provider = &settings.providers[route.index];
    let mut manner = Manner {
        provider: &provider.name,
        minor,
        keep_alive: &|| keep_alive && !state.is_draining(),
        whole_by: None,
        body_bytes_max: settings.max_response_size,
        held: &state.held,
        stream: StreamLimits {
            silence_max: settings.stream_timeout,
            keep_alive_after: settings.sse_keepalive,
        },
    };
    // Boxed, like all that is over before the answer streams: an open stream stays small.
    let (origin, patience) = (settings.origin(route.index), settings.patience(route.streams));
    let answer = Box::pin(exchange(&state.pool, origin, route.message, patience, timer));
    let after = settings.early_keepalive.filter(|_| route.streams);
    let mut early = after.map(|after| Box::new(Early::new(after, &manner, &record.id, timer)));
    let answer = match &mut early {
        None => client.unless_gone(answer).await?,
        Some(early) => Box::pin(early.wait(answer, client)).await?,
    };
    drop(share);
    if let Ok(answer) = &answer {
        record.answered(answer.head.status, answer.lease.reused, timer.real_now());
    }
    if let Some(early) = early.filter(|early| early.opened) {
        record.status = 200;
        return Ok(Box::pin(early.relay(answer, client, timer, record)).await);
    }
    let mut answer = answer.map_err(|error| Error::of_exchange(&provider.name, error))?;
    if !answer.head.has_request_id {
        push_field(&mut answer.head.relayed, "x-request-id", record.id.as_bytes());
    }
    let whole_by = Wait::new(label::WHOLE_ANSWER, answer.sent_at, settings.non_stream_timeout);
    manner.whole_by = (!route.streams).then_some(whole_by);
    Box::pin(relay(answer, client, timer, &manner, record)).await.map_err(|error| match error {
        RelayError::Client(error) => error,
        RelayError::Upstream(error) => Error::of_exchange(&provider.name, error),
    })
}

/// Reads the body; a large one off the event loop, which it would hold up, and a few at a time.
async fn parse(state: &State, body: Vec<u8>) -> (Result<ChatRequest, String>, Vec<u8>) {
    if body.len() <= IN_PLACE_BYTES_MAX {
        return (ChatRequest::parse(&body), body);
    }
    let _turn = state.parsers.take().await;
    let body = Arc::new(body);
    let theirs = body.clone();
    let request = match offload(move || ChatRequest::parse(&theirs)).await {
        Ok(request) => request,
        // No thread to be had: better late than not at all.
        Err(_) => ChatRequest::parse(&body),
    };
    (request, Arc::unwrap_or_clone(body))
}

/// Finds the provider and encodes the request for it.
fn route(
    settings: &Settings,
    relayed: Vec<u8>,
    request: ChatRequest,
    mut body: Vec<u8>,
    record: &mut Record,
) -> Result<Route, Error> {
    if request.model.len() > MODEL_BYTES_MAX {
        let start = request.model.chars().take(MODEL_CHARS_SHOWN).chain(['…']);
        return Err(Error::ModelNotFound(start.collect()));
    }
    let unknown = || Error::ModelNotFound(request.model.clone());
    record.model.clone_from(&request.model);
    let (name, bare) = request.route().ok_or_else(unknown)?;
    let index = settings.index_of(name).ok_or_else(unknown)?;
    let provider = &settings.providers[index];
    let listed = &provider.model_list;
    if request.ambiguous && !(listed.is_empty() && settings.supported_models.is_empty()) {
        let reason = "除model外还有仅大小写不同的键 (a key differs from `model` in case only)";
        return Err(Error::BadRequest(reason.to_owned()));
    }
    let refused = bare.is_empty()
        || !settings.allows(&request.model)
        || (!listed.is_empty() && !listed.iter().any(|model| model == bare));
    if refused {
        return Err(unknown());
    }
    record.provider.clone_from(&provider.name);
    request.splice(&mut body);
    let head = chat_head(settings.chat_prefix(index), &relayed, body.len(), &record.id);
    Ok(Route { index, streams: request.stream, message: Message::new(head, body) })
}
