//! A request on its way: to one provider, or to several one after the other until one has answered.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::asking::ask;
use super::attempts::Run;
use super::draft::Request;
use super::{dressing, stored};
use crate::downstream::Connection;
use crate::language::Words;
use crate::relay::{Early, Response, Terms};
use crate::report::{Entry, Error};
use crate::routing::{Plan, Route};
use crate::state::{Client, State};

/// A warning that a request could not be sent twice is not repeated sooner than this.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Where a request goes.
pub struct Way<'s> {
    /// What leads there.
    pub route: Route<'s>,
    /// Which conversation it belongs to.
    pub conversation: u64,
    /// For whom the objects are remembered that the answer says were stored.
    pub creator: Option<Client>,
}

/// Sends a request on its way and relays the response, or begins to.
///
/// # Errors
/// Whatever keeps a response from being begun.
pub async fn send(
    state: &Rc<State>,
    way: &Way<'_>,
    request: Request<'_>,
    connection: &mut Connection,
    terms: &Terms<'_>,
    entry: &mut Entry,
) -> Result<Response, Error> {
    let (provider, key) = match &way.route {
        Route::Direct(provider, key) => (*provider, *key),
        Route::Plan(plan) => {
            return Box::pin(send_by(state, plan, way, request, connection, terms, entry)).await;
        }
    };
    // In a block of its own: nothing of the request is kept but the message.
    let message = {
        let mut request = request;
        match request {
            Request::Draft(ref mut draft) => draft.message(provider, key, None, &entry.id)?,
            Request::Once(write, _) => write(provider, key, None, connection, entry)?,
        }
    };
    connection.release_head();
    terms.watch.set(way.creator.map(|client| stored::watch(state, client, provider, key)));
    ask(state, message, connection, terms, entry).await
}

/// The same where more than one key or target may have to be asked.
async fn send_by(
    state: &Rc<State>,
    plan: &Plan,
    way: &Way<'_>,
    request: Request<'_>,
    connection: &mut Connection,
    terms: &Terms<'_>,
    entry: &mut Entry,
) -> Result<Response, Error> {
    if request.is_lost_for_another_attempt(plan) {
        warn_of_one_attempt(state);
    }
    let sorted = (plan, way.conversation);
    let (mut run, message) = Run::begin(state, sorted, request, connection, terms, entry)?;
    connection.release_head();
    let early = terms.timeouts.early_after;
    let mut early = early.map(|after| Box::new(Early::new(after, terms, connection)));
    let all = Box::pin(run.all(message));
    let ended = match &mut early {
        None => connection.unless_gone(all).await,
        Some(early) => Box::pin(early.wait(all, connection, entry)).await,
    };
    let chosen = run.chosen();
    let Run { attempts, kept, failed, troubles, .. } = run;
    dressing::arrive(plan, &attempts, chosen, troubles, state, entry);
    ended??;
    let provider = &plan.targets[chosen.target].provider;
    let watch = way.creator.map(|client| stored::watch(state, client, provider, chosen.key));
    let terms = Terms { provider, watch: Cell::new(watch), ..*terms };
    let answer = kept.ok_or_else(|| dressing::error(plan, failed));
    if let Ok(kept) = &answer {
        entry.note_provider_head(kept.reused);
    }
    if let Some(early) = early.filter(|early| early.opened) {
        let answer = answer.map(|kept| kept.answer);
        return Ok(Box::pin(early.under(&terms).relay(answer, connection, entry)).await);
    }
    let mut answer = answer?.answer;
    dressing::dress(answer.head(), plan, &attempts, state.clock().now(), entry);
    drop(attempts);
    answer.relay(connection, &terms, entry).await
}

/// Another attempt may be allowed, but a request that goes on as it comes has one.
fn warn_of_one_attempt(state: &State) {
    let now = state.clock().now();
    let is_recent = |at| now.saturating_duration_since(at) < WARNING_INTERVAL;
    if !state.warned_of_one_attempt.get().is_some_and(is_recent) {
        state.warned_of_one_attempt.set(Some(now));
        let words = Words(
            "请求体过大或内存已用完，无法保留以便重试：只尝试一次",
            "a request body is too large to be kept for another attempt, or memory is used up: one attempt only",
        );
        log::warn!("{words}");
    }
}
