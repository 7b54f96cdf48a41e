use std::mem::size_of;

use super::*;
use crate::upstream::testing::{
    drain, good, respond_with, share, with_body, Bench, HEAD, LONG, RESPONSE, WIDE,
};
use crate::wire::BodyError;

#[test]
fn the_rest_of_a_request_goes_out_while_an_early_response_is_read() {
    let bench = Bench::new(WIDE);
    let body = vec![b'x'; LONG];
    let mut running = with_body(&bench, &body);
    assert!(bench.poll(&mut running).is_none());
    let mut peer = bench.peer();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    let answer = good(bench.finish(running));
    assert!(answer.unsent.is_some());
    let mut share = share();
    let mut reading = Box::pin(answer.collect(10, &mut share));
    let length = drain(&bench, &mut peer, &mut reading).len();
    peer.send("ok");
    assert_eq!(bench.finish(reading).unwrap(), b"ok");
    assert_eq!((length, peer.drain().len()), (HEAD.len() + body.len(), 0));
    assert_eq!(bench.pool.idle(), 1);
}

#[test]
fn a_body_that_is_not_what_its_framing_says_is_an_error() {
    for (response, closes) in [
        ("Content-Length: 3\r\n\r\nok", true),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\nx\r\n", false),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n", false),
    ] {
        let bench = Bench::new(WIDE);
        let (outcome, _peer) =
            respond_with(&bench, &format!("HTTP/1.1 200 OK\r\n{response}"), closes);
        let body = bench.finish(good(outcome).collect(100, &mut share()));
        assert!(matches!(body, Err(Error::Body(_))), "{response}");
        assert_eq!(bench.pool.idle(), 0);
    }
    // The kind of error, for one.
    let bench = Bench::new(WIDE);
    let (outcome, _) = respond_with(&bench, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", true);
    let body = bench.finish(good(outcome).collect(100, &mut share()));
    assert!(matches!(body, Err(Error::Body(BodyError::Truncated))));
}

#[test]
fn only_a_connection_whose_response_was_framed_and_read_to_its_end_serves_again() {
    for (response, closes, body, kept) in [
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
        let (outcome, _peer) = respond_with(&bench, response, closes);
        let found = bench.finish(good(outcome).collect(10, &mut share())).unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), body, "{response}");
        assert_eq!(bench.pool.idle(), usize::from(kept), "{response}");
        assert_eq!(bench.pool.permits.taken(), 0);
    }
}

#[test]
fn a_response_given_up_before_its_end_closes_its_connection() {
    for finishes in [true, false] {
        let bench = Bench::new(WIDE);
        let (outcome, peer) =
            respond_with(&bench, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false);
        let response = good(outcome);
        if finishes {
            response.finish();
        } else {
            drop(response);
        }
        assert!(peer.unwrap().is_closed());
        assert_eq!((bench.pool.idle(), bench.pool.permits.taken()), (0, 0));
    }
}

#[test]
fn a_response_over_its_limit_is_refused() {
    let bench = Bench::new(WIDE);
    let (outcome, peer) = respond_with(&bench, RESPONSE, false);
    let body = bench.finish(good(outcome).collect(1, &mut share()));
    assert!(matches!(body, Err(Error::TooLarge(1))));
    assert!(peer.unwrap().is_closed());
}

#[test]
fn an_open_response_is_small() {
    assert!(size_of::<UpstreamResponse>() <= 184);
}
