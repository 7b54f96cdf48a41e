//! Every number that was taken, and the two statistics that are made of them.

use std::collections::BTreeMap;

use crate::bars::ROWS;

/// Every number taken: by measure, by subject, in order of time.
#[derive(Default)]
pub struct Samples(BTreeMap<(&'static str, String), Vec<f64>>);

impl Samples {
    /// Notes one number.
    pub fn add(&mut self, key: &'static str, subject: &str, value: f64) {
        debug_assert!(ROWS.iter().any(|row| row.key == key), "{key} has no row");
        self.0.entry((key, subject.to_owned())).or_default().push(value);
    }

    /// The numbers of one measure and subject, in order of time.
    pub fn of(&self, key: &'static str, subject: &str) -> &[f64] {
        self.0.get(&(key, subject.to_owned())).map_or(&[], Vec::as_slice)
    }
}

/// The value that `percent` of the latencies do not exceed, in ns.
pub fn percentile(latencies: &mut [u32], percent: usize) -> f64 {
    latencies.sort_unstable();
    latencies
        .get((latencies.len() * percent / 100).min(latencies.len().saturating_sub(1)))
        .map_or(f64::NAN, |ns| f64::from(*ns))
}

/// The middle of the values; `None` when there are none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}
