//! A TCP stream that the reactor watches. Its readiness is remembered, so that no read is made that
//! is bound to find nothing.

use std::io::{self, IoSliceMut, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use rustix::io::{read, readv, write};
use socket2::SockRef;

use super::reactor::Reactor;
use super::sources::{Registration, Sources};

/// A non-blocking TCP stream that the reactor watches.
pub struct Watched {
    // Dropped first: the key must be free before the descriptor's number is.
    pub(super) registration: Registration,
    pub(super) stream: TcpStream,
}

impl Watched {
    /// Makes `stream` non-blocking and watches it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(reactor: &Rc<Reactor>, stream: TcpStream) -> io::Result<Watched> {
        stream.set_nonblocking(true)?;
        // Urgent data would interrupt a read in a way that raises no edge.
        SockRef::from(&stream).set_out_of_band_inline(true)?;
        let registration = reactor.register(stream.as_fd())?;
        Ok(Watched { registration, stream })
    }

    /// Waits for the end of a connect that was begun without blocking.
    pub(crate) fn poll_connected(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        if !self.registration.writable() {
            self.registration.wake_writer(context.waker());
            return Poll::Pending;
        }
        Poll::Ready(match self.stream.take_error() {
            Ok(None) => self.stream.peer_addr().map(drop),
            Ok(Some(error)) | Err(error) => Err(error),
        })
    }

    pub(super) fn sources(&self) -> &Rc<Sources> {
        self.registration.sources()
    }

    /// Reads with `read`, which has `room` bytes, when there may be something.
    fn read_ready(
        &self,
        room: usize,
        mut read: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if !self.registration.readable() {
            return Err(would_block());
        }
        loop {
            match read(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.clear_readable();
                    return Err(error);
                }
                Ok(count) if count > 0 && count < room => {
                    self.registration.clear_readable_unless_hung_up();
                    return Ok(count);
                }
                other => return other,
            }
        }
    }

    /// Wakes the task on any readiness: TLS may want to read in order to write.
    pub(crate) fn wake_on_any(&self, context: &Context<'_>) {
        self.registration.wake_reader(context.waker());
        self.registration.wake_writer(context.waker());
    }
}

fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_ready(buffer.len(), |stream| Ok(read(stream, &mut *buffer)?))
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let room = buffers.iter().map(|buffer| buffer.len()).sum();
        self.read_ready(room, |stream| Ok(readv(stream, buffers)?))
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match write(&self.stream, bytes).map_err(io::Error::from) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
