//! The catalogue: which models each provider has. Knows nothing of client connections.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event_listener::Event;
use serde::Serialize;

use crate::config::Provider;
use crate::report::error::to_json;
use crate::routes::query;
use crate::runtime::blocking::{offload, IN_PLACE_BYTES_MAX};
use crate::runtime::timer::{label, Timer, Wait};
use crate::state::{Settings, State};

use super::model_list::{self as list, Listed};

/// A list older than this is fetched again while it is served.
const AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// A failed fetch is not repeated sooner than this.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long a caller waits for a list that could not be fetched before.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// What is known of one provider's models.
struct Entry {
    provider: Provider,
    list: RefCell<Rc<Vec<Listed>>>,
    /// When the last fetch succeeded, and when the last one ended.
    fetched_at: Cell<Option<Instant>>,
    tried_at: Cell<Option<Instant>>,
    fetching: Cell<bool>,
}

impl Entry {
    fn is_due(&self, now: Instant) -> bool {
        let older = |at: Cell<Option<Instant>>, age| {
            at.get().is_none_or(|at| now.saturating_duration_since(at) >= age)
        };
        !self.fetching.get()
            && older(self.fetched_at.clone(), AGE_MAX)
            && older(self.tried_at.clone(), RETRY_AFTER)
    }
}

/// The model lists of the providers that are asked for theirs.
#[derive(Default)]
pub struct Catalogue {
    entries: RefCell<Vec<Rc<Entry>>>,
    /// When the configuration was loaded, in seconds since 1970.
    loaded_at: Cell<i64>,
    /// Callers that share the fetches under way.
    waiting: Event,
}

impl Catalogue {
    /// Fetches all lists anew, in the background. The last good list of a provider that did not
    /// change is kept until its successor is there.
    pub fn refresh(&self, state: &Rc<State>) {
        let settings = state.settings();
        let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.loaded_at.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        let old = self.entries.take();
        let fetched = settings.providers.iter().filter(|provider| provider.model_list.is_empty());
        let entries = fetched.map(|provider| {
            let known = old.iter().find(|entry| entry.provider == *provider);
            if let Some(entry) = known.filter(|entry| entry.fetching.get()) {
                // Reloads in a row share one fetch.
                entry.tried_at.set(None);
                return entry.clone();
            }
            Rc::new(Entry {
                provider: provider.clone(),
                list: RefCell::new(
                    known.map(|entry| entry.list.borrow().clone()).unwrap_or_default(),
                ),
                fetched_at: Cell::new(None),
                tried_at: Cell::new(None),
                fetching: Cell::new(false),
            })
        });
        self.entries.replace(entries.collect());
        self.fetch_due(state, &settings);
    }

    fn fetch_due(&self, state: &Rc<State>, settings: &Rc<Settings>) {
        let now = state.reactor.clock.now();
        for entry in self.entries.borrow().iter().filter(|entry| entry.is_due(now)) {
            // Entries and settings are of one configuration.
            let Some(index) = settings.index_of(&entry.provider.name) else { continue };
            entry.fetching.set(true);
            state.spawn(fetch(state.clone(), settings.clone(), index, entry.clone()));
        }
    }

    /// Every model that may be asked for, as the body of `GET /v1/models`. Waits for lists that
    /// were never fetched, all at once and for [`query::QUERY_MAX`] at most; for those that could not
    /// be fetched before, `RETRY_MAX`.
    pub async fn list(&self, state: &Rc<State>) -> Vec<u8> {
        let settings = state.settings();
        self.fetch_due(state, &settings);
        let entries = self.entries.borrow().clone();
        let timer = Timer::new(&state.reactor.clock);
        let missing = |entry: &&Rc<Entry>| entry.fetched_at.get().is_none() && entry.fetching.get();
        let untried = |entry: &Rc<Entry>| entry.tried_at.get().is_none();
        let first = entries.iter().filter(missing).any(untried);
        let length = if first { query::QUERY_MAX } else { RETRY_MAX };
        let wait = Wait::new(label::WHOLE_ANSWER, timer.now(), length);
        let all = async {
            while entries.iter().any(|entry| missing(&entry)) {
                self.waiting.listen().await;
            }
        };
        // Whatever is there by then is shown.
        let _ = timer.within(wait, all).await;
        render(&settings, &entries, self.loaded_at.get())
    }
}

/// `created` is for models whose provider does not say when they were made.
fn render(settings: &Settings, entries: &[Rc<Entry>], created: i64) -> Vec<u8> {
    let mut seen = HashSet::new();
    let mut data: Vec<Model> = Vec::new();
    for provider in &settings.providers {
        let owned_by = &provider.name;
        let mut add = |model: &str, created| {
            let id = format!("{owned_by}/{model}");
            if settings.allows(&id) && seen.insert(id.clone()) {
                data.push(Model { id, object: "model", owned_by, created });
            }
        };
        provider.model_list.iter().for_each(|model| add(model, created));
        // Only a provider without a list of its own has an entry.
        if let Some(fetched) = entries.iter().find(|entry| entry.provider.name == *owned_by) {
            let list = fetched.list.borrow().clone();
            list.iter().for_each(|model| add(&model.id, model.created.unwrap_or(created)));
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

async fn fetch(state: Rc<State>, settings: Rc<Settings>, index: usize, entry: Rc<Entry>) {
    let name = &entry.provider.name;
    let found = match query::models(&state, &settings, index).await {
        Ok(listing) if listing.status == 200 => read(listing.body).await,
        Ok(listing) => Err(format!("状态 {0} (status {0})", listing.status)),
        Err(error) => Err(error.to_string()),
    };
    let now = state.reactor.clock.now();
    match found {
        Ok(list) => {
            log::info!("提供商 {name} 模型列表: {} 个 (models fetched)", list.len());
            entry.list.replace(Rc::new(list));
            entry.fetched_at.set(Some(now));
        }
        Err(cause) => {
            log::warn!("提供商 {name} 模型列表获取失败: {cause} (models not fetched)");
            state.stats.error(name, "models_failed");
        }
    }
    entry.tried_at.set(Some(now));
    entry.fetching.set(false);
    state.catalogue.waiting.notify(usize::MAX);
}

/// What is long, or may be once it is decompressed, is read off the event loop.
async fn read(body: Vec<u8>) -> Result<Vec<Listed>, String> {
    const LIMIT: usize = query::LIST_BYTES_MAX as usize;
    let list = if body.len() <= IN_PLACE_BYTES_MAX && !list::is_compressed(&body) {
        list::read(&body, LIMIT)
    } else {
        offload(move || list::read(&body, LIMIT)).await.map_err(|error| error.to_string())?
    };
    list.map_err(|error| error.to_string())
}
