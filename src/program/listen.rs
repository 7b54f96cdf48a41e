//! The listening sockets: opened here, or handed over by systemd.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::runtime::probe_when_quiet;

/// Connections the kernel keeps for us while we are busy or at our limit.
const BACKLOG: i32 = 1024;

/// The sockets that systemd opened for us (`LISTEN_FDS`, sd_listen_fds(3)), so that no connection
/// is refused while the program restarts.
///
/// # Errors
/// When one of them is no listening TCP socket.
pub fn inherited() -> io::Result<Vec<TcpListener>> {
    let mut sockets = ListenFd::from_env();
    let taken = (0..sockets.len()).map(|index| sockets.take_tcp_listener(index));
    let taken: Vec<_> = taken.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect();
    taken.iter().for_each(probe_when_quiet);
    Ok(taken)
}

/// Opens a listening socket on every address of `host`. With port 0 all get the same free one. `::`
/// itself takes IPv4, too; what a name resolves to is one socket for each address.
///
/// # Errors
/// When no address can be listened on.
pub fn bind(host: &str, port: u16, reuse_port: bool) -> io::Result<Vec<TcpListener>> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let both = host.parse() == Ok(Ipv6Addr::UNSPECIFIED);
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "no address");
    let mut chosen = port;
    for mut address in addresses {
        address.set_port(chosen);
        // A hosts file may name an address twice.
        if listeners.iter().any(|other| other.local_addr().is_ok_and(|other| other == address)) {
            continue;
        }
        match bind_one(address, both, reuse_port) {
            Ok(listener) => {
                chosen = listener.local_addr()?.port();
                listeners.push(listener);
            }
            // A machine without IPv6 still resolves localhost to ::1.
            Err(error) => last_error = error,
        }
    }
    let taken = last_error.kind() == io::ErrorKind::AddrInUse;
    if listeners.is_empty() || (taken && port != 0) {
        return Err(last_error);
    }
    Ok(listeners)
}

/// `both`: a socket for IPv6 takes IPv4, too.
fn bind_one(address: SocketAddr, both: bool, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!both)?;
    }
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    probe_when_quiet(&socket);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
