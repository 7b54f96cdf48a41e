//! SIGTERM and restarts: nothing in flight is lost, clients are told to go, and a listening socket that is handed
//! over (systemd's socket activation) outlives the program. `signals.rs` has the signals themselves.

mod support;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{kill_process, Pid, Signal};
use serde_json::{json, Value};
use support::*;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ai_proxy");
const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// A provider that sends `before` at once, waits for the gate and sends `after`.
fn gated(before: impl Into<Vec<u8>>, after: impl Into<Vec<u8>>) -> (Gate, Upstream) {
    let (before, after) = (before.into(), after.into());
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send(&before);
        held.wait();
        connection.send(&after);
    });
    (gate, upstream)
}

/// Sends SIGTERM and waits until the proxy says that it has noticed.
fn stop(proxy: &TestProxy) {
    proxy.signal("TERM");
    proxy.wait_for_log("stopping");
}

fn assert_told_to_go(answer: &Response, case: &str) {
    assert!(answer.complete, "{case}: {answer:?}");
    assert_eq!(answer.header("connection").as_deref(), Some("close"), "{case}: {answer:?}");
}

/// A chat in flight when SIGTERM comes: the provider has sent `before` and sends `after` then.
fn chat_across_sigterm(before: &[u8], after: &[u8], body: &str) -> Response {
    let (gate, upstream) = gated(before, after);
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", body.as_bytes()));
    upstream.wait_requests(1);
    if !before.is_empty() {
        // So that the proxy has read it.
        pause(50);
    }
    stop(&proxy);
    assert!(proxy.is_alive());
    gate.open();
    let answer = client.response();
    client.assert_closed();
    assert_eq!(proxy.wait().code(), Some(0));
    answer
}

#[test]
fn plain_answers_in_flight_arrive_whole_and_say_close() {
    let large = answer("200 OK", "", &vec![b'x'; 3_000_000]);
    let head = "Content-Type: application/json\r\n";
    let chunked = format!(
        "HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"a\":\r\n2\r\n1}}\r\n0\r\n\r\n"
    );
    let cases: [(&str, Vec<u8>, u16, usize); 4] = [
        ("known length", json_answer("200 OK", r#"{"a":1}"#), 200, 7),
        ("chunked", chunked.into(), 200, 7),
        ("an error of the provider", json_answer("429 Slow Down", r#"{"e":1}"#), 429, 7),
        ("larger than what is held back", large, 200, 3_000_000),
    ];
    for (case, bytes, status, length) in cases {
        let answer = chat_across_sigterm(b"", &bytes, &chat(MODEL));
        assert_told_to_go(&answer, case);
        assert_eq!((answer.status, answer.body.len()), (status, length), "{case}");
    }
}

#[test]
fn a_plain_answer_whose_head_came_before_sigterm_says_close_too() {
    let whole = json_answer("200 OK", r#"{"a":1,"b":2}"#);
    let (before, after) = whole.split_at(whole.len() - 6);
    let answer = chat_across_sigterm(before, after, &chat(MODEL));
    assert_eq!(answer.json(), json!({"a": 1, "b": 2}));
    assert_told_to_go(&answer, "half an answer");
}

#[test]
fn a_stream_that_begins_during_the_drain_runs_to_its_end_and_says_close() {
    let stream = [SSE_HEAD.as_bytes(), &event("one"), &event("two"), LAST_CHUNK].concat();
    let answer = chat_across_sigterm(b"", &stream, &chat_stream(MODEL));
    assert_told_to_go(&answer, "a stream");
    assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
}

#[test]
fn an_error_of_ours_during_the_drain_says_close() {
    let answer = chat_across_sigterm(b"", b"garbage\r\n\r\n", &chat(MODEL));
    answer.error(502);
    assert_told_to_go(&answer, "502");
}

#[test]
fn requests_that_are_still_coming_in_are_answered() {
    let upstream = Upstream::each(|request, connection| {
        connection.send(answer("200 OK", "", &request.body));
    });
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let request = chat_request("", chat(MODEL).as_bytes());
    let in_head = request.split_at(40);
    let in_body = request.split_at(request.len() - 20);
    let mut small = proxy.connect();
    small.send(GET.split_at(20).0);
    let mut clients = Vec::new();
    for (first, rest) in [in_head, in_body] {
        let mut client = proxy.connect();
        client.send(first);
        clients.push((client, rest));
    }
    // A whole exchange later the proxy has read what was sent before.
    assert_eq!(proxy.get("/").status, 200);
    stop(&proxy);
    assert_told_to_go(&small.send(GET.split_at(20).1).response(), "GET /");
    for (mut client, rest) in clients {
        let answer = client.send(rest).response();
        assert_told_to_go(&answer, "a request in two pieces");
        assert_eq!(answer.text(), chat(MODEL).replace("p/m", "m"));
        client.assert_closed();
    }
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn requests_that_wait_their_turn_are_answered() {
    let (gate, upstream) = gated("", json_answer("200 OK", "{}"));
    let mut proxy = TestProxy::start(&with(config_for(&upstream), json!({"max_connections": 1})));
    let mut clients: Vec<_> = (0..5).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(chat_request("", chat(MODEL).as_bytes()));
    }
    upstream.wait_requests(1);
    assert_eq!(proxy.get("/").status, 200);
    stop(&proxy);
    gate.open();
    for mut client in clients {
        assert_told_to_go(&client.response(), "a request in the queue");
    }
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn small_endpoints_in_flight_are_answered() {
    let (gate, upstream) = gated("", json_answer("200 OK", r#"{"data":[{"id":"x"}]}"#));
    let mut proxy = TestProxy::start(&config([auto_provider("p", &upstream)]));
    let mut clients = Vec::new();
    for path in ["/health", "/v1/models"] {
        let mut client = proxy.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        clients.push((path, client));
    }
    // The listing at the start and the probe.
    upstream.wait_requests(2);
    stop(&proxy);
    gate.open();
    for (path, mut client) in clients {
        let answer = client.response();
        assert_told_to_go(&answer, path);
        assert_eq!(answer.status, 200);
    }
    assert_eq!(proxy.wait().code(), Some(0));
}

/// RFC 9112 §9.6: behind `Connection: close` a client sends its pipelined requests again. So each of them is
/// either answered whole or was never begun.
#[test]
fn pipelined_requests_are_answered_or_never_begun() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |request, connection| {
        held.wait();
        connection.send(answer("200 OK", "", &request.body));
    });
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let body = |number: u32| format!(r#"{{"model":"p/m","n":{number}}}"#);
    let all: Vec<u8> =
        (0..4).flat_map(|number| chat_request("", body(number).as_bytes())).collect();
    let mut client = proxy.connect();
    client.send(all);
    upstream.wait_requests(1);
    stop(&proxy);
    gate.open();
    let mut answered = 0;
    while let Ok(answer) = client.try_response("POST") {
        assert!(answer.complete, "{answer:?}");
        assert_eq!(answer.text(), body(answered).replace("p/m", "m"));
        answered += 1;
        if answer.header("connection").as_deref() == Some("close") {
            client.assert_closed();
            break;
        }
    }
    assert!(answered > 0, "the first one was in flight");
    assert_eq!(upstream.requests().len(), answered as usize, "begun and not answered");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let (gate, upstream) = gated("", json_answer("200 OK", "{}"));
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let mut busy = proxy.connect();
    busy.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    let mut used = proxy.connect();
    assert_eq!(used.send(GET).response().status, 200);
    let mut fresh = proxy.connect();
    assert_eq!(proxy.get("/").status, 200);
    stop(&proxy);
    // At once, and not with the answer that is in flight.
    used.assert_closed();
    fresh.assert_closed();
    gate.open();
    assert_told_to_go(&busy.response(), "the answer in flight");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn a_connection_during_the_drain_is_refused_or_served_and_not_swallowed() {
    let (gate, upstream) = gated([SSE_HEAD.as_bytes(), &event("one")].concat(), LAST_CHUNK);
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let mut busy = proxy.connect();
    busy.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one\n\n");
    stop(&proxy);
    for number in 0..3 {
        let Ok(mut late) = Raw::try_connect(proxy.addr()) else { continue };
        pause(50);
        let answer = late.try_send(GET).ok().and_then(|()| late.try_response("GET").ok());
        assert!(answer.is_some(), "connection {number} was accepted and closed without an answer");
    }
    gate.open();
    assert!(busy.response().complete);
    assert_eq!(proxy.wait().code(), Some(0));
}

/// A program that was given its listening sockets as systemd does it: descriptors from 3 on, `LISTEN_FDS` and
/// `LISTEN_PID`. A shell moves them there, so that no descriptor leaks into other tests' children.
struct Activated(Child);

impl Activated {
    fn start(directory: &TempDir, listeners: &[&TcpListener]) -> Self {
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

    fn terminate(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("the program lives");
    }

    fn assert_ends_well(&mut self) {
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

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

fn directory_with(config: &Value) -> TempDir {
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
    let proxy = TestProxy::launch(Launch {
        config: Some(config([]).to_string()),
        environment: vec![
            ("LISTEN_FDS".to_owned(), "1".to_owned()),
            ("LISTEN_PID".to_owned(), "1".to_owned()),
        ],
        ..Launch::default()
    });
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

/// An address of this machine that nobody uses; the port stays free because nobody else uses this IP.
fn free_address(ip: &str) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("a free port");
    listener.local_addr().expect("an address")
}

/// What clients that try again went through.
#[derive(Default)]
struct Tally {
    done: AtomicUsize,
    retries: AtomicUsize,
    stop: AtomicBool,
}

/// How one client behaves.
#[derive(Clone, Copy, Debug)]
struct Habit {
    streams: bool,
    keeps_alive: bool,
}

/// Sends requests one after the other until told to stop. Whatever ends without the first byte of an answer is
/// sent again; an answer that has begun must be whole and right.
fn insist(addr: SocketAddr, name: usize, habit: Habit, tally: &Tally) {
    let mut connection: Option<Raw> = None;
    let mut number = 0;
    while !tally.stop.load(Ordering::SeqCst) {
        let id = format!("{name}-{number}");
        let request = request_with_id(&id, habit);
        let start = Instant::now();
        let answer = loop {
            assert!(start.elapsed() < 3 * PATIENCE, "{id} {habit:?} was lost");
            let client = connection.take().map_or_else(|| Raw::try_connect(addr), Ok);
            let answer = client.ok().and_then(|mut client| {
                client.try_send(&request).ok()?;
                let answer = client.try_response("POST").ok()?;
                connection = Some(client);
                Some(answer)
            });
            match answer {
                Some(answer) => break answer,
                None => {
                    tally.retries.fetch_add(1, Ordering::SeqCst);
                    pause(2);
                }
            }
        };
        assert!(answer.complete, "{id} {habit:?} broke off: {answer:?}");
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        let expected = if habit.streams { stream_text(&id) } else { id.clone() };
        assert_eq!(answer.text(), expected, "{id} {habit:?}");
        if !habit.keeps_alive || answer.header("connection").as_deref() == Some("close") {
            connection = None;
        }
        tally.done.fetch_add(1, Ordering::SeqCst);
        number += 1;
    }
}

fn request_with_id(id: &str, habit: Habit) -> Vec<u8> {
    let body = format!(r#"{{"model":"p/m","user":"{id}","stream":{}}}"#, habit.streams);
    chat_request(if habit.keeps_alive { "" } else { "Connection: close\r\n" }, body.as_bytes())
}

fn stream_text(id: &str) -> String {
    (0..5).map(|number| format!("data: {id} {number}\n\n")).collect()
}

/// A provider that counts how often it was asked for each id.
fn counting_upstream() -> (Arc<Mutex<HashMap<String, usize>>>, Upstream) {
    let counts = Arc::new(Mutex::new(HashMap::new()));
    let shared = Arc::clone(&counts);
    let upstream = Upstream::each(move |request, connection| {
        let body = request.json();
        let id = body["user"].as_str().expect("an id");
        *shared.lock().expect("no poison").entry(id.to_owned()).or_default() += 1;
        if body["stream"] == false {
            pause(2);
            return connection.send(answer("200 OK", "", id.as_bytes()));
        }
        connection.send(SSE_HEAD);
        for number in 0..5 {
            connection.send(event(&format!("{id} {number}")));
            pause(5);
        }
        connection.send(LAST_CHUNK);
    });
    (counts, upstream)
}

/// Runs clients of all habits against `addr` while `restart` is called again and again.
fn restarts_lose_nothing(addr: SocketAddr, upstream: &Upstream, mut restart: impl FnMut(usize)) {
    const CLIENTS: usize = 12;
    const RESTARTS: usize = 10;
    let tally = Tally::default();
    std::thread::scope(|scope| {
        for name in 0..CLIENTS {
            let habit = Habit { streams: name % 3 == 0, keeps_alive: name % 2 == 0 };
            let tally = &tally;
            scope.spawn(move || {
                // A client that fails must not let the others go on for ever.
                let ended = std::panic::catch_unwind(|| insist(addr, name, habit, tally));
                if let Err(panic) = ended {
                    tally.stop.store(true, Ordering::SeqCst);
                    std::panic::resume_unwind(panic);
                }
            });
        }
        for number in 0..RESTARTS {
            let goal = tally.done.load(Ordering::SeqCst) + 3 * CLIENTS;
            let start = Instant::now();
            while tally.done.load(Ordering::SeqCst) < goal && !tally.stop.load(Ordering::SeqCst) {
                assert!(start.elapsed() < 3 * PATIENCE, "no progress before restart {number}");
                std::thread::sleep(Duration::from_millis(1));
            }
            restart(number);
        }
        tally.stop.store(true, Ordering::SeqCst);
    });
    let (done, retries) = (tally.done.into_inner(), tally.retries.into_inner());
    println!("{done} requests over {RESTARTS} restarts, {retries} sent again");
    assert!(upstream.requests().len() >= done);
}

fn assert_once_each(counts: &Mutex<HashMap<String, usize>>) {
    let counts = counts.lock().expect("no poison");
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "sent to the provider and not answered: {twice:?}");
}

#[test]
fn restarts_on_one_handed_over_socket_lose_nothing() {
    let (counts, upstream) = counting_upstream();
    let directory = directory_with(&config_for(&upstream));
    let (listener, addr) = listen();
    let mut program = Activated::start(&directory, &[&listener]);
    restarts_lose_nothing(addr, &upstream, |_| {
        program.terminate();
        program.assert_ends_well();
        program = Activated::start(&directory, &[&listener]);
    });
    assert_once_each(&counts);
}

#[test]
fn restarts_on_the_same_port_lose_nothing_that_is_sent_again() {
    let (counts, upstream) = counting_upstream();
    let addr = free_address("127.0.0.77");
    let changes = json!({"host": addr.ip().to_string(), "port": addr.port()});
    let config = with(config_for(&upstream), changes);
    let mut proxy = TestProxy::start(&config);
    restarts_lose_nothing(addr, &upstream, |_| {
        assert_eq!(proxy.terminate().code(), Some(0));
        proxy = TestProxy::start(&config);
    });
    assert_once_each(&counts);
}
