//! A request on its way: to one provider, or to several one after the other until one has answered.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::asking::ask;
use super::attempts::{Kept, Run};
use super::draft::Draft;
use super::{dressing, stored};
use crate::downstream::Connection;
use crate::language::Words;
use crate::relay::{Early, Response, Terms};
use crate::report::{Entry, Error};
use crate::routing::{Attempts, Plan, Route};
use crate::state::{Client, State};
use crate::upstream::{Message, Provider};

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

/// Writes a request that cannot be sent twice: for this provider and its key of this number, which calls the
/// model so.
pub type Once<'o> = Box<
    dyn FnOnce(&Provider, usize, Option<&str>, &mut Connection, &Entry) -> Result<Message, Error>
        + 'o,
>;

/// A request, as it can be sent.
pub enum Request<'r> {
    /// All of it is here.
    Draft(Draft<'r>),
    /// It goes on as it comes.
    Once(Once<'r>),
}

impl Request<'_> {
    /// The first message, and what further ones are made from.
    fn begin(
        self,
        provider: &Provider,
        key: usize,
        model: Option<&str>,
        connection: &mut Connection,
        entry: &Entry,
    ) -> Result<(Message, Option<Self>), Error> {
        match self {
            Request::Draft(mut draft) => {
                let message = draft.message(provider, key, model, &entry.id)?;
                Ok((message, Some(Request::Draft(draft))))
            }
            Request::Once(write) => Ok((write(provider, key, model, connection, entry)?, None)),
        }
    }
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
    let (message, request) = request.begin(provider, key, None, connection, entry)?;
    drop(request);
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
    let begun = state.clock().now();
    let retries_max = match &request {
        Request::Draft(draft) => draft.head.retries,
        Request::Once(_) => Some(0),
    };
    if matches!(request, Request::Once(_)) && plan.retries() > 0 {
        warn_of_one_attempt(state);
    }
    let deadline = terms.timeouts.head(begun).until;
    let mut attempts = Attempts::new(plan, way.conversation, retries_max, deadline);
    let last = attempts.first(begun);
    let target = &plan.targets[last.target];
    let asked = plan.is_alias.then(|| std::mem::take(&mut entry.model));
    entry.go_by(asked, target.name());
    let model = Some(&*target.model);
    let (message, request) = request.begin(&target.provider, last.key, model, connection, entry)?;
    let draft = request.and_then(|request| match request {
        Request::Draft(draft) => Some(draft),
        Request::Once(_) => None,
    });
    connection.release_head();
    let mut run = Run {
        state,
        plan,
        attempts,
        draft,
        terms,
        begun,
        id: entry.id.clone(),
        timings: entry.timings(),
        last,
        kept: None,
        failed: Vec::new(),
        troubles: Vec::new(),
    };
    let early = terms.timeouts.early_after;
    let mut early = early.map(|after| Box::new(Early::new(after, terms, connection)));
    let all = Box::pin(run.all(message));
    let ended = match &mut early {
        None => connection.unless_gone(all).await,
        Some(early) => Box::pin(early.wait(all, connection, entry)).await,
    };
    let Run { attempts, kept, last, failed, troubles, .. } = run;
    let chosen = kept.as_ref().map_or(last, |kept| kept.choice);
    let target = &plan.targets[chosen.target];
    dressing::note(plan, &attempts, chosen, troubles, state, entry);
    ended??;
    let terms = Terms {
        provider: &target.provider,
        watch: Cell::new(
            way.creator.map(|client| stored::watch(state, client, &target.provider, chosen.key)),
        ),
        ..*terms
    };
    let answer = kept.ok_or_else(|| dressing::error(plan, failed));
    if let Ok(kept) = &answer {
        entry.note_provider_head(kept.reused);
    }
    if let Some(early) = early.filter(|early| early.opened) {
        let answer = answer.map(|kept| kept.answer);
        return Ok(Box::pin(early.under(&terms).relay(answer, connection, entry)).await);
    }
    let Kept { mut answer, .. } = answer?;
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
