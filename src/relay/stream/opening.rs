//! How a stream begins: its head, and what is already known of its body.

use super::{EventTail, Stream, PIECE_BYTES_MAX};
use crate::downstream::Connection;
use crate::relay::{end_head, framing_for, Terms};
use crate::report::Entry;
use crate::runtime::Share;
use crate::upstream::UpstreamResponse;
use crate::wire::{push_field, Content, Framing, ResponseHead};

impl Stream {
    /// `held` is what is already known of the body, `opened` whether the client has had a head that
    /// announced an event stream.
    pub(in crate::relay) fn new(
        mut response: UpstreamResponse,
        held: Vec<u8>,
        connection: &Connection,
        terms: &Terms<'_>,
        entry: &mut Entry,
        opened: bool,
    ) -> Stream {
        let head = &mut response.head;
        let framing = match head.framing {
            known @ (Framing::Length(_) | Framing::None) if !opened => known,
            _ => framing_for(connection),
        };
        let events = head.content == Content::Events;
        let whole = head.content == Content::Whole;
        let keep_alive = connection.may_persist() && framing != Framing::UntilClose;
        let watch = terms.watch_of(head);
        let mut pending = std::mem::take(&mut head.relayed);
        if !opened {
            entry.status = head.status;
            push_event_fields(&mut pending, head);
            end_head(&mut pending, framing, keep_alive, connection);
        }
        if !whole {
            entry.begin_stream();
        }
        let now = connection.timer().now();
        let limited = whole || !terms.timeouts.streams;
        let mut stream = Stream {
            provider: terms.provider.clone(),
            timeouts: terms.timeouts.clone(),
            dialect: terms.dialect,
            watch,
            pending,
            written: 0,
            share: None,
            framing,
            keep_alive,
            events,
            tail: (!head.encoded && !whole).then(|| EventTail::new(terms.dialect.final_event())),
            whole_by: terms.timeouts.whole(response.sent_at),
            body_bytes_max: if limited { terms.body_bytes_max } else { u64::MAX },
            heard_at: now,
            taken_at: now,
            blocked_at: None,
            final_seen: false,
            final_out_at: None,
            abandoned: false,
            outcome: None,
            response,
        };
        stream.note(&held, entry);
        stream.push_held(held);
        if stream.response.decoder.is_done() {
            stream.complete();
        }
        stream
    }

    /// Puts what is known of the body behind the head. What is long is not copied: there is no memory
    /// for a second one.
    fn push_held(&mut self, mut held: Vec<u8>) {
        if held.len() <= PIECE_BYTES_MAX {
            return self.push_framed(&held);
        }
        let mut before = std::mem::take(&mut self.pending);
        let chunked = self.framing == Framing::Chunked;
        if chunked {
            before.extend_from_slice(format!("{:x}\r\n", held.len()).as_bytes());
        }
        held.reserve_exact(before.len() + 2);
        held.splice(0..0, before);
        if chunked {
            held.extend_from_slice(b"\r\n");
        }
        self.pending = held;
    }

    /// Keeps the memory of what is pending until it is out.
    pub(in crate::relay) fn with_share(mut self, mut share: Share) -> Box<Stream> {
        if self.pending.len() > PIECE_BYTES_MAX {
            let _ = share.resize(self.pending.capacity());
            self.share = Some(share);
        }
        Box::new(self)
    }
}

/// So that nginx in front of us passes each event on at once.
fn push_event_fields(pending: &mut Vec<u8>, head: &ResponseHead) {
    if head.content != Content::Events {
        return;
    }
    if !head.has_cache_control {
        push_field(pending, "cache-control", b"no-cache");
    }
    if !head.has_accel_buffering {
        push_field(pending, "x-accel-buffering", b"no");
    }
}
