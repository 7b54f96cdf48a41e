//! Signals as events: each one arrives as a byte on a socket that the reactor watches.

use std::future::poll_fn;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::task::Poll;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::runtime::{Reactor, Registration};

/// What the program is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals that the program listens to.
pub struct Signals(Vec<Source>);

struct Source {
    registration: Registration,
    socket: UnixStream,
    signal: Signal,
}

impl Signals {
    /// Takes the signals over from their default actions.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(reactor: &Rc<Reactor>) -> io::Result<Signals> {
        let pairs = [(SIGTERM, Signal::Stop), (SIGINT, Signal::Stop), (SIGHUP, Signal::Reload)];
        let sources = pairs.into_iter().map(|(number, signal)| {
            let (socket, sender) = UnixStream::pair()?;
            socket.set_nonblocking(true)?;
            let registration = reactor.register(socket.as_fd())?;
            pipe::register(number, sender)?;
            Ok(Source { registration, socket, signal })
        });
        sources.collect::<io::Result<_>>().map(Signals)
    }

    /// The next signal.
    pub async fn next(&self) -> Signal {
        poll_fn(|context| {
            for source in &self.0 {
                if source.registration.readable() {
                    if matches!((&source.socket).read(&mut [0]), Ok(1)) {
                        return Poll::Ready(source.signal);
                    }
                    source.registration.clear_readable();
                }
                source.registration.wake_reader(context.waker());
            }
            Poll::Pending
        })
        .await
    }
}
