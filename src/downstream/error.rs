//! What can go wrong on a client's side.

use crate::runtime::Wait;
use crate::wire::{BodyError, FormError, HeadError};

/// Why there is no request, or no whole one.
#[derive(Debug)]
pub enum Error {
    /// The request head is refused.
    Head(HeadError),
    /// The framing of the request body is refused.
    Body(BodyError),
    /// The form in the request body is refused.
    Form(FormError),
    /// The request body is over this many bytes.
    TooLarge(u64),
    /// All requests together are over this many bytes of memory.
    Overloaded(usize),
    /// The client sent too slowly, or did not read.
    Timeout(Wait),
    /// The client has left.
    Gone,
}
