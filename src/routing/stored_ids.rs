//! Requests that go on from stored objects, responses or conversations: only the provider and the key that
//! gave them have them.

use std::rc::Rc;

use super::names::Names;
use super::{ChatRequest, Refusal, Route};
use crate::text;
use crate::upstream::Provider;

/// Finds where a request goes that may go on from stored objects: to the provider that has them
/// (`owner_of` says which and, if that is known, by which key), where its model must be, too. If nobody is
/// known to have them, and there is no model, the client may have `named` one beside the body.
///
/// # Errors
/// See [`Refusal`].
pub fn route_stored<'s>(
    names: &Names<'s, '_>,
    request: &ChatRequest,
    named: Option<&str>,
    owner_of: impl Fn(&str) -> Option<(&'s Rc<Provider>, Option<usize>)>,
) -> Result<Route<'s>, Refusal> {
    let by_model = match &request.model {
        Some(model) => Some(names.route(model, request.ambiguous)?),
        None => None,
    };
    let mut by_id = request.stored_ids.iter().filter_map(|id| Some((id.as_str(), owner_of(id)?)));
    let Some((id, (owner, key))) = by_id.next() else {
        return by_model.map_or_else(|| unknown(names, request, named), Ok);
    };
    let route = match by_model {
        Some(route) => {
            at_owner(route, owner).map_err(|one| two_providers("model", &one, id, owner))?
        }
        None => names.direct(owner, ""),
    };
    if let Some((other_id, (other, _))) = by_id.find(|(_, (other, _))| other.name() != owner.name())
    {
        let what = if request.model.is_some() { "model" } else { id };
        return Err(two_providers(what, owner, other_id, other));
    }
    names.refuse_ambiguous(owner, request.ambiguous)?;
    names.refuse_endpoint(owner)?;
    Ok(pinned(route, key))
}

/// Where what nobody is known to have goes.
fn unknown<'s>(
    names: &Names<'s, '_>,
    request: &ChatRequest,
    named: Option<&str>,
) -> Result<Route<'s>, Refusal> {
    match (request.stored_ids.first(), named, names.providers) {
        // Neither a model nor an id: the error says so.
        (None, ..) => names.route(request.model().map_err(Refusal::BadRequest)?, request.ambiguous),
        (Some(_), Some(model), _) => names.route(model, request.ambiguous),
        (Some(_), None, [only]) => {
            names.refuse_ambiguous(only, request.ambiguous)?;
            names.refuse_endpoint(only)?;
            Ok(names.direct(only, ""))
        }
        (Some(id), None, _) => Err(Refusal::UnknownStored(id.clone())),
    }
}

/// What of a route leads to the owner; if nothing does, its preferred provider.
fn at_owner<'s>(route: Route<'s>, owner: &'s Rc<Provider>) -> Result<Route<'s>, Rc<Provider>> {
    let is_owner = |provider: &Provider| provider.name() == owner.name();
    match route {
        Route::Direct(provider, key) if is_owner(provider) => Ok(Route::Direct(provider, key)),
        Route::Plan(mut plan) if plan.targets.iter().any(|target| is_owner(&target.provider)) => {
            plan.targets.retain(|target| is_owner(&target.provider));
            Ok(Route::Plan(plan))
        }
        route => Err(route.provider().clone()),
    }
}

/// A route to one target with one key.
fn pinned(route: Route<'_>, key: Option<usize>) -> Route<'_> {
    match route {
        Route::Plan(mut plan) => {
            plan.targets.truncate(1);
            plan.pinned = key;
            Route::Plan(plan)
        }
        direct => direct,
    }
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
    use crate::routing::Lists;

    const NO_MODEL: &str = "400 请求体缺少model字段 (request body has no `model`)";

    fn config(filters: &str) -> (Vec<Rc<Provider>>, Config) {
        let provider = |name: &str, more: &str| {
            format!(r#"{{"provider":"{name}","baseurl":"http://{name}.test/v1"{more}}}"#)
        };
        let (a, b) = (provider("a", ""), provider("b", r#","model_list":["m"]"#));
        let file = format!(r#"{{"providers":[{a},{b}],"tokens":["x|sk-1"]{filters}}}"#);
        let config = Config::parse(&file, "config.json").unwrap();
        (config.providers.iter().cloned().map(Provider::new).collect(), config)
    }

    /// Where a body goes, in short. `a` gave `resp_a` and `conv_a`, `b` gave `resp_b`.
    fn led(
        (providers, config): (&[Rc<Provider>], &Config),
        body: &str,
        named: Option<&str>,
    ) -> String {
        let request = match body.strip_prefix("id ") {
            Some(id) => ChatRequest::for_stored(id),
            None => ChatRequest::parse(body.as_bytes()).unwrap(),
        };
        let owner_of = |id: &str| {
            let name = id.strip_prefix("resp_").or_else(|| id.strip_prefix("conv_"))?;
            let provider = providers.iter().find(|provider| provider.name() == name)?;
            Some((provider, None))
        };
        let names = Names {
            config,
            providers,
            turns: &[],
            endpoint: "responses",
            conversation: 0,
            lists: &|_, _| Lists::No,
        };
        match route_stored(&names, &request, named, owner_of) {
            Ok(route) => route.provider().name().to_owned(),
            Err(Refusal::NoSuchModel) => "404".to_owned(),
            Err(Refusal::LongName(_)) => "404 long".to_owned(),
            Err(Refusal::UnknownStored(id)) => format!("404 {id}"),
            Err(Refusal::BadRequest(reason)) => format!("400 {reason}"),
            Err(refusal) => format!("{refusal:?}"),
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
