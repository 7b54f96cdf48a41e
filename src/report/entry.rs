//! What is remembered of one request for its line in the log.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::report::error::Error;
use crate::runtime::timer::Wait;

/// How a request ended.
#[derive(Debug)]
pub enum Ending {
    /// Not yet, or by an error of ours that was answered as such.
    Open,
    /// The whole answer went out.
    Complete,
    /// The client left before that.
    ClientGone,
    /// The client stopped reading.
    ClientSlow(Wait),
    /// The provider broke off after the head was out.
    Cut(Error),
    /// The provider refused with this status after a head of ours was out.
    Refused(u16),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Open => f.write_str("出错 (error)"),
            Ending::Complete => f.write_str("完成 (complete)"),
            Ending::ClientGone => f.write_str("客户端断开 (client gone)"),
            Ending::ClientSlow(wait) => {
                write!(f, "客户端不读取 (client timed out after {} s)", wait.length.as_secs_f64())
            }
            Ending::Cut(Error::UpstreamTimeout { wait, .. }) => {
                write!(f, "上游超时 (timed out: {}, {} s)", wait.label, wait.length.as_secs_f64())
            }
            Ending::Refused(status) => write!(
                f,
                "提前响应后上游拒绝: 状态 {status} (refused with status {status} after an early 200)"
            ),
            Ending::Cut(cause) => write!(f, "上游中断 (cut by provider: {cause})"),
        }
    }
}

/// One request, as the log will tell it.
pub struct Record {
    /// The request's id.
    pub id: String,
    /// Where it came from.
    pub peer: SocketAddr,
    /// The description of the client's token, once it was accepted.
    pub client: String,
    /// `provider/model`, once known.
    pub model: String,
    /// The provider's name, once known.
    pub provider: String,
    /// The status the client got; 0 when it got none.
    pub status: u16,
    /// Body bytes that went to the client.
    pub bytes: u64,
    /// Chunks that came from the provider.
    pub chunks: u64,
    /// From the request's head to the answer's head.
    pub first_byte: Option<Duration>,
    /// Whether an idle upstream connection served it.
    pub reused: Option<bool>,
    /// How it ended.
    pub ending: Ending,
    /// When its head was complete.
    pub started: Instant,
}

impl Record {
    /// A request that has just begun.
    pub fn new(id: String, peer: SocketAddr, started: Instant) -> Record {
        Record {
            id,
            peer,
            client: String::new(),
            model: String::new(),
            provider: String::new(),
            status: 0,
            bytes: 0,
            chunks: 0,
            first_byte: None,
            reused: None,
            ending: Ending::Open,
            started,
        }
    }

    /// Takes note of an answer's head that came `now`.
    pub fn answered(&mut self, status: u16, reused: bool, now: Instant) {
        self.status = status;
        self.first_byte = Some(now.saturating_duration_since(self.started));
        self.reused = Some(reused);
    }

    /// What the provider said, which the client may have been told in an event only.
    pub fn provider_status(&self) -> u16 {
        match self.ending {
            Ending::Refused(status) => status,
            _ => self.status,
        }
    }

    /// Writes the request's line. Its level is that of what happened.
    pub fn log(&self, error: Option<&Error>, now: Instant) {
        let level = match (error, &self.ending) {
            (Some(Error::ClientGone), _) => log::Level::Info,
            (Some(error), _) if error.status().is_some_and(|status| status >= 500) => {
                log::Level::Error
            }
            (Some(_), _) | (None, Ending::ClientSlow(_)) => log::Level::Warn,
            (None, Ending::Cut(_)) => log::Level::Error,
            // The provider's own errors: relayed as they are, and worth finding.
            (None, _) if self.provider_status() >= 500 => log::Level::Error,
            (None, _) if self.provider_status() >= 400 => log::Level::Warn,
            (None, _) => log::Level::Info,
        };
        if log::log_enabled!(level) {
            log::log!(level, "{}", Line { record: self, error, now });
        }
    }
}

struct Line<'a> {
    record: &'a Record,
    error: Option<&'a Error>,
    now: Instant,
}

// Piece by piece: `write!` would take half as long again as all else that INFO costs.
impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record;
        f.write_str("请求 ")?;
        f.write_str(&record.id)?;
        f.write_str(" 客户端: ")?;
        if !record.client.is_empty() {
            Plain(&record.client).fmt(f)?;
            f.write_str("@")?;
        }
        write_address(f, record.peer)?;
        if !record.model.is_empty() {
            f.write_str(" 模型: ")?;
            Plain(&record.model).fmt(f)?;
        }
        if !record.provider.is_empty() {
            f.write_str(" 提供商: ")?;
            f.write_str(&record.provider)?;
        }
        f.write_str(" 状态: ")?;
        write_number(f, record.status.into())?;
        f.write_str(" 大小: ")?;
        write_number(f, record.bytes)?;
        f.write_str(" 字节")?;
        if record.chunks > 0 {
            f.write_str(" 数据块: ")?;
            write_number(f, record.chunks)?;
        }
        if let Some(first_byte) = record.first_byte {
            f.write_str(" 首字节: ")?;
            write_seconds(f, first_byte)?;
        }
        if let Some(reused) = record.reused {
            f.write_str(if reused { " 连接: 复用" } else { " 连接: 新建" })?;
        }
        f.write_str(" 结束: ")?;
        match self.error {
            Some(Error::ClientGone) => Ending::ClientGone.fmt(f)?,
            Some(error) => Plain(&error.to_string()).fmt(f)?,
            None => record.ending.fmt(f)?,
        }
        f.write_str(" 耗时: ")?;
        write_seconds(f, self.now.saturating_duration_since(record.started))
    }
}

fn write_number(f: &mut fmt::Formatter<'_>, number: u64) -> fmt::Result {
    f.write_str(itoa::Buffer::new().format(number))
}

/// Seconds with three decimals: `0.532 秒`.
fn write_seconds(f: &mut fmt::Formatter<'_>, length: Duration) -> fmt::Result {
    write_number(f, length.as_secs())?;
    let milliseconds = length.subsec_millis();
    f.write_str(match milliseconds {
        0..10 => ".00",
        10..100 => ".0",
        _ => ".",
    })?;
    write_number(f, milliseconds.into())?;
    f.write_str(" 秒")
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
