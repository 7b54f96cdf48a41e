//! How a stream ends: complete, cut, or without its client.

use std::time::Duration;

use super::Stream;
use crate::downstream::Connection;
use crate::report::{Entry, Error, Outcome};
use crate::runtime::{label, Wait};
use crate::upstream;
use crate::wire::{Framing, LAST_CHUNK};

/// How long the provider's last bytes are waited for behind the final event, so that its connection
/// can serve again: SDKs leave as soon as they have that event.
const LAST_BYTES_MAX: Duration = Duration::from_secs(1);

impl Stream {
    /// Settles what is left of a stream that came to `outcome`.
    pub(super) fn finish(
        mut self: Box<Self>,
        outcome: Outcome,
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> Outcome {
        entry.chunks = self.response.decoder.chunks();
        if let Some(watch) = &mut self.watch {
            watch(&[], true);
        }
        match outcome {
            Outcome::Complete => {
                connection.end_cleanly();
                connection.set_reusable(self.keep_alive && !self.abandoned);
            }
            Outcome::ClientSlow(_) => connection.reset_on_close(true),
            _ => {}
        }
        match outcome {
            Outcome::Complete => self.response.finish(),
            // Nobody gets the rest, but it is short.
            _ if self.final_seen || self.response.decoder.is_done() => self.response.discard(),
            _ => {}
        }
        outcome
    }

    /// Forgets a client that has left with all that it wanted.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        self.forget_pending();
    }

    /// Whether the stream may end here, whatever the provider says: its final event has come, and
    /// no promised length would be broken.
    pub(super) fn may_end(&self) -> bool {
        self.final_seen && (self.abandoned || !matches!(self.framing, Framing::Length(_)))
    }

    /// How long the provider's last bytes are waited for, once the client has the final event.
    pub(super) fn last_bytes(&self) -> Option<Wait> {
        let out_at = self.final_out_at.filter(|_| self.may_end())?;
        Some(Wait::new(label::NEXT_BYTES, out_at, LAST_BYTES_MAX))
    }

    pub(super) fn complete(&mut self) {
        if self.framing == Framing::Chunked && !self.abandoned {
            self.pending.extend_from_slice(LAST_CHUNK);
        }
        self.outcome = Some(Outcome::Complete);
    }

    /// Ends the stream such that the client notices: with an error event where one can stand, and
    /// always without the end that the framing asks for.
    pub(super) fn cut(&mut self, cause: upstream::Error, entry: &Entry) {
        if self.may_end() && !matches!(cause, upstream::Error::TooLarge(_)) {
            return self.complete();
        }
        let error = Error::of_exchange(&self.provider, cause);
        if self.between_events() {
            let event = error.event(self.dialect, &entry.id);
            self.push_framed(event.as_bytes());
        }
        self.outcome = Some(Outcome::Cut(Box::new(error)));
    }
}
