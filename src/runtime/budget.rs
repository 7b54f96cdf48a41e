//! Memory that all requests together may take. Each client has its own limit; this one keeps a
//! thousand of them from adding up to more than the machine has.

use std::cell::Cell;

/// Bytes in use.
#[derive(Default)]
pub struct Budget(Cell<u64>);

impl Budget {
    /// A share of nothing yet.
    pub fn share(&self) -> Share<'_> {
        Share { budget: self, bytes: 0 }
    }
}

/// What one request takes; given back when dropped.
pub struct Share<'b> {
    budget: &'b Budget,
    bytes: u64,
}

impl Share<'_> {
    /// Takes `bytes` in all. Returns whether everything together stays under `limit`.
    pub fn grow_to(&mut self, bytes: u64, limit: u64) -> bool {
        let used = &self.budget.0;
        used.set(used.get() - self.bytes + bytes);
        self.bytes = bytes;
        used.get() <= limit
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.0.set(self.budget.0.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_come_back() {
        let budget = Budget::default();
        let (mut one, mut two) = (budget.share(), budget.share());
        assert!(one.grow_to(4, 6) && one.grow_to(5, 6));
        assert!(!two.grow_to(2, 6));
        drop(one);
        assert!(two.grow_to(6, 6));
        drop(two);
        assert_eq!(budget.0.get(), 0);
    }
}
