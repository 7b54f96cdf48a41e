//! Providers in memory: the other ends of the connections that a pool opens, in the thread of the
//! test. Nothing moves by itself: the test polls, looks at the kernel and passes the time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};

use crate::runtime::{Budget, Reactor, Share, Socket, Timer, Watched};

use super::connect::{Connect, ConnectError, Connected, Connecting, Origin};
use super::exchange::{exchange, ExchangeError, Message, UpstreamResponse};
use super::pool::{Lease, Pool, PoolLimits};
use super::timeouts::Timeouts;

/// Limits under which nothing is in the way of a test.
pub(super) const WIDE: PoolLimits =
    PoolLimits { leases_max: 10, idle_max: 10, idle_age_max: Duration::from_secs(30) };

/// Opens connections to [`Peer`]s.
struct Memory {
    reactor: Rc<Reactor>,
    peers: RefCell<VecDeque<Peer>>,
    refuses: Cell<bool>,
}

impl Connect for Rc<Memory> {
    fn connect<'a>(&'a self, _origin: &'a Origin) -> Connecting<'a> {
        Box::pin(async {
            if self.refuses.get() {
                return Err(ConnectError::Tcp(ErrorKind::ConnectionRefused.into()));
            }
            let (ours, theirs) = UnixStream::pair().map_err(ConnectError::Tcp)?;
            // A wait that should not be ends the test.
            theirs.set_read_timeout(Some(Duration::from_secs(20))).map_err(ConnectError::Tcp)?;
            self.peers.borrow_mut().push_back(Peer(theirs));
            // The descriptor decides what kind of socket it is.
            let ours = TcpStream::from(OwnedFd::from(ours));
            let watched = Watched::new(&self.reactor, ours).map_err(ConnectError::Tcp)?;
            Ok(Connected { socket: Socket::plain(watched), tcp_took: Duration::ZERO })
        })
    }
}

/// The provider's end of a connection.
pub(super) struct Peer(UnixStream);

impl Peer {
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads exactly `bytes`.
    #[track_caller]
    pub(super) fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let mut found = vec![0; bytes.as_ref().len()];
        self.0.read_exact(&mut found).unwrap();
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(bytes.as_ref()));
    }

    /// What has come until now.
    pub(super) fn drain(&mut self) -> Vec<u8> {
        let mut found = Vec::new();
        self.0.set_nonblocking(true).unwrap();
        // Ends with WouldBlock, or with the connection.
        let _ = self.0.read_to_end(&mut found);
        self.0.set_nonblocking(false).unwrap();
        found
    }

    /// Whether the proxy has closed the connection. What it sent before is lost.
    pub(super) fn is_closed(&mut self) -> bool {
        self.drain();
        self.0.set_nonblocking(true).unwrap();
        let read = self.0.read(&mut [0]);
        self.0.set_nonblocking(false).unwrap();
        !matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// A pool in front of providers in memory.
pub(super) struct Bench {
    pub(super) reactor: Rc<Reactor>,
    pub(super) pool: Rc<Pool>,
    pub(super) timer: Timer,
    memory: Rc<Memory>,
}

pub(super) fn origin(host: &str) -> Rc<Origin> {
    Rc::new(Origin { https: false, host: host.to_owned(), port: 80 })
}

impl Bench {
    /// One whose pool keeps connections to the origins `a` and `b`.
    pub(super) fn new(limits: PoolLimits) -> Bench {
        let reactor = Reactor::new().unwrap();
        let (peers, refuses) = Default::default();
        let memory = Rc::new(Memory { reactor: reactor.clone(), peers, refuses });
        let connector = Box::new(memory.clone());
        let pool = Pool::with_connector(&reactor.clock, limits, Rc::default(), connector);
        pool.configure(limits, &[origin("a"), origin("b")]);
        let timer = Timer::new(&reactor.clock);
        Bench { reactor, pool, timer, memory }
    }

    /// The provider's end of the oldest connection that was not asked for yet.
    #[track_caller]
    pub(super) fn peer(&self) -> Peer {
        self.memory.peers.borrow_mut().pop_front().expect("no connection was opened")
    }

    /// Lets providers refuse connections from now on.
    pub(super) fn refuse(&self) {
        self.memory.refuses.set(true);
    }

    /// Moves the clock.
    pub(super) fn pass(&self, length: Duration) {
        let clock = &self.reactor.clock;
        clock.pass(clock.real_now() + length, Duration::MAX);
        clock.advance();
    }

    /// Polls a future after a look at the kernel.
    pub(super) fn poll<T>(&self, future: impl Future<Output = T> + Unpin) -> Option<T> {
        self.reactor.look();
        block_on(poll_once(future))
    }

    /// Polls a future to its end, which nothing outside may hold up.
    #[track_caller]
    pub(super) fn finish<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        for _ in 0..1000 {
            if let Some(value) = self.poll(future.as_mut()) {
                return value;
            }
        }
        panic!("it waits for ever")
    }

    /// A lease without a permit.
    #[track_caller]
    pub(super) fn lease(&self, host: &str) -> Lease {
        self.finish(self.pool.lease(None, &origin(host), false)).unwrap()
    }

    /// A lease with a permit.
    #[track_caller]
    pub(super) fn lease_with_permit(&self, host: &str) -> Lease {
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

pub(super) type Outcome = Result<UpstreamResponse, ExchangeError>;
pub(super) type Running<'b> = Pin<Box<dyn Future<Output = Outcome> + 'b>>;

/// An exchange with `body` that was not polled yet.
pub(super) fn with_body<'b>(bench: &'b Bench, body: &[u8]) -> Running<'b> {
    let message = Message::new(HEAD.into(), body.to_vec(), None);
    Box::pin(
        async move { exchange(&bench.pool, &origin("a"), message, &TIMEOUTS, &bench.timer).await },
    )
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
pub(super) fn refused(outcome: Outcome) -> ExchangeError {
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
