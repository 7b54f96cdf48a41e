//! JSON of our own.

use serde::Serialize;

/// The JSON of plain structures, whose keys are strings.
pub fn to_json(value: &impl Serialize) -> String {
    // Fails only for maps with other keys and for failing `Serialize` implementations.
    serde_json::to_string(value).unwrap_or_default()
}
