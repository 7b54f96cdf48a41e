//! One thread's event loop: readiness, timers, sockets, locks, and work for other threads. It must
//! not know HTTP.

mod blocking;
mod budget;
pub mod label;
mod listener;
mod moment;
mod parker;
mod pipe;
mod reactor;
mod semaphore;
mod shutdown;
mod socket;
mod socket_options;
mod sources;
mod timer;
mod under_tls;
mod waker;
mod watched;

#[cfg(test)]
pub(crate) mod testing;

pub use self::blocking::{detach, offload, IN_PLACE_BYTES_MAX};
pub use self::budget::{reserve, Budget, Share};
pub use self::moment::{unix_time, Moment};
pub use self::pipe::{pipe, PipeReader, PipeWriter, PIPE_BYTES};
pub use self::reactor::Reactor;
pub use self::semaphore::{Permit, Semaphore};
pub use self::shutdown::Shutdown;
pub use self::socket::{
    end_when_unacknowledged, probe_when_quiet, Listener, Socket, QUIET_MAX, UNACKNOWLEDGED_MAX,
};
pub use self::sources::{Registration, SCRATCH_BYTES};
pub use self::timer::{Clock, Label, Timer, Wait};
pub use self::under_tls::UnderTls;
pub(crate) use self::waker::set_waker;
pub use self::watched::Watched;
