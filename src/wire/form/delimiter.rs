//! The delimiter between the parts of a form (RFC 2046 §5.1.1), and what some readers take for one.

use memchr::memmem::Finder;

/// White space between a boundary and its line end.
const PADDING_BYTES_MAX: usize = 64;

/// What follows a boundary.
pub(super) enum Ending {
    /// That cannot be said yet.
    More,
    /// What makes it a delimiter, of so many bytes.
    Next(usize),
    /// What makes it the closing delimiter.
    Last,
    /// What makes it a delimiter to some readers only.
    Unclear,
}

/// What a search for a delimiter brought.
pub(super) enum Found {
    Delimiter(usize, Ending),
    /// There is a boundary, and what follows it must be known.
    Undecided(usize),
    /// It would be too far away.
    TooFar,
    Nothing,
}

/// Two hyphens and the boundary.
#[derive(Debug)]
pub(super) struct Delimiter(Finder<'static>);

impl Delimiter {
    pub(super) fn new(boundary: &[u8]) -> Delimiter {
        Delimiter(Finder::new(&[b"--", boundary].concat()).into_owned())
    }

    pub(super) fn len(&self) -> usize {
        self.0.needle().len()
    }

    /// Where it stands in `text`, not before `from`.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        self.0.find(&text[from..]).map(|at| from + at)
    }

    /// With how many of its bytes, but not all, `text` ends.
    pub(super) fn begun(&self, text: &[u8]) -> usize {
        let whole = self.0.needle();
        let mut lengths = (1..whole.len().min(text.len() + 1)).rev();
        lengths.find(|length| text.ends_with(&whole[..*length])).unwrap_or(0)
    }

    /// What follows the boundary at `at`.
    pub(super) fn ending(&self, text: &[u8], at: usize, ended: bool) -> Ending {
        let behind = &text[at + self.len()..];
        // Some readers skip more kinds of white space.
        let space = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\x0b' | b'\x0c');
        let padding = behind.iter().take(PADDING_BYTES_MAX + 1).take_while(space).count();
        let is_plain = behind[..padding].iter().all(|byte| matches!(byte, b' ' | b'\t'));
        match &behind[padding..] {
            _ if padding > PADDING_BYTES_MAX => Ending::Unclear,
            [b'-', b'-', ..] if padding == 0 => Ending::Last,
            [b'\r', b'\n', ..] if is_plain => Ending::Next(padding + 2),
            [] | [b'\r'] if !ended => Ending::More,
            [b'-'] if padding == 0 && !ended => Ending::More,
            [b'\r' | b'\n', _, ..] | [b'\n'] => Ending::Unclear,
            _ => Ending::Unclear,
        }
    }
}

pub(super) fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}
