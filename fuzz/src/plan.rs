//! An input is a plan and a message. The plan says in which pieces the message arrives, and can
//! repeat a part of it, so that small inputs reach limits of many kilobytes.

/// Repeating stops here: more than a head of 64 KB and a trailer section of 16 KB.
const MESSAGE_BYTES_MAX: usize = 100_000;

/// How a message arrives.
pub struct Plan {
    /// The bytes.
    pub message: Vec<u8>,
    /// Sizes of pieces, used over and over; empty: all at once.
    sizes: Vec<usize>,
}

impl Plan {
    /// Reads an input: the bytes `n`, then `n % 8` sizes less one; when `n & 8`, then five bytes that
    /// say which part is repeated (place as two bytes, length) and how often (two bytes), big end
    /// first; the rest is the message.
    pub fn new(input: &[u8]) -> Option<Plan> {
        let (&first, rest) = input.split_first()?;
        let (sizes, rest) = rest.split_at_checked(usize::from(first & 7))?;
        let sizes = sizes.iter().map(|size| usize::from(*size) + 1).collect();
        if first & 8 == 0 {
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

    /// The ends of pieces of one byte.
    pub fn every_byte(&self) -> Vec<usize> {
        (1..=self.message.len().max(1)).map(|end| end.min(self.message.len())).collect()
    }
}
