//! Writes the log, in a thread of its own: the only place that may wait for it.
//!
//! ```text
//! Rest ──▶ a buffer is taken ──▶ it is written ──▶ Rest
//!               │    ▲
//!               ▼    │ room; a second; an order
//!           Full, Broken
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::language::{Language, System};
use crate::text;

use super::outlet::{tell, Identity, Outlet};
use super::sink::{Orders, Sink, GATHERED_BYTES_MAX};
use super::stamp::Stamp;
use super::FILE_NAME;

/// What cannot be written is tried again after this; so long at most an order waits for a pipe.
const RETRY: Duration = Duration::from_secs(1);
/// Whether the file was removed is looked at no more often.
const LOOK: Duration = Duration::from_secs(1);
/// So long the start of the program waits for the file to be opened.
const OPEN_MAX: Duration = Duration::from_millis(250);
/// Pages that are not touched cost nothing.
const STACK_BYTES: usize = 128 * 1024;

/// The file and what is on its way there.
pub(super) struct Writer {
    path: PathBuf,
    outlet: Option<Outlet>,
    /// When to open the file anew; what is open is used until that succeeds.
    open_at: Option<Instant>,
    /// Nothing is tried before.
    retry_at: Option<Instant>,
    looked_at: Option<Instant>,
    /// Whole lines, taken from the sink.
    taken: String,
    /// So many bytes of them are written.
    done: usize,
    /// The file that they were written to.
    place: Option<Identity>,
    /// Whether stderr was told that the log cannot be written.
    reported: bool,
    stamp: Stamp,
}

/// What to wait for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// All is written: for more lines.
    Rest,
    /// For room in a pipe or terminal.
    Full,
    /// For better times.
    Broken,
}

/// Starts the thread, and waits a moment until it has opened the file: what comes next may want to
/// know of it. A file that keeps the thread longer, on a mount that hangs, is left to it.
///
/// # Errors
/// When the system has no thread to give.
pub(super) fn start(sink: &'static Sink) -> io::Result<()> {
    let (sender, opened) = channel();
    let thread = thread::Builder::new().name("log".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(move || Writer::new(Path::new(FILE_NAME)).run(sink, sender))?;
    let _ = opened.recv_timeout(OPEN_MAX);
    Ok(())
}

/// Has lines written where they are flushed: without a thread.
pub(super) fn write_in_place(sink: &Sink, path: &Path) {
    let mut writer = Writer::new(path);
    sink.write_in_place(Box::new(move |sink| {
        writer.step(sink);
    }));
}

impl Writer {
    pub(super) fn new(path: &Path) -> Writer {
        Writer {
            path: path.to_owned(),
            outlet: None,
            open_at: Some(Instant::now()),
            retry_at: None,
            looked_at: None,
            taken: String::new(),
            done: 0,
            place: None,
            reported: false,
            stamp: Stamp::default(),
        }
    }

    fn run(mut self, sink: &Sink, opened: Sender<()>) {
        let mut next = self.step(sink);
        let _ = opened.send(());
        let mut promised = None;
        loop {
            match next {
                Next::Rest => {
                    promised = None;
                    sink.rest();
                }
                // Room that takes nothing is none.
                Next::Full if promised == Some(self.done) => {
                    promised = None;
                    sink.wait_for_order(RETRY);
                }
                Next::Full => {
                    let room = self.outlet.as_ref().is_some_and(|outlet| outlet.wait(RETRY));
                    promised = room.then_some(self.done);
                }
                Next::Broken => sink.wait_for_order(RETRY),
            }
            next = self.step(sink);
        }
    }

    /// Takes what was gathered when all before it is written, and writes what can be written
    /// without waiting.
    pub(super) fn step(&mut self, sink: &Sink) -> Next {
        let orders = sink.hand_over(&mut self.taken, &mut self.stamp);
        self.obey(&orders);
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| now < at) {
            return Next::Broken;
        }
        match self.open_and_write(now) {
            Ok(true) => {
                self.finish();
                sink.written();
                Next::Rest
            }
            Ok(false) => Next::Full,
            Err(error) => {
                self.report_once(&error);
                self.retry_at = Some(now + RETRY);
                Next::Broken
            }
        }
    }

    fn obey(&mut self, orders: &Orders) {
        if orders.at_once {
            self.retry_at = None;
        }
        if orders.reopen {
            // What was logged before the order belongs to the file before it, if that is there.
            let now = Instant::now();
            self.looked_at = None;
            self.look(now);
            let _ = self.write();
            self.open_at = Some(now);
        }
    }

    /// Returns whether all is written; if not, there is no room.
    fn open_and_write(&mut self, now: Instant) -> io::Result<bool> {
        self.look(now);
        if self.open_at.is_some_and(|at| at <= now) {
            match self.open() {
                Ok(()) => self.open_at = None,
                Err(error) if self.outlet.is_none() => return Err(error),
                Err(error) => {
                    self.report_once(&error);
                    self.open_at = Some(now + RETRY);
                }
            }
        }
        self.write()
    }

    /// A file that was removed is made anew; in one that was emptied, a line begins again.
    fn look(&mut self, now: Instant) {
        let Some(outlet) = &self.outlet else { return };
        let due = self.looked_at.is_none_or(|at| now.duration_since(at) >= LOOK);
        if !due && self.done == 0 {
            return;
        }
        self.looked_at = Some(now);
        let Ok(look) = outlet.look() else { return };
        if look.empty {
            self.done = self.line_start();
        }
        if look.removed {
            // Another file may get its number.
            (self.outlet, self.place) = (None, None);
            self.open_at = Some(now);
        }
    }

    fn open(&mut self) -> io::Result<()> {
        let outlet = Outlet::open(&self.path)?;
        let identity = Some(outlet.look()?.identity);
        // In another file a line that was written in part begins again.
        if self.place != identity {
            self.done = self.line_start();
            self.place = identity;
        }
        self.outlet = Some(outlet);
        Ok(())
    }

    /// Where the line begins that was written in part.
    fn line_start(&self) -> usize {
        memchr::memrchr(b'\n', &self.taken.as_bytes()[..self.done]).map_or(0, |end| end + 1)
    }

    fn write(&mut self) -> io::Result<bool> {
        while self.done < self.taken.len() {
            let Some(outlet) = &mut self.outlet else { return Err(io::ErrorKind::NotFound.into()) };
            let error = match outlet.write(&self.taken.as_bytes()[self.done..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    self.done += count;
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(false),
                // There may be room again, or a reader.
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge
                | io::ErrorKind::BrokenPipe => return Err(error),
                _ => {
                    self.outlet = None;
                    self.open_at = Some(Instant::now());
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn finish(&mut self) {
        self.taken.clear();
        if self.taken.capacity() > 2 * GATHERED_BYTES_MAX {
            self.taken.shrink_to(GATHERED_BYTES_MAX);
        }
        (self.done, self.retry_at) = (0, None);
        if self.open_at.is_none() {
            self.reported = false;
        }
    }

    /// Said once for each time, if stderr takes it now: the proxy goes on without its log.
    fn report_once(&mut self, error: &io::Error) {
        if !self.reported {
            let name = self.path.display();
            let error = System(error);
            let line = text!(
                "ai_proxy: {name}: 无法写入日志: {error}",
                "ai_proxy: {name}: cannot write the log: {error}"
            );
            let line = line.get(Language::of_terminal()) + "\n";
            self.reported = tell(io::stderr(), &line, Duration::ZERO).is_ok();
        }
    }
}
