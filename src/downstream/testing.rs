//! Clients in memory: the other end of a connection, in the thread of the test.

use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;

use super::{Admission, Connection};
use crate::runtime::testing::{pair, Peer};
use crate::runtime::{Budget, Reactor, Shutdown, Timer};

/// What clients' connections share.
pub(crate) struct Bench {
    pub(crate) reactor: Rc<Reactor>,
    pub(crate) admission: Rc<Admission>,
    pub(crate) budget: Rc<Budget>,
    pub(crate) shutdown: Shutdown,
}

impl Bench {
    /// Nobody is connected; `memory` bytes may be taken.
    pub(crate) fn new(reactor: &Rc<Reactor>, memory: usize) -> Bench {
        let (admission, budget) = (Admission::new(10), Budget::new(memory));
        Bench { reactor: reactor.clone(), admission, budget, shutdown: Shutdown::default() }
    }

    /// A client connects.
    #[track_caller]
    pub(crate) fn connect(&self) -> (Connection, Peer) {
        let (socket, peer) = pair(&self.reactor).unwrap();
        let clock = &self.reactor.clock;
        let slot = self.admission.take(clock.now(), Waker::noop()).expect("no place is free");
        let (timer, shutdown) = (Timer::new(clock), self.shutdown.clone());
        let address = SocketAddr::from(([127, 0, 0, 1], 50_000));
        (Connection::new(socket, address, slot, timer, shutdown, &self.budget), peer)
    }
}
