//! What each endpoint answers; one table says which there are.

pub mod chat;
pub mod health;
mod model_list;
pub mod models;
pub mod page;
pub mod query;
pub mod reload;

use std::rc::Rc;

use serde::Serialize;

use crate::downstream::{Connection, Request};
use crate::relay::Response;
use crate::report::{to_json, Entry, Error};
use crate::state::State;
use crate::wire::{Reply, RequestHead};

/// What is behind a path.
#[derive(Clone, Copy)]
enum Endpoint {
    About,
    Health,
    Reload,
    Models,
    Chat,
}

/// Path, methods as `Allow` lists them, and what is behind. `GET /` names them in this order.
const ENDPOINTS: [(&str, &str, Endpoint); 5] = [
    ("/", "GET, HEAD", Endpoint::About),
    ("/health", "GET, HEAD", Endpoint::Health),
    ("/v1/reload", "POST", Endpoint::Reload),
    ("/v1/models", "GET, HEAD", Endpoint::Models),
    ("/v1/chat/completions", "POST", Endpoint::Chat),
];

/// The response to one request, and its entry, which is closed once the response is out. The body
/// of a response that streams is still to come.
pub async fn respond(
    state: &Rc<State>,
    request: Request,
    connection: &mut Connection,
) -> (Response, Box<Entry>) {
    let mut request = request;
    let id = request.as_mut().ok().and_then(|head| head.request_id.take());
    let id = id.unwrap_or_else(|| format!("{:016x}", fastrand::u64(..)));
    let mut entry = Entry::new(id, connection.peer, state.clock(), &state.stats);
    let result = match request {
        Ok(head) => dispatch(state, head, connection, &mut entry).await,
        Err(error) => {
            entry.mark_refused();
            Err(error.into())
        }
    };
    let response = result.unwrap_or_else(|error| match error.reply() {
        Some(reply) => Response::ours(reply, Some(error), connection, &entry.id),
        None => {
            entry.status = 0;
            Response::Nothing
        }
    });
    (response, entry)
}

async fn dispatch(
    state: &Rc<State>,
    head: Box<RequestHead>,
    connection: &mut Connection,
    entry: &mut Entry,
) -> Result<Response, Error> {
    let reply = match endpoint(&head.method, &head.path)? {
        Endpoint::Chat => return chat::respond(state, head, connection, entry).await,
        // Caches must not mix up the two (RFC 9110 §12.5.5).
        Endpoint::About if head.prefers_html => page::reply().with("vary", "accept"),
        Endpoint::About => about(state).with("vary", "accept"),
        Endpoint::Health => {
            let report = connection.unless_gone(Box::pin(health::report(state))).await?;
            Reply::shared_json(report)
        }
        Endpoint::Models => {
            let list = connection.unless_gone(Box::pin(models::list(state))).await?;
            Reply::shared_json(list)
        }
        Endpoint::Reload => reload::respond(state, &head, connection).await?,
    };
    entry.status = reply.status;
    Ok(Response::ours(reply, None, connection, &entry.id))
}

fn endpoint(method: &str, path: &str) -> Result<Endpoint, Error> {
    let found = ENDPOINTS.iter().find(|(known, ..)| *known == path);
    let (_, methods, endpoint) = found.ok_or_else(|| Error::NotFound(path.to_owned()))?;
    if methods.split(", ").any(|allowed| allowed == method) {
        Ok(*endpoint)
    } else {
        Err(Error::MethodNotAllowed(methods))
    }
}

fn about(state: &State) -> Reply {
    #[derive(Serialize)]
    struct About {
        service: &'static str,
        version: &'static str,
        endpoints: [String; ENDPOINTS.len()],
        stats: serde_json::Value,
    }
    let line = |(path, methods, _): (&str, &str, Endpoint)| {
        format!("{} {path}", methods.split(',').next().unwrap_or_default())
    };
    let about = About {
        service: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        endpoints: ENDPOINTS.map(line),
        stats: state.stats.report(state.admission.taken(), &state.pool),
    };
    Reply::json(200, to_json(&about).into_bytes())
}

#[cfg(test)]
mod tests;
