//! Name resolution off the event loop. Look-ups of one name share a thread, so that a name server
//! that never answers holds up one thread per name and not one per request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::lock::OnceCell;

use crate::runtime::detach;

/// A look-up older than this has failed the connections that waited for it; a new one may do
/// better.
const SHARED_MAX: Duration = Duration::from_secs(10);
/// Addresses of one name that are used.
const ADDRESSES_MAX: usize = 16;

type Found = Result<Vec<IpAddr>, (io::ErrorKind, String)>;

/// One look-up, which several connections may wait for.
type Lookup = OnceCell<Found>;

/// The look-ups under way, and when they began.
#[derive(Default)]
pub struct Resolver(RefCell<HashMap<String, (Instant, Arc<Lookup>)>>);

impl Resolver {
    /// The addresses of `host`, which may be an address itself.
    ///
    /// # Errors
    /// What the system's resolver says.
    pub async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let lookup = self.start(host);
        let found = lookup.wait().await.clone();
        found.map_err(|(kind, text)| io::Error::new(kind, text))
    }

    /// Joins the look-up of `host` under way, or begins one.
    fn start(&self, host: &str) -> Arc<Lookup> {
        let mut lookups = self.0.borrow_mut();
        lookups
            .retain(|_, (begun, lookup)| begun.elapsed() < SHARED_MAX && !lookup.is_initialized());
        if let Some((_, lookup)) = lookups.get(host) {
            return lookup.clone();
        }
        let lookup = Arc::new(Lookup::default());
        lookups.insert(host.to_owned(), (Instant::now(), lookup.clone()));
        let (host, result) = (host.to_owned(), lookup.clone());
        // Each look-up has one result: only this thread sets it.
        let work = move || drop(result.set_blocking(look_up(&host)));
        if let Err(error) = detach(work) {
            let _ = lookup.set_blocking(Err((error.kind(), error.to_string())));
        }
        lookup
    }
}

fn look_up(host: &str) -> Found {
    let found = (host, 0).to_socket_addrs().map_err(|error| (error.kind(), error.to_string()))?;
    let addresses: Vec<IpAddr> = found.map(|address| address.ip()).take(ADDRESSES_MAX).collect();
    if addresses.is_empty() {
        return Err((io::ErrorKind::NotFound, "no address".to_owned()));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    /// A resolver on which the look-up of `localhost` began so many seconds ago.
    fn looking_up(seconds: u64) -> (Resolver, Arc<Lookup>) {
        let (resolver, lookup) = (Resolver::default(), Arc::new(Lookup::default()));
        let begun = Instant::now() - Duration::from_secs(seconds);
        resolver.0.borrow_mut().insert("localhost".to_owned(), (begun, lookup.clone()));
        (resolver, lookup)
    }

    #[test]
    fn an_address_is_not_looked_up() {
        let resolver = Resolver::default();
        for address in ["192.0.2.1", "2001:db8::1"] {
            let found = block_on(resolver.resolve(address)).unwrap();
            assert_eq!(found, [address.parse::<IpAddr>().unwrap()]);
        }
        assert!(resolver.0.borrow().is_empty());
    }

    #[test]
    fn all_who_ask_for_one_name_share_a_look_up_and_its_end() {
        block_on(async {
            let (resolver, lookup) = looking_up(1);
            let mut one = Box::pin(resolver.resolve("localhost"));
            let mut two = Box::pin(resolver.resolve("localhost"));
            assert!(poll_once(&mut one).await.is_none());
            assert!(poll_once(&mut two).await.is_none());
            drop(lookup.set(Err((io::ErrorKind::NotFound, "nobody".to_owned()))).await);
            for found in [one.await, two.await] {
                assert_eq!(found.unwrap_err().to_string(), "nobody");
            }
            // It is over: the name is looked up again.
            assert!(resolver.resolve("localhost").await.is_ok());
        });
    }

    #[test]
    fn a_look_up_that_takes_too_long_is_not_joined() {
        let (resolver, lookup) = looking_up(SHARED_MAX.as_secs());
        assert!(!Arc::ptr_eq(&resolver.start("localhost"), &lookup));
    }
}
