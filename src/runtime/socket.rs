//! One TCP connection, plain or under TLS, that never blocks.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use socket2::SockRef;

pub use super::listener::Listener;
pub use super::socket_options::{
    end_when_unacknowledged, probe_when_quiet, QUIET_MAX, UNACKNOWLEDGED_MAX,
};

use super::sources::{Sources, SCRATCH_BYTES};
use super::under_tls::{self, UnderTls};
use super::watched::Watched;

enum Kind {
    Plain(Watched),
    Tls(native_tls::TlsStream<UnderTls>),
}

/// A connection to a client or to a provider.
pub struct Socket(Kind);

impl Socket {
    /// A connection without encryption.
    pub fn plain(watched: Watched) -> Socket {
        Socket(Kind::Plain(watched))
    }

    /// A connection whose TLS handshake is done.
    pub fn tls(mut stream: native_tls::TlsStream<UnderTls>) -> Socket {
        stream.get_mut().begin();
        Socket(Kind::Tls(stream))
    }

    fn watched(&self) -> &Watched {
        match &self.0 {
            Kind::Plain(watched) => watched,
            Kind::Tls(stream) => &stream.get_ref().watched,
        }
    }

    /// What it shares with all other sockets: a buffer for what is read.
    pub(crate) fn sources(&self) -> &Rc<Sources> {
        self.watched().sources()
    }

    /// Reads some bytes; 0 is the end of the stream.
    pub fn poll_read(
        &mut self,
        context: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if !self.watched().registration.may_read() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let result = match &mut self.0 {
            Kind::Plain(watched) => watched.read(buffer),
            Kind::Tls(stream) => under_tls::read(stream, buffer),
        };
        self.pending_on_block(context, result, false)
    }

    /// Reads what has come, at most 64 KiB, and appends it; 0 is the end of the stream.
    pub fn poll_fill(
        &mut self,
        context: &Context<'_>,
        bytes: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        self.poll_fill_some(context, bytes, SCRATCH_BYTES)
    }

    /// The same, but at most `count_max` bytes, of which there must be one.
    pub fn poll_fill_some(
        &mut self,
        context: &Context<'_>,
        bytes: &mut Vec<u8>,
        count_max: usize,
    ) -> Poll<io::Result<usize>> {
        let sources = self.sources().clone();
        let mut scratch = sources.scratch.borrow_mut();
        let room = count_max.min(scratch.len());
        let result = ready!(self.poll_read(context, &mut scratch[..room]));
        if let Ok(count) = result {
            bytes.extend_from_slice(&scratch[..count]);
        }
        Poll::Ready(result)
    }

    /// Writes some bytes.
    pub fn poll_write(&mut self, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = match &mut self.0 {
            Kind::Plain(watched) => watched.write(bytes),
            Kind::Tls(stream) => under_tls::write(stream, bytes),
        };
        self.pending_on_block(context, result, true)
    }

    fn pending_on_block(
        &self,
        context: &Context<'_>,
        result: io::Result<usize>,
        writing: bool,
    ) -> Poll<io::Result<usize>> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let watched = self.watched();
                match (&self.0, writing) {
                    (Kind::Tls(_), _) => watched.wake_on_any(context),
                    (Kind::Plain(_), false) => watched.registration.wake_reader(context.waker()),
                    (Kind::Plain(_), true) => watched.registration.wake_writer(context.waker()),
                }
                Poll::Pending
            }
            other => Poll::Ready(other),
        }
    }

    /// Whether nothing has come since the last read: an idle connection with input is closed by its
    /// peer, or not reusable. Asks the kernel, for the last visit may be out of date.
    pub fn has_no_input(&mut self) -> bool {
        let found = match &mut self.0 {
            Kind::Plain(watched) => watched.stream.peek(&mut [0]),
            // Session tickets and half-read records are no input: OpenSSL tells.
            Kind::Tls(stream) => {
                stream.get_ref().watched.registration.assume_readable();
                under_tls::read(stream, &mut [0])
            }
        };
        found.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether something came since the last read, as far as the last visit to the kernel told.
    pub fn maybe_readable(&self) -> bool {
        let ahead = matches!(&self.0, Kind::Tls(stream) if stream.get_ref().has_ahead());
        ahead || self.watched().registration.readable()
    }

    /// Whether the peer has closed its side, or the connection broke, whatever is still unread.
    pub fn hung_up(&self) -> bool {
        self.watched().registration.hung_up()
    }

    /// Wakes the task as soon as the connection is no longer quiet.
    pub fn wake_when_readable(&self, context: &Context<'_>) {
        self.watched().registration.wake_reader(context.waker());
    }

    /// See [`end_when_unacknowledged`].
    pub fn end_when_unacknowledged(&self, limit: Option<Duration>) {
        end_when_unacknowledged(&self.watched().stream, limit);
    }

    /// Has the next read ask the kernel, whatever the last visit told.
    pub fn assume_readable(&self) {
        self.watched().registration.assume_readable();
    }

    /// Tells the peer that nothing more will be sent.
    pub fn shutdown_write(&mut self) {
        if let Kind::Tls(stream) = &mut self.0 {
            let _ = under_tls::settle(stream).and_then(|()| stream.shutdown());
        }
        let _ = self.watched().stream.shutdown(Shutdown::Write);
    }

    /// Whether the close will be a reset, so that a cut body cannot look complete.
    pub fn reset_on_close(&self, reset: bool) {
        let linger = reset.then_some(Duration::ZERO);
        let _ = SockRef::from(&self.watched().stream).set_linger(linger);
    }
}
