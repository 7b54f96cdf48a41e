//! The report for programs: one line of JSON with both languages in it. Names and codes stay as they
//! are; new ones may come.

use std::time::Duration;

use super::record::{Record, Stage, NAMES, STAGES};
use super::report::{Report, Told};
use super::words::{Code, Status};
use crate::language::Language::{Chinese, English};

/// Changes when something is taken away or means something else.
const VERSION: &str = "1";

/// A document that is written.
struct Json(String);

impl Json {
    /// The name of what follows, within an object or, if it is empty, within an array.
    #[inline(never)]
    fn name(&mut self, name: &str) {
        if !self.0.ends_with(['{', '[']) && !self.0.is_empty() {
            self.0.push(',');
        }
        if !name.is_empty() {
            self.text(name);
            self.0.push(':');
        }
    }

    #[inline(never)]
    fn text(&mut self, text: &str) {
        self.0.push_str(&crate::report::to_json(&text));
    }

    #[inline(never)]
    fn member(&mut self, name: &str, text: &str) {
        self.name(name);
        self.text(text);
    }

    /// A number, a truth, or nothing.
    #[inline(never)]
    fn raw(&mut self, name: &str, value: &str) {
        self.name(name);
        self.0.push_str(value);
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.raw(name, if value { "true" } else { "false" });
    }

    /// Milliseconds with one digit behind the point.
    #[inline(never)]
    fn milliseconds(&mut self, took: Duration) {
        self.raw("ms", &format!("{:.1}", took.as_secs_f64() * 1000.0));
    }

    /// What is wrong, and what to do.
    #[inline(never)]
    fn words(&mut self, record: &Record, stage: Stage, code: Code) {
        let chinese = record.words(stage, code, Chinese);
        let english = record.words(stage, code, English);
        for (index, name) in ["what", "advice"].into_iter().enumerate() {
            self.raw(name, "{");
            self.member("zh", &chinese[index]);
            self.member("en", &english[index]);
            self.0.push('}');
        }
    }
}

/// The report as one line.
pub fn render(report: &Report) -> String {
    let mut json = Json(String::new());
    json.raw("", "{");
    json.raw("doctor", VERSION);
    json.member("configuration", &report.file);
    json.flag("spend", report.spend);
    json.flag("ok", report.is_well());
    json.milliseconds(report.took);
    json.raw("machine", "[");
    for found in &report.machine {
        json.raw("", "{");
        json.member("code", found.code.row().name);
        json.raw("providers", "[");
        for index in &found.shown_by {
            json.member("", &report.providers[*index].name);
        }
        json.0.push(']');
        json.words(&found.record, found.stage, found.code);
        json.0.push('}');
    }
    json.0.push(']');
    json.raw("providers", "[");
    for told in &report.providers {
        provider(&mut json, told, report.stages());
    }
    json.0.push_str("]}\n");
    json.0
}

fn provider(json: &mut Json, told: &Told, stages: usize) {
    json.raw("", "{");
    json.member("provider", &told.name);
    json.member("key", if told.has_key { "set" } else { "none" });
    json.flag("ok", told.culprit.is_none());
    match told.culprit {
        None => json.raw("culprit", "null"),
        Some((stage, code, is)) => {
            json.raw("culprit", "{");
            json.member("stage", NAMES[stage]);
            json.member("code", code.row().name);
            json.member("is", is);
            json.0.push('}');
        }
    }
    json.raw("stages", "[");
    for stage in &STAGES[..stages] {
        let finding = &told.record.findings.borrow()[*stage as usize];
        json.raw("", "{");
        json.member("stage", NAMES[*stage as usize]);
        json.member("status", finding.status.name());
        match finding.status {
            Status::Skipped => json.raw("ms", "null"),
            _ => json.milliseconds(finding.took),
        }
        match finding.code {
            None => json.raw("code", "null"),
            Some(code) => {
                json.member("code", code.row().name);
                json.member("said", &finding.said);
                if !finding.keys.is_empty() {
                    json.member("keys", &finding.keys);
                }
                json.words(&told.record, *stage, code);
            }
        }
        json.0.push('}');
    }
    json.0.push(']');
    json.raw("facts", "{");
    for (name, text, is_number) in told.record.facts.borrow().iter() {
        if *is_number {
            json.raw(name, text);
        } else {
            json.member(name, text);
        }
    }
    json.0.push_str("}}");
}
