//! `ai_proxy.log`: fern set-up, level changes, re-opening after logrotate. Knows nothing of HTTP.
//!
//! Lines are gathered and written when the event loop is about to sleep, or when many have come:
//! one system call for many requests under load, and at once when there is little to do.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local};
use log::{Level, LevelFilter, Record};

use crate::config::LogLevel;

/// The log's name, in the working directory.
pub const FILE_NAME: &str = "ai_proxy.log";
/// Lines that say the program cannot do its work are logged as errors with this target.
pub const CRITICAL: &str = "critical";
/// More than this is written without waiting.
const GATHERED_BYTES_MAX: usize = 32 * 1024;

static SINK: OnceLock<Sink> = OnceLock::new();
static CRITICAL_ONLY: AtomicBool = AtomicBool::new(false);

struct Sink {
    state: Mutex<State>,
}

struct State {
    file: Option<File>,
    gathered: String,
    stamp: Stamp,
    /// Whether stderr was told that the log cannot be written.
    complained: bool,
    /// Whether the last line stands there in part, for want of room.
    torn: bool,
}

/// The local time to the second, formatted once a second.
#[derive(Default)]
struct Stamp {
    second: u64,
    text: String,
}

/// Opens the log and sets the level.
///
/// # Errors
/// When another logger is set. A file that cannot be opened is said on stderr; the program runs
/// without it.
pub fn init(level: LogLevel) -> Result<(), log::SetLoggerError> {
    let state = State {
        file: None,
        gathered: String::new(),
        stamp: Stamp::default(),
        complained: false,
        torn: false,
    };
    SINK.get_or_init(|| Sink { state: Mutex::new(state) }).reopen();
    fern::Dispatch::new()
        .level(LevelFilter::Trace)
        .filter(|metadata| metadata.target() == CRITICAL || !CRITICAL_ONLY.load(Ordering::Relaxed))
        .chain(fern::Output::call(|record| {
            if let Some(sink) = SINK.get() {
                sink.gather(record);
            }
        }))
        .apply()?;
    set_level(level);
    Ok(())
}

/// Changes the level for the lines that follow.
pub fn set_level(level: LogLevel) {
    CRITICAL_ONLY.store(matches!(level, LogLevel::Critical), Ordering::Relaxed);
    log::set_max_level(match level {
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Warning => LevelFilter::Warn,
        LogLevel::Error | LogLevel::Critical => LevelFilter::Error,
    });
}

/// Writes out what was gathered.
pub fn flush() {
    if let Some(sink) = SINK.get() {
        sink.lock().write_out();
    }
}

/// Opens the file anew, after logrotate renamed the old one.
pub fn reopen() {
    if let Some(sink) = SINK.get() {
        sink.reopen();
    }
}

/// Tells whoever started the program, if anybody still listens: `eprintln!` would panic.
pub fn say_on_stderr(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

impl Sink {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reopen(&self) {
        let mut state = self.lock();
        state.write_out();
        // Appending keeps `copytruncate` right: each write goes to the end, wherever that is.
        match OpenOptions::new().create(true).append(true).open(Path::new(FILE_NAME)) {
            Ok(file) => {
                state.file = Some(file);
                (state.complained, state.torn) = (false, false);
            }
            Err(error) => state.complain(&error),
        }
    }

    fn gather(&self, record: &Record<'_>) {
        let mut state = self.lock();
        let state = &mut *state;
        state.stamp.append(&mut state.gathered, SystemTime::now());
        let _ = write!(state.gathered, " {} {}", name(record), record.args());
        state.gathered.push('\n');
        if state.gathered.len() > GATHERED_BYTES_MAX {
            state.write_out();
        }
    }
}

impl State {
    fn write_out(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let Some(file) = &mut self.file else { return self.gathered.clear() };
        if self.torn {
            self.gathered.insert(0, '\n');
        }
        let mut rest = self.gathered.as_bytes();
        let written = loop {
            match file.write(rest) {
                Ok(count) if count == rest.len() => break Ok(()),
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.torn = rest[count - 1] != b'\n';
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.gathered.clear();
        match written {
            Ok(()) => (self.complained, self.torn) = (false, false),
            Err(error) => self.complain(&error),
        }
    }

    /// Said once for each time: the proxy goes on without its log.
    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            say_on_stderr(&format!(
                "ai_proxy: {FILE_NAME}: 无法写入日志 (cannot write the log): {error}"
            ));
        }
    }
}

impl Stamp {
    fn append(&mut self, line: &mut String, now: SystemTime) {
        let age = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != age.as_secs() || self.text.is_empty() {
            self.second = age.as_secs();
            self.text.clear();
            let local = DateTime::<Local>::from(now);
            let _ = write!(self.text, "{}", local.format("%Y-%m-%d %H:%M:%S"));
        }
        let _ = write!(line, "{},{:03}", self.text, age.subsec_millis());
    }
}

fn name(record: &Record<'_>) -> &'static str {
    match record.level() {
        Level::Error if record.target() == CRITICAL => "CRITICAL",
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    }
}
