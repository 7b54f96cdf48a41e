//! Which models each provider has, as far as it was asked.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use event_listener::Event;

use crate::language::Text;
use crate::runtime::Share;
use crate::upstream::Provider;

/// A list older than this is fetched again while it is served.
const AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// After a start or a reload a bare name waits no longer for a provider that has never answered.
const AWAITED_MAX: Duration = Duration::from_secs(5);
/// A failed fetch is not repeated sooner than this.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// One model of a provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// What the provider calls it.
    pub id: Box<str>,
    /// When it was made, in seconds since 1970, if the provider says so.
    pub created: Option<i64>,
}

/// What is known of one provider's models.
pub struct Models {
    /// The provider that is asked for them.
    pub provider: Rc<Provider>,
    /// The last good list.
    pub list: RefCell<Rc<Vec<Listed>>>,
    /// Its memory.
    pub share: RefCell<Option<Share>>,
    /// When the last fetch succeeded.
    pub fetched_at: Cell<Option<Instant>>,
    /// When the last one ended.
    pub tried_at: Cell<Option<Instant>>,
    /// Why it failed, if it did.
    pub trouble: RefCell<Option<Text>>,
    /// Whether one is under way.
    pub fetching: Cell<bool>,
    /// Whether it has ever answered, under this configuration or one before.
    pub answered: Cell<bool>,
    /// Until when a bare name waits for its first answer.
    pub awaited_until: Instant,
}

impl Models {
    /// Nothing is known yet, but for what is `known` of the same provider.
    pub fn new(provider: &Rc<Provider>, known: Option<&Rc<Models>>, now: Instant) -> Rc<Models> {
        let list = known.map(|known| known.list.borrow().clone()).unwrap_or_default();
        Rc::new(Models {
            provider: provider.clone(),
            list: RefCell::new(list),
            share: RefCell::new(known.and_then(|known| known.share.take())),
            fetched_at: Cell::new(None),
            tried_at: Cell::new(None),
            trouble: RefCell::new(None),
            fetching: Cell::new(false),
            answered: Cell::new(known.is_some_and(|known| known.answered.get())),
            awaited_until: now + AWAITED_MAX,
        })
    }

    /// Whether it is time to fetch the list.
    pub fn is_due(&self, now: Instant) -> bool {
        let older = |at: &Cell<Option<Instant>>, age| {
            at.get().is_none_or(|at| now.saturating_duration_since(at) >= age)
        };
        !self.fetching.get()
            && older(&self.fetched_at, AGE_MAX)
            && older(&self.tried_at, RETRY_AFTER)
    }

    /// Whether it is worth while to wait for its first answer.
    pub fn is_awaited(&self, now: Instant) -> bool {
        !self.answered.get() && now < self.awaited_until
    }

    /// Whether there was never a list, and one is under way.
    pub fn is_missing(&self) -> bool {
        self.fetched_at.get().is_none() && self.fetching.get()
    }
}

/// A model that may be asked for.
pub struct Visible {
    /// Its whole name: `provider/model`.
    pub id: Box<str>,
    /// When it was made, in seconds since 1970, as far as is known.
    pub created: i64,
    /// Whose it is; an alias is ours.
    pub provider: Option<Rc<Provider>>,
}

/// All of them, until a list or the configuration changes.
pub struct Shown {
    /// In the order of the configuration and of the providers' lists.
    pub models: Vec<Visible>,
    /// The body of `GET /v1/models` for OpenAI's clients.
    pub body: Rc<Vec<u8>>,
}

/// The model lists of the providers that are asked for theirs.
#[derive(Default)]
pub struct Catalogue {
    /// One for each of those providers.
    pub models: RefCell<Vec<Rc<Models>>>,
    /// When the configuration was loaded, in seconds since 1970.
    pub loaded_at: Cell<i64>,
    /// What of them may be asked for, once somebody wants to know.
    pub shown: RefCell<Option<Rc<Shown>>>,
    /// Callers that share the fetches under way.
    pub waiting: Event,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn thousands_of_models_take_little() {
        assert!(size_of::<Listed>() <= 32 && size_of::<Visible>() <= 32);
    }

    #[test]
    fn a_list_is_fetched_when_it_is_old_and_the_last_try_is_not_young() {
        let provider = Provider::new(Config::demo(1).providers.remove(0));
        let now = Instant::now();
        let later = now + Duration::from_secs(1000);
        let models = Models::new(&provider, None, now);
        for (fetched, tried, fetching, due) in [
            (None, None, false, true),
            (None, None, true, false),
            (None, Some(996), false, false),
            (None, Some(995), false, true),
            (Some(701), Some(701), false, false),
            (Some(700), Some(700), false, true),
            (Some(700), Some(999), false, false),
        ] {
            let at = |seconds: Option<u64>| seconds.map(|s| now + Duration::from_secs(s));
            models.fetched_at.set(at(fetched));
            models.tried_at.set(at(tried));
            models.fetching.set(fetching);
            assert_eq!(models.is_due(later), due, "{fetched:?} {tried:?} {fetching}");
        }
    }
}
