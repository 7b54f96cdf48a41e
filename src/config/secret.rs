//! Text that must never be printed: client tokens, provider keys, a URL's `user:password`.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use super::odd;

/// A text that `Debug` hides, that has no `Display`, and that compares in constant time.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text. An empty one is allowed; callers use `Option<Secret>` for "none".
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The same without the quotation marks around it, which somebody may have meant as such.
    pub fn unquoted(&self) -> &str {
        odd::unquoted(&self.0)
    }

    /// Whether it begins or ends with a quotation mark.
    pub fn is_quoted(&self) -> bool {
        odd::is_quoted(&self.0)
    }

    /// Whether it looks like the name of a variable, `$NAME`, in place of its value.
    pub fn is_unexpanded(&self) -> bool {
        odd::is_unexpanded(&self.0)
    }

    /// Whether `candidate` is this secret. The time taken depends on the two lengths only, never
    /// on the bytes.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), candidate);
        if ours.len() != theirs.len() {
            return false;
        }
        // Eight bytes at once: subtle takes 14 instructions for each that it compares.
        let (mut ours, mut theirs) = (ours.chunks_exact(8), theirs.chunks_exact(8));
        let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
        let words = ours.by_ref().zip(theirs.by_ref());
        let same = words.fold(Choice::from(1), |same, (a, b)| same & word(a).ct_eq(&word(b)));
        (same & ours.remainder().ct_eq(theirs.remainder())).into()
    }

    /// Whether `value` is this secret, alone or behind a scheme such as `Bearer`.
    pub fn ends(&self, value: &[u8]) -> bool {
        let start = value.len().wrapping_sub(self.0.len());
        let Some((before, end)) = value.split_at_checked(start) else { return false };
        matches!(before.last(), None | Some(b' ' | b'\t')) && self.matches(end)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_alone_and_behind_a_scheme_and_nowhere_else() {
        let secret = Secret::new("a b");
        for value in ["a b", "Bearer a b", "Bearer  a b", "Bearer\ta b"] {
            assert!(secret.ends(value.as_bytes()), "{value}");
        }
        for value in ["xa b", "a bc", "a b c", "Aa b", "", " ", "A b", "b"] {
            assert!(!secret.ends(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn debug_output_hides_the_text_even_when_pretty_printed_or_nested() {
        let secret = Secret::new("sk-very-secret");
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert!(!format!("{:#?}", Some(vec![secret])).contains("sk-"));
    }

    #[test]
    fn only_the_same_bytes_match() {
        let secret = Secret::new("sk-测试");
        assert!(secret.matches("sk-测试".as_bytes()));
        for other in ["", "sk-", "sk-测诗", "SK-测试", "sk-测试 "] {
            assert!(!secret.matches(other.as_bytes()), "{other:?}");
        }
        assert!(!secret.matches(b"\xff\xfe"));
    }

    #[test]
    fn equality_follows_the_text() {
        assert_eq!(Secret::new("a"), Secret::new("a"));
        assert_ne!(Secret::new("a"), Secret::new("b"));
    }
}
