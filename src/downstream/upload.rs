//! A request body that goes on to the provider while it comes, at the provider's pace.

use std::task::{Context, Poll};
use std::time::Instant;

use super::body::{Incoming, Pace};
use super::{Connection, Error};
use crate::runtime::{pipe, PipeReader, PipeWriter, Share, Timer, PIPE_BYTES};
use crate::wire::{push_chunk, Form, LAST_CHUNK};

/// What one upload keeps at most, whatever its size: what waits in the pipe, what was read beyond
/// that, and what may be the start of a delimiter or of a part.
pub const UPLOAD_BYTES: usize = 4 * PIPE_BYTES;

/// The rest of a body on its way.
pub(super) struct Upload {
    pipe: Option<PipeWriter>,
    /// Whether it goes on in chunks, as it came.
    chunked: bool,
    /// What changes in it.
    form: Option<Box<Form>>,
    pace: Pace,
    /// Since when the provider has kept the client waiting, or all of it has been passed on.
    blocked_at: Option<Instant>,
    timer: Timer,
    /// Its memory.
    share: Option<Share>,
}

impl Connection {
    /// Lets the body of the current request, from what is `incoming` on, go through a pipe whenever
    /// this connection is watched.
    ///
    /// # Errors
    /// [`Error::Form`].
    pub fn stream_body(
        &mut self,
        incoming: Incoming,
        chunked: bool,
        form: Option<Box<Form>>,
        share: Share,
    ) -> Result<PipeReader, Error> {
        let (writer, reader) = pipe();
        let timer = Timer::new(self.timer.clock());
        let (pace, pipe) = (incoming.pace, Some(writer));
        let mut upload =
            Upload { pipe, chunked, form, pace, blocked_at: None, timer, share: Some(share) };
        // What is here already.
        let ended = self.unread.is_none();
        if ended || !incoming.body.is_empty() {
            upload.pass(&incoming.body, ended)?;
        }
        self.upload = Some(Box::new(upload));
        Ok(reader)
    }

    /// Moves on with an upload, if there is one. Pending while it has to wait for one of the two
    /// sides.
    pub(super) fn poll_upload(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        let Some(mut upload) = self.upload.take() else { return Poll::Ready(Ok(())) };
        let result = upload.poll(self, context);
        if !matches!(result, Poll::Ready(Err(_))) {
            self.upload = Some(upload);
        }
        result
    }

    /// Whether the client still sends a body that goes on meanwhile.
    pub fn is_uploading(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.pipe.is_some())
    }

    /// When the current request's body last went on, if it goes on while it comes: from then on its
    /// provider has had time to respond.
    pub fn upload_moved_at(&self) -> Option<Instant> {
        let upload = self.upload.as_ref()?;
        Some(upload.blocked_at.unwrap_or_else(|| self.timer.now()))
    }
}

impl Upload {
    /// Ready when all of it is in the pipe, or nobody reads that any more.
    fn poll(&mut self, client: &mut Connection, context: &Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let now = self.timer.now();
            match self.pipe.as_ref().map(|pipe| pipe.poll_room(context)) {
                Some(Poll::Ready(true)) => {}
                Some(Poll::Pending) => {
                    self.blocked_at.get_or_insert(now);
                    self.timer.set(None);
                    return Poll::Pending;
                }
                Some(Poll::Ready(false)) => self.end(),
                None => {}
            }
            if self.pipe.is_none() {
                return Poll::Ready(Ok(()));
            }
            if let Some(since) = self.blocked_at.take() {
                self.pace.skip(since, now);
            }
            let mut piece = Vec::new();
            client.take_body(&mut piece, usize::MAX)?;
            let ended = client.unread.is_none();
            if ended || !piece.is_empty() {
                self.pass(&piece, ended)?;
                continue;
            }
            let wait = self.pace.next_bytes();
            self.timer.set(Some(wait.until));
            match client.poll_fill_some(context, PIPE_BYTES) {
                Poll::Ready(0) => return Poll::Ready(Err(Error::Gone)),
                Poll::Ready(count) => self.pace.note(count, now),
                Poll::Pending if self.timer.poll_due(context) => {
                    return Poll::Ready(Err(Error::Timeout(wait)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Puts bytes of the body into the pipe, as far as they may go on.
    fn pass(&mut self, bytes: &[u8], ended: bool) -> Result<(), Error> {
        let mut edited = Vec::new();
        let bytes = match &mut self.form {
            Some(form) => {
                form.edit(bytes, &mut edited, ended).map_err(Error::Form)?;
                &edited
            }
            None => bytes,
        };
        let Some(pipe) = &self.pipe else { return Ok(()) };
        pipe.fill(|out| {
            if !self.chunked {
                out.extend_from_slice(bytes);
            } else if !bytes.is_empty() {
                push_chunk(out, bytes);
            }
            if self.chunked && ended {
                out.extend_from_slice(LAST_CHUNK);
            }
        });
        if ended {
            self.pipe.take().into_iter().for_each(PipeWriter::end);
            self.end();
        }
        Ok(())
    }

    /// No more of it goes on.
    fn end(&mut self) {
        (self.pipe, self.form, self.share) = (None, None, None);
        self.blocked_at.get_or_insert(self.timer.now());
        self.timer.set(None);
    }
}
