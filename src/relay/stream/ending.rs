//! How a stream ends: complete, cut, or without its client.

use std::time::Duration;

use super::Stream;
use crate::downstream::Connection;
use crate::report::entry::{Ending, Record};
use crate::report::error::{error_event, Error};
use crate::runtime::timer::{label, Wait};
use crate::upstream::exchange::ExchangeError;
use crate::wire::body::Framing;
use crate::wire::chunks::LAST_CHUNK;

/// How long the provider's last bytes are waited for behind the final event, so that its connection
/// can serve again: SDKs leave as soon as they have that event.
const LAST_BYTES_MAX: Duration = Duration::from_secs(1);

impl Stream {
    /// Settles what is left of a stream that came to `ending`. Returns whether the client's
    /// connection is in step.
    pub fn finish(
        self: Box<Self>,
        ending: Ending,
        client: &mut Connection,
        record: &mut Record,
    ) -> bool {
        record.bytes = self.bytes;
        record.chunks = self.answer.decoder.chunks();
        record.ending = ending;
        match record.ending {
            Ending::Complete => {
                self.answer.finish();
                if self.framing == Framing::UntilClose {
                    client.reset_on_close(false);
                }
                self.keep_alive && !self.abandoned
            }
            Ending::ClientSlow(_) => {
                client.reset_on_close(true);
                false
            }
            _ => false,
        }
    }

    /// Forgets a client that has left with all that it wanted.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        self.pending = Vec::new();
        self.written = 0;
    }

    /// Whether the stream may end here, whatever the provider says: its final event has come, and no
    /// promised length would be broken.
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
        self.ending = Some(Ending::Complete);
    }

    /// Ends the stream such that the client notices: with an error event where one can stand, and
    /// always without the end that the framing asks for.
    pub(super) fn cut(&mut self, cause: ExchangeError) {
        if self.may_end() && !matches!(cause, ExchangeError::TooLarge(_)) {
            return self.complete();
        }
        let error = Error::of_exchange(&self.provider, cause);
        if self.between_events() {
            let event = error_event(&error.to_string(), error.status().unwrap_or(502), None);
            self.push_framed(event.as_bytes());
        }
        self.ending = Some(Ending::Cut(error));
    }
}
