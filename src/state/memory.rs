//! The memory that all requests together may take, in parts, so that none of them can take another's:
//! the largest request always fits beside what slow readers and long heads keep.

use std::rc::Rc;

use crate::config::Config;
use crate::runtime::Budget;

const MIB: u64 = 1024 * 1024;

/// The parts, each counted by capacity.
pub struct Memory {
    /// Bodies of requests.
    pub bodies: Rc<Budget>,
    /// Bodies of responses that are held back, and lists and probes while they are read.
    pub held: Rc<Budget>,
    /// Long heads, and what is read ahead of a client's next request.
    pub connections: Rc<Budget>,
    /// Model lists that are kept.
    pub lists: Rc<Budget>,
}

impl Memory {
    /// Nothing is taken yet.
    pub fn new(config: &Config) -> Memory {
        let [bodies, held, connections, lists] = limits(config).map(Budget::new);
        Memory { bodies, held, connections, lists }
    }

    /// Applies the limits of another configuration.
    pub fn configure(&self, config: &Config) {
        let parts = [&self.bodies, &self.held, &self.connections, &self.lists];
        parts.into_iter().zip(limits(config)).for_each(|(part, limit)| part.set_limit(limit));
    }

    /// All of it, in bytes.
    pub fn max(config: &Config) -> usize {
        limits(config).into_iter().fold(0, usize::saturating_add)
    }
}

/// One of the largest requests and one of the largest responses that do not stream, and many small
/// ones beside them.
fn limits(config: &Config) -> [usize; 4] {
    [
        config.max_request_size.saturating_add(8 * MIB),
        config.max_response_size.saturating_add(2 * MIB),
        2 * MIB,
        2 * MIB,
    ]
    .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
