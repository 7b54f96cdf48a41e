//! The dispatch table and the small endpoints. Knows nothing of providers' connections.

pub mod chat;
pub mod health;
mod model_list;
pub mod models;
pub mod page;
pub mod query;

use std::rc::Rc;

use serde::Serialize;

use self::chat::Streaming;
use crate::downstream::Connection;
use crate::relay::Relayed;
use crate::report::entry::Record;
use crate::report::error::{to_json, Error};
use crate::runtime::timer::Timer;
use crate::state::State;
use crate::wire::head::RequestHead;
use crate::wire::reply::{Manner, Reply};

const CHAT: &str = "/v1/chat/completions";
const ENDPOINTS: [&str; 5] =
    ["GET /", "GET /health", "POST /v1/reload", "GET /v1/models", "POST /v1/chat/completions"];

/// What is to be done after a request.
pub enum Next {
    /// It is answered. Says whether another may follow on the connection.
    Answered(bool),
    /// Its answer streams.
    Streams(Box<Streaming>),
}

/// Answers one request, or begins to.
pub async fn answer(
    state: &Rc<State>,
    head: Box<RequestHead>,
    client: &mut Connection,
    timer: &Timer,
) -> Next {
    state.stats.request();
    let id = head.request_id.clone().unwrap_or_else(new_request_id);
    let mut record = Record::new(id, client.peer, timer.real_now());
    let mut manner =
        Manner { head_only: head.method == "HEAD", keep_alive: head.keep_alive, minor: head.minor };
    let is_chat = (head.method.as_str(), head.path.as_str()) == ("POST", CHAT);
    let outcome = match (head.method.as_str(), head.path.as_str()) {
        // Caches must not mix up the two (RFC 9110 §12.5.5).
        ("GET" | "HEAD", "/") if head.prefers_html => Ok(page::reply().with("vary", "accept")),
        ("GET" | "HEAD", "/") => Ok(about(state).with("vary", "accept")),
        ("GET" | "HEAD", "/health") => {
            let report = client.unless_gone(Box::pin(state.health.report(state))).await;
            report.map(|body| Reply::json(200, body.to_vec()))
        }
        ("GET" | "HEAD", "/v1/models") => {
            let list = client.unless_gone(Box::pin(state.catalogue.list(state))).await;
            list.map(|body| Reply::json(200, body))
        }
        ("POST", "/v1/reload") => reload(state, &head, client),
        ("POST", CHAT) => match chat::complete(state, head, client, timer, &mut record).await {
            Ok(Relayed::Streams(stream)) => {
                return Next::Streams(Box::new(Streaming { stream, record }));
            }
            Ok(Relayed::Whole(in_step)) => {
                chat::done(state, &record, timer);
                return Next::Answered(in_step && !state.is_draining());
            }
            Err(error) => {
                record.status = error.status().unwrap_or(0);
                record.log(Some(&error), timer.real_now());
                state.stats.chat(&record, Some(&error));
                Err(error)
            }
        },
        (_, path) => Err(match allowed(path) {
            Some(methods) => Error::MethodNotAllowed(methods),
            None => Error::NotFound(path.to_owned()),
        }),
    };
    let reply = outcome.map_or_else(
        |error| {
            // Chats count their own, with their provider.
            if !is_chat {
                state.stats.error("", error.kind());
            }
            Reply::error(&error)
        },
        Some,
    );
    let Some(reply) = reply else { return Next::Answered(false) };
    manner.keep_alive &= reply.status != 408 && client.can_discard() && !state.is_draining();
    manner.keep_alive &= !state.admission.are_wanted(timer.now());
    Next::Answered(send(reply, manner, &record, client, timer).await)
}

/// Sends an answer of our own. Returns whether the connection is in step.
async fn send(
    reply: Reply,
    manner: Manner,
    record: &Record,
    client: &mut Connection,
    timer: &Timer,
) -> bool {
    log::debug!("请求 {} 客户端: {} 状态: {}", record.id, record.peer, reply.status);
    let bytes = reply.with("x-request-id", record.id.as_str()).encode(manner);
    client.begin_reply(timer);
    client.write_all(timer, &bytes).await.is_ok()
        && manner.keep_alive
        && client.discard_body(timer).await
}

/// Answers what is not a request; the connection must be closed afterwards.
pub async fn refuse(state: &State, error: &Error, client: &mut Connection, timer: &Timer) {
    state.stats.request();
    state.stats.error("", error.kind());
    let id = new_request_id();
    log::warn!("请求 {id} 客户端: {} 请求被拒绝: {error}", client.peer);
    if let Some(reply) = Reply::error(error) {
        let manner = Manner { head_only: false, keep_alive: false, minor: 1 };
        client.begin_reply(timer);
        let _ = client.write_all(timer, &reply.with("x-request-id", id).encode(manner)).await;
    }
}

/// The methods of a known path.
fn allowed(path: &str) -> Option<&'static str> {
    match path {
        "/" | "/health" | "/v1/models" => Some("GET, HEAD"),
        "/v1/reload" | CHAT => Some("POST"),
        _ => None,
    }
}

fn about(state: &Rc<State>) -> Reply {
    #[derive(Serialize)]
    struct About {
        service: &'static str,
        version: &'static str,
        endpoints: [&'static str; 5],
        stats: serde_json::Value,
    }
    let about = About {
        service: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        endpoints: ENDPOINTS,
        stats: state.stats.report(state.admission.taken(), &state.pool),
    };
    Reply::json(200, to_json(&about).into_bytes())
}

/// Open to this machine; others need a token, and so does a reverse proxy on this machine.
fn reload(state: &Rc<State>, head: &RequestHead, client: &Connection) -> Result<Reply, Error> {
    if head.forwarded || !client.peer.ip().to_canonical().is_loopback() {
        chat::authorise(&state.settings(), head)?;
    }
    let changes = state.reload().map_err(|error| {
        log::error!("配置重新加载失败 (reload refused): {error}");
        Error::ReloadRefused(error.to_string())
    })?;
    #[derive(Serialize)]
    struct Reloaded {
        message: &'static str,
        providers_count: usize,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        changes: Vec<String>,
    }
    let providers_count = state.settings().providers.len();
    let reloaded = Reloaded { message: "配置重新加载成功", providers_count, changes };
    Ok(Reply::json(200, to_json(&reloaded).into_bytes()))
}

fn new_request_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}
