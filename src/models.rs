//! The catalogue: which models each provider has. Knows nothing of client connections.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::clock::{Alarm, Phase, Wait};
use crate::config::Provider;
use crate::error::to_json;
use crate::proxy::{Proxy, Settings};
use crate::query;

/// A list older than this is fetched again while it is served.
const AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// A failed fetch is not repeated sooner than this.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// What is known of one provider's models.
struct Entry {
    provider: Provider,
    list: RefCell<Rc<Vec<String>>>,
    /// When the last fetch succeeded, and when the last one ended.
    fetched_at: Cell<Option<Instant>>,
    tried_at: Cell<Option<Instant>>,
    fetching: Cell<bool>,
    /// Callers that share the fetch under way.
    waiting: RefCell<Vec<Waker>>,
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
                waiting: RefCell::default(),
            })
        });
        self.entries.replace(entries.collect());
        self.fetch_due(proxy, &settings);
    }

    fn fetch_due(&self, proxy: &Rc<Proxy>, settings: &Rc<Settings>) {
        let now = proxy.reactor.clock.now();
        for entry in self.entries.borrow().iter().filter(|entry| entry.is_due(now)) {
            entry.fetching.set(true);
            proxy.spawn(fetch(proxy.clone(), settings.clone(), entry.clone()));
        }
    }

    /// Every model that may be asked for, as the body of `GET /v1/models`. Waits for lists that
    /// were never fetched, all at once and for [`Proxy::QUERY_MAX`] at most.
    pub async fn list(&self, proxy: &Rc<Proxy>) -> Vec<u8> {
        let settings = proxy.settings();
        self.fetch_due(proxy, &settings);
        let entries = self.entries.borrow().clone();
        let alarm = Alarm::new(&proxy.reactor);
        let wait = Wait::new(Phase::WholeAnswer, alarm.now(), Proxy::QUERY_MAX);
        let all = poll_fn(|context| {
            let missing = entries
                .iter()
                .filter(|entry| entry.tried_at.get().is_none() && entry.fetching.get());
            let mut ready = true;
            for entry in missing {
                ready = false;
                entry.waiting.borrow_mut().push(context.waker().clone());
            }
            if ready {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
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

async fn fetch(proxy: Rc<Proxy>, settings: Rc<Settings>, entry: Rc<Entry>) {
    let name = &entry.provider.name;
    let index = settings.index_of(name).filter(|at| settings.providers[*at] == entry.provider);
    let result = match index {
        Some(index) => query::models(&proxy, &settings, index).await,
        None => return,
    };
    let found = match &result {
        Ok((200, body)) => parse(body).ok_or_else(|| "不是模型列表 (not a model list)".to_owned()),
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
    entry.waiting.take().into_iter().for_each(Waker::wake);
}

/// The ids in a provider's answer: `{"data": […]}`, `{"models": […]}` or a bare array, of objects
/// with an `id` or a `name`. Gemini's `models/` in front is taken off.
pub fn parse(body: &[u8]) -> Option<Vec<String>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let list = match &value {
        Value::Array(list) => list,
        Value::Object(object) => {
            ["data", "models"].iter().find_map(|key| object.get(*key)?.as_array())?
        }
        _ => return None,
    };
    let id = |model: &Value| {
        let id = model.get("id").and_then(Value::as_str);
        let id = id.or_else(|| model.get("name").and_then(Value::as_str))?;
        let id = id.strip_prefix("models/").unwrap_or(id);
        (!id.is_empty()).then(|| id.to_owned())
    };
    Some(list.iter().filter_map(id).collect())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lists_of_every_known_shape_are_understood() {
        for body in [
            r#"{"object":"list","data":[{"id":"a"},{"name":"models/b"},{"x":1}]}"#,
            r#"{"models":[{"name":"models/a"},{"id":"b","name":"c"}]}"#,
            r#"[{"id":"a"},{"id":"b"},7]"#,
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap(), ["a", "b"], "{body}");
        }
        for body in ["", "<html>", "{}", r#"{"data":1}"#, "1"] {
            assert!(parse(body.as_bytes()).is_none(), "{body}");
        }
    }
}
