//! `GET /v1/models`: every model that may be asked for, fetched from the providers and kept.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::model_list;
use super::query::{self, Listing};
use crate::report::to_json;
use crate::runtime::{label, offload, Share, Wait, IN_PLACE_BYTES_MAX};
use crate::state::{Catalogue, Listed, Models, Settings, State};
use crate::upstream;

/// What a model takes beside its name, here or rendered.
const AROUND_NAME_BYTES: usize = 100;
/// How long a caller waits for a list that could not be fetched before.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Fetches all lists anew, in the background. The last good list of a provider that did not
/// change is kept until its successor is there.
pub fn refresh(state: &Rc<State>) {
    let (settings, catalogue) = (state.settings(), &state.catalogue);
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    catalogue.loaded_at.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    let old = catalogue.models.take();
    let asked = settings.providers.iter().filter(|provider| provider.config.model_list.is_empty());
    let models = asked.map(|provider| {
        let known = old.iter().find(|models| models.provider.config == provider.config);
        if let Some(models) = known.filter(|models| models.fetching.get()) {
            // Reloads in a row share one fetch.
            models.tried_at.set(None);
            return models.clone();
        }
        Models::new(provider, known)
    });
    catalogue.models.replace(models.collect());
    catalogue.rendered.replace(None);
    fetch_due(state);
}

fn fetch_due(state: &Rc<State>) {
    let now = state.clock().now();
    for models in state.catalogue.models.borrow().iter().filter(|models| models.is_due(now)) {
        models.fetching.set(true);
        state.spawn(fetch(state.clone(), models.clone()));
    }
}

/// The body of `GET /v1/models`. Waits for lists that were never fetched, all at once and for
/// [`query::QUERY_MAX`] at most; for those that could not be fetched before, `RETRY_MAX`.
pub async fn list(state: &Rc<State>) -> Rc<Vec<u8>> {
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
    let mut rendered = catalogue.rendered.borrow_mut();
    rendered.get_or_insert_with(|| Rc::new(render(&state.settings(), catalogue))).clone()
}

/// `loaded_at` is for models whose provider does not say when they were made.
fn render(settings: &Settings, catalogue: &Catalogue) -> Vec<u8> {
    let loaded_at = catalogue.loaded_at.get();
    let fetched = catalogue.models.borrow();
    let mut seen = HashSet::new();
    let mut data: Vec<Model> = Vec::new();
    for provider in &settings.providers {
        let owned_by = provider.name();
        let mut add = |model: &str, created| {
            let id = format!("{owned_by}/{model}");
            if settings.allows(&id) && seen.insert(id.clone()) {
                data.push(Model { id, object: "model", owned_by, created });
            }
        };
        provider.config.model_list.iter().for_each(|model| add(model, loaded_at));
        // Only a provider without a list of its own was asked for one.
        if let Some(models) = fetched.iter().find(|models| models.provider.name() == owned_by) {
            let list = models.list.borrow().clone();
            list.iter().for_each(|model| add(&model.id, model.created.unwrap_or(loaded_at)));
        }
    }
    to_json(&List { object: "list", data }).into_bytes()
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: String,
    object: &'static str,
    owned_by: &'a str,
    created: i64,
}

async fn fetch(state: Rc<State>, models: Rc<Models>) {
    let name = models.provider.name();
    let found = match query::models(&state, &models.provider).await {
        Ok(listing) if listing.status == 200 => read(&state, listing).await,
        Ok(listing) => Err(format!("状态 {0} (status {0})", listing.status)),
        Err(error) => Err(error.to_string()),
    };
    let now = state.clock().now();
    match found {
        Ok((list, share)) => {
            log::info!("提供商 {name} 模型列表: {} 个 (models fetched)", list.len());
            if **models.list.borrow() != list {
                models.list.replace(Rc::new(list));
                models.share.replace(Some(share));
                state.catalogue.rendered.replace(None);
            }
            models.fetched_at.set(Some(now));
        }
        Err(cause) => {
            log::warn!("提供商 {name} 模型列表获取失败: {cause} (models not fetched)");
            state.stats.error(name, "models_failed");
        }
    }
    models.tried_at.set(Some(now));
    models.fetching.set(false);
    state.catalogue.waiting.notify(usize::MAX);
}

/// What is long, or may be once it is decompressed, is read off the event loop. Returns the memory that
/// the list takes, too.
async fn read(state: &State, listing: Listing) -> Result<(Vec<Listed>, Share), String> {
    const LIMIT: usize = query::LIST_BYTES_MAX as usize;
    // Its own memory is given back when it was read.
    let Listing { body, share: _reading, .. } = listing;
    let list = if body.len() <= IN_PLACE_BYTES_MAX && !model_list::is_compressed(&body) {
        model_list::read(&body, LIMIT)
    } else {
        offload(move || model_list::read(&body, LIMIT)).await.map_err(|error| error.to_string())?
    };
    let list = list.map_err(|error| error.to_string())?;
    let mut share = state.memory.lists.share();
    // Once here and once more in what is rendered, each with what stands around a name.
    let bytes = list.iter().map(|model| 2 * (model.id.len() + AROUND_NAME_BYTES)).sum();
    if share.resize(bytes) {
        Ok((list, share))
    } else {
        Err(upstream::Error::Memory(share.budget().limit()).to_string())
    }
}

#[cfg(test)]
mod tests;
