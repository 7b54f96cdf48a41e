//! `GET /v1/models`: every model that may be asked for, fetched from the providers and kept, or one of
//! them.

mod page;
mod render;

use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::page::page;
use super::query::{self, Listing};
use super::table::{model_id, Endpoint, Row};
use super::{health, model_list};
use crate::downstream::{self, Connection};
use crate::language::{System, Text};
use crate::relay::Response;
use crate::report::{Entry, Error};
use crate::routing::{start_of_long, Lists};
use crate::runtime::{label, offload, Share, Wait, IN_PLACE_BYTES_MAX};
use crate::state::{Catalogue, Listed, Models, Settings, Shown, State, Visible};
use crate::upstream::{self, Provider};
use crate::wire::{Reply, RequestHead};
use crate::{message, text};

/// What a model takes beside its name wherever it stands.
const AROUND_NAME_BYTES: usize = 100;
/// How long a caller waits for a list that could not be fetched before.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Who sends `anthropic-version` is answered in that dialect.
///
/// # Errors
/// No such model, no such page, no memory for it, or the client has left.
pub async fn respond(
    state: &Rc<State>,
    row: &Row,
    head: &RequestHead,
    connection: &mut Connection,
    entry: &mut Entry,
) -> Result<Response, Error> {
    let mut share = state.memory.held.share();
    let reply = if row.endpoint == Endpoint::Model {
        let id = model_id(&head.path);
        let shown = connection.unless_gone(Box::pin(knowing(state, &id))).await?;
        let model = shown.models.iter().find(|model| *model.id == *id);
        let model = model.ok_or_else(|| Error::ModelNotFound(start_of_long(&id).unwrap_or(id)))?;
        varying(if head.is_anthropic { render::anthropic(model) } else { render::openai(model) })
    } else {
        let shown = connection.unless_gone(Box::pin(list(state))).await?;
        if head.is_anthropic {
            let mut body = page(&shown.models, &head.query)?;
            // Nobody else is sent this page, so it stays here until this client has read it.
            body.shrink_to_fit();
            if !share.resize(body.len()) {
                return Err(downstream::Error::Overloaded(state.memory.held.limit()).into());
            }
            varying(body)
        } else {
            Reply::shared_json(shown.body.clone())
        }
    };
    entry.status = reply.status;
    Ok(Response::ours(reply, None, connection, &entry.id).holding(share))
}

/// Caches must not mix up the dialects (RFC 9110 §12.5.5). The list for OpenAI's clients does not say so: it
/// stays as it always was.
fn varying(body: String) -> Reply {
    Reply::json(200, body.into_bytes()).with("vary", "anthropic-version")
}

/// Fetches all lists anew, in the background. The last good list of a provider that did not
/// change is kept until its successor is there.
pub fn refresh(state: &Rc<State>) {
    let (settings, catalogue) = (state.settings(), &state.catalogue);
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    catalogue.loaded_at.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    let (old, now) = (catalogue.models.take(), state.clock().now());
    let asked = settings.providers.iter().filter(|provider| provider.config.model_list.is_empty());
    let models = asked.map(|provider| {
        let known = old.iter().find(|models| models.provider.config == provider.config);
        if let Some(models) = known.filter(|models| models.fetching.get()) {
            // Reloads in a row share one fetch.
            models.tried_at.set(None);
            return models.clone();
        }
        Models::new(provider, known, now)
    });
    catalogue.models.replace(models.collect());
    catalogue.shown.replace(None);
    fetch_due(state);
}

fn fetch_due(state: &Rc<State>) {
    let now = state.clock().now();
    for models in state.catalogue.models.borrow().iter().filter(|models| models.is_due(now)) {
        models.fetching.set(true);
        state.spawn(fetch(state.clone(), models.clone()));
    }
}

/// All models that may be asked for. Waits for lists that were never fetched, all at once and for
/// [`query::QUERY_MAX`] at most; for those that could not be fetched before, `RETRY_MAX`.
pub async fn list(state: &Rc<State>) -> Rc<Shown> {
    fetch_due(state);
    let catalogue = &state.catalogue;
    let all = catalogue.models.borrow().clone();
    let missing = || all.iter().filter(|models| models.is_missing());
    if missing().next().is_some() {
        let untried = missing().any(|models| models.tried_at.get().is_none());
        let length = if untried { query::QUERY_MAX } else { RETRY_MAX };
        let timer = state.timer();
        let wait = Wait::new(label::WHOLE_ANSWER, timer.now(), length);
        let fetched = async {
            while missing().next().is_some() {
                catalogue.waiting.listen().await;
            }
        };
        // Whatever is there by then is shown.
        let _ = timer.within(wait, fetched).await;
    }
    shown(state)
}

/// The same as [`list`], but waits for nothing if this model is known already.
async fn knowing(state: &Rc<State>, id: &str) -> Rc<Shown> {
    fetch_due(state);
    let now = shown(state);
    if now.models.iter().any(|model| *model.id == *id) {
        return now;
    }
    list(state).await
}

/// Those that are known by now.
fn shown(state: &State) -> Rc<Shown> {
    let catalogue = &state.catalogue;
    let mut shown = catalogue.shown.borrow_mut();
    let made = || {
        let models = visible(&state.settings(), catalogue);
        let body = Rc::new((render::openai_list(&models) + "\n").into_bytes());
        Rc::new(Shown { models, body })
    };
    shown.get_or_insert_with(made).clone()
}

/// `loaded_at` is for models whose provider does not say when they were made.
fn visible(settings: &Settings, catalogue: &Catalogue) -> Vec<Visible> {
    let loaded_at = catalogue.loaded_at.get();
    let fetched = catalogue.models.borrow();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for alias in settings.aliases.iter().filter(|alias| !alias.name.starred) {
        let id = &alias.name.text;
        if seen.insert(id.clone()) {
            found.push(Visible { id: id.as_str().into(), created: loaded_at, provider: None });
        }
    }
    for provider in &settings.providers {
        let name = provider.name();
        let mut add = |model: &str, created| {
            let id = format!("{name}/{model}");
            if settings.allows(&id) && seen.insert(id.clone()) {
                let provider = Some(provider.clone());
                found.push(Visible { id: id.into(), created, provider });
            }
        };
        provider.config.model_list.iter().for_each(|model| add(model, loaded_at));
        // Only a provider without a list of its own was asked for one.
        if let Some(models) = fetched.iter().find(|models| models.provider.name() == name) {
            let list = models.list.borrow().clone();
            list.iter().for_each(|model| add(&model.id, model.created.unwrap_or(loaded_at)));
        }
    }
    found.shrink_to_fit();
    found
}

/// Whether a provider without a list of its own lists a model, as far as it was asked.
pub fn lists(state: &State, provider: &Provider, model: &str) -> Lists {
    let all = state.catalogue.models.borrow();
    let Some(models) = all.iter().find(|models| models.provider.name() == provider.name()) else {
        return Lists::No;
    };
    if models.list.borrow().iter().any(|listed| *listed.id == *model) {
        Lists::Yes
    } else if models.is_awaited(state.clock().now()) {
        Lists::NotYet
    } else {
        Lists::No
    }
}

async fn fetch(state: Rc<State>, models: Rc<Models>) {
    let name = models.provider.name();
    let answer = query::models(&state, &models.provider).await;
    // It is the same as what a check asks.
    models.answered.set(models.answered.get() || answer.is_ok());
    models.provider.history.note_check(state.clock().moment(), health::trouble(&answer));
    let found = match answer {
        Ok(listing) if listing.status == 200 => read(&state, listing).await,
        Ok(listing) => Err(text!("状态 {0}", "status {0}", listing.status)),
        Err(error) => Err(Text::new(error)),
    };
    let now = state.clock().now();
    match found {
        Ok((list, share)) => {
            let count = list.len();
            log::info!(
                "{}",
                message!(
                    "提供商 {name} 模型列表: {count} 个",
                    "models fetched" => "provider {name}: {count} models fetched"
                )
            );
            if **models.list.borrow() != list {
                models.list.replace(Rc::new(list));
                models.share.replace(Some(share));
                state.catalogue.shown.replace(None);
            }
            models.fetched_at.set(Some(now));
            models.trouble.replace(None);
        }
        Err(cause) => {
            log::warn!(
                "{}",
                message!(
                    "提供商 {name} 模型列表获取失败: {cause}",
                    "models not fetched from provider {name}: {cause}"
                )
            );
            state.stats.error(name, "models_failed");
            models.trouble.replace(Some(cause));
        }
    }
    models.tried_at.set(Some(now));
    models.fetching.set(false);
    state.catalogue.waiting.notify(usize::MAX);
}

/// The models in a response's body. What is long, or may be once it is decompressed, is read off the
/// event loop.
///
/// # Errors
/// It is no list, or there is no thread to read it.
pub async fn parse(body: Vec<u8>) -> Result<Vec<Listed>, Text> {
    const LIMIT: usize = query::LIST_BYTES_MAX as usize;
    let list = if body.len() <= IN_PLACE_BYTES_MAX && !model_list::is_compressed(&body) {
        model_list::read(&body, LIMIT)
    } else {
        offload(move || model_list::read(&body, LIMIT))
            .await
            .map_err(|error| Text::new(System(&error)))?
    };
    list.map_err(Text::new)
}

/// The list, and the memory that it takes.
async fn read(state: &State, listing: Listing) -> Result<(Vec<Listed>, Share), Text> {
    // Its own memory is given back when it was read.
    let Listing { body, share: _reading, .. } = listing;
    let list = parse(body).await?;
    let mut share = state.memory.lists.share();
    // Once here, once among the visible ones and once in what is rendered, each with what stands around
    // a name.
    let bytes = list.iter().map(|model| 3 * (model.id.len() + AROUND_NAME_BYTES)).sum();
    if share.resize(bytes) {
        Ok((list, share))
    } else {
        Err(Text::new(upstream::Error::Memory(share.budget().limit())))
    }
}

#[cfg(test)]
mod tests;
