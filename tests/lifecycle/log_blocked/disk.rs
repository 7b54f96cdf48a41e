//! The log is a file: the disk is full, or somebody removed it.

use rustix::process::{getrlimit, prlimit, Pid, Resource, Rlimit};

use super::{lost, numbers, refused_chats, warnings_only, whole_log, CHATS};
use crate::support::*;

/// Lets no file of the program's grow beyond so many bytes: the disk is full.
fn set_disk(proxy: &TestProxy, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(proxy.pid()).expect("a pid"));
    let maximum = getrlimit(Resource::Fsize).maximum;
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum }).expect("the limit is set");
}

fn size(proxy: &TestProxy) -> u64 {
    std::fs::metadata(proxy.log_path()).map_or(0, |file| file.len())
}

#[test]
fn a_line_torn_by_a_full_disk_goes_on_where_it_stopped() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&warnings_only(&upstream));
    set_disk(&proxy, Some(10_000));
    refused_chats(&proxy, 0..20);
    eventually("the disk is full", || size(&proxy) == 10_000);
    eventually("a complaint", || proxy.stderr().contains("cannot write the log"));
    assert!(!proxy.log().ends_with('\n'), "no line is torn");
    refused_chats(&proxy, 20..40);
    set_disk(&proxy, None);
    let log = whole_log(&proxy, "nobody/#39#");
    assert_eq!(numbers(&log), (0..40).collect::<Vec<_>>());
    assert_eq!(lost(&log), []);
    assert_eq!(proxy.stderr().matches("cannot write the log").count(), 1);
}

#[test]
fn a_line_torn_by_a_full_disk_is_whole_in_the_file_opened_next() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&warnings_only(&upstream));
    set_disk(&proxy, Some(10_000));
    refused_chats(&proxy, 0..20);
    eventually("the disk is full", || size(&proxy) == 10_000);
    let old = proxy.directory().path().join("old");
    std::fs::rename(proxy.log_path(), &old).expect("the log");
    // The old file stays full; the new one has room for some lines.
    proxy.signal("HUP");
    eventually("the new file is full", || size(&proxy) == 10_000);
    set_disk(&proxy, None);
    let rest = numbers(&whole_log(&proxy, "nobody/#19#"));
    let old = std::fs::read(old).expect("the old log");
    let whole = old.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let mut all = numbers(&String::from_utf8_lossy(&old[..whole]));
    all.extend(rest);
    assert_eq!(all, (0..20).collect::<Vec<_>>());
}

/// Whoever empties the log makes room for it.
#[test]
fn a_line_torn_by_a_full_disk_begins_again_when_the_file_is_emptied() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&warnings_only(&upstream));
    set_disk(&proxy, Some(10_000));
    refused_chats(&proxy, 0..20);
    eventually("the disk is full", || size(&proxy) == 10_000);
    std::fs::write(proxy.log_path(), "").expect("it can be emptied");
    eventually("the disk is full again", || size(&proxy) == 10_000);
    set_disk(&proxy, None);
    let rest = numbers(&whole_log(&proxy, "nobody/#19#"));
    assert!(rest.iter().copied().eq(rest[0]..20), "{rest:?}");
}

#[test]
fn lines_that_a_full_disk_did_not_take_are_counted() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&warnings_only(&upstream));
    set_disk(&proxy, Some(10_000));
    refused_chats(&proxy, 0..CHATS);
    set_disk(&proxy, None);
    let log = whole_log(&proxy, "log lines were lost)\n");
    let (kept, gaps) = (numbers(&log), lost(&log));
    assert!(kept.iter().copied().eq(0..kept.len()), "{kept:?}");
    assert_eq!(gaps.iter().map(|(_, count)| count).sum::<usize>() + kept.len(), CHATS);
}

#[test]
fn lines_of_a_full_disk_are_in_the_log_that_sighup_opens() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::in_shell(&warnings_only(&upstream), "ln -s /dev/full ai_proxy.log");
    refused_chats(&proxy, 0..20);
    eventually("a complaint", || proxy.stderr().contains("cannot write the log"));
    std::fs::remove_file(proxy.log_path()).expect("the link");
    proxy.signal("HUP");
    let log = whole_log(&proxy, "nobody/#19#");
    assert_eq!(numbers(&log), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_removed_log_comes_back() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for _ in 0..2 {
        proxy.chat(chat(MODEL));
        proxy.wait_for_log("耗时:");
        std::fs::remove_file(proxy.log_path()).expect("the log");
        eventually("a new log", || {
            proxy.chat(chat(MODEL));
            proxy.log().contains("耗时:")
        });
    }
}

#[test]
fn a_log_whose_folder_is_closed_comes_back_when_it_opens() {
    let upstream = Upstream::json("200 OK", "{}");
    let line = "mkdir logs && ln -s logs/log ai_proxy.log";
    let proxy = TestProxy::in_shell(&warnings_only(&upstream), line);
    let (folder, away) =
        (proxy.directory().path().join("logs"), proxy.directory().path().join("x"));
    refused_chats(&proxy, 0..3);
    whole_log(&proxy, "nobody/#2#");
    std::fs::remove_file(folder.join("log")).expect("the log");
    std::fs::rename(&folder, &away).expect("the folder");
    // Whether the file is still there is looked at once a second.
    pause(1200);
    refused_chats(&proxy, 3..6);
    eventually("a complaint", || proxy.stderr().contains("cannot write the log"));
    std::fs::rename(&away, &folder).expect("the folder");
    let log = whole_log(&proxy, "nobody/#5#");
    assert_eq!(numbers(&log), [3, 4, 5]);
}

#[test]
fn a_renamed_log_is_written_until_sighup() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&warnings_only(&upstream));
    let old = proxy.directory().path().join("old");
    refused_chats(&proxy, 0..1);
    whole_log(&proxy, "nobody/#0#");
    std::fs::rename(proxy.log_path(), &old).expect("the log");
    pause(1200);
    refused_chats(&proxy, 1..2);
    let written = || std::fs::read_to_string(&old).expect("the old log");
    eventually("the line is in the old file", || written().contains("nobody/#1#"));
    assert!(!proxy.log_path().exists());
    proxy.signal("HUP");
    eventually("the log is opened anew", || proxy.log_path().exists());
    refused_chats(&proxy, 2..3);
    assert_eq!(numbers(&whole_log(&proxy, "nobody/#2#")).last(), Some(&2));
}
