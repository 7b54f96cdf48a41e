//! The order in which keys and targets are tried.

use super::keys::{Kind, Value};
use super::node::Node;
use super::ConfigError;
use crate::language::Words;

/// Which of a provider's keys a request uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyOrder {
    /// The same one for all requests of a conversation.
    #[default]
    Sticky,
    /// Each in turn.
    RoundRobin,
    /// The first, and others only when it cannot be used.
    InOrder,
}

/// Which of an alias' targets a request asks first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetOrder {
    /// The first, and others only when it cannot be used.
    #[default]
    InOrder,
    /// By weight, the same one for all requests of a conversation.
    Weights,
    /// Each in turn.
    RoundRobin,
}

/// The words of an order, each with what it stands for.
macro_rules! words {
    ($order:ident: $chinese:literal $english:literal, $($word:literal $variant:ident)*) => {
        impl Value for $order {
            fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
                match &*node.string()? {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(node.error(Words($chinese, $english))),
                }
            }

            fn show(&self, _: &Kind) -> String {
                match self {
                    $(Self::$variant => $word.to_owned(),)*
                }
            }
        }
    };
}

words! { KeyOrder: "必须是 sticky、round_robin 或 in_order" "must be sticky, round_robin or in_order",
"sticky" Sticky "round_robin" RoundRobin "in_order" InOrder }
words! { TargetOrder: "必须是 in_order、weights 或 round_robin" "must be in_order, weights or round_robin",
"in_order" InOrder "weights" Weights "round_robin" RoundRobin }
