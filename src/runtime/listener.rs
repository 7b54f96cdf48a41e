//! A listening socket, which other processes may share.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use socket2::{SockFilter, SockRef};

use super::reactor::Reactor;
use super::sources::Registration;

/// A listening socket that the reactor watches.
pub struct Listener {
    registration: Registration,
    listener: TcpListener,
}

impl Listener {
    /// Makes `listener` non-blocking and watches it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(reactor: &Rc<Reactor>, listener: TcpListener) -> io::Result<Listener> {
        listener.set_nonblocking(true)?;
        let registration = reactor.register(listener.as_fd())?;
        Ok(Listener { registration, listener })
    }

    /// Makes the kernel drop the SYN of every new connection from now on, so that the queue can be
    /// emptied before the close, which resets all that it holds. Dropped ones come again after a
    /// second. Holds for every process that has this socket. Does nothing where the kernel refuses.
    pub fn ignore_newcomers(&self) {
        // Classic BPF over the TCP header: byte 13 holds the flags (RFC 9293 §3.1), 2 is SYN.
        const LOAD_BYTE: u16 = 0x30;
        const JUMP_IF_SET: u16 = 0x45;
        const RETURN: u16 = 0x06;
        let drop_syn = [
            SockFilter::new(LOAD_BYTE, 0, 0, 13),
            SockFilter::new(JUMP_IF_SET, 0, 1, 2),
            SockFilter::new(RETURN, 0, 0, 0),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
        ];
        let _ = SockRef::from(&self.listener).attach_filter(&drop_syn);
    }

    /// Whether a connection waits to be accepted. Asks the kernel: another process may have been
    /// faster.
    pub fn poll_newcomer(&self, context: &Context<'_>) -> Poll<()> {
        self.registration.wake_reader(context.waker());
        let mut waiting = [PollFd::new(&self.listener, PollFlags::IN)];
        match poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(1..) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// The next connection.
    pub fn poll_accept(&self, context: &Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        match self.listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.registration.wake_reader(context.waker());
                Poll::Pending
            }
            other => Poll::Ready(other),
        }
    }
}

/// Other processes may have the same open socket: systemd, which handed it over, and children. Then
/// our close is not the last, and does not take the socket out of the epoll set (epoll(7)).
impl Drop for Listener {
    fn drop(&mut self) {
        self.registration.unwatch(&self.listener);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What systemd hands over is open in systemd, too, and so are sockets that a child has.
    #[test]
    fn a_listener_let_go_raises_no_event_though_others_have_its_socket() {
        let reactor = Reactor::new().unwrap();
        let shared = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = Listener::new(&reactor, shared.try_clone().unwrap()).unwrap();
        reactor.look();
        drop(listener);
        let _client = TcpStream::connect(shared.local_addr().unwrap()).unwrap();
        let mut waiting = [PollFd::new(&shared, PollFlags::IN)];
        poll(&mut waiting, None).unwrap();
        assert_eq!(reactor.look(), 0, "events of a listener that was let go");
    }
}
