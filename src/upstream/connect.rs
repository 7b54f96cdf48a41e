//! New upstream connections: name resolution off the event loop, every address tried, TLS.

use std::future::{poll_fn, Future};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use native_tls::TlsStream;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::language::Text;
use crate::runtime::{
    end_when_unacknowledged, label, probe_when_quiet, Reactor, Socket, Timer, UnderTls, Wait,
    Watched, UNACKNOWLEDGED_MAX,
};
use crate::upstream::dns::Resolver;
use crate::upstream::tls::Tls;

/// For name resolution and TCP together, and again for the TLS handshake.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The next address is tried beside the first after this (RFC 8305 §5 recommends 250 ms).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Where a connection leads: the key of the idle pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whether TLS is spoken.
    pub https: bool,
    /// A name or an address, IPv6 without brackets. A dot at the end of a name keeps the resolver
    /// from trying search domains and is nothing to TLS.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// This name has no address.
    Resolve(String, io::Error),
    /// No address accepted the connection; the last error.
    Tcp(io::Error),
    /// The TLS handshake failed, or the certificate is not to be trusted.
    Tls(Text),
    /// A wait ran out.
    Timeout(Wait),
}

impl From<Wait> for ConnectError {
    fn from(wait: Wait) -> ConnectError {
        ConnectError::Timeout(wait)
    }
}

/// A new connection.
pub struct Connected {
    /// The connection, its TLS handshake done where there is one.
    pub socket: Socket,
    /// How long that took.
    pub took: Took,
}

/// How long the steps to a connection took.
#[derive(Clone, Copy, Default)]
pub struct Took {
    /// TCP: about one round trip.
    pub tcp: Duration,
    /// The TLS handshake.
    pub tls: Duration,
}

/// A connection on its way, which may outlive its requester.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Connected, ConnectError>>>>;

/// Opens the pool's connections: [`Network`], or in tests the other end in memory.
pub trait Connect {
    /// Opens a connection to `origin`.
    ///
    /// # Errors
    /// See [`ConnectError`].
    fn connect(self: Rc<Self>, origin: Rc<Origin>) -> Connecting;
}

/// Connections over TCP, and TLS where the origin asks for it.
pub struct Network {
    reactor: Rc<Reactor>,
    resolver: Resolver,
    tls: Rc<Tls>,
}

impl Network {
    /// Connections that `reactor` watches, under the TLS context that is given.
    pub fn new(reactor: &Rc<Reactor>, tls: &Rc<Tls>) -> Network {
        Network { reactor: reactor.clone(), resolver: Resolver::default(), tls: tls.clone() }
    }

    /// No wait is longer than [`CONNECT_MAX`].
    async fn open(&self, origin: &Origin) -> Result<Connected, ConnectError> {
        let timer = Timer::new(&self.reactor.clock);
        let wait = Wait::new(label::CONNECT, timer.now(), CONNECT_MAX);
        let (watched, tcp) = timer
            .within(wait, async {
                let addresses = self.resolve(origin).await?;
                self.open_tcp(&addresses, origin).await
            })
            .await??;
        if !origin.https {
            let took = Took { tcp, tls: Duration::ZERO };
            return Ok(Connected { socket: Socket::plain(watched), took });
        }
        let wait = Wait::new(label::TLS, timer.now(), CONNECT_MAX);
        let begun = timer.real_now();
        let stream = timer.within(wait, self.secure(watched, origin)).await??;
        let took = Took { tcp, tls: timer.real_now() - begun };
        Ok(Connected { socket: Socket::tls(stream), took })
    }

    /// The first step of a connection: the addresses of its host.
    ///
    /// # Errors
    /// [`ConnectError::Resolve`]; time is for the caller to limit, here and in what follows.
    pub async fn resolve(&self, origin: &Origin) -> Result<Vec<IpAddr>, ConnectError> {
        let addresses = self.resolver.resolve(&origin.host).await;
        addresses.map_err(|error| ConnectError::Resolve(origin.host.clone(), error))
    }

    /// The second step: TCP, and how long it took.
    ///
    /// # Errors
    /// [`ConnectError::Tcp`].
    pub async fn open_tcp(
        &self,
        addresses: &[IpAddr],
        origin: &Origin,
    ) -> Result<Opened, ConnectError> {
        let opened = connect_any(&self.reactor, addresses, origin.port).await;
        opened.map_err(ConnectError::Tcp)
    }

    /// The last step, where there is TLS.
    ///
    /// # Errors
    /// [`ConnectError::Tls`].
    pub async fn secure(
        &self,
        watched: Watched,
        origin: &Origin,
    ) -> Result<TlsStream<UnderTls>, ConnectError> {
        let handshake = self.tls.handshake(server_name(&origin.host), watched);
        handshake.await.map_err(ConnectError::Tls)
    }

    /// The same for one who only looks at the certificate, whatever it is worth: such a connection
    /// must be told nothing.
    ///
    /// # Errors
    /// [`ConnectError::Tls`].
    pub async fn secure_untrusted(
        &self,
        watched: Watched,
        origin: &Origin,
    ) -> Result<TlsStream<UnderTls>, ConnectError> {
        let handshake = self.tls.handshake_untrusted(server_name(&origin.host), watched);
        handshake.await.map_err(ConnectError::Tls)
    }
}

impl Connect for Network {
    fn connect(self: Rc<Self>, origin: Rc<Origin>) -> Connecting {
        Box::pin(async move { self.open(&origin).await })
    }
}

/// The name that the certificate must have, and SNI: without a dot at the end (RFC 6066 §3).
fn server_name(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// A TCP connection, and how long it took.
pub type Opened = (Watched, Duration);
type Attempt = Pin<Box<dyn Future<Output = io::Result<Opened>>>>;

/// Tries the addresses in order, the next one as soon as one fails or is slow; the first connection
/// that opens is used, the others are closed.
async fn connect_any(reactor: &Rc<Reactor>, addresses: &[IpAddr], port: u16) -> io::Result<Opened> {
    let mut waiting = addresses.iter().peekable();
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "no address");
    let stagger = Timer::new(&reactor.clock);
    poll_fn(|context| loop {
        let mut next = attempts.is_empty() || stagger.poll_due(context);
        for index in (0..attempts.len()).rev() {
            match attempts[index].as_mut().poll(context) {
                Poll::Pending => {}
                Poll::Ready(Ok(opened)) => return Poll::Ready(Ok(opened)),
                Poll::Ready(Err(error)) => {
                    last_error = error;
                    drop(attempts.remove(index));
                    next = true;
                }
            }
        }
        match waiting.next_if(|_| next) {
            Some(address) => {
                let address = SocketAddr::new(*address, port);
                attempts.push(Box::pin(connect_one(reactor.clone(), address)));
                stagger.set(Some(stagger.now() + NEXT_ADDRESS_AFTER));
            }
            None if attempts.is_empty() => {
                let error = std::mem::replace(&mut last_error, io::ErrorKind::NotFound.into());
                return Poll::Ready(Err(error));
            }
            None => {
                if waiting.peek().is_none() {
                    stagger.set(None);
                }
                return Poll::Pending;
            }
        }
    })
    .await
}

async fn connect_one(reactor: Rc<Reactor>, address: SocketAddr) -> io::Result<Opened> {
    let kind = Type::STREAM.nonblocking();
    let socket = RawSocket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // Small requests must not wait for the acknowledgement of the one before.
    socket.set_tcp_nodelay(true)?;
    probe_when_quiet(&socket);
    end_when_unacknowledged(&socket, Some(UNACKNOWLEDGED_MAX));
    let begun = Instant::now();
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    let watched = Watched::new(&reactor, socket.into())?;
    poll_fn(|context| watched.poll_connected(context)).await?;
    Ok((watched, begun.elapsed()))
}
