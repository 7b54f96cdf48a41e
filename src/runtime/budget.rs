//! Memory that all requests together may take beyond what each connection keeps anyway. Each client
//! has limits of its own; this one keeps a thousand of them from adding up to more than the machine
//! has.

use std::cell::Cell;
use std::rc::Rc;

/// Bytes in use, and how many there may be.
pub struct Budget {
    used: Cell<usize>,
    limit: Cell<usize>,
}

impl Budget {
    /// Nothing in use, `limit` bytes at most.
    pub fn new(limit: usize) -> Rc<Budget> {
        Rc::new(Budget { used: Cell::new(0), limit: Cell::new(limit) })
    }

    /// Bytes that may be in use at once.
    pub fn limit(&self) -> usize {
        self.limit.get()
    }

    /// Changes the limit. What is in use stays in use.
    pub fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// A share of nothing yet.
    pub fn share(self: &Rc<Self>) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }
}

/// What one buffer or request takes; given back when dropped.
pub struct Share {
    budget: Rc<Budget>,
    bytes: usize,
}

impl Share {
    /// Takes `bytes` in all, or changes nothing. Returns whether there was room for more; less than
    /// before is always granted.
    #[must_use]
    pub fn resize(&mut self, bytes: usize) -> bool {
        let used = self.budget.used.get() - self.bytes + bytes;
        let fits = bytes <= self.bytes || used <= self.budget.limit.get();
        if fits {
            self.budget.used.set(used);
            self.bytes = bytes;
        }
        fits
    }

    /// Takes `bytes` in all unless it has as many already. Returns whether it has them.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        self.bytes >= bytes || self.resize(bytes)
    }

    /// The budget that this is a share of.
    pub fn budget(&self) -> &Rc<Budget> {
        &self.budget
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.set(self.budget.used.get() - self.bytes);
    }
}

/// Makes room for `more` bytes behind those that are there: twice as much as before, but no more
/// than `length_max` where that is enough. Returns the capacity.
pub fn reserve(bytes: &mut Vec<u8>, more: usize, length_max: usize) -> usize {
    let needed = bytes.len() + more;
    if needed > bytes.capacity() {
        let wanted = (2 * bytes.capacity()).min(length_max).max(needed);
        bytes.reserve_exact(wanted - bytes.len());
    }
    bytes.capacity()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Budget {
        /// Bytes in use now.
        pub(crate) fn used(&self) -> usize {
            self.used.get()
        }
    }

    #[test]
    fn shares_fit_together_under_the_limit_and_are_given_back() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (budget.share(), budget.share());
        assert!(one.resize(60) && other.resize(40));
        assert!(!other.resize(41), "refused, and what it had stays");
        assert!(one.resize(59) && other.resize(41));
        drop(one);
        assert!(other.resize(100) && !other.resize(101));
        budget.set_limit(10);
        assert!(other.resize(99), "less is always granted");
        assert!(!other.resize(100));
        drop(other);
        assert_eq!(budget.used.get(), 0);
    }

    #[test]
    fn buffers_grow_by_doubling_up_to_their_limit() {
        let mut bytes = Vec::new();
        assert_eq!(reserve(&mut bytes, 10, 100), 10);
        bytes.extend([0; 10]);
        assert_eq!(reserve(&mut bytes, 1, 100), 20);
        bytes.extend([0; 50]);
        let capacity = reserve(&mut bytes, 1, 100);
        assert!((61..=120).contains(&capacity));
        bytes.resize(99, 0);
        assert!(reserve(&mut bytes, 1, 100) <= 120);
    }
}
