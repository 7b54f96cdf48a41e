//! Bytes on their way from one socket to another within one task: one side reads no more than the
//! other has written.

use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::set_waker;

/// What is written at once at most, and so about what a pipe holds.
pub const PIPE_BYTES: usize = 16 * 1024;

#[derive(Default)]
struct Inner {
    bytes: Vec<u8>,
    /// How much of them was read.
    read: usize,
    ended: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The side that fills a pipe. Dropping it without an end leaves the reader without one.
pub struct PipeWriter(Rc<RefCell<Inner>>);

/// The side that empties it. Once it is dropped there is room for nothing more.
pub struct PipeReader(Rc<RefCell<Inner>>);

/// An empty pipe.
pub fn pipe() -> (PipeWriter, PipeReader) {
    let inner = Rc::new(RefCell::new(Inner::default()));
    (PipeWriter(inner.clone()), PipeReader(inner))
}

impl PipeWriter {
    /// Ready with `true` when the pipe is empty, and with `false` when nobody reads any more.
    pub fn poll_room(&self, context: &Context<'_>) -> Poll<bool> {
        let mut inner = self.0.borrow_mut();
        if inner.reader_gone {
            return Poll::Ready(false);
        }
        if inner.bytes.is_empty() {
            return Poll::Ready(true);
        }
        set_waker(&mut inner.writer, context.waker());
        Poll::Pending
    }

    /// Puts bytes in, by a function that appends them.
    pub fn fill<T>(&self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut inner = self.0.borrow_mut();
        let result = write(&mut inner.bytes);
        inner.reader.take().into_iter().for_each(Waker::wake);
        result
    }

    /// What is in it now is all.
    pub fn end(self) {
        let mut inner = self.0.borrow_mut();
        inner.ended = true;
        inner.reader.take().into_iter().for_each(Waker::wake);
    }
}

impl PipeReader {
    /// Bytes that wait to be read; `None` at the end.
    pub fn poll_bytes(&self, context: &Context<'_>) -> Poll<Option<Ref<'_, [u8]>>> {
        {
            let mut inner = self.0.borrow_mut();
            if inner.bytes.is_empty() {
                if inner.ended {
                    return Poll::Ready(None);
                }
                set_waker(&mut inner.reader, context.waker());
                return Poll::Pending;
            }
        }
        Poll::Ready(Some(Ref::map(self.0.borrow(), |inner| &inner.bytes[inner.read..])))
    }

    /// Takes out the first bytes.
    pub fn consume(&self, count: usize) {
        let mut inner = self.0.borrow_mut();
        inner.read += count;
        if inner.read >= inner.bytes.len() {
            inner.bytes.clear();
            inner.read = 0;
            inner.writer.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Whether all was read.
    pub fn is_over(&self) -> bool {
        let inner = self.0.borrow();
        inner.ended && inner.bytes.is_empty()
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut inner = self.0.borrow_mut();
        inner.reader_gone = true;
        inner.bytes = Vec::new();
        inner.writer.take().into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_once_and_in_order_and_then_comes_the_end() {
        let context = Context::from_waker(Waker::noop());
        let (writer, reader) = pipe();
        assert!(reader.poll_bytes(&context).is_pending());
        let mut found = Vec::new();
        for piece in [&b"ab"[..], b"cde"] {
            assert_eq!(writer.poll_room(&context), Poll::Ready(true));
            writer.fill(|bytes| bytes.extend_from_slice(piece));
            assert!(writer.poll_room(&context).is_pending());
            for _ in piece {
                let Poll::Ready(Some(bytes)) = reader.poll_bytes(&context) else {
                    panic!("nothing")
                };
                found.push(bytes[0]);
                drop(bytes);
                reader.consume(1);
            }
        }
        assert_eq!(found, b"abcde");
        assert!(reader.poll_bytes(&context).is_pending() && !reader.is_over());
        writer.end();
        assert!(matches!(reader.poll_bytes(&context), Poll::Ready(None)) && reader.is_over());
    }

    #[test]
    fn a_writer_whose_reader_is_gone_is_told_so() {
        let context = Context::from_waker(Waker::noop());
        let (writer, reader) = pipe();
        writer.fill(|bytes| bytes.push(1));
        drop(reader);
        assert_eq!(writer.poll_room(&context), Poll::Ready(false));
    }
}
