//! One thread's event loop: readiness, timers, sockets, locks, and work for other threads. It must not
//! know HTTP.

pub mod blocking;
pub mod budget;
mod listener;
mod parker;
pub mod reactor;
pub mod semaphore;
pub mod shutdown;
pub mod socket;
mod socket_options;
pub mod sources;
pub mod timer;
pub(crate) mod waker;
