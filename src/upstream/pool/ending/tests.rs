use super::{ENDING_MAX, READ_BYTES_MAX};
use crate::upstream::message::REST_BYTES_MAX;
use crate::upstream::pool::PoolLimits;
use crate::upstream::testing::{
    begin, good, respond_with, share, with_body, Bench, Peer, HEAD, LONG, SECOND, WIDE,
};

/// Gives the pool's own work its turn.
fn sweep(bench: &Bench) {
    assert!(bench.poll(Box::pin(bench.pool.sweep())).is_none());
}

/// A provider whose response, which begins with `bytes`, is discarded.
#[track_caller]
fn discarded(bench: &Bench, bytes: &str) -> Peer {
    let (outcome, peer) = respond_with(bench, bytes, false);
    good(outcome).discard();
    peer.unwrap()
}

const CHUNKED: &str = "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n";

#[test]
fn the_rest_of_a_discarded_response_is_read_and_its_connection_serves_again() {
    let bench = Bench::new(WIDE);
    let mut peer = discarded(&bench, CHUNKED);
    assert_eq!((bench.pool.idle(), bench.pool.permits.taken()), (0, 0));
    sweep(&bench);
    peer.send("3\r\nyes\r\n0\r\n");
    sweep(&bench);
    assert_eq!(bench.pool.idle(), 0);
    peer.send("\r\n");
    sweep(&bench);
    assert_eq!(bench.pool.idle(), 1);
    assert!(bench.lease("a").reused);
}

#[test]
fn what_is_here_of_a_discarded_response_is_read_at_once() {
    let bench = Bench::new(WIDE);
    let running = begin(&bench);
    let mut peer = bench.peer();
    peer.send(CHUNKED);
    let response = good(bench.finish(running));
    peer.send("0\r\n\r\n");
    bench.reactor.look();
    response.discard();
    assert_eq!(bench.pool.idle(), 1);
}

#[test]
fn a_discarded_response_that_is_long_slow_or_wrong_costs_its_connection() {
    let long = format!("{:x}\r\n{}\r\n0\r\n\r\n", READ_BYTES_MAX, "x".repeat(READ_BYTES_MAX));
    for rest in ["x\r\n", "0\r\n\r\nHTTP/1.1", &long] {
        let bench = Bench::new(WIDE);
        let mut peer = discarded(&bench, CHUNKED);
        let mut sent = 0;
        while sent < rest.len() {
            sent += peer.send_some(&rest.as_bytes()[sent..]);
            sweep(&bench);
        }
        assert!(peer.is_closed(), "{rest:.20}");
        assert_eq!(bench.pool.idle(), 0);
    }
    let bench = Bench::new(WIDE);
    let mut peer = discarded(&bench, CHUNKED);
    let mut sweeping = Box::pin(bench.pool.sweep());
    assert!(bench.poll(&mut sweeping).is_none());
    bench.pass(ENDING_MAX - SECOND / 100);
    assert!(bench.poll(&mut sweeping).is_none());
    assert!(!peer.is_closed());
    bench.pass(SECOND / 100);
    assert!(bench.poll(&mut sweeping).is_none());
    assert!(peer.is_closed());
}

#[test]
fn a_discarded_response_whose_connection_cannot_serve_again_closes_it_at_once() {
    let long = format!("Content-Length: {}\r\n\r\n", READ_BYTES_MAX + 1);
    for rest in ["Connection: close\r\nContent-Length: 2\r\n\r\n", "\r\nok", &long] {
        let bench = Bench::new(WIDE);
        assert!(discarded(&bench, &format!("HTTP/1.1 500 Oops\r\n{rest}")).is_closed(), "{rest}");
    }
    let none = Bench::new(PoolLimits { idle_max: 0, ..WIDE });
    assert!(discarded(&none, CHUNKED).is_closed());
}

#[test]
fn what_is_left_of_a_refused_request_is_sent_if_it_is_short() {
    for (left, serves) in [(REST_BYTES_MAX, true), (REST_BYTES_MAX + 1, false)] {
        let bench = Bench::new(WIDE);
        // What the kernel takes of a message at once, to the byte.
        let (taken, head) = (taken(&bench), HEAD.len());
        let mut running = with_body(&bench, &vec![b'x'; taken - head + left]);
        assert!(bench.poll(&mut running).is_none());
        let mut peer = bench.peer();
        peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
        let response = good(bench.finish(running));
        assert_eq!(bench.finish(response.collect(10, &mut share())).unwrap(), b"no");
        if !serves {
            assert!(peer.is_closed());
            continue;
        }
        assert_eq!(bench.pool.idle(), 0);
        let mut found = peer.drain().len();
        while found < taken + left {
            sweep(&bench);
            found += peer.drain().len();
        }
        sweep(&bench);
        assert_eq!((found, bench.pool.idle()), (taken + left, 1));
        assert!(!peer.is_closed());
    }
}

/// How much of a message goes out to a provider that does not read.
fn taken(bench: &Bench) -> usize {
    let mut running = with_body(bench, &vec![b'x'; LONG]);
    assert!(bench.poll(&mut running).is_none());
    bench.peer().drain().len()
}

#[test]
fn a_provider_that_takes_no_more_of_a_request_that_it_refused_loses_its_connection() {
    let bench = Bench::new(WIDE);
    let length = taken(&bench) - HEAD.len() + 1;
    let mut running = with_body(&bench, &vec![b'x'; length]);
    assert!(bench.poll(&mut running).is_none());
    let mut peer = bench.peer();
    peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    good(bench.finish(running)).finish();
    let mut sweeping = Box::pin(bench.pool.sweep());
    assert!(bench.poll(&mut sweeping).is_none());
    bench.pass(ENDING_MAX);
    assert!(bench.poll(&mut sweeping).is_none());
    assert!(peer.is_closed());
    assert_eq!(bench.pool.idle(), 0);
}
