//! What one request may try: its targets, their keys, and how often.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use percent_encoding::{utf8_percent_encode, AsciiSet, CONTROLS};

use super::key_order;
use crate::config::{default_retries, RetryOn};
use crate::upstream::Provider;

/// What a name in the trail cannot hold, since it would end there.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',').add(b'=').add(b'#');

/// A model of a provider.
pub struct Target {
    /// Whose it is.
    pub provider: Rc<Provider>,
    /// What the provider calls it.
    pub model: String,
    /// The same as a hash.
    pub id: u64,
}

impl Target {
    /// A target.
    pub fn new(provider: &Rc<Provider>, model: &str) -> Target {
        let mut hasher = DefaultHasher::new();
        model.hash(&mut hasher);
        Target { provider: provider.clone(), model: model.to_owned(), id: hasher.finish() }
    }

    /// `provider/model`; nothing for a request that names no model.
    pub fn name(&self) -> String {
        match self.model.is_empty() {
            true => String::new(),
            false => format!("{}/{}", self.provider.name(), self.model),
        }
    }
}

/// What one request may try.
pub struct Plan {
    /// At least one, the preferred one first.
    pub targets: Vec<Target>,
    /// Additional attempts that the configuration allows; `None`: as many as there is something else to try.
    pub retries: Option<u8>,
    /// After what there is another attempt although it would be final.
    pub retry_on: RetryOn,
    /// The longest stated delay that is waited for.
    pub wait_max: Duration,
    /// The only key of the only target that will do, since it has what is asked for.
    pub pinned: Option<usize>,
    /// Whether the name that was asked for is another one than the target's.
    pub is_alias: bool,
}

impl Plan {
    /// How many additional attempts there may be.
    pub fn retries(&self) -> u8 {
        let keys = |target: &Target| match self.pinned {
            Some(_) => 1,
            None => target.provider.keys.len(),
        };
        self.retries.unwrap_or_else(|| default_retries(self.targets.iter().map(keys)))
    }

    /// Whether more than one key or target could serve the request: then keys rest.
    pub fn keeps_state(&self) -> bool {
        self.targets.len() > 1 || self.targets.iter().any(|target| target.provider.keys.len() > 1)
    }

    /// The keys of each target, the preferred one first.
    pub fn orders(&self, conversation: u64) -> Vec<Vec<usize>> {
        let order = |target: &Target| match self.pinned {
            Some(key) => vec![key],
            None => key_order::order(&target.provider, conversation),
        };
        self.targets.iter().map(order).collect()
    }

    /// A target's name in the trail, with the number of its key where there are several.
    pub fn label(&self, target: usize, key: usize) -> String {
        let provider = &self.targets[target].provider;
        let name = utf8_percent_encode(provider.name(), ENCODED);
        match provider.keys.len() {
            1 => name.to_string(),
            _ => format!("{name}#{}", key + 1),
        }
    }
}
