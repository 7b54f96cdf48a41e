//! One request, from its head to its line in the log and its counts.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::outcome::Outcome;
use super::stats::Stats;
use crate::language::Language;
use crate::runtime::Clock;
use crate::upstream::Provider;

/// What kind of line a request has in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A chat: a line at the level of its outcome, and counts of its own.
    Chat,
    /// An endpoint of ours: a line at DEBUG.
    Other,
    /// What came is no request: a line at WARNING.
    Refused,
}

/// What is remembered of one request. Closed once, by [`Entry::close`] or, whatever ends the
/// request otherwise, when it is dropped.
pub struct Entry {
    kind: Kind,
    /// The request's id.
    pub id: String,
    peer: SocketAddr,
    /// The description of the client's token, once it was accepted.
    pub client: String,
    /// `provider/model`, once known.
    pub model: String,
    /// The provider that was asked, once known.
    pub provider: Option<Rc<Provider>>,
    /// The status of the head that goes out to the client; 0 while there is none.
    pub status: u16,
    /// Body bytes for the client.
    pub bytes: u64,
    /// Chunks that came from the provider.
    pub chunks: u64,
    /// From the request's head to the response's head.
    first_byte: Option<Duration>,
    /// Whether an idle upstream connection served it.
    reused: Option<bool>,
    /// When its head was complete.
    started: Instant,
    clock: Rc<Clock>,
    stats: Rc<Stats>,
    open: bool,
}

impl Entry {
    /// A request that has just begun; an endpoint's of ours unless [`Entry::begin_chat`] is called.
    pub fn new(id: String, peer: SocketAddr, clock: &Rc<Clock>, stats: &Rc<Stats>) -> Box<Entry> {
        stats.request();
        Box::new(Entry {
            kind: Kind::Other,
            id,
            peer,
            client: String::new(),
            model: String::new(),
            provider: None,
            status: 0,
            bytes: 0,
            chunks: 0,
            first_byte: None,
            reused: None,
            started: clock.real_now(),
            clock: clock.clone(),
            stats: stats.clone(),
            open: true,
        })
    }

    /// Takes note that a chat is asked for.
    pub fn begin_chat(&mut self) {
        self.kind = Kind::Chat;
    }

    /// Takes note that what came is no request.
    pub fn mark_refused(&mut self) {
        self.kind = Kind::Refused;
    }

    /// Takes note that the head of a provider's response has come.
    pub fn note_provider_head(&mut self, reused: bool) {
        self.first_byte = Some(self.clock.real_now().saturating_duration_since(self.started));
        self.reused = Some(reused);
    }

    /// Writes the request's line and counts it.
    pub fn close(&mut self, outcome: &Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: &Outcome) {
        self.open = false;
        self.status = outcome.status().unwrap_or(self.status);
        // What the provider said, which the client may have been told in an event only.
        let provider_status = match outcome {
            Outcome::Refused(status) => *status,
            _ => self.status,
        };
        match self.kind {
            Kind::Chat => self.finish_chat(outcome, provider_status),
            Kind::Other => self.finish_other(outcome),
            Kind::Refused => {
                let Labels { request, client, refused, .. } = Labels::current();
                log::warn!("{request}{}{client}{}{refused}{outcome}", self.id, self.peer);
                self.finish_other(outcome);
            }
        }
    }

    fn finish_chat(&self, outcome: &Outcome, provider_status: u16) {
        let level = outcome.level(provider_status);
        if log::log_enabled!(level) {
            log::log!(level, "{}", Line { entry: self, outcome });
        }
        self.stats.chat(self.bytes, self.chunks);
        if let Some((kind, named)) = outcome.counter(provider_status) {
            let provider = self.provider.as_ref().filter(|_| named);
            self.stats.error(provider.map_or("", |provider| provider.name()), kind);
        }
        if matches!(outcome, Outcome::Failed(_)) {
            self.log_status();
        }
    }

    fn finish_other(&self, outcome: &Outcome) {
        match outcome {
            // Nothing was sent to it.
            Outcome::ClientGone if self.status == 0 => return self.stats.error("", "client_gone"),
            Outcome::Failed(error) => self.stats.error("", error.kind()),
            _ => {}
        }
        if self.kind == Kind::Other {
            self.log_status();
        }
    }

    fn log_status(&self) {
        let Labels { request, client, status, .. } = Labels::current();
        log::debug!("{request}{}{client}{}{status}{}", self.id, self.peer, self.status);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.open {
            let panics = std::thread::panicking();
            self.finish(if panics { &Outcome::Panicked } else { &Outcome::Stopped });
        }
    }
}

/// What stands before and behind the values of a line.
struct Labels {
    request: &'static str,
    client: &'static str,
    refused: &'static str,
    model: &'static str,
    provider: &'static str,
    status: &'static str,
    size: &'static str,
    bytes: &'static str,
    chunks: &'static str,
    first_byte: &'static str,
    /// New, reused.
    connection: [&'static str; 2],
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
    end: " end: ",
    duration: " duration: ",
    seconds: " s",
};

impl Labels {
    fn current() -> &'static Labels {
        match Language::current() {
            Language::English => &ENGLISH,
            Language::Both | Language::Chinese => &CHINESE,
        }
    }
}

struct Line<'a> {
    entry: &'a Entry,
    outcome: &'a Outcome,
}

// Piece by piece: `write!` would take half as long again as all else that INFO costs.
impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entry, labels) = (self.entry, Labels::current());
        f.write_str(labels.request)?;
        f.write_str(&entry.id)?;
        f.write_str(labels.client)?;
        if !entry.client.is_empty() {
            Plain(&entry.client).fmt(f)?;
            f.write_str("@")?;
        }
        write_address(f, entry.peer)?;
        if !entry.model.is_empty() {
            f.write_str(labels.model)?;
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

#[cfg(test)]
mod tests;
