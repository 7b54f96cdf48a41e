//! The report for people: a line of times for each provider, what is wrong beneath it, and what to
//! do. It fits 80 columns.

use std::time::Duration;

use super::record::{tenths, Record, Stage, STAGES};
use super::report::{Report, Told};
use super::text::{clean, columns, wrap};
use super::words::{fill, Code, Status};
use crate::language::{Language, Words};

const COLUMNS_MAX: usize = 80;
/// Columns of a provider's name.
const NAME_COLUMNS: usize = 14;
/// Columns of a time.
const CELL_COLUMNS: usize = 9;
/// The stages that have a column.
const CELLS: [Stage; 7] =
    [Stage::Dns, Stage::Tcp, Stage::Tls, Stage::Http, Stage::Key, Stage::List, Stage::Models];
/// What is told of a provider beside times, as far as it is known.
const DETAILS: [Words; 5] = [
    Words("{base}", "{base}"),
    Words("{way}", "{way}"),
    Words("密钥 {keys}", "keys {keys}"),
    Words("证书 {issuer} 剩 {days} 天", "{issuer}, {days} days left"),
    Words("时钟差 {clock_skew_seconds} 秒", "clock {clock_skew_seconds} s off"),
];
/// The same of its chats.
const CHATS: [Words; 6] = [
    Words("{model}", "{model}"),
    Words("对话 {chat}", "chat {chat}"),
    Words("流式 {stream}，{pieces} 段", "stream {stream}, {pieces} pieces"),
    Words("[DONE]{end}", "[DONE]{end}"),
    Words("有用量{usage}", "usage{usage}"),
    Words("取消 {cancel}", "cancel {cancel}"),
];

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const GREY: &str = "90";
const BOLD: &str = "1";

/// The name of a stage, as it stands above its column.
pub fn stage_name(stage: Stage) -> Words {
    match stage {
        Stage::Config => Words("配置", "config"),
        Stage::Dns => Words("域名", "DNS"),
        Stage::Way => Words("路径", "way"),
        Stage::Tcp => Words("TCP", "TCP"),
        Stage::Tls => Words("TLS", "TLS"),
        Stage::Http => Words("响应", "answer"),
        Stage::Clock => Words("时钟", "clock"),
        Stage::Key => Words("密钥", "key"),
        Stage::List => Words("列表", "list"),
        Stage::Models => Words("模型", "models"),
        Stage::Chat => Words("对话", "chat"),
        Stage::Stream | Stage::End | Stage::Usage => Words("流式", "stream"),
        Stage::Cancel => Words("取消", "cancel"),
    }
}

fn culprit_name(culprit: &'static str) -> &'static str {
    pick(match culprit {
        "key" => Words("密钥", "key"),
        "configuration" => Words("配置", "configuration"),
        "provider" => Words("提供商", "provider"),
        "network" => Words("网络", "network"),
        "machine" => Words("本机", "this machine"),
        other => Words(other, other),
    })
}

struct Page {
    text: String,
    colours: bool,
}

impl Page {
    #[inline(never)]
    fn paint(&mut self, ink: &str, text: &str) {
        let colours = self.colours && !ink.is_empty();
        for part in ["\u{1b}[", ink, "m"].iter().filter(|_| colours) {
            self.text.push_str(part);
        }
        self.text.push_str(text);
        if colours {
            self.text.push_str("\u{1b}[0m");
        }
    }

    #[inline(never)]
    fn spaces(&mut self, count: usize) {
        self.text.extend(std::iter::repeat_n(' ', count));
    }

    fn end_line(&mut self) {
        self.text.push('\n');
    }

    /// Lines that begin beneath each other, the first one behind a mark.
    #[inline(never)]
    fn block(&mut self, indent: usize, (ink, mark): (&str, &str), text: &str) {
        for (number, line) in wrap(text, COLUMNS_MAX - indent - 2).into_iter().enumerate() {
            self.spaces(indent);
            self.paint(ink, if number == 0 { mark } else { " " });
            self.spaces(1);
            self.paint(if ink == GREY { GREY } else { "" }, line);
            self.end_line();
        }
    }

    fn words(&mut self, indent: usize, record: &Record, stage: Stage, code: Code) {
        let [what, advice] = record.words(stage, code, Language::current());
        let mark = match code.row().status {
            // What is only worth knowing has no mark that catches the eye.
            Status::Ok => (BOLD, "·"),
            status => mark(status),
        };
        self.block(indent, mark, &what);
        self.block(indent + 2, (BOLD, "→"), &advice);
    }

    /// A text at the right of its column.
    #[inline(never)]
    fn cell(&mut self, ink: &str, text: &str) {
        self.spaces(CELL_COLUMNS.saturating_sub(columns(text)));
        self.paint(ink, text);
    }
}

#[inline(never)]
fn mark(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Ok => (GREEN, "✓"),
        Status::Warn => (YELLOW, "!"),
        Status::Fail => (RED, "✗"),
        Status::Skipped => (GREY, "–"),
    }
}

/// Of two texts that of the moment's language.
#[inline(never)]
fn pick(words: Words) -> &'static str {
    if Language::current() == Language::Chinese {
        words.0
    } else {
        words.1
    }
}

/// The report as text in the language of the moment.
pub fn render(report: &Report, colours: bool) -> String {
    let mut page = Page { text: String::new(), colours };
    let value = |name: &str| match name {
        "file" => Some(clean(&report.file, 60)),
        _ => Some(report.providers.len().to_string()),
    };
    let title = Words("{file}：{count} 个提供商", "{file}: {count} providers");
    page.paint(BOLD, &fill(pick(title), &value).unwrap_or_default());
    page.text.push_str("\n\n");
    for found in &report.machine {
        page.words(1, &found.record, found.stage, found.code);
        page.end_line();
    }
    if !report.providers.is_empty() {
        page.spaces(3 + NAME_COLUMNS);
        for stage in CELLS {
            page.cell(GREY, pick(stage_name(stage)));
        }
        page.end_line();
    }
    for told in &report.providers {
        show(&mut page, told, report.stages());
    }
    page.end_line();
    summary(&mut page, report);
    page.text
}

fn show(page: &mut Page, told: &Told, stages: usize) {
    let record = &told.record;
    let (ink, sign) = mark(told.status());
    page.spaces(1);
    page.paint(ink, sign);
    page.spaces(1);
    let mut name = clean(&told.name, NAME_COLUMNS - 2);
    while columns(&name) >= NAME_COLUMNS {
        name.pop();
    }
    page.paint(BOLD, &name);
    page.spaces(NAME_COLUMNS.saturating_sub(columns(&name)));
    for stage in CELLS {
        show_cell(page, told, stage);
    }
    page.end_line();
    for parts in [&DETAILS[..], &CHATS] {
        let mut line = String::new();
        for part in parts {
            if let Some(part) = fill(pick(*part), &|name| known(record, name)) {
                if columns(&line) + columns(&part) > COLUMNS_MAX - 6 {
                    page.block(1, (GREY, " "), &line);
                    line.clear();
                }
                line.push_str(if line.is_empty() { "" } else { " · " });
                line.push_str(&part);
            }
        }
        if !line.is_empty() {
            page.block(1, (GREY, " "), &line);
        }
    }
    let mut seen = Vec::new();
    for stage in &STAGES[..stages] {
        let Some(code) = record.code(*stage).filter(|code| !seen.contains(code)) else { continue };
        seen.push(code);
        match told.culprit {
            Some((blamed, _, "machine")) if blamed == *stage as usize => {
                let words = Words("见上：本机的问题。", "See above: this machine.");
                page.block(3, mark(record.status(*stage)), pick(words));
            }
            _ => page.words(3, record, *stage, code),
        }
    }
}

/// What stands in a blank of the details: the time of a stage that is well, or a fact.
fn known(record: &Record, name: &str) -> Option<String> {
    let stage = match name {
        "way" => return record.fact(name).map(|_| pick(Words("直连", "direct")).to_owned()),
        // One that is refused is told of below.
        "days" if record.status(Stage::Tls) == Status::Fail => return None,
        "chat" => Stage::Chat,
        "stream" => Stage::Stream,
        "end" => Stage::End,
        "usage" => Stage::Usage,
        "cancel" => Stage::Cancel,
        name => return record.fact(name),
    };
    let finding = &record.findings.borrow()[stage as usize];
    let is_well = finding.status == Status::Ok && finding.code.is_none();
    let told = if name == "end" || name == "usage" { String::new() } else { time(finding.took) };
    is_well.then_some(told)
}

/// A stage in its column.
fn show_cell(page: &mut Page, told: &Told, stage: Stage) {
    let finding = &told.record.findings.borrow()[stage as usize];
    let (ink, sign) = mark(finding.status);
    let text = match (finding.status, stage) {
        (Status::Skipped, Stage::Key) if !told.has_key => pick(Words("无", "none")).to_owned(),
        (Status::Skipped, _) | (_, Stage::Key) => sign.to_owned(),
        (Status::Fail, _) => format!("{sign} {}", time(finding.took)),
        (_, Stage::Models) => told.record.fact("models").unwrap_or_default(),
        _ => time(finding.took),
    };
    let plain = finding.status == Status::Ok && stage != Stage::Key;
    page.cell(if plain { "" } else { ink }, &text);
}

#[inline(never)]
fn time(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1000.0;
    if ms < 999.5 {
        let digits = usize::from(ms < 9.95);
        format!("{ms:.digits$} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

/// Who is to blame, in one line, and what was not tried.
fn summary(page: &mut Page, report: &Report) {
    let count = report.providers.len();
    let (mut ill, mut bad, mut worst) = (String::new(), 0, Status::Ok);
    for told in &report.providers {
        if let Some((_, _, culprit)) = told.culprit {
            ill.push_str(if bad == 0 { "" } else { ", " });
            ill.push_str(&clean(&told.name, 40));
            ill.push_str(" (");
            ill.push_str(culprit_name(culprit));
            ill.push(')');
            bad += 1;
            worst = if worst == Status::Fail { worst } else { told.status() };
        }
    }
    let words = match (count, bad) {
        (0, _) => Words("providers 为空，没有可以检查的提供商。", "There are no providers."),
        (_, 0) => Words("全部正常，用时 {seconds} 秒。", "All is well ({seconds} s)."),
        _ => Words(
            "{count} 个中有 {bad} 个需要处理，用时 {seconds} 秒：{ill}",
            "{bad} of {count} need a hand ({seconds} s): {ill}",
        ),
    };
    let value = |name: &str| match name {
        "bad" => Some(bad.to_string()),
        "count" => Some(count.to_string()),
        "ill" => Some(ill.clone()),
        _ => Some(tenths(report.took.as_secs_f64())),
    };
    let worst = if count == 0 { Status::Fail } else { worst };
    page.block(1, mark(worst), &fill(pick(words), &value).unwrap_or_default());
    if !report.spend && count > 0 {
        let words = Words(
            "没有尝试对话：加上 --spend，每个提供商约花费三个 token。",
            "Chats were not tried: --spend tries them, for some three tokens each.",
        );
        page.block(1, (GREY, " "), pick(words));
    }
}
