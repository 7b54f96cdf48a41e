//! What an exchange borrows.

use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::{Connection, Pool};
use crate::runtime::Permit;
use crate::upstream::connect::Origin;

/// A connection borrowed for one exchange.
pub struct Lease {
    pub(super) connection: Box<Connection>,
    pub(super) pool: Rc<Pool>,
    pub(super) origin: Rc<Origin>,
    /// Given back before the connection where that is read later.
    pub permit: Option<Permit>,
    /// Whether an earlier exchange used it.
    pub reused: bool,
    /// Whether it was idle before.
    pub(super) was_idle: bool,
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Lease {
    /// Whether the connection may have died of age.
    pub fn may_be_dead(&self) -> bool {
        self.reused || self.was_idle
    }

    /// Returns the connection for reuse. Call only after the last byte of a response that was
    /// framed and complete; dropping a lease closes its connection.
    pub fn release(self) {
        // The permit goes back last: the exchange that gets it finds the connection idle.
        let Lease { connection, pool, origin, permit, .. } = self;
        pool.put_used(origin, connection);
        drop(permit);
    }

    /// Closes the connection and keeps the permit, for the repeat.
    pub fn close_keeping_permit(self) -> Option<Permit> {
        self.permit
    }
}
