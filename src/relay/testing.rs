//! A provider's response on its way to a client, both in memory.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::{relay, Terms};
use crate::downstream::{testing::Bench as Clients, Connection};
use crate::report::{Dialect, Entry, Error, Outcome, Stats};
use crate::runtime::testing::Peer;
use crate::upstream::testing::{provider, Bench as Providers, WIDE};
use crate::upstream::{self, exchange, Message, Provider, Timeouts, UpstreamResponse};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// The default time-outs, of a request that streams.
pub(crate) const STREAMS: Timeouts = Timeouts {
    queue: Some(Duration::from_secs(30)),
    streams: true,
    stream: Duration::from_secs(300),
    whole: Duration::from_secs(30),
    comment_after: None,
    early_after: None,
};
/// The same of a request that does not.
pub(crate) const WHOLE: Timeouts = Timeouts { streams: false, ..STREAMS };
/// More than a test takes.
const MEMORY: usize = 100 << 20;

/// One provider, and clients.
pub(crate) struct Bench {
    pub(crate) providers: Providers,
    pub(crate) clients: Clients,
    pub(crate) stats: Rc<Stats>,
    pub(crate) body_bytes_max: u64,
    provider: Rc<Provider>,
    timeouts: Rc<Timeouts>,
}

/// What became of a response.
pub(crate) struct Ended {
    pub(crate) result: Result<Outcome, Error>,
    pub(crate) entry: Box<Entry>,
    pub(crate) connection: Connection,
}

pub(crate) type Running<'b> = Pin<Box<dyn Future<Output = Ended> + 'b>>;
type Exchange<'b> = Pin<Box<dyn Future<Output = Result<UpstreamResponse, upstream::Error>> + 'b>>;

impl Bench {
    pub(crate) fn new(timeouts: Timeouts) -> Bench {
        let providers = Providers::new(WIDE);
        let provider = provider();
        providers.pool.configure(WIDE, std::slice::from_ref(&provider.origin));
        let clients = Clients::new(&providers.reactor, MEMORY);
        let (stats, timeouts) = (Rc::default(), Rc::new(timeouts));
        Bench { providers, clients, stats, body_bytes_max: 10_485_760, provider, timeouts }
    }

    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            dialect: Dialect::OpenAi,
            provider: &self.provider,
            timeouts: &self.timeouts,
            body_bytes_max: self.body_bytes_max,
            budget: &self.clients.budget,
            watch: Cell::default(),
        }
    }

    /// A client that has asked in HTTP/1.`minor`, and wants to ask again.
    #[track_caller]
    pub(crate) fn client(&self, minor: u8) -> (Connection, Peer) {
        let (mut connection, mut peer) = self.clients.connect();
        peer.send(format!("GET / HTTP/1.{minor}\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"));
        let request = self.providers.finish(connection.next_request(&|_| false));
        assert!(matches!(request, Some(Ok(_))));
        (connection, peer)
    }

    pub(crate) fn entry(&self, connection: &Connection) -> Box<Entry> {
        let clock = &self.providers.reactor.clock;
        let mut entry = Entry::new("id".to_owned(), connection.peer, clock, &self.stats);
        entry.begin_chat();
        entry
    }

    /// A request to the provider, on its way when it is polled.
    pub(crate) fn exchange(&self) -> Exchange<'_> {
        let mut message = Message::new(b"POST / HTTP/1.1\r\n\r\n".to_vec(), Vec::new(), None);
        let (providers, origin) = (&self.providers, &self.provider.origin);
        let timeouts = self.timeouts.clone();
        Box::pin(async move {
            exchange(&providers.pool, origin, &mut message, &timeouts, &providers.timer).await
        })
    }

    /// The provider has answered with `bytes`, which hold the whole head.
    #[track_caller]
    pub(crate) fn response(&self, bytes: &str) -> (UpstreamResponse, Peer) {
        let mut running = self.exchange();
        assert!(self.providers.poll(&mut running).is_none());
        let mut peer = self.providers.peer();
        peer.drain();
        peer.send(bytes);
        (self.providers.finish(running).unwrap_or_else(|error| panic!("{error}")), peer)
    }

    /// Relays a response from its beginning to its end.
    pub(crate) fn relay(&self, response: UpstreamResponse, connection: Connection) -> Running<'_> {
        let (mut entry, mut connection) = (self.entry(&connection), connection);
        Box::pin(async move {
            let terms = self.terms();
            let held = (Vec::new(), terms.budget.share());
            let result =
                match relay::<false>(response, held, &mut connection, &terms, &mut entry).await {
                    Ok(response) => Ok(response.send(&mut connection, &mut entry).await),
                    Err(error) => Err(error),
                };
            Ended { result, entry, connection }
        })
    }

    /// The provider answers a client that speaks HTTP/1.`minor` with `bytes`, and goes on.
    #[track_caller]
    pub(crate) fn begin(&self, bytes: &str, minor: u8) -> (Running<'_>, Peer, Peer) {
        let (response, provider) = self.response(bytes);
        let (connection, client) = self.client(minor);
        let mut running = self.relay(response, connection);
        self.wait(&mut running);
        (running, client, provider)
    }

    /// Lets a response go on that is not to end yet.
    #[track_caller]
    pub(crate) fn wait(&self, running: &mut Running<'_>) {
        for _ in 0..3 {
            if let Some(ended) = self.providers.poll(&mut *running) {
                panic!("it ended: {:?}", ended.result);
            }
        }
    }

    /// The same after `length`.
    #[track_caller]
    pub(crate) fn pass(&self, length: Duration, running: &mut Running<'_>) {
        self.providers.pass(length);
        self.wait(running);
    }

    #[track_caller]
    pub(crate) fn finish(&self, running: Running<'_>) -> Ended {
        self.providers.finish(running)
    }
}
