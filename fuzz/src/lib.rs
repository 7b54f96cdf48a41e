//! What the targets share: how an input says where it is split, and second opinions on heads and
//! bodies that were written from the RFCs, not from the proxy.

pub mod fields;
pub mod json;
pub mod names;
pub mod plan;
pub mod unframe;
