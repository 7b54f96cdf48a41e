//! A request's line in the log.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::Duration;

use super::Entry;
use crate::language::Language;
use crate::report::outcome::Outcome;

/// What stands before and behind the values of a line.
pub(super) struct Labels {
    pub(super) request: &'static str,
    pub(super) client: &'static str,
    pub(super) refused: &'static str,
    model: &'static str,
    provider: &'static str,
    pub(super) status: &'static str,
    size: &'static str,
    bytes: &'static str,
    chunks: &'static str,
    first_byte: &'static str,
    /// New, reused.
    connection: [&'static str; 2],
    attempts: &'static str,
    end: &'static str,
    duration: &'static str,
    seconds: &'static str,
}

const CHINESE: Labels = Labels {
    request: "请求 ",
    client: " 客户端: ",
    refused: " 请求被拒绝: ",
    model: " 模型: ",
    provider: " 提供商: ",
    status: " 状态: ",
    size: " 大小: ",
    bytes: " 字节",
    chunks: " 数据块: ",
    first_byte: " 首字节: ",
    connection: [" 连接: 新建", " 连接: 复用"],
    attempts: " 尝试: ",
    end: " 结束: ",
    duration: " 耗时: ",
    seconds: " 秒",
};

const ENGLISH: Labels = Labels {
    request: "request ",
    client: " client: ",
    refused: " refused: ",
    model: " model: ",
    provider: " provider: ",
    status: " status: ",
    size: " size: ",
    bytes: " bytes",
    chunks: " chunks: ",
    first_byte: " first byte: ",
    connection: [" connection: new", " connection: reused"],
    attempts: " attempts: ",
    end: " end: ",
    duration: " duration: ",
    seconds: " s",
};

impl Labels {
    pub(super) fn current() -> &'static Labels {
        match Language::current() {
            Language::English => &ENGLISH,
            Language::Both | Language::Chinese => &CHINESE,
        }
    }
}

/// The line of a chat.
pub(super) struct Line<'a> {
    pub(super) entry: &'a Entry,
    pub(super) outcome: &'a Outcome,
}

// Piece by piece: `write!` would take half as long again as all else that INFO costs.
impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entry, labels) = (self.entry, Labels::current());
        f.write_str(labels.request)?;
        f.write_str(&entry.id)?;
        f.write_str(labels.client)?;
        if let Some(client) = entry.client.as_deref().filter(|client| !client.is_empty()) {
            Plain(client).fmt(f)?;
            f.write_str("@")?;
        }
        write_address(f, entry.peer)?;
        if !entry.model.is_empty() {
            f.write_str(labels.model)?;
            if let Some(asked) = entry.way.as_ref().and_then(|way| way.asked.as_deref()) {
                write!(f, "{} → ", Plain(asked))?;
            }
            Plain(&entry.model).fmt(f)?;
        }
        if let Some(provider) = &entry.provider {
            f.write_str(labels.provider)?;
            f.write_str(provider.name())?;
        }
        f.write_str(labels.status)?;
        write_number(f, entry.status.into())?;
        f.write_str(labels.size)?;
        write_number(f, entry.bytes)?;
        f.write_str(labels.bytes)?;
        if entry.chunks > 0 {
            f.write_str(labels.chunks)?;
            write_number(f, entry.chunks)?;
        }
        if let Some(first_byte) = entry.first_byte {
            f.write_str(labels.first_byte)?;
            write_seconds(f, first_byte, labels)?;
        }
        if let Some(reused) = entry.reused {
            f.write_str(labels.connection[usize::from(reused)])?;
        }
        if let Some(way) = entry.way.as_ref().filter(|way| !way.trail.is_empty()) {
            f.write_str(labels.attempts)?;
            f.write_str(&way.trail)?;
        }
        f.write_str(labels.end)?;
        match self.outcome {
            Outcome::Failed(error) => Plain(&error.to_string()).fmt(f)?,
            outcome => outcome.fmt(f)?,
        }
        f.write_str(labels.duration)?;
        write_seconds(f, entry.clock.real_now().saturating_duration_since(entry.started), labels)
    }
}

fn write_number(f: &mut fmt::Formatter<'_>, number: u64) -> fmt::Result {
    f.write_str(itoa::Buffer::new().format(number))
}

/// Seconds with three decimals: `0.532 秒`.
fn write_seconds(f: &mut fmt::Formatter<'_>, length: Duration, labels: &Labels) -> fmt::Result {
    write_number(f, length.as_secs())?;
    let milliseconds = length.subsec_millis();
    f.write_str(match milliseconds {
        0..10 => ".00",
        10..100 => ".0",
        _ => ".",
    })?;
    write_number(f, milliseconds.into())?;
    f.write_str(labels.seconds)
}

fn write_address(f: &mut fmt::Formatter<'_>, address: SocketAddr) -> fmt::Result {
    let SocketAddr::V4(address) = address else { return address.fmt(f) };
    for (index, octet) in address.ip().octets().into_iter().enumerate() {
        f.write_str(if index > 0 { "." } else { "" })?;
        write_number(f, octet.into())?;
    }
    f.write_str(":")?;
    write_number(f, address.port().into())
}

/// Characters of a text from outside.
const SHOWN_MAX: usize = 400;

/// Text from outside: one line, of limited length.
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Usual names are written in one step.
        if self.0.len() <= SHOWN_MAX && !self.0.contains(char::is_control) {
            return f.write_str(self.0);
        }
        for character in self.0.chars().take(SHOWN_MAX) {
            let shown = if character.is_control() { '?' } else { character };
            fmt::Write::write_char(f, shown)?;
        }
        Ok(())
    }
}
