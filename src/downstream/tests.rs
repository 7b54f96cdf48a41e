use std::future::pending;
use std::pin::Pin;

use super::testing::Bench;
use super::*;
use crate::runtime::testing::Peer;
use crate::runtime::{label, Reactor};
use crate::wire::Framing;

const SECOND: Duration = Duration::from_secs(1);
pub(super) const WIDE: usize = 100 << 20;
const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

pub(super) fn bench(memory: usize) -> Bench {
    Bench::new(&Reactor::new().unwrap(), memory)
}

pub(super) type Next<'c> = Pin<Box<dyn Future<Output = Option<Request>> + 'c>>;

pub(super) fn next(connection: &mut Connection) -> Next<'_> {
    Box::pin(connection.next_request(&|_| false))
}

/// A connection that has read a head which announces `framing`.
#[track_caller]
pub(super) fn begun(bench: &Bench, framing: &str) -> (Connection, Peer, Framing) {
    let (mut connection, mut peer) = bench.connect();
    peer.send(format!("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"));
    let head = bench.reactor.finish(next(&mut connection)).unwrap().unwrap();
    let framing = head.framing;
    (connection, peer, framing)
}

#[test]
fn requests_are_the_same_however_their_bytes_arrive() {
    let two =
        format!("\r\nPOST /a HTTP/1.1\r\nHost: x\r\nX-Y: z\r\nContent-Length: 3\r\n\r\nabc{GET}");
    for split in 0..=two.len() {
        let bench = bench(WIDE);
        let (mut connection, mut peer) = bench.connect();
        let mut both = Box::pin(async {
            let head = connection.next_request(&|_| false).await.unwrap().unwrap();
            let mut share = bench.budget.share();
            let body = connection.read_body(head.framing, 3, &mut share).await.unwrap();
            let second = connection.next_request(&|_| false).await.unwrap().unwrap();
            (head, body, second, connection.has_more())
        });
        peer.send(&two[..split]);
        let early = bench.reactor.poll(&mut both);
        assert_eq!(early.is_some(), split == two.len());
        peer.send(&two[split..]);
        let (head, body, second, more) = early.unwrap_or_else(|| bench.reactor.finish(both));
        assert_eq!((&*head.method, &*head.path, &*body), ("POST", "/a", &b"abc"[..]), "{split}");
        assert_eq!(head.relayed, b"X-Y: z\r\n", "{split}");
        assert_eq!((&*second.method, &*second.path, more), ("GET", "/", false), "{split}");
    }
}

#[test]
fn a_connection_between_two_requests_is_kept_for_long_and_at_shut_down_for_a_moment() {
    for (shuts_down, kept) in [(false, KEEP_ALIVE_MAX), (true, IN_USE_MAX)] {
        let bench = bench(WIDE);
        let (mut connection, mut peer) = bench.connect();
        peer.send(GET);
        assert!(bench.reactor.finish(next(&mut connection)).is_some());
        let mut waiting = next(&mut connection);
        assert!(bench.reactor.poll(&mut waiting).is_none());
        if shuts_down {
            bench.shutdown.begin();
        }
        assert!(bench.reactor.poll(&mut waiting).is_none());
        bench.reactor.pass_time(kept - SECOND / 10);
        assert!(bench.reactor.poll(&mut waiting).is_none(), "one may be on its way");
        bench.reactor.pass_time(SECOND / 10);
        assert!(bench.reactor.finish(waiting).is_none());
    }
}

#[test]
fn a_request_that_was_on_its_way_when_the_shut_down_began_is_taken() {
    let bench = bench(WIDE);
    let (mut connection, mut peer) = bench.connect();
    let mut waiting = next(&mut connection);
    bench.shutdown.begin();
    assert!(bench.reactor.poll(&mut waiting).is_none());
    peer.send(GET);
    assert!(bench.reactor.finish(waiting).is_some());
    connection.set_reusable(true);
    assert!(!connection.may_persist() && !connection.may_reuse(), "it is the last one");
}

#[test]
fn a_body_is_the_same_however_its_bytes_arrive() {
    for (framing, bytes) in [
        ("Content-Length: 10", "0123456789"),
        ("Transfer-Encoding: chunked", "3;x=y\r\n012\r\n7\r\n3456789\r\n0\r\nA: b\r\n\r\n"),
    ] {
        for split in 0..bytes.len() {
            let bench = bench(WIDE);
            let (mut connection, mut peer, framing) = begun(&bench, framing);
            let mut share = bench.budget.share();
            let mut reading = Box::pin(connection.read_body(framing, 10, &mut share));
            peer.send(&bytes[..split]);
            assert!(bench.reactor.poll(&mut reading).is_none());
            peer.send(&bytes[split..]);
            assert_eq!(bench.reactor.finish(reading).unwrap(), b"0123456789", "{split}");
        }
    }
}

#[test]
fn a_body_over_its_limit_is_refused_as_soon_as_that_is_known() {
    for (framing, bytes) in [
        ("Content-Length: 11\r\nExpect: 100-continue", ""),
        ("Transfer-Encoding: chunked", "b\r\n"),
        ("Transfer-Encoding: chunked", "5\r\n01234\r\n6\r\n"),
    ] {
        let bench = bench(WIDE);
        let (mut connection, mut peer, framing) = begun(&bench, framing);
        peer.send(bytes);
        let mut share = bench.budget.share();
        let refused = bench.reactor.finish(connection.read_body(framing, 10, &mut share));
        assert!(matches!(refused, Err(Error::TooLarge(10))), "{bytes}");
        assert_eq!(peer.text(), "", "nothing more is asked for");
    }
}

#[test]
fn a_head_that_comes_too_slowly_times_out_by_its_name() {
    let bench = bench(WIDE);
    let (mut connection, mut peer) = bench.connect();
    let mut waiting = next(&mut connection);
    for piece in ["G", "ET / HTTP/1.1\r\n", "Host: x\r\n"] {
        peer.send(piece);
        assert!(bench.reactor.poll(&mut waiting).is_none());
        // Progress does not help: the whole head has so much time.
        bench.reactor.pass_time(HEAD_MAX / 3);
    }
    assert!(bench.reactor.poll(&mut waiting).is_none());
    bench.reactor.pass_time(SECOND / 100);
    let Some(Err(Error::Timeout(wait))) = bench.reactor.finish(waiting) else { panic!() };
    assert_eq!((wait.label, wait.length), (label::REQUEST_HEAD, HEAD_MAX));
}

#[test]
fn a_body_that_comes_too_slowly_or_not_at_all_times_out_by_its_name() {
    for (received, label, seconds) in
        [(0, label::SLOW_REQUEST_BODY, 20), (100_000, label::REQUEST_BODY, 30)]
    {
        let bench = bench(WIDE);
        let (mut connection, mut peer, framing) = begun(&bench, "Content-Length: 200000");
        let mut share = bench.budget.share();
        let mut reading = Box::pin(connection.read_body(framing, 200_000, &mut share));
        peer.send(vec![b'x'; received]);
        for _ in 0..4 {
            assert!(bench.reactor.poll(&mut reading).is_none());
        }
        bench.reactor.pass_time(seconds * SECOND - SECOND / 100);
        assert!(bench.reactor.poll(&mut reading).is_none());
        bench.reactor.pass_time(SECOND / 100);
        let Err(Error::Timeout(wait)) = bench.reactor.finish(reading) else { panic!() };
        assert_eq!((wait.label, wait.length), (label, seconds * SECOND));
    }
}

#[test]
fn a_client_that_leaves_is_noticed_while_something_else_is_waited_for() {
    // Also behind bytes that nobody reads.
    for sent in [0, 10, 100_000] {
        let bench = bench(0);
        let (mut connection, mut peer) = bench.connect();
        peer.send(vec![b'x'; sent]);
        let mut waiting = Box::pin(connection.unless_gone(pending::<()>()));
        for _ in 0..4 {
            assert!(bench.reactor.poll(&mut waiting).is_none(), "{sent}");
        }
        drop(peer);
        assert!(matches!(bench.reactor.finish(waiting), Err(Error::Gone)), "{sent}");
    }
}

#[test]
fn what_is_waited_for_comes_first_then_the_client_and_then_the_end_of_the_wait() {
    let bench = bench(0);
    let (mut connection, peer) = bench.connect();
    let wait = Wait::new(label::NEXT_BYTES, connection.timer().now(), SECOND);
    let mut waiting = Box::pin(connection.unless_gone_within(wait, pending::<()>()));
    assert!(bench.reactor.poll(&mut waiting).is_none());
    bench.reactor.pass_time(SECOND);
    assert_eq!(bench.reactor.finish(waiting).unwrap(), Err(wait));
    drop(peer);
    let gone = bench.reactor.finish(connection.unless_gone_within(wait, pending::<()>()));
    assert!(matches!(gone, Err(Error::Gone)));
    let ready = bench.reactor.finish(connection.unless_gone_within(wait, async { 1 }));
    assert_eq!(ready.unwrap(), Ok(1));
}

#[test]
fn a_client_that_takes_nothing_for_a_minute_is_given_up_and_one_that_takes_little_is_not() {
    let bench = bench(WIDE);
    let (mut connection, mut peer) = bench.connect();
    let bytes = vec![b'x'; 2_000_000];
    let mut writing = Box::pin(connection.write_all(&bytes));
    for _ in 0..3 {
        assert!(bench.reactor.poll(&mut writing).is_none());
        bench.reactor.pass_time(59 * SECOND);
        assert!(!peer.drain().is_empty());
    }
    assert!(bench.reactor.poll(&mut writing).is_none());
    bench.reactor.pass_time(60 * SECOND);
    let Err(Error::Timeout(wait)) = bench.reactor.finish(writing) else { panic!() };
    assert_eq!((wait.label, wait.length), (label::WRITE_TO_CLIENT, 60 * SECOND));
}

#[test]
fn an_unread_body_is_thrown_away_when_it_is_short_and_comes() {
    for (length, sent, possible) in
        [(10, 10, true), (10, 9, false), (70_000, 70_000, true), (300_000, 70_000, false)]
    {
        let bench = bench(WIDE);
        let (mut connection, mut peer, _) = begun(&bench, &format!("Content-Length: {length}"));
        peer.send(vec![b'x'; sent]);
        let mut discarding = Box::pin(connection.discard_body());
        let early = bench.reactor.poll(&mut discarding);
        if sent < length {
            bench.reactor.pass_time(5 * SECOND);
        }
        // What is known to be too long is not even read.
        let known = early.is_some();
        assert_eq!(known, length == 300_000 || sent == length, "{length} {sent}");
        let discarded = early.unwrap_or_else(|| bench.reactor.finish(discarding));
        assert_eq!(discarded, possible, "{length} {sent}");
    }
}
