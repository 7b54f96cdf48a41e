use super::*;
use crate::upstream::pool::PoolLimits;
use crate::upstream::testing::{
    begin, drain, good, refused, respond_with, share, warm_up, with_body, Bench, HEAD, LONG,
    REQUEST, RESPONSE, SECOND, TIMEOUTS, WIDE,
};

#[test]
fn a_request_goes_out_once_and_its_connection_serves_again() {
    let bench = Bench::new(WIDE);
    let mut peer = warm_up(&bench);
    assert!(peer.drain().is_empty());
    let running = begin(&bench);
    peer.expect(REQUEST);
    peer.send(RESPONSE);
    let response = good(bench.finish(running));
    assert!(response.lease.reused && peer.drain().is_empty());
}

#[test]
fn a_long_request_goes_out_in_order_and_once_however_slowly_it_is_read() {
    let bench = Bench::new(WIDE);
    let body: Vec<u8> = (0..LONG as u32).map(|index| (index % 251) as u8).collect();
    let mut running = with_body(&bench, &body);
    assert!(bench.poll(&mut running).is_none());
    let mut peer = bench.peer();
    let found = drain(&bench, &mut peer, &mut running);
    assert!(found == [HEAD.as_bytes(), &body].concat());
    peer.send(RESPONSE);
    let response = good(bench.finish(running));
    assert!(response.reusable && peer.drain().is_empty());
}

#[test]
fn interim_responses_are_skipped_however_they_arrive() {
    let bench = Bench::new(WIDE);
    let mut running = begin(&bench);
    let mut peer = bench.peer();
    peer.expect(REQUEST);
    for piece in ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 10", "2 Processing\r\nX: y\r\n", "\r\nHT"]
    {
        peer.send(piece);
        assert!(bench.poll(&mut running).is_none());
    }
    peer.send(&RESPONSE[2..]);
    let answer = good(bench.finish(running));
    assert_eq!(answer.head.status, 200);
    assert_eq!(bench.finish(answer.collect(10, &mut share())).unwrap(), b"ok");
    assert_eq!(bench.pool.idle(), 1);
}

#[test]
fn too_many_interim_responses_101_and_noise_are_refused() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(INTERIM_BYTES_MAX / 27 + 1);
    for response in [
        &interim,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        // Without waiting for the end of a head.
        "SSH-2.0",
        "HTTP/2",
    ] {
        let bench = Bench::new(WIDE);
        let (outcome, peer) = respond_with(&bench, response, false);
        assert!(matches!(refused(outcome), Error::Head(HeadError::Malformed(_))));
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
    assert_eq!(bench.finish(answer.collect(10, &mut share())).unwrap(), b"no");
    assert_eq!(bench.pool.idle(), 0);
    assert!(peer.drain().len() < LONG);
    assert!(peer.is_closed());
}

#[test]
fn each_wait_that_runs_out_has_its_name() {
    let bench = Bench::new(PoolLimits { leases_max: 1, ..WIDE });
    let mut first = begin(&bench);
    let mut second = begin(&bench);
    bench.pass(SECOND);
    let error = refused(bench.poll(&mut second).unwrap());
    assert!(matches!(&error, Error::Busy(1, wait) if wait.length == SECOND));
    assert_eq!(
        error.to_string(),
        "等待空闲连接超时，1 s (waiting for a free connection: timed out after 1 s)"
    );
    // Longer than a connection may be silent: TCP has to be told.
    for _ in 0..58 {
        bench.pass(SECOND);
        assert!(bench.poll(&mut first).is_none());
    }
    bench.pass(SECOND);
    let error = refused(bench.poll(&mut first).unwrap());
    assert!(matches!(&error, Error::Timeout(wait) if wait.length == TIMEOUTS.stream));
    let words = "等待首字节超时，60 s (waiting for the first byte: timed out after 60 s)";
    assert_eq!(error.to_string(), words);
    assert!(bench.peer().is_closed());
    assert_eq!(bench.pool.permits.taken(), 0);
}

#[test]
fn a_provider_that_cannot_be_reached_is_an_error_and_costs_no_permit() {
    let bench = Bench::new(WIDE);
    bench.refuse();
    let error = refused(bench.finish(with_body(&bench, b"{}")));
    assert!(error.to_string().starts_with("无法连接: "), "{error}");
    assert_eq!(bench.pool.permits.taken(), 0);
}

#[test]
fn a_redirect_is_refused_and_its_connection_serves_again() {
    for status in [300, 301, 302, 303, 305, 307, 308] {
        let bench = Bench::new(WIDE);
        let response =
            format!("HTTP/1.1 {status} Moved\r\nLocation: /v2\r\nContent-Length: 0\r\n\r\n");
        let (outcome, peer) = respond_with(&bench, &response, false);
        let error = refused(outcome);
        assert!(
            matches!(&error, Error::Redirect(found, Some(to)) if (*found, &**to) == (status, "/v2"))
        );
        assert!(!peer.unwrap().is_closed());
        assert_eq!((bench.pool.idle(), bench.pool.permits.taken()), (1, 0));
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
        let response = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nok");
        let (outcome, peer) = respond_with(&bench, &response, false);
        assert!(matches!(refused(outcome), Error::Head(_)), "{fields}");
        assert!(peer.unwrap().is_closed());
    }
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
