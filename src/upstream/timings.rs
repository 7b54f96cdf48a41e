//! Where the time of an exchange went, for those who ask.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::runtime::Timer;

/// The parts of an exchange, its repeat included, in their order, and what is between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Waiting for a free connection.
    Queue,
    /// Name resolution and TCP; nothing on a reused connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// From the connection to the head of the response.
    FirstByte,
    /// From the end of an attempt to the next one.
    Wait,
}

/// How long each part of an exchange took so far.
#[derive(Debug, Default)]
pub struct Timings([Cell<Duration>; 5]);

impl Timings {
    /// How long a part took.
    pub fn get(&self, part: Part) -> Duration {
        self.0[part as usize].get()
    }

    /// Adds to a part.
    pub fn add(&self, part: Part, length: Duration) {
        self.0[part as usize].set(self.get(part) + length);
    }
}

/// Measures one part after the other, if somebody wants to know.
pub(super) struct Stopwatch<'t> {
    timings: Option<Rc<Timings>>,
    timer: &'t Timer,
    since: Instant,
}

impl<'t> Stopwatch<'t> {
    pub(super) fn start(timings: Option<Rc<Timings>>, timer: &'t Timer) -> Stopwatch<'t> {
        Stopwatch { timings, timer, since: timer.real_now() }
    }

    /// What passed since the last part was of this one.
    pub(super) fn lap(&mut self, part: Part) {
        if let Some(timings) = &self.timings {
            let now = self.timer.real_now();
            timings.add(part, now - std::mem::replace(&mut self.since, now));
        }
    }

    /// The same of a connection that was opened, with `tls` at its end. It may have been begun for
    /// another exchange: only what was waited for counts.
    pub(super) fn lap_connection(&mut self, tls: Duration) {
        if let Some(timings) = &self.timings {
            let tls = tls.min(self.timer.real_now() - self.since);
            timings.add(Part::Tls, tls);
            self.since += tls;
        }
        self.lap(Part::Connect);
    }
}
