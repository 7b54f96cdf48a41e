//! A request in bytes, kept as long as it may have to be sent once more.

use crate::runtime::Share;

/// The start of the body that goes out in one write with the head.
const FIRST_WRITE_BYTES: usize = 16 * 1024;

/// A request, encoded. It is kept until the response begins, for the repeat.
pub struct Message {
    /// The head and the start of the body.
    first: Vec<u8>,
    body: Vec<u8>,
    /// How much of the body is in `first`.
    joined: usize,
    /// Its memory.
    _share: Option<Share>,
}

impl Message {
    /// Joins a head, which ends with its empty line, and a body.
    pub fn new(mut head: Vec<u8>, body: Vec<u8>, share: Option<Share>) -> Message {
        let joined = body.len().min(FIRST_WRITE_BYTES);
        head.extend_from_slice(&body[..joined]);
        let body = if joined == body.len() { Vec::new() } else { body };
        Message { first: head, body, joined, _share: share }
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.body.len() - if self.body.is_empty() { 0 } else { self.joined }
    }

    /// What is left to send after `sent` bytes.
    pub(super) fn rest(&self, sent: usize) -> &[u8] {
        match sent.checked_sub(self.first.len()) {
            None => &self.first[sent..],
            Some(beyond) => self.body.get(self.joined + beyond..).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_message_is_all_of_it_in_order() {
        for length in [0, 1, FIRST_WRITE_BYTES, FIRST_WRITE_BYTES + 1, 3 * FIRST_WRITE_BYTES] {
            let body: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let whole = [b"head\r\n\r\n".to_vec(), body.clone()].concat();
            let message = Message::new(b"head\r\n\r\n".to_vec(), body, None);
            assert_eq!(message.len(), whole.len());
            // Written in pieces of every kind of length.
            for piece in [1, 7, 4096, whole.len()] {
                let mut sent = Vec::new();
                while !message.rest(sent.len()).is_empty() {
                    let rest = message.rest(sent.len());
                    sent.extend_from_slice(&rest[..piece.min(rest.len())]);
                }
                assert!(sent == whole, "{length} {piece}");
            }
        }
    }
}
