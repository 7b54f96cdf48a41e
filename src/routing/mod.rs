//! Which provider and model a request goes to. Pure: it must not know sockets, timers or HTTP.

mod chat_request;
mod given_ids;

use std::rc::Rc;

use crate::config::Filter;
use crate::language::{Text, Words};
use crate::text;
use crate::upstream::Provider;

pub use self::chat_request::ChatRequest;
pub use self::given_ids::{given_ids, FirstBytes, GivenIds};

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
    /// It names no model, or what could be read as another, or two providers; the reason.
    BadRequest(Text),
    /// Nobody is known to have stored an object of this id.
    UnknownStored(String),
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
    let model = request.model().map_err(Refusal::BadRequest)?;
    route_model(providers, filters, model, request.ambiguous)
}

/// The same for a request that may go on from stored objects: to the provider that has them
/// (`provider_of`), where its model must be, too. If nobody is known to have them, and there is no
/// model, the client may have `named` one beside the body.
///
/// # Errors
/// See [`Refusal`].
pub fn route_stored<'p>(
    providers: &'p [Rc<Provider>],
    filters: &[Filter],
    request: &ChatRequest,
    named: Option<&str>,
    provider_of: impl Fn(&str) -> Option<&'p Rc<Provider>>,
) -> Result<&'p Rc<Provider>, Refusal> {
    let by_model = request.model.is_some().then(|| route(providers, filters, request));
    let by_model = by_model.transpose()?.map(|provider| ("model", provider));
    let by_id = request.stored_ids.iter().filter_map(|id| Some((id.as_str(), provider_of(id)?)));
    let mut leads = by_model.into_iter().chain(by_id);
    let first = leads.next();
    if let Some((what, one)) = first {
        if let Some((id, other)) = leads.find(|(_, other)| other.name() != one.name()) {
            return Err(two_providers(what, one, id, other));
        }
    }
    let provider = match (first, request.stored_ids.first(), named, providers) {
        (Some((_, provider)), ..) => provider,
        // Neither a model nor an id: the error says so.
        (None, None, ..) => return route(providers, filters, request),
        (None, Some(_), Some(model), _) => {
            return route_model(providers, filters, model, request.ambiguous);
        }
        (None, Some(_), None, [only]) => only,
        (None, Some(id), None, _) => return Err(Refusal::UnknownStored(id.clone())),
    };
    refuse_ambiguous(provider, filters, request.ambiguous)?;
    Ok(provider)
}

/// The same for a model that was named beside the body, or in a form. `ambiguous`: see
/// [`ChatRequest::ambiguous`].
///
/// # Errors
/// See [`Refusal`].
pub fn route_model<'p>(
    providers: &'p [Rc<Provider>],
    filters: &[Filter],
    model: &str,
    ambiguous: bool,
) -> Result<&'p Rc<Provider>, Refusal> {
    if let Some(start) = start_of_long(model) {
        return Err(Refusal::LongName(start));
    }
    let (name, bare) = model.split_once('/').ok_or(Refusal::NoSuchModel)?;
    let provider = providers.iter().find(|provider| provider.name() == name);
    let provider = provider.ok_or(Refusal::NoSuchModel)?;
    refuse_ambiguous(provider, filters, ambiguous)?;
    let listed = &provider.config.model_list;
    let passes = filters.is_empty() || filters.iter().any(|filter| filter.is_match(model));
    let is_listed = listed.is_empty() || listed.iter().any(|model| model == bare);
    if bare.is_empty() || !passes || !is_listed {
        return Err(Refusal::NoSuchModel);
    }
    Ok(provider)
}

/// The provider must not read another model than the one that was checked.
fn refuse_ambiguous(
    provider: &Provider,
    filters: &[Filter],
    ambiguous: bool,
) -> Result<(), Refusal> {
    if ambiguous && !(provider.config.model_list.is_empty() && filters.is_empty()) {
        let reason =
            Words("除model外还有仅大小写不同的键", "a key differs from `model` in case only");
        return Err(Refusal::BadRequest(reason.into()));
    }
    Ok(())
}

fn two_providers(what: &str, one: &Provider, id: &str, other: &Provider) -> Refusal {
    let (one, other) = (one.name(), other.name());
    Refusal::BadRequest(text!(
        "{what} 指向提供商 {one}，而 {id} 属于提供商 {other}",
        "{what} leads to provider {one}, but {id} is stored at {other}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const NO_MODEL: &str = "400 请求体缺少model字段 (request body has no `model`)";

    fn config(filters: &str) -> (Vec<Rc<Provider>>, Vec<Filter>) {
        let provider = |name: &str, more: &str| {
            format!(r#"{{"provider":"{name}","baseurl":"http://{name}.test/v1"{more}}}"#)
        };
        let (a, b) = (provider("a", ""), provider("b", r#","model_list":["m"]"#));
        let file = format!(r#"{{"providers":[{a},{b}],"tokens":["x|sk-1"]{filters}}}"#);
        let config = Config::parse(&file, "config.json").unwrap();
        (config.providers.into_iter().map(Provider::new).collect(), config.supported_models)
    }

    /// Where a body goes, in short. `a` gave `resp_a` and `conv_a`, `b` gave `resp_b`.
    fn led(
        (providers, filters): (&[Rc<Provider>], &[Filter]),
        body: &str,
        named: Option<&str>,
    ) -> String {
        let request = match body.strip_prefix("id ") {
            Some(id) => ChatRequest::for_stored(id),
            None => ChatRequest::parse(body.as_bytes()).unwrap(),
        };
        let provider_of = |id: &str| {
            let name = id.strip_prefix("resp_").or_else(|| id.strip_prefix("conv_"))?;
            providers.iter().find(|provider| provider.name() == name)
        };
        match route_stored(providers, filters, &request, named, provider_of) {
            Ok(provider) => provider.name().to_owned(),
            Err(Refusal::NoSuchModel) => "404".to_owned(),
            Err(Refusal::LongName(_)) => "404 long".to_owned(),
            Err(Refusal::UnknownStored(id)) => format!("404 {id}"),
            Err(Refusal::BadRequest(reason)) => format!("400 {reason}"),
        }
    }

    #[test]
    fn a_stored_object_leads_to_its_provider() {
        let (providers, filters) = config("");
        let long = format!("a/{}", "m".repeat(5000));
        for (body, named, expected) in [
            (r#"{"previous_response_id":"resp_a"}"#, None, "a"),
            (r#"{"previous_response_id":"resp_a"}"#, Some("b/m"), "a"),
            (r#"{"conversation":{"id":"conv_a"},"previous_response_id":"resp_a"}"#, None, "a"),
            (r#"{"conversation":"conv_a","previous_response_id":"other"}"#, None, "a"),
            (r#"{"model":"a/m","previous_response_id":"resp_a"}"#, None, "a"),
            (r#"{"model":"b/x","previous_response_id":"resp_b"}"#, None, "404"),
            (r#"{"model":"m","previous_response_id":"resp_b"}"#, None, "404"),
            (r#"{"model":"gone/m","previous_response_id":"resp_b"}"#, None, "404"),
            ("id resp_b", None, "b"),
            // Unknown: the model decides, then what was named, then whoever is the only one.
            (r#"{"model":"b/m","previous_response_id":"other"}"#, Some("a/m"), "b"),
            (r#"{"previous_response_id":"other"}"#, Some("b/m"), "b"),
            (r#"{"previous_response_id":"a b"}"#, Some("a/m"), "a"),
            ("id other", Some("b/x"), "404"),
            ("id other", Some("b"), "404"),
            ("id other", Some("gone/m"), "404"),
            ("id other", Some(&long), "404 long"),
            ("id other", None, "404 other"),
            (r#"{"previous_response_id":"resp_gone","conversation":"c"}"#, None, "404 resp_gone"),
            // No stored object: as for every request.
            (r#"{"model":"a/m"}"#, Some("b/m"), "a"),
            ("{}", Some("b/m"), NO_MODEL),
            (r#"{"previous_response_id":null,"Model":"a/m"}"#, None, NO_MODEL),
        ] {
            assert_eq!(led((&providers, &filters), body, named), expected, "{body} {named:?}");
        }
        for (body, named, expected) in [
            ("id other", None, "a"),
            ("id other", Some("b/m"), "404"),
            (r#"{"previous_response_id":"resp_b"}"#, None, "a"),
            ("{}", None, NO_MODEL),
        ] {
            let only = led((&providers[..1], &filters), body, named);
            assert_eq!(only, expected, "{body} {named:?}");
        }
        assert_eq!(led((&[], &filters), "id other", None), "404 other");
    }

    #[test]
    fn a_request_that_leads_to_two_providers_is_told_both() {
        let (providers, filters) = config("");
        for (body, what, id) in [
            (r#"{"model":"b/m","previous_response_id":"resp_a"}"#, "model", "resp_a"),
            (
                r#"{"model":"b/m","conversation":"resp_b","previous_response_id":"conv_a"}"#,
                "model",
                "conv_a",
            ),
            (r#"{"conversation":"resp_b","previous_response_id":"resp_a"}"#, "resp_b", "resp_a"),
            (
                r#"{"previous_response_id":"resp_b","previous_response_id":"resp_a"}"#,
                "resp_b",
                "resp_a",
            ),
        ] {
            let expected = format!(
                "400 {what} 指向提供商 b，而 {id} 属于提供商 a ({what} leads to provider b, but {id} is stored at a)"
            );
            assert_eq!(led((&providers, &filters), body, Some("a/m")), expected, "{body}");
        }
    }

    #[test]
    fn filters_hold_for_every_model_that_is_named() {
        let (providers, filters) = config(r#","supported_models":["^a/good$"]"#);
        for (body, named, expected) in [
            (r#"{"model":"a/good","previous_response_id":"resp_a"}"#, None, "a"),
            (r#"{"model":"a/bad","previous_response_id":"resp_a"}"#, None, "404"),
            (r#"{"previous_response_id":"resp_a"}"#, None, "a"),
            ("id other", Some("a/good"), "a"),
            ("id other", Some("a/bad"), "404"),
            (r#"{"Model":"bad","previous_response_id":"resp_a"}"#, None, "400 除"),
            (r#"{"Model":"bad","previous_response_id":"other"}"#, Some("a/good"), "400 除"),
            (r#"{"Model":"bad","model":"a/good"}"#, None, "400 除"),
        ] {
            let led = led((&providers, &filters), body, named);
            assert!(led.starts_with(expected), "{body} {named:?}: {led}");
        }
        let (providers, filters) = config("");
        let body = r#"{"Model":"bad","previous_response_id":"resp_a"}"#;
        assert_eq!(led((&providers, &filters), body, None), "a");
    }
}
