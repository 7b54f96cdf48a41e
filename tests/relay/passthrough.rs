//! `/p/{provider}/{rest…}`: whatever a provider offers, unparsed, for clients with a token.

mod answers;
mod bodies;
mod refusals;
mod requests;

use serde_json::{json, Value};

use crate::support::*;

/// The fields of an authorised client.
pub fn authorised(fields: &str) -> String {
    format!("Authorization: Bearer {TOKEN}\r\n{fields}")
}

/// A provider that is open for pass-through.
pub fn open(name: &str, upstream: &Upstream) -> Value {
    with(provider(name, upstream), json!({"passthrough": true}))
}

/// A proxy with the open provider `p`.
pub fn start(upstream: &Upstream) -> TestProxy {
    TestProxy::start(&config([open("p", upstream)]))
}
