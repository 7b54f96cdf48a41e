//! HTTP/1.1 bytes: heads, bodies and their codings, chunks, events. Pure: it reads and writes memory only, and must
//! not know sockets or timers.

mod body;
mod chunks;
mod coding;
mod date;
mod eight;
mod events;
mod form;
mod head;
mod reply;

pub use self::body::{BodyError, Decoder, Framing};
pub use self::chunks::{frame, push_chunk, HEADROOM, LAST_CHUNK};
pub use self::coding::{Coding, CodingError, Decoding, Pause};
pub use self::date::{date, parse_date};
pub use self::events::{looks_like_events, EventTail, FinalEvent};
pub use self::form::{Form, FormError};
pub use self::head::{
    fields, push_field, remove_field, Content, CrossOrigin, HeadError, HeadScanner, RequestHead,
    ResponseHead, Sharing, FIELDS_MAX, HEAD_BYTES_MAX, NAMED_MODEL,
};
pub use self::reply::{connection_option, Reply, ReplyBody};
