//! One entry of `supported_models`.

use std::ops::Deref;

use regex::Regex;

use super::keys::{Kind, Value};
use super::node::Node;
use super::ConfigError;
use crate::message;

/// A regular expression over `provider/model`; its text is its identity.
#[derive(Clone, Debug)]
pub struct Filter(Regex);

impl Deref for Filter {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        &self.0
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Value for Filter {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        let regex = Regex::new(&node.string()?).map_err(|error| {
            // A syntax error shows the pattern and a caret first, its reason last.
            let text = error.to_string();
            let reason = text.rsplit("error: ").next().unwrap_or_default();
            node.error(message!("正则表达式无效: {reason}", "not a valid regex: {reason}"))
        })?;
        Ok(Self(regex))
    }

    fn show(&self, _: &Kind) -> String {
        self.as_str().to_owned()
    }
}
