//! Name resolution off the event loop. Look-ups of one name share a thread, so that a name server
//! that never answers holds up one thread per name and not one per request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::runtime::blocking::detach;
use crate::runtime::waiters::add;

/// A look-up older than this has failed those who waited for it; the next one may do better.
const SHARED_MAX: Duration = Duration::from_secs(10);
/// Addresses of one name that are used.
const ADDRESSES_MAX: usize = 16;

type Found = Result<Vec<IpAddr>, (io::ErrorKind, String)>;

#[derive(Default)]
struct Inner {
    found: Option<Found>,
    waiting: Vec<Waker>,
}

/// One look-up, which several connections may wait for.
#[derive(Default)]
struct Lookup(Mutex<Inner>);

impl Lookup {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, found: Found) {
        let mut state = self.lock();
        state.found = Some(found);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

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
        let found = poll_fn(|context| {
            let mut state = lookup.lock();
            match &state.found {
                Some(found) => Poll::Ready(found.clone()),
                None => {
                    add(&mut state.waiting, context.waker());
                    Poll::Pending
                }
            }
        })
        .await;
        found.map_err(|(kind, text)| io::Error::new(kind, text))
    }

    /// Joins the look-up of `host` under way, or begins one.
    fn start(&self, host: &str) -> Arc<Lookup> {
        let mut lookups = self.0.borrow_mut();
        lookups.retain(|_, (begun, lookup)| {
            begun.elapsed() < SHARED_MAX && lookup.lock().found.is_none()
        });
        if let Some((_, lookup)) = lookups.get(host) {
            return lookup.clone();
        }
        let lookup = Arc::new(Lookup::default());
        lookups.insert(host.to_owned(), (Instant::now(), lookup.clone()));
        let (host, result) = (host.to_owned(), lookup.clone());
        if let Err(error) = detach(move || result.finish(look_up(&host))) {
            lookup.finish(Err((error.kind(), error.to_string())));
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
