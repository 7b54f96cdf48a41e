//! What the kernel does for a connection by itself: probing, and giving up.

use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// A connection that nothing was heard on for so long is probed.
const PROBE_AFTER: Duration = Duration::from_secs(30);
/// Between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// After so many probes without an acknowledgement the connection is dead.
const PROBES_MAX: u32 = 6;

/// Has the kernel probe a quiet connection (RFC 9293 §3.8.4): boxes that translate addresses forget
/// one that says nothing while a model thinks, and a peer that vanished is found out. On Linux what
/// a listening socket accepts inherits it.
pub fn probe_when_quiet(socket: impl AsFd) {
    let probes = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY)
        .with_retries(PROBES_MAX);
    // A kernel that refuses leaves the connection as it was.
    let _ = SockRef::from(&socket).set_tcp_keepalive(&probes);
}

/// What was sent and not acknowledged for so long ends a connection: the way to the peer is gone,
/// though no FIN or RST has come.
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);
/// The same for a connection that is quiet: Linux takes it for the end of probing, too, in place of
/// `PROBES_MAX`, and one lost probe would do (tcp_keepalive_timer, Linux 6.18).
pub const QUIET_MAX: Duration = Duration::from_secs(90);
const _: () = assert!(
    QUIET_MAX.as_secs() == PROBE_AFTER.as_secs() + PROBE_EVERY.as_secs() * PROBES_MAX as u64
);

/// Has the kernel end a connection on which what was sent is not acknowledged for so long (RFC
/// 5482); `None` leaves it to the kernel.
pub fn end_when_unacknowledged(socket: impl AsFd, limit: Option<Duration>) {
    // A kernel that refuses leaves the connection as it was.
    let _ = SockRef::from(&socket).set_tcp_user_timeout(limit);
}
