//! Bounds and counts, without a thread: lines are written where they are flushed.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::report::logging::writer::write_in_place;

/// A folder of its own, removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder =
            std::env::temp_dir().join(format!("ai_proxy-log-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        Folder(folder)
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn held(sink: &Sink) -> usize {
    let state = sink.lock();
    state.gathered.len() + state.in_flight
}

#[test]
fn without_a_thread_lines_are_written_when_they_are_flushed() {
    let folder = Folder::new("in-place");
    let sink = Sink::new();
    write_in_place(&sink, &folder.log());
    sink.gather("INFO", &format_args!("one"));
    sink.gather("INFO", &format_args!("two"));
    sink.flush();
    let log = fs::read_to_string(folder.log()).expect("the log");
    assert!(log.lines().count() == 2 && log.ends_with(" INFO two\n"), "{log}");
    sink.finish();
    assert_eq!(held(&sink), 0);
}

#[test]
fn what_is_held_is_bounded_and_what_is_not_is_counted_once() {
    let folder = Folder::new("bound");
    fs::create_dir(folder.log()).expect("a folder in the log's place");
    let sink = Sink::new();
    write_in_place(&sink, &folder.log());
    let text = "x".repeat(1000);
    for _ in 0..3000 {
        sink.gather("INFO", &format_args!("{text}"));
        sink.flush();
    }
    let lost = sink.lock().lost;
    assert!(held(&sink) <= HELD_BYTES_MAX && held(&sink) > HELD_BYTES_MAX - 2000);
    fs::remove_dir(folder.log()).expect("the folder");
    // The lines before the gap, then the gap.
    sink.finish();
    sink.finish();
    let log = fs::read_to_string(folder.log()).expect("the log");
    let (before, gap) = log.trim_end().rsplit_once('\n').expect("lines");
    assert_eq!(before.lines().count() as u64 + lost, 3000);
    assert!(
        gap.ends_with(&format!(
            "WARNING 日志曾无法写入，丢失 {lost} 行 ({lost} log lines were lost)"
        )),
        "{gap}"
    );
    assert_eq!((held(&sink), sink.lock().lost), (0, 0));
    assert!(sink.lock().gathered.capacity() <= 3 * GATHERED_BYTES_MAX, "memory is kept");
}

#[test]
fn the_line_that_tells_fits_beside_all_others() {
    let line = format!(
        "2026-11-27 09:44:35,061 WARNING 日志曾无法写入，丢失 {0} 行 ({0} log lines were lost)\n",
        u64::MAX
    );
    assert!(line.len() <= NOTICE_BYTES_MAX);
}
