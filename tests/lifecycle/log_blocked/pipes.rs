//! The log is a pipe: nobody reads it, or nobody has opened it yet.

use super::{
    assert_everything_works, lost, numbers, refused_chats, talkative, warnings_only, whole_log,
    Reader, CHATS, UNREAD_PIPE,
};
use crate::support::*;

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let upstream = talkative();
    let mut proxy = TestProxy::in_shell(&config_for(&upstream), UNREAD_PIPE);
    refused_chats(&proxy, 0..2 * CHATS);
    assert_everything_works(&mut proxy, &upstream);
}

#[test]
fn lines_before_and_lost_and_after_are_all_that_were_made() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::in_shell(&warnings_only(&upstream), UNREAD_PIPE);
    refused_chats(&proxy, 0..CHATS);
    // A line is made when its response is out: the last one before this request is answered.
    proxy.get("/");
    let reader = Reader::new(&proxy.directory().path().join("pipe"));
    reader.wait_for("log lines were lost)\n");
    refused_chats(&proxy, CHATS..CHATS + 50);
    let log = reader.wait_for(&format!("nobody/#{}#", CHATS + 49));
    let gaps = lost(&log);
    let [(at, missing)] = gaps[..] else { panic!("{gaps:?}") };
    let before: String = log.split_inclusive('\n').take(at).collect();
    let after: String = log.split_inclusive('\n').skip(at).collect();
    let (before, after) = (numbers(&before), numbers(&after));
    // The oldest are kept, and some 1 MiB of them.
    assert!(before.iter().copied().eq(0..before.len()), "{before:?}");
    assert!((300..600).contains(&before.len()), "{}", before.len());
    assert_eq!(after, (CHATS..CHATS + 50).collect::<Vec<_>>());
    assert_eq!(before.len() + missing, CHATS);
}

#[test]
fn a_pipe_without_a_reader_does_not_hold_up_the_start_and_the_reader_that_comes_gets_the_lines() {
    let upstream = Upstream::json("200 OK", "{}");
    let line = "mkfifo pipe && ln -s pipe ai_proxy.log";
    let mut proxy = TestProxy::in_shell(&warnings_only(&upstream), line);
    refused_chats(&proxy, 0..5);
    eventually("a complaint", || proxy.stderr().contains("cannot write the log"));
    let reader = Reader::new(&proxy.directory().path().join("pipe"));
    let log = reader.wait_for("nobody/#4#");
    assert!(log.contains("已启动 (started)"), "{log}");
    assert_eq!(numbers(&log), (0..5).collect::<Vec<_>>());
    assert_eq!(proxy.stderr().matches("cannot write the log").count(), 1);
    assert_eq!(proxy.terminate().code(), Some(0));
    reader.wait_for("已停止 (stopped)");
}

/// The program ends although the lines of its end cannot be written.
#[test]
fn a_pipe_that_never_gets_a_reader_does_not_hold_up_the_end() {
    let upstream = Upstream::json("200 OK", "{}");
    let mut proxy = TestProxy::in_shell(&config_for(&upstream), "mkfifo ai_proxy.log");
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    assert_eq!(proxy.terminate().code(), Some(0));
}

/// SIGHUP leads away from a pipe that is stuck.
#[test]
fn a_reopened_log_gets_what_the_stuck_one_did_not_take() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::in_shell(&warnings_only(&upstream), UNREAD_PIPE);
    refused_chats(&proxy, 0..200);
    std::fs::remove_file(proxy.log_path()).expect("the link");
    proxy.signal("HUP");
    let log = whole_log(&proxy, "nobody/#199#");
    let rest = numbers(&log);
    assert_eq!(rest.last(), Some(&199));
    // What went into the pipe before, is there; the line that did not fit is whole in the file.
    let first = rest[0];
    assert!(first > 0 && rest.iter().copied().eq(first..200), "{rest:?}");
    let reader = Reader::new(&proxy.directory().path().join("pipe"));
    let piped = reader.wait_for(&format!("nobody/#{}#", first - 1));
    let whole = piped.rfind('\n').map_or(0, |end| end + 1);
    assert_eq!(numbers(&piped[..whole]), (0..first).collect::<Vec<_>>());
}
