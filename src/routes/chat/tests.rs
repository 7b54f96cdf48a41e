use std::thread;
use std::time::Duration;

use super::*;
use crate::downstream;
use crate::state::testing::Bench;

fn body(length: usize) -> Vec<u8> {
    let text = "x".repeat(length - "{\"model\":\"p/m\",\"messages\":\"\"}".len());
    format!("{{\"model\":\"p/m\",\"messages\":\"{text}\"}}").into_bytes()
}

fn share(bench: &Bench) -> Share {
    let mut share = bench.state.memory.bodies.share();
    assert!(share.resize(100_000));
    share
}

#[test]
fn a_client_that_leaves_while_its_long_body_waits_to_be_read_is_noticed() {
    let bench = Bench::new();
    let state = &bench.state;
    let taken = [bench.finish(state.parsers.take()), bench.finish(state.parsers.take())];
    let (mut connection, client) = bench.connect();
    let mut parsing =
        Box::pin(parse(state, false, body(IN_PLACE_BYTES_MAX + 1), share(&bench), &mut connection));
    assert!(bench.poll(&mut parsing).is_none());
    drop(client);
    let gone = bench.poll(&mut parsing).expect("nobody watches the client");
    assert!(matches!(gone, Err(Error::Client(downstream::Error::Gone))));
    drop(parsing);
    // Its place in the queue and its memory are free, too, and nothing is read for it.
    drop(taken);
    bench.run();
    assert_eq!((state.parsers.taken(), state.memory.bodies.used()), (0, 0));
}

#[test]
fn long_bodies_are_read_a_few_at_a_time_and_short_ones_at_once() {
    let bench = Bench::new();
    let state = &bench.state;
    let mut taken = vec![bench.finish(state.parsers.take()), bench.finish(state.parsers.take())];
    let (mut connection, _client) = bench.connect();
    let short = bench.poll(Box::pin(parse(
        state,
        false,
        body(IN_PLACE_BYTES_MAX),
        share(&bench),
        &mut connection,
    )));
    assert!(matches!(short, Some(Ok((request, ..))) if request.model.as_deref() == Some("p/m")));
    let text = body(IN_PLACE_BYTES_MAX + 1);
    let mut parsing = Box::pin(parse(state, false, text.clone(), share(&bench), &mut connection));
    for _ in 0..50 {
        assert!(bench.poll(&mut parsing).is_none());
        // Whoever did not wait for its turn would have been read by now.
        thread::sleep(Duration::from_millis(1));
    }
    taken.pop();
    let (request, given_back, _) = bench.finish(parsing).unwrap();
    assert!(request.model.as_deref() == Some("p/m") && given_back == text);
    assert_eq!(state.parsers.taken(), 1);
}

#[test]
fn a_long_body_that_is_no_json_is_refused_like_a_short_one() {
    let bench = Bench::new();
    let (mut connection, _client) = bench.connect();
    for length in [IN_PLACE_BYTES_MAX, IN_PLACE_BYTES_MAX + 1] {
        let mut text = body(length + 1);
        text.pop();
        let refused =
            bench.finish(parse(&bench.state, false, text, share(&bench), &mut connection));
        assert!(matches!(refused, Err(Error::BadRequest(reason)) if reason.contains("EOF")));
    }
}

#[test]
fn a_body_that_is_being_read_keeps_its_memory_and_its_turn_when_the_client_leaves() {
    let bench = Bench::new();
    let state = &bench.state;
    let (mut connection, client) = bench.connect();
    let mut parsing =
        Box::pin(parse(state, false, body(20_000_000), share(&bench), &mut connection));
    assert!(bench.poll(&mut parsing).is_none());
    bench.run();
    drop(client);
    assert!(bench.poll(&mut parsing).is_some());
    drop(parsing);
    assert_eq!((state.parsers.taken(), state.memory.bodies.used()), (1, 100_000));
    while state.parsers.taken() > 0 {
        thread::sleep(Duration::from_millis(1));
        bench.run();
    }
    assert_eq!(state.memory.bodies.used(), 0);
}
