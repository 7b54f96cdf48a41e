//! What a stream waits for while nothing can be read or written, and for how long.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::Stream;
use crate::downstream::{write_deadline, Connection};
use crate::report::{Entry, Outcome};
use crate::runtime::{Wait, QUIET_MAX};
use crate::upstream;
use crate::wire::{Framing, LAST_CHUNK};

/// After so much silence a connection is quiet, but not yet given up by the kernel.
const QUIET_AFTER: Duration = Duration::from_secs(31);

impl Stream {
    /// Nothing can be done now: watches the client and the clock.
    pub(super) fn poll_wait(
        &mut self,
        context: &Context<'_>,
        connection: &mut Connection,
        entry: &Entry,
        client_is_slow: bool,
    ) -> Poll<Outcome> {
        if !self.abandoned && connection.poll_gone(context).is_ready() {
            if self.final_out_at.is_none() {
                return Poll::Ready(Outcome::ClientGone);
            }
            // It may only have ended its own side, and wait for the end.
            if self.framing == Framing::Chunked && self.pending.is_empty() {
                let _ = connection.poll_last_write(context, LAST_CHUNK);
            }
            self.abandon();
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let now = connection.timer().now();
        if client_is_slow {
            self.blocked_at.get_or_insert(now);
            let wait = write_deadline(self.taken_at);
            if wait.until <= now {
                return Poll::Ready(Outcome::ClientSlow(wait));
            }
            connection.wake_to_write_again(context, wait);
            return Poll::Pending;
        }
        let mut wait = self.provider_limit(connection);
        // What has come and was not read yet is no silence.
        let mut late = wait.until <= now && !self.response.lease.socket.maybe_readable();
        if let Some(last_bytes) = self.last_bytes() {
            wait = last_bytes;
            late = wait.until <= now;
        }
        if late {
            self.cut(upstream::Error::Timeout(wait), entry);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let comment_at = self.comment_at();
        if comment_at.is_some_and(|at| at <= now) {
            self.push_framed(self.dialect.keep_alive());
            self.taken_at = now;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let until = comment_at.map_or(wait.until, |at| at.min(wait.until));
        connection.timer().set(Some(self.quiet_at(now).map_or(until, |at| at.min(until))));
        if connection.timer().poll_due(context) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Until when something must come from the provider, or all of it.
    fn provider_limit(&self, connection: &Connection) -> Wait {
        let (mut silence, mut whole) = (self.timeouts.next_bytes(self.heard_at), self.whole_by);
        if let Some(moved_at) = connection.upload_moved_at() {
            // While the client still sends, its own pace counts.
            silence = silence.not_before(moved_at);
            whole = whole.map(|whole| whole.not_before(moved_at));
        }
        whole.filter(|whole| whole.until < silence.until).unwrap_or(silence)
    }

    /// When the provider will be quiet. From then on its connection gets more time for
    /// acknowledgements: it has responded to all that was sent, so that only probes can be
    /// unacknowledged.
    fn quiet_at(&mut self, now: Instant) -> Option<Instant> {
        let quiet_at = self.heard_at + QUIET_AFTER;
        if quiet_at <= now {
            self.response.lease.be_patient(Some(QUIET_MAX));
            return None;
        }
        Some(quiet_at)
    }

    /// When a silent event stream needs a comment line; only between events.
    fn comment_at(&self) -> Option<Instant> {
        let after = self.timeouts.comment_after.filter(|_| !self.final_seen)?;
        self.between_events().then(|| self.heard_at.max(self.taken_at) + after)
    }
}
