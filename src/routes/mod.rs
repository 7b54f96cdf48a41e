//! What each endpoint answers; one table says which there are.

mod asking;
mod attempt;
mod attempts;
pub mod chat;
mod cors;
mod decoded;
mod draft;
mod dressing;
pub mod health;
pub mod model_list;
pub mod models;
pub mod page;
mod passthrough;
pub mod query;
pub mod reload;
mod sending;
mod stated;
mod status;
mod stored;
mod table;
mod upload;

use std::rc::Rc;

use serde::Serialize;

use self::table::{endpoint, find, Endpoint, Row, ROWS};
use crate::downstream::{Connection, Request};
use crate::relay::Response;
use crate::report::{to_json, Dialect, Entry, Error};
use crate::state::State;
use crate::wire::{Reply, RequestHead};

/// The response to one request, and its entry, which is closed once the response is out. The body
/// of a response that streams is still to come.
pub async fn respond(
    state: &Rc<State>,
    request: Request,
    connection: &mut Connection,
) -> (Response, Box<Entry>) {
    let mut request = request;
    let id = request.as_mut().ok().and_then(|head| head.request_id.take());
    let id = id.unwrap_or_else(random_id);
    let mut entry = Entry::new(id, connection.peer, state.clock(), &state.stats);
    let head = request.as_deref().ok();
    connection.share_with(cors::sharing(&state.settings().cors_origins, head));
    let row = head.and_then(|head| find(&head.path)).filter(|row| is_there(state, row));
    let dialect = head.map_or(Dialect::OpenAi, |head| table::dialect(head, row));
    let result = match request {
        Ok(head) => dispatch(state, row, head, connection, &mut entry).await,
        Err(error) => {
            entry.mark_refused();
            Err(error.into())
        }
    };
    let response = result.unwrap_or_else(|error| match error.reply(dialect, &entry.id) {
        Some(reply) => Response::ours(entry.explained(reply), Some(error), connection, &entry.id),
        None => {
            entry.status = 0;
            Response::Nothing
        }
    });
    (response, entry)
}

/// Sixteen hexadecimal digits, without the five hundred instructions of `format!`: every request has one.
fn random_id() -> String {
    let number = fastrand::u64(..);
    let digit = |at: usize| b"0123456789abcdef"[(number >> (4 * at)) as usize % 16];
    let digits: [u8; 16] = std::array::from_fn(digit);
    std::str::from_utf8(&digits).unwrap_or_default().to_owned()
}

async fn dispatch(
    state: &Rc<State>,
    row: Option<&'static Row>,
    head: Box<RequestHead>,
    connection: &mut Connection,
    entry: &mut Entry,
) -> Result<Response, Error> {
    if let Some(reply) = cors::preflight(connection.sharing(), &head, row) {
        entry.status = reply.status;
        return Ok(Response::ours(reply, None, connection, &entry.id));
    }
    let row = endpoint(&head, row)?;
    let reply = match row.endpoint {
        Endpoint::Relay | Endpoint::Responses => {
            return chat::respond(state, row, head, connection, entry).await;
        }
        Endpoint::Stored => return stored::respond(state, row, head, connection, entry).await,
        // Boxed: a form is aligned for its search, which no chat should pay for.
        Endpoint::Upload => {
            return Box::pin(upload::respond(state, row, head, connection, entry)).await;
        }
        Endpoint::Passthrough => {
            return Box::pin(passthrough::respond(state, row, head, connection, entry)).await;
        }
        // Caches must not mix up the two (RFC 9110 §12.5.5).
        Endpoint::About if head.prefers_html => page::reply().with("vary", "accept"),
        Endpoint::About => about(state).with("vary", "accept"),
        Endpoint::Health => {
            let report = connection.unless_gone(Box::pin(health::report(state))).await?;
            Reply::shared_json(report)
        }
        Endpoint::Models | Endpoint::Model => {
            return models::respond(state, row, &head, connection, entry).await;
        }
        Endpoint::Status => status::respond(state, &head, connection)?,
        Endpoint::Reload => reload::respond(state, &head, connection).await?,
    };
    entry.status = reply.status;
    Ok(Response::ours(reply, None, connection, &entry.id))
}

/// Whether the configuration has the row.
fn is_there(state: &State, row: &Row) -> bool {
    row.endpoint != Endpoint::Passthrough || !state.settings().passthrough.is_empty()
}

fn about(state: &State) -> Reply {
    #[derive(Serialize)]
    struct About {
        service: &'static str,
        version: &'static str,
        endpoints: Vec<String>,
        stats: serde_json::Value,
    }
    let about = About {
        service: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        endpoints: ROWS.iter().filter(|row| is_there(state, row)).flat_map(Row::lines).collect(),
        stats: state.stats.report(state.admission.taken(), &state.pool),
    };
    Reply::json(200, to_json(&about).into_bytes())
}

#[cfg(test)]
mod tests;
