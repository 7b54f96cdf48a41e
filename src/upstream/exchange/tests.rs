use std::future::Future;
use std::mem::size_of;
use std::pin::Pin;

use super::*;
use crate::upstream::pool::PoolLimits;
use crate::upstream::testing::{origin, Bench, Peer, WIDE};
use crate::wire::BodyError;

const SECOND: Duration = Duration::from_secs(1);
const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\n\r\n";
const REQUEST: &str = "POST /v1/chat/completions HTTP/1.1\r\n\r\n{\"n\": 1}";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// More than the kernel takes for one who does not read.
const LONG: usize = 1_000_000;
const PATIENCE: Patience =
    Patience { queue: Some(SECOND), answer: Duration::from_secs(60), label: label::FIRST_BYTE };

type Outcome = Result<UpstreamResponse, ExchangeError>;
type Running<'b> = Pin<Box<dyn Future<Output = Outcome> + 'b>>;

/// An exchange with `body` that was not polled yet.
fn with_body<'b>(bench: &'b Bench, body: &[u8]) -> Running<'b> {
    let message = Message::new(HEAD.into(), body.to_vec(), None);
    Box::pin(
        async move { exchange(&bench.pool, &origin("a"), message, PATIENCE, &bench.timer).await },
    )
}

/// An exchange whose request is on its way.
#[track_caller]
fn begin(bench: &Bench) -> Running<'_> {
    let mut running = with_body(bench, b"{\"n\": 1}");
    assert!(bench.poll(&mut running).is_none());
    running
}

/// What comes of an exchange that is answered with `bytes`, after which the provider closes or waits.
#[track_caller]
fn answered(bench: &Bench, bytes: &str, closes: bool) -> (Outcome, Option<Peer>) {
    let running = begin(bench);
    let mut peer = bench.peer();
    peer.expect(REQUEST);
    peer.send(bytes);
    let peer = (!closes).then_some(peer);
    (bench.finish(running), peer)
}

#[track_caller]
fn refused(outcome: Outcome) -> ExchangeError {
    match outcome {
        Ok(answer) => panic!("answered with {}", answer.head.status),
        Err(error) => error,
    }
}

#[track_caller]
fn good(outcome: Outcome) -> UpstreamResponse {
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

/// Leaves an idle connection behind.
fn warm_up(bench: &Bench) -> Peer {
    let (outcome, peer) = answered(bench, ANSWER, false);
    assert_eq!(bench.finish(good(outcome).collect(10)).unwrap(), b"ok");
    assert_eq!(bench.pool.idle(), 1);
    peer.unwrap()
}

#[test]
fn an_exchange_is_repeated_once_after_an_early_idle_death_and_never_else() {
    let ms = Duration::from_millis;
    for (attempt, reused, answer_bytes, age, tcp_took, repeats) in [
        (0, true, 0, ms(0), ms(0), true),
        (0, true, 0, ms(19), ms(0), true),
        (0, true, 0, ms(20), ms(0), false),
        (0, true, 0, ms(79), ms(40), true),
        (0, true, 0, ms(80), ms(40), false),
        (0, true, 0, ms(499), ms(9000), true),
        (0, true, 0, ms(500), ms(9000), false),
        (0, true, 1, ms(0), ms(0), false),
        (0, false, 0, ms(0), ms(0), false),
        (1, true, 0, ms(0), ms(0), false),
    ] {
        let may = may_repeat(attempt, reused, answer_bytes, age, tcp_took);
        assert_eq!(may, repeats, "{attempt} {reused} {answer_bytes} {age:?} {tcp_took:?}");
    }
}

#[test]
fn the_news_of_an_idle_death_may_take_two_round_trips_within_bounds() {
    for (took, within) in [(0, 20), (3, 20), (10, 20), (40, 80), (250, 500), (9000, 500)] {
        let took = Duration::from_millis(took);
        assert_eq!(repeat_within(took), Duration::from_millis(within), "{took:?}");
    }
}

#[test]
fn a_request_goes_out_once_and_its_connection_serves_again() {
    let bench = Bench::new(WIDE);
    let mut peer = warm_up(&bench);
    assert!(peer.drain().is_empty());
    let running = begin(&bench);
    peer.expect(REQUEST);
    peer.send(ANSWER);
    let answer = good(bench.finish(running));
    assert!(answer.lease.reused && peer.drain().is_empty());
}

#[test]
fn a_long_request_goes_out_in_order_and_once_however_slowly_it_is_read() {
    let bench = Bench::new(WIDE);
    let body: Vec<u8> = (0..LONG as u32).map(|index| (index % 251) as u8).collect();
    let mut running = with_body(&bench, &body);
    let mut found = Vec::new();
    assert!(bench.poll(&mut running).is_none());
    let mut peer = bench.peer();
    while found.len() < HEAD.len() + body.len() {
        found.extend(peer.drain());
        assert!(bench.poll(&mut running).is_none());
    }
    assert!(found == [HEAD.as_bytes(), &body].concat());
    peer.send(ANSWER);
    let answer = good(bench.finish(running));
    assert!(answer.reusable && peer.drain().is_empty());
}

#[test]
fn interim_answers_are_skipped_however_they_arrive() {
    let bench = Bench::new(WIDE);
    let mut running = begin(&bench);
    let mut peer = bench.peer();
    peer.expect(REQUEST);
    for piece in ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 10", "2 Processing\r\nX: y\r\n", "\r\nHT"]
    {
        peer.send(piece);
        assert!(bench.poll(&mut running).is_none());
    }
    peer.send(&ANSWER[2..]);
    let answer = good(bench.finish(running));
    assert_eq!(answer.head.status, 200);
    assert_eq!(bench.finish(answer.collect(10)).unwrap(), b"ok");
    assert_eq!(bench.pool.idle(), 1);
}

#[test]
fn too_many_interim_answers_101_and_noise_are_refused() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(INTERIM_BYTES_MAX / 27 + 1);
    for answer in [
        &interim,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        // Without waiting for the end of a head.
        "SSH-2.0",
        "HTTP/2",
    ] {
        let bench = Bench::new(WIDE);
        let (outcome, peer) = answered(&bench, answer, false);
        assert!(matches!(refused(outcome), ExchangeError::Head(HeadError::Malformed(_))));
        assert!(peer.unwrap().is_closed());
        assert_eq!(bench.pool.permits.taken(), 0);
    }
}

#[test]
fn a_refusal_may_come_before_the_end_of_the_request_which_then_is_not_sent() {
    let bench = Bench::new(WIDE);
    let mut running = with_body(&bench, &vec![b'x'; LONG]);
    assert!(bench.poll(&mut running).is_none());
    let mut peer = bench.peer();
    peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    let answer = good(bench.finish(running));
    assert_eq!(answer.head.status, 413);
    assert!(answer.unsent.is_none());
    assert_eq!(bench.finish(answer.collect(10)).unwrap(), b"no");
    assert_eq!(bench.pool.idle(), 0);
    assert!(peer.drain().len() < LONG);
    assert!(peer.is_closed());
}

#[test]
fn the_rest_of_a_request_goes_out_while_an_early_answer_is_read() {
    let bench = Bench::new(WIDE);
    let body = vec![b'x'; LONG];
    let mut running = with_body(&bench, &body);
    assert!(bench.poll(&mut running).is_none());
    let mut peer = bench.peer();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    let answer = good(bench.finish(running));
    assert!(answer.unsent.is_some());
    let mut reading = Box::pin(answer.collect(10));
    let mut length = 0;
    while length < HEAD.len() + body.len() {
        length += peer.drain().len();
        assert!(bench.poll(&mut reading).is_none());
    }
    peer.send("ok");
    assert_eq!(bench.finish(reading).unwrap(), b"ok");
    assert_eq!((length, peer.drain().len()), (HEAD.len() + body.len(), 0));
    // The provider did not wait for the request: what comes of it cannot be told from the next answer.
    assert_eq!(bench.pool.idle(), 0);
}

#[test]
fn a_reused_connection_that_was_dead_is_replaced_once() {
    for reads in [true, false] {
        let bench = Bench::new(WIDE);
        let mut dead = warm_up(&bench);
        let mut running = begin(&bench);
        if reads {
            dead.expect(REQUEST);
        }
        // With the request unread it is a reset, else the end of the stream.
        drop(dead);
        assert!(bench.poll(&mut running).is_none());
        let mut peer = bench.peer();
        peer.expect(REQUEST);
        drop(peer);
        let error = refused(bench.finish(running));
        assert!(matches!(error, ExchangeError::Closed(false)), "{error}");
        assert_eq!(bench.pool.permits.taken(), 0);
    }
}

/// The permit goes from the attempt to its repeat: nobody comes in between.
#[test]
fn the_repeat_of_an_exchange_is_answered_like_any_other() {
    let bench = &Bench::new(PoolLimits { leases_max: 1, ..WIDE });
    let dead = warm_up(bench);
    let mut running = begin(bench);
    let mut other = Box::pin(bench.pool.permits.take());
    assert!(bench.poll(&mut other).is_none());
    drop(dead);
    assert!(bench.poll(&mut running).is_none());
    assert!(bench.poll(&mut other).is_none());
    let mut peer = bench.peer();
    peer.expect(REQUEST);
    peer.send(ANSWER);
    let answer = good(bench.finish(running));
    assert!(!answer.lease.reused);
    assert_eq!(bench.finish(answer.collect(10)).unwrap(), b"ok");
    assert!(bench.poll(&mut other).is_some());
}

/// Others may be dead, too, and there is one repeat only.
#[test]
fn the_repeat_of_an_exchange_takes_no_idle_connection() {
    let bench = Bench::new(WIDE);
    let (first, second) = (begin(&bench), begin(&bench));
    let (mut living, mut dead) = (bench.peer(), bench.peer());
    living.send(ANSWER);
    dead.send(ANSWER);
    bench.finish(good(bench.finish(first)).collect(10)).unwrap();
    bench.finish(good(bench.finish(second)).collect(10)).unwrap();
    assert_eq!(bench.pool.idle(), 2);
    let mut running = begin(&bench);
    drop(dead);
    assert!(bench.poll(&mut running).is_none());
    bench.peer().send(ANSWER);
    assert!(!good(bench.finish(running)).lease.reused);
    assert_eq!(bench.pool.idle(), 1);
}

#[test]
fn an_exchange_on_a_new_connection_is_not_repeated() {
    let bench = Bench::new(WIDE);
    let running = begin(&bench);
    drop(bench.peer());
    assert!(refused(bench.finish(running)).is_death());
    assert_eq!(bench.pool.reuse_counts(), (0, 1));
}

#[test]
fn an_exchange_that_may_have_begun_is_not_repeated() {
    let bench = Bench::new(WIDE);
    let mut peer = warm_up(&bench);
    let running = begin(&bench);
    peer.expect(REQUEST);
    bench.pass(REPEAT_WITHIN_MIN);
    drop(peer);
    assert!(matches!(refused(bench.finish(running)), ExchangeError::Closed(false)));
    assert_eq!(bench.pool.reuse_counts(), (1, 1));
}

#[test]
fn an_exchange_is_not_repeated_after_a_byte_of_its_answer() {
    for byte in ["H", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let bench = Bench::new(WIDE);
        let mut peer = warm_up(&bench);
        let running = begin(&bench);
        peer.expect(REQUEST);
        peer.send(byte);
        drop(peer);
        assert!(matches!(refused(bench.finish(running)), ExchangeError::Closed(true)));
        assert_eq!(bench.pool.reuse_counts(), (1, 1));
    }
}

#[test]
fn each_wait_that_runs_out_has_its_name() {
    let bench = Bench::new(PoolLimits { leases_max: 1, ..WIDE });
    let mut first = begin(&bench);
    let mut second = begin(&bench);
    bench.pass(SECOND);
    let error = refused(bench.poll(&mut second).unwrap());
    assert!(matches!(&error, ExchangeError::Busy(1, wait) if wait.length == SECOND));
    assert_eq!(
        error.to_string(),
        "等待空闲连接 (waiting for a free connection)超时 (timed out after 1 s)"
    );
    // Longer than a connection may be silent: TCP has to be told.
    for _ in 0..58 {
        bench.pass(SECOND);
        assert!(bench.poll(&mut first).is_none());
    }
    bench.pass(SECOND);
    let error = refused(bench.poll(&mut first).unwrap());
    assert!(matches!(&error, ExchangeError::Timeout(wait) if wait.length == PATIENCE.answer));
    assert_eq!(error.to_string(), "等待首字节 (first byte)超时 (timed out after 60 s)");
    assert!(bench.peer().is_closed());
    assert_eq!(bench.pool.permits.taken(), 0);
}

#[test]
fn the_repeat_has_what_is_left_of_the_time() {
    let bench = Bench::new(WIDE);
    let dead = warm_up(&bench);
    let mut running = begin(&bench);
    bench.pass(REPEAT_WITHIN_MIN / 2);
    drop(dead);
    assert!(bench.poll(&mut running).is_none());
    let _peer = bench.peer();
    bench.pass(PATIENCE.answer - REPEAT_WITHIN_MIN / 2);
    assert!(matches!(bench.poll(&mut running), Some(Err(ExchangeError::Timeout(_)))));
}

#[test]
fn a_provider_that_cannot_be_reached_is_an_error_and_costs_no_permit() {
    let bench = Bench::new(WIDE);
    bench.refuse();
    let error = refused(bench.finish(with_body(&bench, b"{}")));
    assert!(error.to_string().starts_with("无法连接 (cannot connect)"), "{error}");
    assert_eq!(bench.pool.permits.taken(), 0);
}

#[test]
fn a_redirect_is_refused_and_its_connection_closed() {
    for status in [300, 301, 302, 303, 305, 307, 308] {
        let bench = Bench::new(WIDE);
        let answer =
            format!("HTTP/1.1 {status} Moved\r\nLocation: /v2\r\nContent-Length: 0\r\n\r\n");
        let (outcome, peer) = answered(&bench, &answer, false);
        let error = refused(outcome);
        assert!(
            matches!(&error, ExchangeError::Redirect(found, Some(to)) if (*found, &**to) == (status, "/v2"))
        );
        assert!(peer.unwrap().is_closed());
    }
}

#[test]
fn a_head_that_frames_its_body_twice_is_refused() {
    for fields in [
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: +2",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
    ] {
        let bench = Bench::new(WIDE);
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nok");
        let (outcome, peer) = answered(&bench, &answer, false);
        assert!(matches!(refused(outcome), ExchangeError::Head(_)), "{fields}");
        assert!(peer.unwrap().is_closed());
    }
}

#[test]
fn a_body_that_is_not_what_its_framing_says_is_an_error() {
    for (answer, closes) in [
        ("Content-Length: 3\r\n\r\nok", true),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\nx\r\n", false),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n", false),
    ] {
        let bench = Bench::new(WIDE);
        let (outcome, _peer) = answered(&bench, &format!("HTTP/1.1 200 OK\r\n{answer}"), closes);
        let body = bench.finish(good(outcome).collect(100));
        assert!(matches!(body, Err(ExchangeError::Body(_))), "{answer}");
        assert_eq!(bench.pool.idle(), 0);
    }
    // The kind of error, for one.
    let bench = Bench::new(WIDE);
    let (outcome, _) = answered(&bench, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", true);
    let body = bench.finish(good(outcome).collect(100));
    assert!(matches!(body, Err(ExchangeError::Body(BodyError::Truncated))));
}

#[test]
fn only_a_connection_whose_answer_was_framed_and_read_to_its_end_serves_again() {
    for (answer, closes, body, kept) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false, "ok", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            false,
            "ok",
            true,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", false, "", true),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nok", false, "ok", true),
        // More than was announced.
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", false, "ok", false),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 ",
            false,
            "",
            false,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n{}", false, "", false),
        // One that ends.
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false, "ok", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false, "ok", false),
        ("HTTP/1.1 200 OK\r\n\r\nok", true, "ok", false),
    ] {
        let bench = Bench::new(WIDE);
        let (outcome, _peer) = answered(&bench, answer, closes);
        let found = bench.finish(good(outcome).collect(10)).unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), body, "{answer}");
        assert_eq!(bench.pool.idle(), usize::from(kept), "{answer}");
        assert_eq!(bench.pool.permits.taken(), 0);
    }
}

#[test]
fn an_answer_given_up_before_its_end_closes_its_connection() {
    for finishes in [true, false] {
        let bench = Bench::new(WIDE);
        let (outcome, peer) =
            answered(&bench, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false);
        let answer = good(outcome);
        if finishes {
            answer.finish();
        } else {
            drop(answer);
        }
        assert!(peer.unwrap().is_closed());
        assert_eq!((bench.pool.idle(), bench.pool.permits.taken()), (0, 0));
    }
}

#[test]
fn an_answer_over_its_limit_is_refused() {
    let bench = Bench::new(WIDE);
    let (outcome, peer) = answered(&bench, ANSWER, false);
    let body = bench.finish(good(outcome).collect(1));
    assert!(matches!(body, Err(ExchangeError::TooLarge(1))));
    assert!(peer.unwrap().is_closed());
}

#[test]
fn an_exchange_dropped_in_any_state_closes_its_connection_and_gives_its_permit_back() {
    let bench = Bench::new(PoolLimits { leases_max: 1, ..WIDE });
    let waiting = begin(&bench);
    let queued = begin(&bench);
    drop(queued);
    assert_eq!(bench.pool.permits.taken(), 1);
    drop(waiting);
    assert!(bench.peer().is_closed());
    assert_eq!(bench.pool.permits.taken(), 0);
    let mut sending = with_body(&bench, &vec![b'x'; LONG]);
    assert!(bench.poll(&mut sending).is_none());
    drop(sending);
    assert!(bench.peer().is_closed());
    assert_eq!((bench.pool.idle(), bench.pool.permits.taken()), (0, 0));
}

#[test]
fn an_open_answer_is_small() {
    assert!(size_of::<UpstreamResponse>() <= 184);
}
