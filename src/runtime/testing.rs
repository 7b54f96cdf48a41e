//! The other ends of sockets, in memory and in the thread of the test. Nothing moves by itself: the test
//! polls, looks at the kernel and passes the time.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};

use super::{Reactor, Socket, Watched};

/// The far end of a connection: a provider's, or a client's.
pub(crate) struct Peer(UnixStream);

/// Both ends of a connection; `reactor` watches the near one.
pub(crate) fn pair(reactor: &Rc<Reactor>) -> io::Result<(Socket, Peer)> {
    let (ours, theirs) = UnixStream::pair()?;
    // A wait that should not be ends the test.
    theirs.set_read_timeout(Some(Duration::from_secs(20)))?;
    theirs.set_write_timeout(Some(Duration::from_secs(20)))?;
    // The descriptor decides what kind of socket it is.
    let watched = Watched::new(reactor, TcpStream::from(OwnedFd::from(ours)))?;
    Ok((Socket::plain(watched), Peer(theirs)))
}

impl Peer {
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as much of `bytes` as the kernel takes now, and returns how much that was.
    #[track_caller]
    pub(crate) fn send_some(&mut self, bytes: &[u8]) -> usize {
        self.0.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while sent < bytes.len() {
            match self.0.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        self.0.set_nonblocking(false).unwrap();
        sent
    }

    /// Reads exactly `bytes`.
    #[track_caller]
    pub(crate) fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let mut found = vec![0; bytes.as_ref().len()];
        self.0.read_exact(&mut found).unwrap();
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(bytes.as_ref()));
    }

    /// What has come until now.
    pub(crate) fn drain(&mut self) -> Vec<u8> {
        let mut found = Vec::new();
        self.0.set_nonblocking(true).unwrap();
        // Ends with WouldBlock, or with the connection.
        let _ = self.0.read_to_end(&mut found);
        self.0.set_nonblocking(false).unwrap();
        found
    }

    /// The same as text.
    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.drain()).into_owned()
    }

    /// Whether the proxy has closed the connection. What it sent before is lost.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.drain();
        self.0.set_nonblocking(true).unwrap();
        let read = self.0.read(&mut [0]);
        self.0.set_nonblocking(false).unwrap();
        !matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Reactor {
    /// Moves the clock.
    pub(crate) fn pass_time(&self, length: Duration) {
        let clock = &self.clock;
        clock.pass(clock.real_now() + length, Duration::MAX);
        clock.advance();
    }

    /// Polls a future after a look at the kernel.
    pub(crate) fn poll<T>(&self, future: impl Future<Output = T> + Unpin) -> Option<T> {
        self.look();
        block_on(poll_once(future))
    }

    /// Polls a future to its end, which nothing outside may hold up.
    #[track_caller]
    pub(crate) fn finish<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        for _ in 0..1000 {
            if let Some(value) = self.poll(future.as_mut()) {
                return value;
            }
        }
        panic!("it waits for ever")
    }
}
