//! Medians, ratios and the table they stand in.

/// Turns that each side gets, unless `--rounds` says otherwise.
pub const ROUNDS: usize = 5;

/// The middle of the values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// One row: what was measured, a value per round for the crate and for us.
pub struct Row {
    /// What was measured, with its unit.
    pub what: String,
    /// The crate's, round by round.
    pub crates: Vec<f64>,
    /// Ours, round by round.
    pub ours: Vec<f64>,
}

impl Row {
    /// A row that is still empty.
    pub fn new(what: impl Into<String>) -> Row {
        Row { what: what.into(), crates: Vec::new(), ours: Vec::new() }
    }
}

/// Prints the rows as a table in Markdown. The ratio is the median of the rounds' ratios.
pub fn print(crates: &str, rows: &[Row]) {
    println!("\n| what | {crates} | ours | {crates} / ours |\n| --- | --- | --- | --- |");
    for row in rows {
        let ratios: Vec<f64> =
            row.crates.iter().zip(&row.ours).map(|(theirs, ours)| theirs / ours).collect();
        let cells = [median(&row.crates), median(&row.ours), median(&ratios)].map(number);
        println!("| {} | {} |", row.what, cells.join(" | "));
    }
}

/// Three digits that count; nothing where there is no number.
fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        large if large >= 100.0 => format!("{value:.0}"),
        middling if middling >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
