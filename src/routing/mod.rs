//! Which provider, key and model an attempt uses, and whether another follows. Pure: it must not know
//! sockets, timers or HTTP.

mod attempts;
mod chat_request;
mod conversation;
mod given_ids;
mod happened;
mod key_order;
mod names;
mod pick;
mod plan;
mod quota;
mod reach;
mod rests;
mod stored_ids;
mod trial;

use std::rc::Rc;

use crate::language::Text;
use crate::upstream::Provider;

pub use self::attempts::{Attempts, Choice};
pub use self::chat_request::ChatRequest;
pub use self::conversation::{conversation, of_body, SESSION_FIELDS};
pub use self::given_ids::{given_ids, FirstBytes, GivenIds};
pub use self::happened::{Class, Failure, Happened, Said};
pub use self::key_order::first as first_key;
pub use self::names::{Lists, Names};
pub use self::plan::{Plan, Target};
pub use self::quota::{said, ERROR_BYTES_MAX};
pub use self::rests::{keep_rate_limits, rests_at_all};
pub use self::stored_ids::route_stored;

/// No model has a longer name, which would be kept for as long as its response streams.
const MODEL_BYTES_MAX: usize = 4 * 1024;
/// How much of such a name stands in the error.
const MODEL_CHARS_SHOWN: usize = 100;

/// Where a request goes.
pub enum Route<'s> {
    /// To this provider with this key, once: there is nothing else to try, and nothing to remember.
    Direct(&'s Rc<Provider>, usize),
    /// To the first that will do.
    Plan(Box<Plan>),
}

impl Route<'_> {
    /// All that may be asked.
    pub fn providers(&self) -> impl Iterator<Item = &Rc<Provider>> {
        let (direct, plan) = match self {
            Route::Direct(provider, _) => (Some(*provider), None),
            Route::Plan(plan) => (None, Some(plan)),
        };
        let targets = plan.into_iter().flat_map(|plan| &plan.targets);
        direct.into_iter().chain(targets.map(|target| &target.provider))
    }

    /// The provider that is preferred.
    pub fn provider(&self) -> &Rc<Provider> {
        match self {
            Route::Direct(provider, _) => provider,
            Route::Plan(plan) => &plan.targets[0].provider,
        }
    }
}

/// Why a request goes nowhere.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such provider, or the model is filtered or not listed.
    NoSuchModel,
    /// Its name is longer than any; how it begins.
    LongName(String),
    /// It names no model, or what could be read as another, or two providers; the reason.
    BadRequest(Text),
    /// Nobody is known to have stored an object of this id.
    UnknownStored(String),
    /// The provider does not offer the endpoint.
    NotOffered {
        /// The provider's name.
        provider: String,
        /// Such as `embeddings`.
        endpoint: String,
    },
    /// A bare name that more than one provider lists; two of them.
    Several {
        /// The name.
        model: String,
        /// The providers' names.
        providers: [String; 2],
    },
    /// A bare name, while not every provider has said which models it has.
    NotYetKnown(String),
}

/// How a name begins that is longer than any.
pub fn start_of_long(model: &str) -> Option<String> {
    let is_long = model.len() > MODEL_BYTES_MAX;
    is_long.then(|| model.chars().take(MODEL_CHARS_SHOWN).chain(['…']).collect())
}

#[cfg(test)]
mod tests_histories;
#[cfg(test)]
mod tests_spec;
#[cfg(test)]
mod tests_support;
