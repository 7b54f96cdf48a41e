//! Eight bytes at once: which of them are of a kind is told by marks, the highest bit of each byte.
//!
//! Of marks that are joined the lowest is true; those above it may come of what was borrowed for it.

/// One in each byte.
const EACH: u64 = u64::MAX / 0xff;
/// The highest bit of each byte.
const HIGH: u64 = EACH * 0x80;

/// The first eight bytes, and what follows them.
#[inline]
pub fn first_eight(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (eight, after) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*eight), after))
}

/// Marks control characters other than DEL.
#[inline]
pub fn controls(word: u64) -> u64 {
    word.wrapping_sub(EACH * 0x20) & !word & HIGH
}

/// Marks the bytes that are `byte`.
#[inline]
pub fn equal(word: u64, byte: u8) -> u64 {
    let other = word ^ (EACH * u64::from(byte));
    other.wrapping_sub(EACH) & !other & HIGH
}

/// Marks all but ASCII letters and hyphens; each mark is true.
#[inline]
pub fn no_letters(word: u64) -> u64 {
    // No sum is more than a byte.
    let low = word & !HIGH;
    let lower = low | (EACH * 0x20);
    let from_a = lower + EACH * (0x80 - b'a' as u64);
    let beyond_z = lower + EACH * (0x7f - b'z' as u64);
    let no_hyphen = (low ^ (EACH * b'-' as u64)) + EACH * 0x7f;
    ((!from_a | beyond_z) & no_hyphen | word) & HIGH
}

/// The letters in lower case; hyphens stay, and other bytes become anything else but a letter.
#[inline]
pub fn lowered(word: u64) -> u64 {
    word | (EACH * 0x20)
}

/// The bytes before the lowest mark; the others are zero.
#[inline]
pub fn before(word: u64, marks: u64) -> u64 {
    word & !(u64::MAX << (8 * first(marks)))
}

/// Where the lowest mark is; there must be one.
#[inline]
pub fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place, among bytes around the borders.
    fn words() -> impl Iterator<Item = [u8; 8]> {
        let around = [0, 1, b'\t', 0x1f, b' ', b'-', b'@', b'Z', b'z', 0x7f, 0x80, 0xff];
        (0..8).flat_map(move |at| {
            around.into_iter().flat_map(move |other| {
                (0..=u8::MAX).map(move |byte| {
                    let mut word = [other; 8];
                    word[at] = byte;
                    word
                })
            })
        })
    }

    #[test]
    fn the_lowest_mark_is_where_the_first_such_byte_is() {
        let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
        for bytes in words() {
            let word = u64::from_le_bytes(bytes);
            let at = |marks: u64| (marks != 0).then(|| first(marks));
            let place = |is: &dyn Fn(&u8) -> bool| bytes.iter().position(is);
            assert_eq!(at(controls(word)), place(&|byte| *byte < 0x20), "{bytes:?}");
            for wanted in [b'"', b'\\', 0x7f, 0xff] {
                assert_eq!(at(equal(word, wanted)), place(&|byte| *byte == wanted), "{bytes:?}");
                let both = controls(word) | equal(word, wanted);
                let found = place(&|byte| *byte < 0x20 || *byte == wanted);
                assert_eq!(at(both), found, "{bytes:?}");
            }
            let marked: Vec<bool> =
                no_letters(word).to_le_bytes().iter().map(|byte| *byte == 0x80).collect();
            assert_eq!(marked, bytes.map(|byte| !is_letter(&byte)), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_before_a_mark_is_kept_in_lower_case() {
        let word = u64::from_le_bytes(*b"X-Name: ");
        let marks = no_letters(word);
        assert_eq!(before(lowered(word), marks).to_le_bytes(), *b"x-name\0\0");
    }
}
