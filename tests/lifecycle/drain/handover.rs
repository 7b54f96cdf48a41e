//! Listening sockets that are handed over, as systemd does it (sd_listen_fds(3)).

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{kill_process, Pid, Signal};
use serde_json::{json, Value};

use super::gated;
use crate::support::*;

/// A program that was given its listening sockets as systemd does it: descriptors from 3 on, `LISTEN_FDS` and
/// `LISTEN_PID`. A shell moves them there, so that no descriptor leaks into other tests' children.
pub struct Activated(Child);

impl Activated {
    pub fn start(directory: &TempDir, listeners: &[&TcpListener]) -> Self {
        let script = match listeners.len() {
            1 => "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\"",
            _ => "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$0\"",
        };
        let mut command = Command::new("sh");
        command.args(["-c", script, PROGRAM]).current_dir(directory.path());
        let handle = |listener: &TcpListener| -> Stdio {
            OwnedFd::from(listener.try_clone().expect("a second handle")).into()
        };
        command.stdin(handle(listeners[0])).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(second) = listeners.get(1) {
            command.stdout(handle(second));
        }
        Self(command.spawn().expect("sh"))
    }

    pub fn terminate(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("the program lives");
    }

    pub fn assert_ends_well(&mut self) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("the child can be waited for") {
                assert_eq!(status.code(), Some(0));
                return;
            }
            assert!(start.elapsed() < 3 * PATIENCE, "the program does not end");
            pause(5);
        }
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

pub fn directory_with(config: &Value) -> TempDir {
    let directory = TempDir::new();
    directory.write("config.json", config.to_string());
    directory
}

#[test]
fn handed_over_sockets_are_served_in_place_of_the_configured_ones() {
    let upstream = Upstream::json("200 OK", "{}");
    let (taken, taken_addr) = listen();
    // The configured port is in use: it must not be bound.
    let changes = json!({"port": taken_addr.port()});
    let directory = directory_with(&with(config_for(&upstream), changes));
    let ((first, first_addr), (second, second_addr)) = (listen(), listen());
    let mut program = Activated::start(&directory, &[&first, &second]);
    for addr in [first_addr, second_addr, first_addr] {
        let answer = Raw::connect(addr).send(chat_request("", chat(MODEL).as_bytes())).response();
        assert_eq!(answer.status, 200);
    }
    program.terminate();
    program.assert_ends_well();
    drop(taken);
}

#[test]
fn sockets_meant_for_another_process_are_left_alone() {
    let proxy =
        TestProxy::with_environment(&config([]), &[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn connections_wait_in_a_handed_over_socket_for_the_next_process() {
    let (gate, upstream) = gated("", json_answer("200 OK", r#"{"id":"later"}"#));
    let limit = json!({"max_client_connections": 1});
    let directory = directory_with(&with(config_for(&upstream), limit));
    let (listener, addr) = listen();
    let mut program = Activated::start(&directory, &[&listener]);
    let mut busy = Raw::connect(addr);
    busy.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    // Connected, but beyond the limit: no process has taken it.
    let mut waiting = Raw::connect(addr);
    waiting.send(chat_request("", chat(MODEL).as_bytes()));
    program.terminate();
    pause(100);
    gate.open();
    assert!(busy.response().complete);
    drop(busy);
    program.assert_ends_well();
    // Nobody listens now, and still nothing is refused.
    let mut later = Raw::connect(addr);
    later.send(chat_request("", chat(MODEL).as_bytes()));
    let mut program = Activated::start(&directory, &[&listener]);
    assert_eq!(waiting.response().text(), r#"{"id":"later"}"#);
    drop(waiting);
    assert_eq!(later.response().text(), r#"{"id":"later"}"#);
    drop(later);
    program.terminate();
    program.assert_ends_well();
}

#[test]
fn systemds_own_helper_can_start_it() {
    let helper = "systemd-socket-activate";
    if !Command::new(helper).arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: no {helper} on this machine");
        return;
    }
    let upstream = Upstream::json("200 OK", "{}");
    let directory = directory_with(&config_for(&upstream));
    // Its own address, so that no other test's connection can take the port meanwhile.
    let addr = free_address("127.0.0.78");
    let mut command = Command::new(helper);
    command.args(["-l", &addr.to_string(), PROGRAM]).current_dir(directory.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut program = Activated(command.spawn().expect("the helper starts"));
    eventually("the helper listens", || Raw::try_connect(addr).is_ok());
    let answer = Raw::connect(addr).send(chat_request("", chat(MODEL).as_bytes())).response();
    assert_eq!(answer.status, 200);
    program.terminate();
    program.assert_ends_well();
}
