//! Providers in memory: the other ends of the connections that a pool opens, in the thread of the test.
//! Nothing moves by itself: the test polls, looks at the kernel and passes the time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use crate::config::Config;
use crate::runtime::{testing::pair, Reactor, Timer};

use super::connect::{Connect, ConnectError, Connected, Connecting, Origin};
use super::pool::{Lease, Pool, PoolLimits};
use super::provider::Provider;

pub(crate) use crate::runtime::testing::Peer;

/// Limits under which nothing is in the way of a test.
pub(crate) const WIDE: PoolLimits =
    PoolLimits { leases_max: 10, idle_max: 10, idle_age_max: Duration::from_secs(30) };

/// Opens connections to [`Peer`]s.
struct Memory {
    reactor: Rc<Reactor>,
    peers: RefCell<VecDeque<Peer>>,
    refuses: Cell<bool>,
    panics: Cell<bool>,
}

impl Connect for Rc<Memory> {
    fn connect<'a>(&'a self, _origin: &'a Origin) -> Connecting<'a> {
        Box::pin(async {
            assert!(!self.panics.get(), "on purpose");
            if self.refuses.get() {
                return Err(ConnectError::Tcp(ErrorKind::ConnectionRefused.into()));
            }
            let (socket, peer) = pair(&self.reactor).map_err(ConnectError::Tcp)?;
            self.peers.borrow_mut().push_back(peer);
            Ok(Connected { socket, tcp_took: Duration::ZERO })
        })
    }
}

/// A pool in front of providers in memory.
pub(crate) struct Bench {
    pub(crate) reactor: Rc<Reactor>,
    pub(crate) pool: Rc<Pool>,
    pub(crate) timer: Timer,
    memory: Rc<Memory>,
}

pub(crate) fn origin(host: &str) -> Rc<Origin> {
    Rc::new(Origin { https: false, host: host.to_owned(), port: 80 })
}

/// A provider named `demo`, whose models are not known.
pub(crate) fn provider() -> Rc<Provider> {
    Provider::new(Config::demo(1).providers.remove(0))
}

impl Bench {
    /// One whose pool keeps connections to the origins `a` and `b`.
    pub(crate) fn new(limits: PoolLimits) -> Bench {
        let reactor = Reactor::new().unwrap();
        let (peers, refuses, panics) = Default::default();
        let memory = Rc::new(Memory { reactor: reactor.clone(), peers, refuses, panics });
        let connector = Box::new(memory.clone());
        let pool = Pool::with_connector(&reactor.clock, limits, Rc::default(), connector);
        pool.configure(limits, &[origin("a"), origin("b")]);
        let timer = Timer::new(&reactor.clock);
        Bench { reactor, pool, timer, memory }
    }

    /// The provider's end of the oldest connection that was not asked for yet.
    #[track_caller]
    pub(crate) fn peer(&self) -> Peer {
        self.memory.peers.borrow_mut().pop_front().expect("no connection was opened")
    }

    /// Lets providers refuse connections from now on.
    pub(crate) fn refuse(&self) {
        self.memory.refuses.set(true);
    }

    /// Lets the next connection be a fault of the program itself.
    pub(crate) fn panic(&self) {
        self.memory.panics.set(true);
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, length: Duration) {
        self.reactor.pass_time(length);
    }

    /// Polls a future after a look at the kernel.
    pub(crate) fn poll<T>(&self, future: impl Future<Output = T> + Unpin) -> Option<T> {
        self.reactor.poll(future)
    }

    /// Polls a future to its end, which nothing outside may hold up.
    #[track_caller]
    pub(crate) fn finish<T>(&self, future: impl Future<Output = T>) -> T {
        self.reactor.finish(future)
    }

    /// A lease without a permit.
    #[track_caller]
    pub(crate) fn lease(&self, host: &str) -> Lease {
        self.finish(self.pool.lease(None, &origin(host), false)).unwrap()
    }

    /// A lease with a permit.
    #[track_caller]
    pub(crate) fn lease_with_permit(&self, host: &str) -> Lease {
        let permit = self.finish(self.pool.permits.take());
        self.finish(self.pool.lease(Some(permit), &origin(host), false)).unwrap()
    }
}
