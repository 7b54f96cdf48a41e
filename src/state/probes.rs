//! The round of probes under way, which concurrent callers share, and the last result.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Instant;

use event_listener::Event;
use smol::Task;

use super::settings::Settings;

/// What is known of the providers' health.
#[derive(Default)]
pub struct Probes {
    /// Dropping it drops the probes and their connections.
    pub running: RefCell<Option<Task<()>>>,
    /// The configuration of the round that was last begun, and when that was.
    pub begun: RefCell<Option<(Weak<Settings>, Instant)>>,
    /// How many callers wait for the round.
    pub callers: Cell<usize>,
    /// Rounds that ended.
    pub rounds: Cell<u64>,
    /// The result of the last one, as the body of the response.
    pub report: RefCell<Rc<Vec<u8>>>,
    /// When the report was made, if the configuration was still in force then.
    pub reported: Cell<Option<Instant>>,
    /// Wakes the callers.
    pub waiting: Event,
}
