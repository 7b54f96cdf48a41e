//! The configuration: what each key does, what is refused, what is only warned of, and the words around it.

mod comforts;
mod keys;
mod limits;
mod refusals;
mod response_size;
#[path = "../support/mod.rs"]
mod support;
mod warnings;
