//! What a connection takes of the memory that all of them share.

use std::future::pending;

use super::testing::Bench;
use super::tests::{begun, bench, next, WIDE};
use super::*;
use crate::runtime::testing::Peer;

/// Polls `future` to its end while the client sends `bytes`, more than the kernel takes at once.
#[track_caller]
fn feed<T>(bench: &Bench, peer: &mut Peer, bytes: &[u8], future: impl Future<Output = T>) -> T {
    let (mut future, mut sent) = (pin!(future), 0);
    for _ in 0..10_000 {
        sent += peer.send_some(&bytes[sent..]);
        if let Some(value) = bench.reactor.poll(future.as_mut()) {
            return value;
        }
    }
    panic!("it waits for ever, {sent} bytes were sent")
}

#[test]
fn what_is_read_ahead_beyond_its_first_part_comes_out_of_the_budget_while_that_has_room() {
    const KIB: usize = 1024;
    for (memory, authenticated, read, taken) in [
        (WIDE, false, READ_AHEAD_BYTES_MAX, 0),
        (0, true, READ_AHEAD_BYTES_MAX, 0),
        (100 * KIB, true, 48 * KIB, 96 * KIB),
        (WIDE, true, AUTHENTICATED_READ_AHEAD_BYTES_MAX, 512 * KIB),
    ] {
        let bench = bench(memory);
        let (mut connection, mut peer) = bench.connect();
        if authenticated {
            connection.raise_read_ahead();
        }
        let bytes = vec![b'x'; 600_000];
        let mut sent = 0;
        for _ in 0..100 {
            sent += peer.send_some(&bytes[sent..]);
            let waiting = Box::pin(connection.unless_gone(pending::<()>()));
            assert!(bench.reactor.poll(waiting).is_none());
        }
        let case = format!("{memory} {authenticated}");
        assert_eq!((connection.read_buffer.len(), bench.budget.used()), (read, taken), "{case}");
        assert!(connection.read_buffer.capacity() <= READ_AHEAD_BYTES_MAX.max(taken), "{case}");
        drop(connection);
        assert_eq!(bench.budget.used(), 0, "{case}");
    }
}

#[test]
fn a_long_head_takes_memory_until_the_next_one_and_is_refused_when_there_is_none() {
    let head = |length: usize| {
        let filler = "y".repeat(length - "GET / HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n".len());
        format!("GET / HTTP/1.1\r\nHost: x\r\nX: {filler}\r\n\r\n")
    };
    let (short, long) = (head(8 * 1024), head(12 * 1024));
    let all = 4 * long.len();
    for (memory, text, taken) in
        [(0, &short, Some(0)), (all, &long, Some(all)), (all - 1, &long, None)]
    {
        let bench = bench(memory);
        let (mut connection, mut peer) = bench.connect();
        peer.send(text);
        match (bench.reactor.finish(next(&mut connection)), taken) {
            (Some(Ok(_)), Some(taken)) => assert_eq!(bench.budget.used(), taken),
            (Some(Err(Error::Overloaded(limit))), None) => {
                assert_eq!(limit, memory);
                // Nothing can follow on it.
                drop(connection);
                assert_eq!(bench.budget.used(), 0);
                continue;
            }
            _ => panic!("{memory}"),
        }
        assert!(bench.reactor.poll(next(&mut connection)).is_none());
        assert_eq!(bench.budget.used(), 0, "{memory}");
    }
}

#[test]
fn the_memory_of_a_body_is_what_it_takes_and_not_what_was_announced() {
    const LENGTH: usize = 1_000_000;
    let bench = bench(WIDE);
    let (mut connection, mut peer, framing) = begun(&bench, &format!("Content-Length: {LENGTH}"));
    let mut share = bench.budget.share();
    let mut reading = Box::pin(connection.read_body(framing, LENGTH as u64, &mut share));
    peer.send("0123456789");
    assert!(bench.reactor.poll(&mut reading).is_none());
    let used = bench.budget.used();
    assert!((10..1000).contains(&used), "{used}");
    let (half, rest) = (vec![b'x'; LENGTH / 2], vec![b'x'; LENGTH / 2 - 10]);
    let mut sent = 0;
    while sent < half.len() {
        sent += peer.send_some(&half[sent..]);
        for _ in 0..8 {
            assert!(bench.reactor.poll(&mut reading).is_none());
        }
    }
    // Beside the body there is the buffer that it is read into.
    assert!((half.len() + SCRATCH_BYTES..LENGTH + SCRATCH_BYTES).contains(&bench.budget.used()));
    let body = feed(&bench, &mut peer, &rest, reading).unwrap();
    assert_eq!((body.len(), bench.budget.used()), (LENGTH, body.capacity()));
    assert_eq!(connection.read_buffer.capacity(), 0);
    drop(share);
    assert_eq!(bench.budget.used(), 0);
}

#[test]
fn a_body_for_which_there_is_no_memory_is_refused_and_gives_back_what_it_had() {
    const LENGTH: usize = 200_000;
    let bench = bench(LENGTH / 2);
    let (mut connection, mut peer, framing) = begun(&bench, &format!("Content-Length: {LENGTH}"));
    let mut share = bench.budget.share();
    let reading = connection.read_body(framing, LENGTH as u64, &mut share);
    let refused = feed(&bench, &mut peer, &[b'x'; LENGTH], reading);
    assert!(matches!(refused, Err(Error::Overloaded(limit)) if limit == LENGTH / 2));
    assert!(bench.budget.used() > 0);
    drop((share, connection));
    assert_eq!(bench.budget.used(), 0);
}
