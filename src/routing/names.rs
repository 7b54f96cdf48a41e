//! What a model's name leads to: an alias, a provider's model, a pattern, or a bare name that one provider
//! lists. Pure, but for the turn of a round robin.

use std::cell::Cell;
use std::rc::Rc;

use memchr::memchr;

use super::key_order::{rendezvous, sorted};
use super::plan::{Plan, Target};
use super::{start_of_long, Refusal, Route};
use crate::config::{Alias, AliasTarget, Config, RetryOn, TargetOrder};
use crate::language::Words;
use crate::upstream::Provider;

/// Whether a provider lists a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// It does.
    Yes,
    /// It does not, as far as is known.
    No,
    /// It was asked and has not answered yet.
    NotYet,
}

/// All that names can lead to, for one request.
pub struct Names<'s, 'l> {
    /// What the file says.
    pub config: &'s Config,
    /// Its providers.
    pub providers: &'s [Rc<Provider>],
    /// Whose turn it is among the targets of each alias.
    pub turns: &'s [Cell<usize>],
    /// The endpoint that is asked for, such as `chat/completions`.
    pub endpoint: &'l str,
    /// Which conversation the request belongs to; see [`super::conversation()`].
    pub conversation: u64,
    /// Whether a provider without a list of its own lists a model.
    pub lists: &'l dyn Fn(&Provider, &str) -> Lists,
}

impl<'s> Names<'s, '_> {
    /// Where a name leads. `ambiguous`: see [`super::ChatRequest::ambiguous`].
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn route(&self, model: &str, ambiguous: bool) -> Result<Route<'s>, Refusal> {
        if let Some(start) = start_of_long(model) {
            return Err(Refusal::LongName(start));
        }
        if let Some(index) = self.exact(model) {
            return self.plan(index, "", ambiguous);
        }
        let Some((provider, bare)) = self.split(model) else {
            return match self.pattern(model) {
                Some((index, rest)) => self.plan(index, rest, ambiguous),
                None if self.config.bare_models => {
                    let provider = self.bare(model)?;
                    self.refuse_ambiguous(provider, ambiguous)?;
                    self.refuse_endpoint(provider)?;
                    Ok(Route::Plan(Box::new(Plan {
                        is_alias: true,
                        ..self.plan_of(vec![Target::new(provider, model)], None)
                    })))
                }
                None => Err(Refusal::NoSuchModel),
            };
        };
        self.refuse_ambiguous(provider, ambiguous)?;
        if bare.is_empty() || !self.config.allows(model) || !is_listed(provider, bare) {
            return Err(Refusal::NoSuchModel);
        }
        self.refuse_endpoint(provider)?;
        Ok(self.direct(provider, bare))
    }

    /// A request for one provider, which perhaps has one key and one attempt.
    pub fn direct(&self, provider: &'s Rc<Provider>, model: &str) -> Route<'s> {
        if provider.keys.len() == 1 && self.config.retries.is_none_or(|retries| retries == 0) {
            return Route::Direct(provider, 0);
        }
        Route::Plan(Box::new(self.plan_of(vec![Target::new(provider, model)], None)))
    }

    fn plan_of(&self, targets: Vec<Target>, alias: Option<&Alias>) -> Plan {
        let mut retry_on = self.config.retry_on.clone();
        if let Some(RetryOn { timeout, statuses, codes }) = alias.map(|alias| &alias.retry_on) {
            retry_on.timeout |= timeout;
            retry_on.statuses.extend(statuses);
            retry_on.codes.extend_from_slice(codes);
        }
        Plan {
            targets,
            retries: alias.and_then(|alias| alias.retries).or(self.config.retries),
            retry_on,
            wait_max: self.config.retry_wait_max,
            pinned: None,
            is_alias: alias.is_some(),
        }
    }

    /// The provider and the model's name there, if what is before the first slash is a provider's name.
    fn split<'m>(&self, model: &'m str) -> Option<(&'s Rc<Provider>, &'m str)> {
        let slash = memchr(b'/', model.as_bytes())?;
        let provider = self.providers.iter().find(|provider| provider.name() == &model[..slash])?;
        Some((provider, &model[slash + 1..]))
    }

    /// Whether a model may be asked for: it passes the filters, and is on the list if there is one.
    pub fn is_served(&self, provider: &Provider, bare: &str) -> bool {
        !bare.is_empty()
            && is_listed(provider, bare)
            && self.config.allows(&format!("{}/{bare}", provider.name()))
    }

    /// The provider must not read another model than the one that was checked.
    #[inline]
    pub fn refuse_ambiguous(&self, provider: &Provider, ambiguous: bool) -> Result<(), Refusal> {
        let is_checked =
            || !(provider.config.model_list.is_empty() && self.config.supported_models.is_empty());
        if ambiguous && is_checked() {
            let reason =
                Words("除model外还有仅大小写不同的键", "a key differs from `model` in case only");
            return Err(Refusal::BadRequest(reason.into()));
        }
        Ok(())
    }

    fn offers(&self, provider: &Provider) -> bool {
        let endpoints = &provider.config.endpoints;
        endpoints.is_empty() || endpoints.iter().any(|endpoint| endpoint == self.endpoint)
    }

    /// # Errors
    /// The provider does not offer the endpoint.
    #[inline]
    pub fn refuse_endpoint(&self, provider: &Provider) -> Result<(), Refusal> {
        if self.offers(provider) {
            return Ok(());
        }
        let (provider, endpoint) = (provider.name().to_owned(), self.endpoint.to_owned());
        Err(Refusal::NotOffered { provider, endpoint })
    }

    fn exact(&self, name: &str) -> Option<usize> {
        let is_it = |alias: &Alias| !alias.name.starred && alias.name.text == name;
        self.config.aliases.iter().position(is_it)
    }

    /// The longest pattern that fits, and what its star stands for.
    fn pattern<'m>(&self, name: &'m str) -> Option<(usize, &'m str)> {
        let starred = self.config.aliases.iter().enumerate().filter(|(_, a)| a.name.starred);
        let fitting = starred.filter_map(|(index, alias)| {
            let rest = name.strip_prefix(&*alias.name.text)?;
            Some((index, rest))
        });
        fitting.min_by_key(|(_, rest)| rest.len())
    }

    /// All targets of an alias that will do, in their order.
    fn plan(&self, index: usize, rest: &str, ambiguous: bool) -> Result<Route<'s>, Refusal> {
        let mut found = Found::default();
        self.collect(index, rest, &mut found);
        for target in &found.targets {
            self.refuse_ambiguous(&target.provider, ambiguous)?;
        }
        if found.targets.is_empty() {
            return Err(found.refusal.unwrap_or(Refusal::NoSuchModel));
        }
        let alias = &self.config.aliases[index];
        Ok(Route::Plan(Box::new(self.plan_of(found.targets, Some(alias)))))
    }

    fn collect(&self, index: usize, rest: &str, found: &mut Found) {
        // Whatever stands behind an alias that was met before is there already.
        if found.aliases.contains(&index) {
            return;
        }
        found.aliases.push(index);
        for target in self.in_order(index, found.targets.is_empty()) {
            let Ok(name) = self.name(target, rest) else { continue };
            if let Some(nested) = self.exact(&name) {
                self.collect(nested, "", found);
                continue;
            }
            let Some((provider, bare)) = self.split(&name) else { continue };
            if !self.is_served(provider, bare) {
                continue;
            }
            let is_same = |t: &Target| Rc::ptr_eq(&t.provider, provider) && t.model == bare;
            match self.refuse_endpoint(provider) {
                Ok(()) if found.targets.iter().any(is_same) => {}
                Ok(()) => found.targets.push(Target::new(provider, bare)),
                Err(refusal) => found.refusal = found.refusal.take().or(Some(refusal)),
            }
        }
    }

    /// The whole name of a target, which must not be longer than any model's.
    fn name(&self, target: &AliasTarget, rest: &str) -> Result<String, Refusal> {
        let rest = if target.model.starred { rest } else { "" };
        let name = format!("{}{rest}", target.model.text);
        start_of_long(&name).map_or(Ok(name), |start| Err(Refusal::LongName(start)))
    }

    /// The targets of an alias, the preferred one first; those of no weight last. If it `leads` a route the
    /// next one begins with the next target, where they take turns.
    fn in_order(&self, index: usize, leads: bool) -> Vec<&'s AliasTarget> {
        let alias = &self.config.aliases[index];
        let mut targets: Vec<&AliasTarget> = alias.targets.iter().collect();
        match alias.order {
            TargetOrder::InOrder => return targets,
            TargetOrder::RoundRobin => {
                let turn = self.turns[index].get();
                self.turns[index].set(turn.wrapping_add(usize::from(leads)));
                let weighty = targets.iter().filter(|target| target.weight > 0).count().max(1);
                targets = sorted(targets, |target| target.weight == 0);
                targets[..weighty].rotate_left(turn % weighty);
            }
            TargetOrder::Weights => targets = sorted(targets, |target| self.likes(target)),
        }
        targets
    }

    /// How far down a target stands by its weight: of many conversations each target comes first for its
    /// share (weighted rendezvous hashing).
    fn likes(&self, target: &AliasTarget) -> f64 {
        let hash = rendezvous(self.conversation, &target.model.to_string());
        // Above 0 and below 1.
        let share = ((hash >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
        match target.weight {
            0 => f64::INFINITY,
            weight => -share.ln() / f64::from(weight),
        }
    }

    /// The only provider that lists a name.
    fn bare(&self, model: &str) -> Result<&'s Rc<Provider>, Refusal> {
        let served: Vec<_> = self.providers.iter().filter(|p| self.is_served(p, model)).collect();
        let (own, fetched): (Vec<_>, Vec<_>) =
            served.into_iter().partition(|provider| !provider.config.model_list.is_empty());
        if !own.is_empty() {
            return only(model, &own);
        }
        let known: Vec<_> =
            fetched.into_iter().map(|provider| (provider, (self.lists)(provider, model))).collect();
        if known.iter().any(|(_, lists)| *lists == Lists::NotYet) {
            return Err(Refusal::NotYetKnown(model.to_owned()));
        }
        let listing = known.into_iter().filter(|(_, lists)| *lists == Lists::Yes);
        only(model, &listing.map(|(provider, _)| provider).collect::<Vec<_>>())
    }
}

/// Whether a provider has a model, as far as the file says.
fn is_listed(provider: &Provider, bare: &str) -> bool {
    let listed = &provider.config.model_list;
    listed.is_empty() || listed.iter().any(|model| model == bare)
}

fn only<'s>(model: &str, found: &[&'s Rc<Provider>]) -> Result<&'s Rc<Provider>, Refusal> {
    match found {
        [] => Err(Refusal::NoSuchModel),
        [only] => Ok(only),
        [one, other, ..] => Err(Refusal::Several {
            model: model.to_owned(),
            providers: [one.name().to_owned(), other.name().to_owned()],
        }),
    }
}

/// What was found behind an alias so far.
#[derive(Default)]
struct Found {
    targets: Vec<Target>,
    /// The aliases that were met.
    aliases: Vec<usize>,
    /// Why the first target that was left out was.
    refusal: Option<Refusal>,
}

#[cfg(test)]
mod tests;
