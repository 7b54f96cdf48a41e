//! What the numbers mean: medians, ratios, verdicts, the table and the JSON.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde_json::{json, Value};

use crate::bars::{Judge, Row, ROWS};
use crate::samples::{median, Samples};

/// A row with its numbers.
struct Line {
    row: &'static Row,
    ours: f64,
    theirs: Option<f64>,
    /// Median of the rounds' ratios: both had the same weather within a round.
    ratio: Option<f64>,
    /// The ratio is one with nginx, for which the bars were made.
    judged: bool,
}

impl Line {
    fn of(row: &'static Row, samples: &Samples, names: &[&str]) -> Option<Line> {
        let ours = samples.of(row.key, names[0]);
        let theirs = names.get(1).map_or(&[][..], |name| samples.of(row.key, name));
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        Some(Line {
            row,
            ours: median(ours)?,
            theirs: median(theirs),
            ratio: median(&ratios),
            judged: names.get(1) == Some(&"nginx"),
        })
    }

    fn bars(&self) -> Option<(f64, f64)> {
        match self.row.judge {
            Judge::Not => None,
            Judge::AtMost(bar, stretch)
            | Judge::RatioAtMost(bar, stretch)
            | Judge::RatioAtLeast(bar, stretch) => Some((bar, stretch)),
        }
    }

    /// `PASS+` reaches the stretch; empty where there is nothing to judge or to compare with.
    fn verdict(&self) -> &'static str {
        let (value, at_least) = match self.row.judge {
            Judge::Not => (None, false),
            Judge::AtMost(..) => (Some(self.ours), false),
            Judge::RatioAtMost(..) => (self.ratio.filter(|_| self.judged), false),
            Judge::RatioAtLeast(..) => (self.ratio.filter(|_| self.judged), true),
        };
        let (Some(value), Some((bar, stretch))) = (value, self.bars()) else {
            return "";
        };
        let reaches = |limit: f64| {
            if at_least {
                value >= limit
            } else {
                value <= limit
            }
        };
        match (reaches(stretch), reaches(bar)) {
            (true, _) => "PASS+",
            (_, true) => "PASS",
            _ => "MISS",
        }
    }

    fn bar_texts(&self) -> (String, String) {
        let Some((bar, stretch)) = self.bars() else {
            return Default::default();
        };
        match self.row.judge {
            Judge::RatioAtLeast(..) => (format!("≥ {bar}×"), format!("≥ {stretch}×")),
            Judge::RatioAtMost(..) => (format!("≤ {bar}×"), format!("≤ {stretch}×")),
            _ => (format!("≤ {bar}"), format!("≤ {stretch}")),
        }
    }
}

fn lines(samples: &Samples, names: &[&str]) -> Vec<Line> {
    ROWS.iter().filter_map(|row| Line::of(row, samples, names)).collect()
}

/// One table on standard output; `streams` is what stands for 10,000 streams here.
pub fn print(samples: &Samples, names: &[&str], streams: usize) {
    let other = names.get(1).copied().unwrap_or("-");
    println!(
        "{:<52} {:>11} {:>11} {:>7} {:>8} {:>8}",
        "", names[0], other, "ratio", "bar", "stretch"
    );
    for line in lines(samples, names) {
        let number = |value: Option<f64>| {
            value.map_or("-".to_owned(), |value| format!("{value:.*}", line.row.decimals))
        };
        let ratio = line.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}×"));
        let (bar, stretch) = line.bar_texts();
        let (ours, theirs) = (number(Some(line.ours)), number(line.theirs));
        println!(
            "{:<52} {ours:>11} {theirs:>11} {ratio:>7} {bar:>8} {stretch:>8} {}",
            line.row.title,
            line.verdict()
        );
    }
    if streams < 10_000 {
        println!("The limit of open files allows {streams} streams instead of 10,000.");
    }
}

/// Everything, samples included, into `bench.json` of the target directory.
pub fn write_json(
    samples: &Samples,
    names: &[&str],
    streams: usize,
    rounds: usize,
) -> io::Result<()> {
    let measures: Vec<Value> = lines(samples, names)
        .iter()
        .map(|line| {
            let all: BTreeMap<&str, &[f64]> = names.iter().map(|name| (*name, samples.of(line.row.key, name))).collect();
            json!({
                "key": line.row.key, "title": line.row.title.trim(), "samples": all, "median": line.ours,
                "other_median": line.theirs, "ratio": line.ratio, "bar": line.bars().map(|bars| bars.0),
                "stretch": line.bars().map(|bars| bars.1), "verdict": line.verdict(),
            })
        })
        .collect();
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo").lines().find_map(|line| {
        Some(line.strip_prefix("model name")?.trim_matches([' ', '\t', ':']).to_owned())
    });
    let report = json!({
        "subjects": names, "rounds": rounds, "streams_max": streams, "cpu": cpu,
        "kernel": read("/proc/sys/kernel/osrelease").trim(), "measures": measures,
    });
    // Cargo's scratch directory for benches stands in the target directory.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("."));
    let file = target.join("bench.json");
    fs::write(&file, format!("{report:#}\n"))?;
    println!("All samples: {}", file.display());
    Ok(())
}
