//! Stored responses and conversations: a request for one, or that goes on from one, goes to the
//! provider that has it.

use std::cell::Cell;
use std::rc::Rc;

use super::asking::{admit, conversation_of, names, routed, take_named_model};
use super::decoded::plain_body;
use super::draft::{Draft, Place, Request};
use super::models;
use super::sending::{send, Way};
use super::table::{bare, stored_id, Row};
use crate::downstream::Connection;
use crate::language::Words;
use crate::relay::{Response, Terms, Watch};
use crate::report::{Entry, Error};
use crate::routing::{route_stored, ChatRequest, FirstBytes, Names, Route};
use crate::state::{Client, State};
use crate::upstream::{is_stored_id, Provider};
use crate::wire::{Framing, RequestHead};

/// The row whose answers give the ids.
pub const CREATE: &str = "/responses";

/// Relays one request that names a stored response in its path, or begins to.
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
    let path = bare(&head.path);
    let id = stored_id(row, path).filter(|id| is_stored_id(id)).ok_or_else(|| {
        let reason = Words(
            "路径里的id无效，应为1到128个字母、数字、_ 或 -",
            "the id in the path must be 1 to 128 letters, \
                      digits, _ or -",
        );
        Error::BadRequest(reason.into())
    })?;
    let request = ChatRequest::for_stored(id);
    let named = take_named_model(&mut head);
    let client = state.stored.client(token.secret.expose());
    let conversation = conversation_of(&settings, token, &head, None);
    let lists = |provider: &Provider, model: &str| models::lists(state, provider, model);
    let names = names(&settings, CREATE, conversation, &lists);
    let route = find(state, &names, client, &request, named, entry)?;
    let mut share = state.memory.bodies.share();
    let body = plain_body(state, &settings, &mut head, connection, &mut share).await?;
    let framing = match head.framing {
        Framing::None if head.method != "POST" => Framing::None,
        _ => Framing::Length(body.len() as u64),
    };
    let streams = head.query.split('&').any(|part| part == "stream=true");
    let way = Way { route, conversation, creator: None };
    let terms = Terms {
        dialect: row.dialect,
        provider: way.route.provider(),
        timeouts: settings.timeouts(streams),
        body_bytes_max: settings.max_response_size,
        budget: &state.memory.held,
        watch: Cell::default(),
    };
    let path = bare(&head.path).to_owned().into();
    let (share, model) = (Some(share), Place::Nowhere);
    let draft = Draft { settings: &settings, head, path, framing, body, share, model };
    send(state, &way, Request::Draft(draft), connection, &terms, entry).await
}

/// Finds where a request goes that may go on from stored objects, or be `named` one.
///
/// # Errors
/// It goes nowhere.
pub fn find<'s>(
    state: &State,
    names: &Names<'s, '_>,
    client: Client,
    request: &ChatRequest,
    named: Option<String>,
    entry: &mut Entry,
) -> Result<Route<'s>, Error> {
    let has = |id: &str| state.stored.owner_of(client, id, names.providers);
    let route = route_stored(names, request, named.as_deref(), has);
    routed(route, request.model.as_deref().or(named.as_deref()), entry)
}

/// Remembers what an answer of this provider, to its key of this number, says that was stored.
pub fn watch(state: &Rc<State>, client: Client, provider: &Rc<Provider>, key: usize) -> Watch {
    let (state, owner) = (state.clone(), state.stored.owner(provider, key));
    let mut start = FirstBytes::default();
    Box::new(move |piece, last| {
        let enough = start.push(piece) || last;
        if enough {
            let given = std::mem::take(&mut start).finish();
            for id in given.response.iter().chain(&given.conversation) {
                state.stored.remember(client, id, owner);
            }
        }
        enough
    })
}
