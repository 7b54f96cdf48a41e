//! The catalogue: which models each provider has. Knows nothing of client connections.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::{Alarm, Phase, Wait};
use crate::config::Provider;
use crate::error::to_json;
use crate::offload::{offload, IN_PLACE_BYTES_MAX};
use crate::proxy::{Proxy, Settings};
use crate::query;
use crate::waiters::Waiters;

/// A list older than this is fetched again while it is served.
const AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// A failed fetch is not repeated sooner than this.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long a caller waits for a list that could not be fetched before.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// What is known of one provider's models.
struct Entry {
    provider: Provider,
    list: RefCell<Rc<Vec<String>>>,
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
    /// Callers that share the fetches under way.
    waiting: Waiters,
}

impl Catalogue {
    /// Fetches all lists anew, in the background. The last good list of a provider that did not
    /// change is kept until its successor is there.
    pub fn refresh(&self, proxy: &Rc<Proxy>) {
        let settings = proxy.settings();
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
        self.fetch_due(proxy, &settings);
    }

    fn fetch_due(&self, proxy: &Rc<Proxy>, settings: &Rc<Settings>) {
        let now = proxy.reactor.clock.now();
        for entry in self.entries.borrow().iter().filter(|entry| entry.is_due(now)) {
            // Entries and settings are of one configuration.
            let Some(index) = settings.index_of(&entry.provider.name) else { continue };
            entry.fetching.set(true);
            proxy.spawn(fetch(proxy.clone(), settings.clone(), index, entry.clone()));
        }
    }

    /// Every model that may be asked for, as the body of `GET /v1/models`. Waits for lists that
    /// were never fetched, all at once and for [`query::QUERY_MAX`] at most; for those that could not
    /// be fetched before, `RETRY_MAX`.
    pub async fn list(&self, proxy: &Rc<Proxy>) -> Vec<u8> {
        let settings = proxy.settings();
        self.fetch_due(proxy, &settings);
        let entries = self.entries.borrow().clone();
        let alarm = Alarm::new(&proxy.reactor);
        let missing = |entry: &&Rc<Entry>| entry.fetched_at.get().is_none() && entry.fetching.get();
        let untried = |entry: &Rc<Entry>| entry.tried_at.get().is_none();
        let first = entries.iter().filter(missing).any(untried);
        let length = if first { query::QUERY_MAX } else { RETRY_MAX };
        let wait = Wait::new(Phase::WholeAnswer, alarm.now(), length);
        let all = self.waiting.wait_until(|| !entries.iter().any(|entry| missing(&entry)));
        // Whatever is there by then is shown.
        let _ = alarm.within(wait, all).await;
        render(&settings, &entries)
    }
}

fn render(settings: &Settings, entries: &[Rc<Entry>]) -> Vec<u8> {
    let mut seen = HashSet::new();
    let mut data: Vec<Model> = Vec::new();
    for provider in &settings.providers {
        let fetched = entries.iter().find(|entry| entry.provider.name == provider.name);
        let fetched = fetched.map(|entry| entry.list.borrow().clone()).unwrap_or_default();
        let listed = &provider.model_list;
        for model in if listed.is_empty() { &*fetched } else { listed } {
            let id = format!("{}/{model}", provider.name);
            if settings.allows(&id) && seen.insert(id.clone()) {
                data.push(Model { id, object: "model", owned_by: &provider.name });
            }
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
}

async fn fetch(proxy: Rc<Proxy>, settings: Rc<Settings>, index: usize, entry: Rc<Entry>) {
    let name = &entry.provider.name;
    let found = match query::models(&proxy, &settings, index).await {
        Ok((200, body)) => {
            let list = if body.len() <= IN_PLACE_BYTES_MAX {
                parse(&body)
            } else {
                offload(move || parse(&body)).await.ok().flatten()
            };
            list.ok_or_else(|| "不是模型列表 (not a model list)".to_owned())
        }
        Ok((status, _)) => Err(format!("状态 {status} (status {status})")),
        Err(error) => Err(error.to_string()),
    };
    let now = proxy.reactor.clock.now();
    match found {
        Ok(list) => {
            log::info!("提供商 {name} 模型列表: {} 个 (models fetched)", list.len());
            entry.list.replace(Rc::new(list));
            entry.fetched_at.set(Some(now));
        }
        Err(cause) => {
            log::warn!("提供商 {name} 模型列表获取失败: {cause} (models not fetched)");
            proxy.stats.error(name, "models_failed");
        }
    }
    entry.tried_at.set(Some(now));
    entry.fetching.set(false);
    proxy.catalogue.waiting.wake();
}

/// The ids in a provider's answer: `{"data": […]}`, `{"models": […]}` or a bare array, of objects
/// with an `id` or a `name`. Gemini's `models/` in front is taken off.
///
/// Only the text's own bytes and the ids are held: what is hostile or very long costs no more.
pub fn parse(body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Lists<'b> {
        #[serde(borrow)]
        data: Option<&'b RawValue>,
        #[serde(borrow)]
        models: Option<&'b RawValue>,
    }
    if let Ok(Ids(ids)) = serde_json::from_slice(body) {
        return Some(ids);
    }
    let Lists { data, models } = serde_json::from_slice(body).ok()?;
    let ids = |list: &RawValue| serde_json::from_str::<Ids>(list.get()).ok();
    data.and_then(ids).or_else(|| models.and_then(ids)).map(|Ids(ids)| ids)
}

/// The id of one entry of a list, if it has any.
fn id_of(model: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Model<'b> {
        #[serde(borrow)]
        id: Option<&'b RawValue>,
        #[serde(borrow)]
        name: Option<&'b RawValue>,
    }
    // An array would do for serde, but is no model.
    let model: Model<'_> =
        serde_json::from_str(model.get()).ok().filter(|_| model.get().starts_with('{'))?;
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
    let mut id = model.id.and_then(text).or_else(|| model.name.and_then(text))?;
    if id.starts_with("models/") {
        id.drain(.."models/".len());
    }
    Some(id).filter(|id| !id.is_empty())
}

/// An array of models, of which only the ids are kept.
struct Ids(Vec<String>);

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ids, D::Error> {
        struct IdsVisitor;
        impl<'de> Visitor<'de> for IdsVisitor {
            type Value = Ids;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of models")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ids, A::Error> {
                let mut ids = Vec::new();
                while let Some(model) = list.next_element::<&RawValue>()? {
                    ids.extend(id_of(model));
                }
                Ok(Ids(ids))
            }
        }
        deserializer.deserialize_seq(IdsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lists_of_every_known_shape_are_understood() {
        for body in [
            r#"{"object":"list","data":[{"id":"a"},{"name":"models/b"},{"x":1}]}"#,
            r#"{"models":[{"name":"models/a"},{"id":"b","name":"c"}]}"#,
            r#"[{"id":"a"},{"id":"b"},7,["c","d"],{"id":null},{"id":5}]"#,
            r#"{"data":1,"models":[{"id":7,"name":"a"},{"id":"b","id2":[{"id":"c"}]}]}"#,
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap(), ["a", "b"], "{body}");
        }
        for body in ["", "<html>", "{}", r#"{"data":1}"#, "1"] {
            assert!(parse(body.as_bytes()).is_none(), "{body}");
        }
    }
}
