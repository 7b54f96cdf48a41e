//! How far the examination is: one line on a terminal, which goes away.

use std::future;
use std::rc::Rc;
use std::time::Duration;

use super::record::Record;
use super::show::stage_name;
use super::text::clean;
use crate::language::Language;
use crate::report::logging;
use crate::runtime::Timer;
use crate::upstream::Provider;

/// Between two lines.
const TICK: Duration = Duration::from_millis(120);
/// Characters of a name: a longer line would be two.
const NAME_CHARS_MAX: usize = 24;
const WHEEL: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// Back to the first column, and nothing behind it.
const CLEAR: &str = "\r\u{1b}[K";

/// Tells on standard error how far it is, until it is dropped.
pub async fn tell(shows: bool, providers: &[Rc<Provider>], records: &[Rc<Record>], timer: Timer) {
    if !shows {
        return future::pending().await;
    }
    let _line = Line;
    for wheel in WHEEL.iter().cycle() {
        // Short waits need no line.
        timer.sleep(TICK).await;
        write(&format!("{CLEAR}{wheel} {}", line(providers, records)));
    }
}

/// How many are done, and which one is waited for and where.
fn line(providers: &[Rc<Provider>], records: &[Rc<Record>]) -> String {
    let (mut done, mut waiting) = (0, String::new());
    for (provider, record) in providers.iter().zip(records) {
        if record.done.get() {
            done += 1;
        } else if waiting.is_empty() {
            let stage = stage_name(record.stage.get());
            let stage = Language::of_terminal().speak(|| stage.to_string());
            waiting = format!("{} · {stage}", clean(provider.name(), NAME_CHARS_MAX));
        }
    }
    format!("{done}/{} · {waiting}", records.len())
}

fn write(text: &str) {
    // A terminal that takes nothing misses nothing.
    let _ = logging::tell(std::io::stderr(), text, Duration::ZERO);
}

/// Takes the line away when the examination is over.
struct Line;

impl Drop for Line {
    fn drop(&mut self) {
        write(CLEAR);
    }
}
