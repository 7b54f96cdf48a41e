//! The TCP connection below TLS, as OpenSSL reads and writes it, and two things that OpenSSL 3.0
//! does to it.
//!
//! It reads five bytes of each record and then the rest, and a server's first flight is six records.
//! What has come is read at once here and handed on piece by piece.
//!
//! It keeps 16 KiB for the next write from when it reads the server's session tickets, which come
//! behind the request (RFC 8446 §4.6.1), until that write is done: for a stream that is its whole
//! life. So the request's last record is reported to it as written only when content has come:
//!
//! ```text
//! AtOnce ──write──▶ Asked ──sent──▶ Unreported ──settle──▶ Reported ──▶ AtOnce
//! ```

use std::io::{self, IoSliceMut, Read, Write};
use std::task::Context;

use native_tls::TlsStream;

use super::watched::Watched;

/// A record's header, and the type in it of encrypted content (RFC 8446 §5.2).
const HEADER_BYTES: usize = 5;
const APPLICATION_DATA: u8 = 23;
/// A record whose rest is shorter holds no ticket, but perhaps a `KeyUpdate`.
const TICKET_BYTES_MIN: u16 = 64;
/// The longest record's content (RFC 8446 §5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// A TCP connection that speaks TLS.
pub struct UnderTls {
    pub(super) watched: Watched,
    /// Read and not handed on: never anything after a read that would block.
    ahead: Vec<u8>,
    /// How much of it was handed on.
    taken: usize,
    report: Report,
    /// Whether OpenSSL has read nothing since the handshake: tickets are still to come, and the next
    /// record that it makes is content, not its answer to a `KeyUpdate` or to a call to renegotiate.
    fresh: bool,
}

/// When OpenSSL is told that its last record was written.
#[derive(Clone, Copy)]
enum Report {
    AtOnce,
    /// The next one that is written as a whole is not reported.
    Asked,
    /// It was told that the kernel takes nothing, and will write the record again.
    Unreported {
        /// Length of the record.
        sealed: usize,
        /// Length of its content.
        content: usize,
        /// Whether a record came that OpenSSL may have to answer: a call to renegotiate, or a
        /// `KeyUpdate`. It is handed on behind the report, for OpenSSL 3.0 fails on the next message
        /// if it owes an answer and has a record to write.
        called: bool,
    },
    /// It was told just now: nothing else may be written before it has taken note.
    Reported,
}

impl UnderTls {
    /// A connection that is about to speak TLS.
    pub fn new(watched: Watched) -> UnderTls {
        let (ahead, report) = (Vec::new(), Report::AtOnce);
        UnderTls { watched, ahead, taken: 0, report, fresh: false }
    }

    /// The handshake is done.
    pub(super) fn begin(&mut self) {
        self.fresh = true;
    }

    /// Wakes the task on any readiness: TLS may want to read in order to write.
    pub(crate) fn wake_on_any(&self, context: &Context<'_>) {
        self.watched.wake_on_any(context);
    }

    /// Whether bytes are left that the kernel knows nothing of.
    pub(super) fn has_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    fn read_ahead(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let sources = self.watched.sources().clone();
        let mut more = sources.read_ahead.borrow_mut();
        let mut room = [IoSliceMut::new(buffer), IoSliceMut::new(&mut more[..])];
        let count = self.watched.read_vectored(&mut room)?;
        if count == 0 {
            // Only `close_notify` ends a conversation, and any host on the way can send a FIN
            // (RFC 8446 §6.1).
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let ahead = count.saturating_sub(buffer.len());
        self.ahead.extend_from_slice(&more[..ahead]);
        Ok(count - ahead)
    }
}

/// Whether a record that begins so may be neither content nor a ticket.
fn may_need_answer(header: &[u8]) -> bool {
    match *header {
        [APPLICATION_DATA, _, _, high, low] => u16::from_be_bytes([high, low]) < TICKET_BYTES_MIN,
        _ => true,
    }
}

impl Read for UnderTls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = if self.ahead.is_empty() {
            self.read_ahead(buffer)?
        } else {
            (&self.ahead[self.taken..]).read(buffer).inspect(|count| self.taken += count)?
        };
        self.fresh = false;
        if let Report::Unreported { called, .. } = &mut self.report {
            if buffer.len() == HEADER_BYTES && may_need_answer(&buffer[..count]) {
                *called = true;
                self.ahead = [&buffer[..count], &self.ahead[self.taken..]].concat();
                self.taken = 0;
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        if self.taken == self.ahead.len() && self.taken > 0 {
            // Not cleared: a connection that waits keeps nothing.
            (self.ahead, self.taken) = (Vec::new(), 0);
        }
        Ok(count)
    }
}

impl Write for UnderTls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.report {
            Report::AtOnce => self.watched.write(bytes),
            Report::Asked => {
                let count = self.watched.write(bytes)?;
                if count < bytes.len() {
                    return Ok(count);
                }
                self.report = Report::Unreported { sealed: count, content: 0, called: false };
                Err(io::ErrorKind::WouldBlock.into())
            }
            // Nothing may be written before this record, and it is out.
            Report::Unreported { sealed, .. } if sealed == bytes.len() => {
                self.report = Report::Reported;
                Ok(sealed)
            }
            Report::Unreported { .. } | Report::Reported => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads some bytes; 0 is the end of the stream.
pub(super) fn read(stream: &mut TlsStream<UnderTls>, buffer: &mut [u8]) -> io::Result<usize> {
    let result = stream.read(buffer);
    let Report::Unreported { called, .. } = stream.get_ref().report else { return result };
    let waits = result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    if matches!(result, Ok(1..)) || waits && called {
        settle(stream)?;
        if waits {
            // What was kept from OpenSSL until its record was reported, it reads now.
            return stream.read(buffer);
        }
    }
    result
}

/// Writes some bytes.
pub(super) fn write(stream: &mut TlsStream<UnderTls>, bytes: &[u8]) -> io::Result<usize> {
    settle(stream)?;
    if !stream.get_ref().fresh {
        return stream.write(bytes);
    }
    let bytes = &bytes[..bytes.len().min(RECORD_BYTES_MAX)];
    stream.get_mut().report = Report::Asked;
    let result = stream.write(bytes);
    let report = &mut stream.get_mut().report;
    if let Report::Unreported { content, .. } = report {
        *content = bytes.len();
        return Ok(bytes.len());
    }
    *report = Report::AtOnce;
    result
}

/// Reports the last record to OpenSSL, if it does not know yet that it was written.
pub(super) fn settle(stream: &mut TlsStream<UnderTls>) -> io::Result<()> {
    let Report::Unreported { content, .. } = stream.get_ref().report else { return Ok(()) };
    // OpenSSL looks at the length only: the record is made.
    let written = stream.write(&vec![0; content])?;
    let report = &mut stream.get_mut().report;
    match report {
        Report::Reported if written == content => {
            *report = Report::AtOnce;
            Ok(())
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests;
