//! In which order the keys of a provider are used. Pure, but for the turn of a round robin.

use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use super::rests;
use crate::config::KeyOrder;
use crate::upstream::Provider;

/// The keys of a provider by their place, the preferred one first.
pub fn order(provider: &Provider, conversation: u64) -> Vec<usize> {
    let count = provider.keys.len();
    let mut keys: Vec<usize> = (0..count).collect();
    match provider.config.key_order {
        _ if count < 2 => {}
        KeyOrder::InOrder => {}
        KeyOrder::RoundRobin => keys.rotate_left(provider.turn.get() % count),
        // Rendezvous hashing: a key that goes moves only its own conversations.
        KeyOrder::Sticky => {
            keys = sorted(keys, |key| {
                Reverse(rendezvous(conversation, provider.config.keys[*key].expose()))
            });
        }
    }
    keys
}

/// Sorts a short list: the library's sorts are 10 KB of code for each type.
pub fn sorted<T, K: PartialOrd>(list: Vec<T>, rank: impl Fn(&T) -> K) -> Vec<T> {
    let mut sorted: Vec<(K, T)> = Vec::with_capacity(list.len());
    for item in list {
        let own = rank(&item);
        let at = sorted.partition_point(|(other, _)| *other <= own);
        sorted.insert(at, (own, item));
    }
    sorted.into_iter().map(|(_, item)| item).collect()
}

/// A request asks a provider: the next one begins with the next key, where they take turns.
pub fn end_turn(provider: &Provider) {
    provider.turn.set(provider.turn.get().wrapping_add(1));
}

/// How much a conversation likes something.
pub fn rendezvous(conversation: u64, what: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (conversation, what).hash(&mut hasher);
    hasher.finish()
}

/// The key for lists and checks: the first that does not rest as a whole.
pub fn first(provider: &Provider, now: Instant) -> usize {
    let well = |key: &crate::upstream::Key| !rests::rests_as_a_whole(&key.rests, now);
    provider.keys.iter().position(well).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Provider as Configured};
    use std::collections::BTreeMap;

    fn provider(keys: &[&str], order: &str) -> std::rc::Rc<Provider> {
        let keys = serde_json::to_string(keys).unwrap();
        let text = format!(
            r#"{{"providers":[{{"provider":"p","baseurl":"http://h/v1","token":{keys},"key_order":"{order}"}}],"tokens":[]}}"#
        );
        let config: Configured = Config::parse(&text, "f").unwrap().providers.remove(0);
        Provider::new(config)
    }

    #[test]
    fn in_order_is_as_written_and_round_robin_begins_with_the_next_one_each_time() {
        let in_order = provider(&["k1", "k2", "k3"], "in_order");
        assert_eq!([order(&in_order, 1), order(&in_order, 2)], [[0, 1, 2], [0, 1, 2]]);
        let in_turn = provider(&["k1", "k2", "k3"], "round_robin");
        for expected in [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]] {
            assert_eq!([order(&in_turn, 1), order(&in_turn, 2)], [expected; 2]);
            end_turn(&in_turn);
        }
    }

    #[test]
    fn conversations_spread_evenly_and_a_key_that_goes_moves_only_its_own() {
        let (five, four) = (
            provider(&["k1", "k2", "k3", "k4", "k5"], "sticky"),
            provider(&["k1", "k2", "k4", "k5"], "sticky"),
        );
        let mut spread = BTreeMap::new();
        for conversation in 0..1000 {
            let seed = rendezvous(conversation, "conversation");
            let (before, after) = (order(&five, seed)[0], order(&four, seed)[0]);
            *spread.entry(before).or_insert(0) += 1;
            let kept = [Some(0), Some(1), None, Some(2), Some(3)][before];
            assert!(kept.is_none_or(|kept| kept == after), "{conversation}");
        }
        assert!(spread.values().all(|count| (150..=250).contains(count)), "{spread:?}");
    }
}
