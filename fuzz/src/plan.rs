//! An input is a plan and a message. The plan says in which pieces the message arrives, and can
//! repeat a part of it, so that small inputs reach limits of many kilobytes.

use ai_proxy::wire::HEAD_BYTES_MAX;

/// Repeating stops here, a little above the limit of a head.
const MESSAGE_BYTES_MAX: usize = HEAD_BYTES_MAX + 4096;

/// How much of both ends of a long message arrives byte by byte.
const SMALL_BYTES_MAX: usize = 1024;

/// How a message arrives.
pub struct Plan {
    /// The bytes.
    pub message: Vec<u8>,
    /// Sizes of pieces, used over and over; empty: all at once.
    sizes: Vec<usize>,
}

impl Plan {
    /// Reads an input: the bytes `n`, then `n % 8` sizes less one; when `n >> 3` is 1, then five bytes that
    /// say which part is repeated (place as two bytes, length) and how often (two bytes), big end
    /// first; the rest is the message.
    pub fn new(input: &[u8]) -> Option<Plan> {
        let (&first, rest) = input.split_first()?;
        let (sizes, rest) = rest.split_at_checked(usize::from(first & 7))?;
        let sizes = sizes.iter().map(|size| usize::from(*size) + 1).collect();
        if first >> 3 != 1 {
            return Some(Plan { message: rest.to_vec(), sizes });
        }
        let (&[place_high, place_low, length, times_high, times_low], message) =
            rest.split_first_chunk()?;
        let place = usize::from(u16::from_be_bytes([place_high, place_low])).min(message.len());
        let part = &message[place..][..usize::from(length).min(message.len() - place)];
        let room = MESSAGE_BYTES_MAX.saturating_sub(message.len()) / part.len().max(1);
        let times = usize::from(u16::from_be_bytes([times_high, times_low])).min(room);
        let repeated = part.repeat(times);
        Some(Plan { message: [&message[..place], &repeated, &message[place..]].concat(), sizes })
    }

    /// Where the pieces end. The last one ends with the message.
    pub fn ends(&self) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut end = 0;
        for size in self.sizes.iter().cycle() {
            end += size;
            if end >= self.message.len() {
                break;
            }
            ends.push(end);
        }
        ends.push(self.message.len());
        ends
    }

    /// The ends of pieces of one byte; of a long message, of larger ones in its middle, but still of
    /// one byte around the limit of a head.
    pub fn every_byte(&self) -> Vec<usize> {
        let length = self.message.len();
        let small = |end: &usize| {
            *end <= SMALL_BYTES_MAX
                || end.abs_diff(HEAD_BYTES_MAX) < 8
                || length - end < SMALL_BYTES_MAX
                || end % 4093 == 0
        };
        (1..length).filter(small).chain([length]).collect()
    }
}
