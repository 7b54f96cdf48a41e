use super::repeat::{repeat_within, REPEAT_WITHIN_MIN};
use super::*;
use crate::upstream::pool::PoolLimits;
use crate::upstream::testing::{
    begin, good, origin, refused, share, warm_up, Bench, HEAD, REQUEST, RESPONSE, TIMEOUTS, WIDE,
};

#[test]
fn an_exchange_is_repeated_once_after_an_early_idle_death_and_never_else() {
    let ms = Duration::from_millis;
    for (attempt, reused, response_bytes, age, tcp_took, repeats) in [
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
        let may = may_repeat(attempt, reused, response_bytes, age, tcp_took);
        assert_eq!(may, repeats, "{attempt} {reused} {response_bytes} {age:?} {tcp_took:?}");
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
        assert!(matches!(error, Error::Closed(false)), "{error}");
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
    peer.send(RESPONSE);
    let answer = good(bench.finish(running));
    assert!(!answer.lease.reused);
    assert_eq!(bench.finish(answer.collect(10, &mut share())).unwrap(), b"ok");
    assert!(bench.poll(&mut other).is_some());
}

/// Others may be dead, too, and there is one repeat only.
#[test]
fn the_repeat_of_an_exchange_takes_no_idle_connection() {
    let bench = Bench::new(WIDE);
    let (first, second) = (begin(&bench), begin(&bench));
    let (mut living, mut dead) = (bench.peer(), bench.peer());
    living.send(RESPONSE);
    dead.send(RESPONSE);
    bench.finish(good(bench.finish(first)).collect(10, &mut share())).unwrap();
    bench.finish(good(bench.finish(second)).collect(10, &mut share())).unwrap();
    assert_eq!(bench.pool.idle(), 2);
    let mut running = begin(&bench);
    drop(dead);
    assert!(bench.poll(&mut running).is_none());
    bench.peer().send(RESPONSE);
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
    assert!(matches!(refused(bench.finish(running)), Error::Closed(false)));
    assert_eq!(bench.pool.reuse_counts(), (1, 1));
}

#[test]
fn an_exchange_is_not_repeated_after_a_byte_of_its_response() {
    for byte in ["H", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let bench = Bench::new(WIDE);
        let mut peer = warm_up(&bench);
        let running = begin(&bench);
        peer.expect(REQUEST);
        peer.send(byte);
        drop(peer);
        assert!(matches!(refused(bench.finish(running)), Error::Closed(true)));
        assert_eq!(bench.pool.reuse_counts(), (1, 1));
    }
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
    bench.pass(TIMEOUTS.stream - REPEAT_WITHIN_MIN / 2);
    assert!(matches!(bench.poll(&mut running), Some(Err(Error::Timeout(_)))));
}

#[test]
fn an_exchange_whose_time_ran_out_is_not_repeated() {
    let bench = Bench::new(WIDE);
    let _peer = warm_up(&bench);
    let answer = REPEAT_WITHIN_MIN / 2;
    let timeouts = Timeouts { stream: answer, ..TIMEOUTS };
    let (origin, mut message) = (origin("a"), Message::new(HEAD.into(), Vec::new(), None));
    let mut running =
        Box::pin(exchange(&bench.pool, &origin, &mut message, &timeouts, &bench.timer));
    assert!(bench.poll(&mut running).is_none());
    bench.pass(answer);
    assert!(matches!(bench.poll(&mut running), Some(Err(Error::Timeout(_)))));
    assert_eq!(bench.pool.reuse_counts(), (1, 1));
}
