//! Which provider and model a request goes to. Pure: it must not know sockets, timers or HTTP.

mod chat_request;

use std::rc::Rc;

use crate::config::Filter;
use crate::upstream::Provider;

pub use self::chat_request::ChatRequest;

/// No model has a longer name, which would be kept for as long as its response streams.
const MODEL_BYTES_MAX: usize = 4 * 1024;
/// How much of such a name stands in the error.
const MODEL_CHARS_SHOWN: usize = 100;

/// Why a request goes nowhere.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such provider, or the model is filtered or not listed.
    NoSuchModel,
    /// Its name is longer than any; how it begins.
    LongName(String),
    /// It could be read as another model.
    Ambiguous(&'static str),
}

/// How a name begins that is longer than any.
pub fn start_of_long(model: &str) -> Option<String> {
    let is_long = model.len() > MODEL_BYTES_MAX;
    is_long.then(|| model.chars().take(MODEL_CHARS_SHOWN).chain(['…']).collect())
}

/// Finds the provider of a request's model, and checks that the model may be asked for.
///
/// # Errors
/// See [`Refusal`].
pub fn route<'p>(
    providers: &'p [Rc<Provider>],
    filters: &[Filter],
    request: &ChatRequest,
) -> Result<&'p Rc<Provider>, Refusal> {
    if let Some(start) = start_of_long(&request.model) {
        return Err(Refusal::LongName(start));
    }
    let (name, bare) = request.split_model().ok_or(Refusal::NoSuchModel)?;
    let provider = providers.iter().find(|provider| provider.name() == name);
    let provider = provider.ok_or(Refusal::NoSuchModel)?;
    let listed = &provider.config.model_list;
    if request.ambiguous && !(listed.is_empty() && filters.is_empty()) {
        let reason = "除model外还有仅大小写不同的键 (a key differs from `model` in case only)";
        return Err(Refusal::Ambiguous(reason));
    }
    let passes = filters.is_empty() || filters.iter().any(|filter| filter.is_match(&request.model));
    let is_listed = listed.is_empty() || listed.iter().any(|model| model == bare);
    if bare.is_empty() || !passes || !is_listed {
        return Err(Refusal::NoSuchModel);
    }
    Ok(provider)
}
