//! The log is the standard output that the program shares with others, as in the container image.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::{assert_everything_works, refused_chats, talkative, CHATS};
use crate::support::*;

/// The flags of an open descriptor of the program, octal, as `fcntl(F_GETFL)` gives them.
fn flags(proxy: &TestProxy, descriptor: u32) -> u32 {
    let path = format!("/proc/{}/fdinfo/{descriptor}", proxy.pid());
    let text = std::fs::read_to_string(path).expect("the descriptor is open");
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags");
    u32::from_str_radix(flags.trim(), 8).expect("octal")
}

const NONBLOCK: u32 = 0o4000;
const APPEND: u32 = 0o2000;

/// The first reader of the pipe shows the address and leaves; nobody reads what follows.
#[test]
fn a_standard_output_that_nobody_reads_stops_nothing_and_keeps_its_flags() {
    let upstream = talkative();
    let line = "ln -s /proc/self/fd/1 ai_proxy.log && mkfifo pipe && exec 3>&1 && \
                { head -n 1 pipe >&3 & } && exec > pipe 9< pipe 3>&-";
    let mut proxy = TestProxy::in_shell(&config_for(&upstream), line);
    refused_chats(&proxy, 0..CHATS);
    assert_eq!(flags(&proxy, 1) & (NONBLOCK | APPEND), 0);
    assert_everything_works(&mut proxy, &upstream);
}

/// Its complaint about the log goes to a pipe that is full, and so do the warnings of the start.
#[test]
fn a_standard_error_that_is_full_stops_nothing() {
    let upstream = talkative();
    let line = "ln -s /dev/full ai_proxy.log && mkfifo pipe && exec 9<>pipe && \
                { dd if=/dev/zero of=pipe oflag=nonblock bs=4096 count=1000 2>&-; true; } && \
                exec 2> pipe";
    let warned = with(config_for(&upstream), json!({"no_such_key": 1}));
    let mut proxy = TestProxy::in_shell(&warned, line);
    assert_eq!(proxy.chat(chat_stream(MODEL)).status, 200);
    assert_eq!(flags(&proxy, 2) & NONBLOCK, 0);
    assert_everything_works(&mut proxy, &upstream);
}

/// Ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A socket cannot be opened by a name under `/proc`: systemd's journal is one.
#[test]
fn a_socket_as_standard_output_gets_the_log() {
    let directory = TempDir::new();
    directory.write("config.json", config([]).to_string());
    std::os::unix::fs::symlink("/proc/self/fd/1", directory.path().join("ai_proxy.log"))
        .expect("a link");
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    ours.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let child = Command::new(PROGRAM)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stderr(Stdio::null())
        .spawn();
    let _program = Program(child.expect("the program starts"));
    let lines = BufReader::new(ours).lines().map_while(Result::ok);
    let said = lines.take(50).find(|line| line.contains("WARNING") && line.contains("已启动"));
    assert!(said.is_some(), "no log on the socket");
}
