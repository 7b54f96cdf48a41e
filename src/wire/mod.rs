//! HTTP/1.1 bytes: heads, bodies, chunks, events. Pure: it reads and writes memory only, and must not
//! know sockets or time.

pub mod body;
pub mod chunks;
pub mod events;
pub mod head;
pub mod reply;
