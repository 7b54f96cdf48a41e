//! The request that goes first when a key's rest is over.

use std::rc::Rc;
use std::time::Instant;

use super::rests::{end_trial, put_on_trial, standing, Standing};
use crate::upstream::Rests;

/// A key on trial, until this is dropped.
pub struct Trial {
    rests: Rc<Rests>,
    model: u64,
    /// When the rests end or ended that it is about.
    ends: Vec<Instant>,
}

impl Trial {
    /// Puts a key on trial if its rest is over when a request `begins`, and nobody has tried it yet.
    pub fn begin(rests: &Rc<Rests>, model: u64, begins: Instant) -> Option<Trial> {
        let is_due = standing(rests, model, begins) == Standing::Due;
        is_due.then(|| {
            let ends = put_on_trial(rests, model, begins);
            Trial { rests: rests.clone(), model, ends }
        })
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        end_trial(&self.rests, self.model, &self.ends);
    }
}
