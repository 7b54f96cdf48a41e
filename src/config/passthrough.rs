//! A provider's `passthrough`: whether, and where, requests of any kind go to it unread.

use super::keys::{Kind, Value};
use super::node::Node;
use super::{BaseUrl, ConfigError};
use crate::language::Words;

/// Where `/p/{provider}/…` leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Passthrough {
    /// Nowhere: there is no such path.
    #[default]
    Off,
    /// Below the provider's `baseurl`.
    Base,
    /// Below a URL of its own.
    At(BaseUrl),
}

impl Value for Passthrough {
    fn read(node: &Node<'_>, kind: &Kind) -> Result<Self, ConfigError> {
        if node.is_string() {
            return BaseUrl::read(node, kind).map(Self::At);
        }
        if !node.is_boolean() {
            return Err(node.wrong_type(Words("true、false 或网址", "true, false or a URL")));
        }
        Ok(if node.boolean()? { Self::Base } else { Self::Off })
    }

    fn show(&self, _: &Kind) -> String {
        match self {
            Self::Off => "false".to_owned(),
            Self::Base => "true".to_owned(),
            Self::At(base) => base.to_string(),
        }
    }
}
