//! Which provider gave which stored object, a response or a conversation, and for which key: only that
//! account knows it.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::rc::Rc;

use crate::upstream::{is_stored_id, Provider};

/// Objects that are remembered.
const OBJECTS_MAX: usize = 4096;
/// What they take at most.
const BYTES_MAX: usize = 512 * 1024;
const _: () = assert!(OBJECTS_MAX * size_of::<Object>() <= BYTES_MAX);

/// Hashes stand for the names, so that an object takes the same few bytes whatever its id, and no token
/// is kept. Their key is random and stays in the process: nobody can choose names that collide, and by
/// chance one unknown id in 2^52 takes another's place. Its request then goes to a provider that does
/// not know it either.
struct Object {
    /// Of the client's token and the object's id.
    key: u64,
    owner: Owner,
}

/// Who has an object, by hashes.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Of the provider's name.
    provider: u64,
    /// Of the key's secret; 0 without one.
    key: u64,
}

/// A client, by the hash of its token.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Client(u64);

/// The objects that were given last.
#[derive(Default)]
pub struct Stored {
    hasher: RandomState,
    /// The newest is the last. Looking through all of them takes a few microseconds, once for each id in
    /// a request or a response of `/v1/responses`.
    objects: RefCell<VecDeque<Object>>,
}

impl Stored {
    /// The client with this token.
    pub fn client(&self, token: &str) -> Client {
        Client(self.hasher.hash_one(token))
    }

    /// The owner of what this provider stores for its key of this number.
    pub fn owner(&self, provider: &Provider, key: usize) -> Owner {
        let secret = provider.config.keys.get(key);
        let key = secret.map_or(0, |secret| self.hasher.hash_one(secret.expose()));
        Owner { provider: self.hasher.hash_one(provider.name()), key }
    }

    /// This owner gave the object `id` to this client. It becomes the newest; what is no id
    /// ([`is_stored_id`]) is not remembered.
    pub fn remember(&self, client: Client, id: &str, owner: Owner) {
        if !is_stored_id(id) {
            return;
        }
        let key = self.hasher.hash_one((client, id));
        let mut objects = self.objects.borrow_mut();
        if let Some(before) = objects.iter().rposition(|object| object.key == key) {
            objects.remove(before);
        } else if objects.len() == OBJECTS_MAX {
            objects.pop_front();
        }
        objects.push_back(Object { key, owner });
    }

    /// Which of `providers` gave the object `id` to this client, if that is known, and for which of its keys,
    /// if that is still there.
    pub fn owner_of<'p>(
        &self,
        client: Client,
        id: &str,
        providers: &'p [Rc<Provider>],
    ) -> Option<(&'p Rc<Provider>, Option<usize>)> {
        let key = self.hasher.hash_one((client, id));
        let objects = self.objects.borrow();
        let owner = objects.iter().rfind(|object| object.key == key)?.owner;
        let is_it = |p: &&Rc<Provider>| self.hasher.hash_one(p.name()) == owner.provider;
        let provider = providers.iter().find(is_it)?;
        let key = (0..provider.keys.len()).find(|key| self.owner(provider, *key).key == owner.key);
        Some((provider, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::testing::providers;

    fn of<'p>(
        stored: &Stored,
        (token, id): (&str, &str),
        providers: &'p [Rc<Provider>],
    ) -> &'p str {
        stored
            .owner_of(stored.client(token), id, providers)
            .map_or("-", |(provider, _)| provider.name())
    }

    fn remember(stored: &Stored, token: &str, id: &str, provider: &str) {
        let owner = stored.owner(&providers(&[provider])[0], 0);
        stored.remember(stored.client(token), id, owner);
    }

    #[test]
    fn an_object_leads_to_the_key_that_it_was_given_to_wherever_that_stands() {
        let provider = |keys: &str| {
            let text = format!(
                r#"{{"providers":[{{"provider":"p","baseurl":"http://h/v1","token":[{keys}]}}],"tokens":[]}}"#
            );
            let mut config = crate::config::Config::parse(&text, "f").unwrap();
            [Provider::new(config.providers.remove(0))]
        };
        let (stored, before) = (Stored::default(), provider(r#""k1","k2""#));
        stored.remember(stored.client("t"), "resp_1", stored.owner(&before[0], 1));
        for (keys, expected) in
            [(r#""k1","k2""#, Some(1)), (r#""k2","k3""#, Some(0)), (r#""k1","k3""#, None)]
        {
            let providers = provider(keys);
            let owner = stored.owner_of(stored.client("t"), "resp_1", &providers);
            assert_eq!(owner.map(|(_, key)| key), Some(expected), "{keys}");
        }
    }

    #[test]
    fn an_object_is_known_to_its_token_and_at_its_provider_only() {
        let (stored, providers) = (Stored::default(), providers(&["a", "b"]));
        remember(&stored, "sk-1", "resp_1", "a");
        remember(&stored, "sk-2", "resp_2", "b");
        remember(&stored, "sk-1", "resp_3", "gone");
        for (asked, expected) in [
            (("sk-1", "resp_1"), "a"),
            (("sk-2", "resp_2"), "b"),
            (("sk-2", "resp_1"), "-"),
            (("sk-1", "resp_2"), "-"),
            (("sk-1r", "esp_1"), "-"),
            (("sk-1", "resp_3"), "-"),
            (("sk-1", ""), "-"),
        ] {
            assert_eq!(of(&stored, asked, &providers), expected, "{asked:?}");
        }
        remember(&stored, "sk-1", "resp_1", "b");
        assert_eq!(of(&stored, ("sk-1", "resp_1"), &providers), "b");
        assert_eq!(stored.objects.borrow().len(), 3);
    }

    #[test]
    fn what_is_no_id_is_not_remembered() {
        let (stored, providers) = (Stored::default(), providers(&["a"]));
        let (longest, longer) = ("i".repeat(128), "i".repeat(129));
        for id in ["", "a/b", "a.b", "a b", "é", "a\n", &longer] {
            remember(&stored, "t", id, "a");
            assert_eq!(of(&stored, ("t", id), &providers), "-", "{id}");
        }
        assert!(stored.objects.borrow().is_empty());
        for id in ["a", "Resp_0-9", &longest] {
            remember(&stored, "t", id, "a");
            assert_eq!(of(&stored, ("t", id), &providers), "a", "{id}");
        }
    }

    #[test]
    fn the_oldest_makes_room_and_who_is_remembered_again_is_the_newest() {
        let (stored, providers) = (Stored::default(), providers(&["a"]));
        let is_known =
            |number: usize| of(&stored, ("t", &format!("resp_{number}")), &providers) == "a";
        let known = |number: usize| remember(&stored, "t", &format!("resp_{number}"), "a");
        (0..OBJECTS_MAX).for_each(known);
        assert!(is_known(0));
        known(0);
        assert!(is_known(0) && is_known(1));
        known(OBJECTS_MAX);
        assert!(is_known(0) && !is_known(1) && is_known(2) && is_known(OBJECTS_MAX));
    }

    #[test]
    fn its_memory_is_bounded() {
        let stored = Stored::default();
        for number in 0..OBJECTS_MAX + 100 {
            remember(&stored, &"t".repeat(1000), &format!("resp_{number}"), "a");
        }
        let objects = stored.objects.borrow();
        assert_eq!(objects.len(), OBJECTS_MAX);
        assert!(objects.capacity() * size_of::<Object>() <= BYTES_MAX);
    }
}
