//! Where a client's token stands.

use super::grammar::Field;
use super::trim;

/// How far down the list of fields that may hold the token the best one so far stands.
pub(super) struct Rank(usize);

impl Rank {
    /// In the order in which they count.
    const FIELDS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
    pub(super) const NONE: Rank = Rank(Rank::FIELDS.len());

    /// Takes the token of a field that counts for more than the one before, if it has one.
    pub(super) fn take_token(&mut self, token: &mut Option<Vec<u8>>, field: &Field<'_>) {
        // Each has a length of its own, and is known to be one of them.
        let rank = Rank::FIELDS.iter().position(|name| field.name().len() == name.len());
        let Some(rank) = rank.filter(|rank| *rank < self.0) else { return };
        let found = if rank == 0 { bearer(field.value()) } else { Some(field.value()) };
        if let Some(found) = found.filter(|found| !found.is_empty()) {
            *token = Some(found.to_vec());
            self.0 = rank;
        }
    }
}

/// The token of `Bearer token` (RFC 6750 §2.1; the scheme's name has no case).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    let token = trim(token);
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}
