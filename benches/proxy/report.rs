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
    others: Vec<Other>,
}

/// What another subject needed.
struct Other {
    name: String,
    median: Option<f64>,
    /// Median of the rounds' ratios, ours to its: both had the same weather within a round.
    ratio: Option<f64>,
}

impl Line {
    fn of(row: &'static Row, samples: &Samples, names: &[&str]) -> Option<Line> {
        let ours = samples.of(row.key, names[0]);
        let other = |name: &&str| {
            let theirs = samples.of(row.key, name);
            let ratios: Vec<f64> =
                ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
            Other { name: (*name).to_owned(), median: median(theirs), ratio: median(&ratios) }
        };
        Some(Line { row, ours: median(ours)?, others: names[1..].iter().map(other).collect() })
    }

    fn ratio_to(&self, name: &str) -> Option<f64> {
        self.others.iter().find(|other| other.name == name)?.ratio
    }

    fn bars(&self) -> Option<(f64, f64)> {
        match self.row.judge {
            Judge::Not => None,
            Judge::AtMost(bar, stretch)
            | Judge::RatioAtMost(_, bar, stretch)
            | Judge::RatioAtLeast(_, bar, stretch) => Some((bar, stretch)),
        }
    }

    /// `PASS+` reaches the stretch; empty where there is nothing to judge or to compare with.
    fn verdict(&self) -> &'static str {
        let (value, at_least) = match self.row.judge {
            Judge::Not => (None, false),
            Judge::AtMost(..) => (Some(self.ours), false),
            Judge::RatioAtMost(name, ..) => (self.ratio_to(name), false),
            Judge::RatioAtLeast(name, ..) => (self.ratio_to(name), true),
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

    fn bar_text(&self) -> String {
        match self.row.judge {
            Judge::Not => String::new(),
            Judge::AtMost(bar, stretch) => format!("≤ {bar}, {stretch}"),
            Judge::RatioAtMost(name, bar, stretch) => format!("≤ {bar}, {stretch} × {name}"),
            Judge::RatioAtLeast(name, bar, stretch) => format!("≥ {bar}, {stretch} × {name}"),
        }
    }
}

fn lines(samples: &Samples, names: &[&str]) -> Vec<Line> {
    ROWS.iter().filter_map(|row| Line::of(row, samples, names)).collect()
}

/// One table on standard output; `streams` is what stands for 10,000 streams here.
pub fn print(samples: &Samples, names: &[&str], streams: usize) {
    let others: String =
        names[1..].iter().map(|name| format!(" {name:>11} {:>7}", "ratio")).collect();
    println!("{:<52} {:>11}{others}  bar, stretch", "", names[0]);
    for line in lines(samples, names) {
        let number = |value: f64| format!("{value:.*}", line.row.decimals);
        let others: String = line
            .others
            .iter()
            .map(|other| {
                let median = other.median.map_or("-".to_owned(), number);
                let ratio = other.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}×"));
                format!(" {median:>11} {ratio:>7}")
            })
            .collect();
        println!(
            "{:<52} {:>11}{others}  {:<22} {}",
            line.row.title,
            number(line.ours),
            line.bar_text(),
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
            let medians: BTreeMap<&str, Option<f64>> = line.others.iter().map(|other| (&*other.name, other.median)).collect();
            let ratios: BTreeMap<&str, Option<f64>> = line.others.iter().map(|other| (&*other.name, other.ratio)).collect();
            json!({
                "key": line.row.key, "title": line.row.title.trim(), "samples": all, "median": line.ours,
                "other_medians": medians, "ratios": ratios, "bar": line.bars().map(|bars| bars.0),
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
