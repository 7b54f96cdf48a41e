//! What is said of models, in the dialect of who asks.

use chrono::{DateTime, Datelike, SecondsFormat};
use serde::Serialize;

use crate::report::to_json;
use crate::state::Visible;

/// All models for OpenAI's clients.
pub fn openai_list(models: &[Visible]) -> String {
    to_json(&List { object: "list", data: models.iter().map(Model::of).collect() })
}

/// One model for them.
pub fn openai(model: &Visible) -> String {
    to_json(&Model::of(model))
}

/// A page of models for Anthropic's clients; whether there are more in the direction in which it was
/// asked for.
pub fn anthropic_page(models: &[Visible], has_more: bool) -> String {
    to_json(&Page {
        data: models.iter().map(Told::of).collect(),
        has_more,
        first_id: models.first().map(|model| &*model.id),
        last_id: models.last().map(|model| &*model.id),
    })
}

/// One model for them.
pub fn anthropic(model: &Visible) -> String {
    to_json(&Told::of(model))
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    owned_by: &'a str,
    created: i64,
}

impl Model<'_> {
    fn of(model: &Visible) -> Model<'_> {
        let Visible { id, created, provider } = model;
        let owned_by = provider.as_ref().map_or(env!("CARGO_PKG_NAME"), |provider| provider.name());
        Model { id, object: "model", owned_by, created: *created }
    }
}

#[derive(Serialize)]
struct Page<'a> {
    data: Vec<Told<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Told<'a> {
    r#type: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: String,
}

impl Told<'_> {
    fn of(model: &Visible) -> Told<'_> {
        let Visible { id, created, .. } = model;
        Told { r#type: "model", id, display_name: id, created_at: date(*created) }
    }
}

/// Seconds since 1970 in the form of RFC 3339, which knows years of four digits only. What is none of them
/// is 1970, which Anthropic's API says of what has no known date.
fn date(seconds: i64) -> String {
    let known = DateTime::from_timestamp(seconds, 0).filter(|at| (0..=9999).contains(&at.year()));
    known.unwrap_or(DateTime::UNIX_EPOCH).to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_rfc_3339() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_686_935_002, "2023-06-16T17:03:22Z"),
            (1_709_210_096, "2024-02-29T12:34:56Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "1970-01-01T00:00:00Z"),
            // Milliseconds.
            (1_686_935_002_000, "1970-01-01T00:00:00Z"),
            (i64::MIN, "1970-01-01T00:00:00Z"),
            (i64::MAX, "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(date(seconds), expected, "{seconds}");
        }
    }
}
