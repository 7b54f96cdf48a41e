//! What people meet in the field: fields that say too much, streams under other names, redirects, silence, clients
//! that take every place, and providers that end their answers in their own way.

mod support;

#[path = "field/early.rs"]
mod early;
#[path = "field/fields.rs"]
mod fields;
#[path = "field/finals.rs"]
mod finals;
#[path = "field/places.rs"]
mod places;
#[path = "field/redirects.rs"]
mod redirects;
#[path = "field/sockets.rs"]
mod sockets;
#[path = "field/streams.rs"]
mod streams;
