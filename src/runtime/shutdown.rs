//! Whether the program is about to end.

use std::cell::Cell;
use std::rc::Rc;

/// A handle, shared by all tasks that act differently from then on.
#[derive(Clone, Default)]
pub struct Shutdown(Rc<Cell<bool>>);

impl Shutdown {
    /// No new connections, and no further request on those there are. Wakes no task.
    pub fn begin(&self) {
        self.0.set(true);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.get()
    }
}
