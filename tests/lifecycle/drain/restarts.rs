//! Restarts behind clients that send again what was not answered: nothing is lost, nothing is asked twice.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::handover::{directory_with, listen, Activated};
use crate::support::*;

/// What clients that try again went through.
#[derive(Default)]
struct Tally {
    done: AtomicUsize,
    retries: AtomicUsize,
    /// Those among them whose connection was made for the request, and was made.
    swallowed: AtomicUsize,
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
            let fresh = connection.is_none();
            let client = connection.take().map_or_else(|| Raw::try_connect(addr), Ok);
            let swallowed = fresh && client.is_ok();
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
                    tally.swallowed.fetch_add(usize::from(swallowed), Ordering::SeqCst);
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
    assert_eq!(tally.swallowed.into_inner(), 0, "connected, and sent away without an answer");
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
