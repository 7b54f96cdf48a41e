//! What of the proxy is measured: the only file here that names its modules.

use std::future::{poll_fn, Future};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use smol::LocalExecutor;

pub use ai_proxy::runtime::Reactor;
pub use ai_proxy::upstream::Tls;
pub use ai_proxy::wire::{push_field, Decoder, HeadError, HeadScanner, RequestHead, ResponseHead};

use ai_proxy::runtime::{Listener, Socket, Timer, Watched};
use ai_proxy::server::drive;

/// Runs `future` and the tasks of `executor`, as the program does.
pub fn block_on<T>(
    reactor: &Rc<Reactor>,
    executor: &LocalExecutor<'_>,
    future: impl Future<Output = T>,
) -> T {
    let endless = async {
        drive(executor).await;
        std::future::pending().await
    };
    reactor.block_on(futures_lite::future::or(future, endless))
}

/// A listening socket.
pub struct Server(Rc<Reactor>, Listener);

impl Server {
    /// Watches `listener`.
    pub fn new(reactor: &Rc<Reactor>, listener: TcpListener) -> io::Result<Server> {
        Ok(Server(reactor.clone(), Listener::new(reactor, listener)?))
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<Connection> {
        let (stream, _) = poll_fn(|context| self.1.poll_accept(context)).await?;
        stream.set_nodelay(true)?;
        Ok(Connection(Socket::plain(Watched::new(&self.0, stream)?)))
    }
}

/// A connection, plain or under TLS.
pub struct Connection(Socket);

impl Connection {
    /// Opens one; the connect itself blocks, which over loopback takes no time.
    pub fn open(reactor: &Rc<Reactor>, address: SocketAddr) -> io::Result<Connection> {
        Ok(Connection(Socket::plain(watch(reactor, address)?)))
    }

    /// Opens one and speaks TLS on it.
    pub async fn open_tls(
        reactor: &Rc<Reactor>,
        tls: &Tls,
        address: SocketAddr,
    ) -> Result<Connection, String> {
        let watched = watch(reactor, address).map_err(|error| error.to_string())?;
        let handshake = tls.handshake(&address.ip().to_string(), watched).await;
        let stream = handshake.map_err(|error| error.to_string())?;
        Ok(Connection(Socket::tls(stream)))
    }

    /// Appends what has come; 0 is the end.
    pub async fn fill(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        poll_fn(|context| self.0.poll_fill(context, bytes)).await
    }

    /// Writes all of `bytes`.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|context| self.0.poll_write(context, bytes)).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }
}

fn watch(reactor: &Rc<Reactor>, address: SocketAddr) -> io::Result<Watched> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Watched::new(reactor, stream)
}

/// The one deadline that a task waits under at a time.
pub struct Deadline(Timer);

impl Deadline {
    /// One that is not set.
    pub fn new(reactor: &Rc<Reactor>) -> Deadline {
        Deadline(Timer::new(&reactor.clock))
    }

    /// Waits for `work`, but not longer than `length`.
    pub async fn within<T>(
        &self,
        length: Duration,
        work: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let mut work = pin!(work);
        self.0.set(Some(self.0.now() + length));
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Pending if self.0.poll_due(context) => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            other => other,
        })
        .await
    }
}
