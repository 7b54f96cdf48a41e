//! Which provider and model a request goes to. Pure: it must not know sockets, time or HTTP.

pub mod splice;
