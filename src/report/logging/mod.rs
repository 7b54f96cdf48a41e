//! `ai_proxy.log`: fern set-up, level changes, re-opening after logrotate.
//!
//! Lines are gathered in memory, and a thread of its own writes them: nothing else waits for a disk
//! or a pipe. It is woken when the event loop is about to sleep, or when many have come, and then
//! writes together what comes within some milliseconds: few system calls for many requests under
//! load, and a line at once when there is little to do.

mod outlet;
mod sink;
mod stamp;
mod writer;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use log::{Level, LevelFilter, Record};
use signal_hook::consts::SIGXFSZ;

use crate::config::LogLevel;
use crate::language::{Language, System};
use crate::text;
use sink::{Orders, Sink};

pub use outlet::tell;

/// The log's name, in the working directory.
pub const FILE_NAME: &str = "ai_proxy.log";
/// Lines that say the program cannot do its work are logged as errors with this target.
pub const CRITICAL: &str = "critical";
/// A standard stream that takes nothing for so long is not waited for.
pub const PATIENCE: Duration = Duration::from_secs(1);

static SINK: OnceLock<Sink> = OnceLock::new();
static CRITICAL_ONLY: AtomicBool = AtomicBool::new(false);

/// Starts what writes the log, and sets the level. A file that cannot be opened is said on stderr;
/// the program runs without it.
///
/// # Errors
/// When another logger is set.
pub fn init(level: LogLevel) -> Result<(), log::SetLoggerError> {
    fern::Dispatch::new()
        .level(LevelFilter::Trace)
        .filter(|metadata| metadata.target() == CRITICAL || !CRITICAL_ONLY.load(Ordering::Relaxed))
        .chain(fern::Output::call(|record| {
            if let Some(sink) = SINK.get() {
                sink.gather(name(record), record.args());
            }
        }))
        .apply()?;
    // A log over the process's limit of file sizes (setrlimit(2)) is a full disk, and no reason to
    // be killed. Where this cannot be had, it is as the system has it.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    let sink = SINK.get_or_init(Sink::new);
    if let Err(error) = writer::start(sink) {
        let error = System(&error);
        say_on_stderr(&text!(
            "ai_proxy: {FILE_NAME}: 没有写日志的线程，写入可能阻塞: {error}",
            "ai_proxy: {FILE_NAME}: no thread for the log, writing it may block: {error}"
        ));
        writer::write_in_place(sink, Path::new(FILE_NAME));
    }
    set_level(level);
    Ok(())
}

/// The log's name, if it can be written as things are.
pub fn name_if_writable() -> Option<&'static str> {
    outlet::Outlet::open(Path::new(FILE_NAME)).ok().map(|_| FILE_NAME)
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

/// Has what was gathered written out, without waiting for it.
pub fn flush() {
    if let Some(sink) = SINK.get() {
        sink.flush();
    }
}

/// Waits until all is written, for a second at most: for the end of the program.
pub fn finish() {
    if let Some(sink) = SINK.get() {
        sink.finish();
    }
}

/// Opens the file anew, after logrotate renamed the old one.
pub fn reopen() {
    if let Some(sink) = SINK.get() {
        sink.order(Orders { reopen: true, at_once: true });
    }
}

/// Says something on standard error in the terminal's language, if it can be written: `eprintln!` would
/// panic where it cannot, and wait for ever for a pipe that is full.
pub fn say_on_stderr(message: &dyn fmt::Display) {
    let line = Language::of_terminal().speak(|| format!("{message}\n"));
    let _ = tell(io::stderr(), &line, PATIENCE);
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
