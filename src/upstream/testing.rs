//! Providers in memory: the other ends of the connections that a pool opens, in the thread of the
//! test. Nothing moves by itself: the test polls, looks at the kernel and passes the time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{poll_fn, Future};
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::config::Config;
use crate::runtime::{testing::pair, Budget, Reactor, Share, Timer};

use super::connect::{Connect, ConnectError, Connected, Connecting, Origin, Took};
use super::exchange::{exchange, Error, Message, UpstreamResponse};
use super::pool::{Lease, Pool, PoolLimits};
use super::provider::Provider;
use super::timeouts::Timeouts;

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
    /// Connections begun so far, and how many of them may be there: the first ones.
    begun: Cell<usize>,
    open_max: Cell<usize>,
    /// How many of them are refused: the first ones.
    refused: Cell<usize>,
}

impl Connect for Memory {
    fn connect(self: Rc<Self>, _origin: Rc<Origin>) -> Connecting {
        let number = self.begun.replace(self.begun.get() + 1);
        Box::pin(async move {
            assert!(!self.panics.get(), "on purpose");
            poll_fn(|_| match number < self.open_max.get() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            if self.refuses.get() || number < self.refused.get() {
                return Err(ConnectError::Tcp(ErrorKind::ConnectionRefused.into()));
            }
            let (socket, peer) = pair(&self.reactor).map_err(ConnectError::Tcp)?;
            self.peers.borrow_mut().push_back(peer);
            Ok(Connected { socket, took: Took::default() })
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

/// Providers of these names, without models of their own.
pub(crate) fn providers(names: &[&str]) -> Vec<Rc<Provider>> {
    let provider = |name: &&str| {
        let name = (*name).to_owned();
        Provider::new(crate::config::Provider { name, ..Default::default() })
    };
    names.iter().map(provider).collect()
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
        let (peers, refuses, panics, begun, refused) = Default::default();
        let (reactor_of_memory, open_max) = (reactor.clone(), Cell::new(usize::MAX));
        let memory =
            Memory { reactor: reactor_of_memory, peers, refuses, panics, begun, open_max, refused };
        let memory = Rc::new(memory);
        let pool = Pool::with_connector(&reactor.clock, limits, Rc::default(), memory.clone());
        pool.configure(limits, &[origin("a"), origin("b")]);
        // The pool's own work, which a test polls again when it is to go on.
        assert!(reactor.poll(Box::pin(pool.sweep())).is_none());
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

    /// Lets no connection be there from now on but so many of those that are begun first.
    pub(crate) fn open_only(&self, count: usize) {
        self.memory.open_max.set(count);
    }

    /// Connections begun so far.
    pub(crate) fn begun(&self) -> usize {
        self.memory.begun.get()
    }

    /// Refuses so many of those that are begun first.
    pub(crate) fn refuse_those_below(&self, count: usize) {
        self.memory.refused.set(count);
    }

    /// Connections that are there and were not asked for yet.
    pub(crate) fn peers(&self) -> usize {
        self.memory.peers.borrow().len()
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

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\n\r\n";
pub(super) const REQUEST: &str = "POST /v1/chat/completions HTTP/1.1\r\n\r\n{\"n\": 1}";
pub(super) const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// More than the kernel takes for one who does not read.
pub(super) const LONG: usize = 1_000_000;
pub(super) const TIMEOUTS: Timeouts = Timeouts {
    queue: Some(SECOND),
    streams: true,
    stream: Duration::from_secs(60),
    whole: SECOND,
    comment_after: None,
    early_after: None,
};

pub(super) type Outcome = Result<UpstreamResponse, Error>;
pub(super) type Running<'b> = Pin<Box<dyn Future<Output = Outcome> + 'b>>;

/// An exchange with `body` that was not polled yet.
pub(super) fn with_body<'b>(bench: &'b Bench, body: &[u8]) -> Running<'b> {
    let mut message = Message::new(HEAD.into(), body.to_vec(), None);
    Box::pin(async move {
        exchange(&bench.pool, &origin("a"), &mut message, &TIMEOUTS, &bench.timer).await
    })
}

/// An exchange whose request is on its way.
#[track_caller]
pub(super) fn begin(bench: &Bench) -> Running<'_> {
    let mut running = with_body(bench, b"{\"n\": 1}");
    assert!(bench.poll(&mut running).is_none());
    running
}

/// What comes of an exchange that is answered with `bytes`, after which the provider closes or
/// waits.
#[track_caller]
pub(super) fn respond_with(bench: &Bench, bytes: &str, closes: bool) -> (Outcome, Option<Peer>) {
    let running = begin(bench);
    let mut peer = bench.peer();
    peer.expect(REQUEST);
    peer.send(bytes);
    let peer = (!closes).then_some(peer);
    (bench.finish(running), peer)
}

#[track_caller]
pub(super) fn refused(outcome: Outcome) -> Error {
    match outcome {
        Ok(response) => panic!("answered with {}", response.head.status),
        Err(error) => error,
    }
}

#[track_caller]
pub(super) fn good(outcome: Outcome) -> UpstreamResponse {
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

/// Leaves an idle connection behind.
pub(super) fn warm_up(bench: &Bench) -> Peer {
    let (outcome, peer) = respond_with(bench, RESPONSE, false);
    assert_eq!(bench.finish(good(outcome).collect(10, &mut share())).unwrap(), b"ok");
    assert_eq!(bench.pool.idle(), 1);
    peer.unwrap()
}

/// What a provider gets that reads as long as something comes, while `future` waits.
pub(super) fn drain<T>(
    bench: &Bench,
    peer: &mut Peer,
    mut future: impl Future<Output = T> + Unpin,
) -> Vec<u8> {
    let mut found = Vec::new();
    loop {
        let piece = peer.drain();
        if piece.is_empty() {
            return found;
        }
        found.extend(piece);
        assert!(bench.poll(&mut future).is_none());
    }
}

/// Memory without end.
pub(super) fn share() -> Share {
    Budget::new(usize::MAX).share()
}
