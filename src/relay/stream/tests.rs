use std::task::Waker;

use super::*;
use crate::relay::testing::{Bench, Ended, Running, SECOND, STREAMS};
use crate::relay::{relay, Response};
use crate::report::Error;
use crate::runtime::testing::Peer;
use crate::upstream::Timeouts;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
const OURS: &str = "cache-control: no-cache\r\nx-accel-buffering: no\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
pub(super) const EVENT: &str = "data: {\"a\":1}\n\n";
pub(super) const DONE: &str = "data: [DONE]\n\n";
pub(super) const LAST: &str = "0\r\n\r\n";

pub(super) fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A stream of which `events` have come and went out.
pub(super) fn begin<'b>(bench: &'b Bench, events: &str) -> (Running<'b>, Peer, Peer) {
    let (running, mut client, provider) =
        bench.begin(&format!("{HEAD}{CHUNKED}{}", chunk(events)), 1);
    assert!(client.text().ends_with(&chunk(events)));
    (running, client, provider)
}

type Open = (Box<Stream>, Connection, Box<Entry>, Peer, Peer);

/// A stream that was not polled yet, between its client and its provider.
fn open(bench: &Bench, framing: &str) -> Open {
    let (response, provider) = bench.response(&format!("{HEAD}{framing}"));
    let (mut connection, client) = bench.client(1);
    let (terms, mut entry) = (bench.terms(), bench.entry(&connection));
    let relayed = bench.providers.finish(relay::<false>(
        response,
        (Vec::new(), terms.budget.share()),
        &mut connection,
        &terms,
        &mut entry,
    ));
    let Ok(Response::Stream(stream)) = relayed else { panic!() };
    (stream, connection, entry, client, provider)
}

#[track_caller]
pub(super) fn cut(ended: Ended) -> Error {
    match ended.result {
        Ok(Outcome::Cut(error)) => *error,
        other => panic!("{other:?}"),
    }
}

// All that is kept of a response that streams, beside its two sockets: there may be thousands of them.
#[test]
fn a_stream_is_small() {
    assert!(size_of::<Stream>() <= 480);
}

#[test]
fn a_body_of_unknown_length_goes_out_in_chunks_piece_by_piece() {
    for (framing, first, second, end) in [
        (CHUNKED, chunk(EVENT), chunk(DONE), Some(LAST)),
        ("\r\n", EVENT.to_owned(), DONE.to_owned(), None),
    ] {
        let bench = Bench::new(STREAMS);
        let (mut running, mut client, mut provider) = bench.begin(&format!("{HEAD}{framing}"), 1);
        let head = format!("{HEAD}{OURS}transfer-encoding: chunked\r\n\r\n");
        assert_eq!(client.text(), head);
        provider.send(first);
        bench.wait(&mut running);
        assert_eq!(client.text(), chunk(EVENT));
        provider.send(second);
        bench.wait(&mut running);
        assert_eq!(client.text(), chunk(DONE));
        match end {
            Some(end) => provider.send(end),
            None => drop(provider),
        }
        let ended = bench.finish(running);
        assert!(matches!(ended.result, Ok(Outcome::Complete)) && ended.connection.may_reuse());
        assert_eq!(client.text(), LAST);
        assert_eq!(ended.entry.bytes, (EVENT.len() + DONE.len()) as u64);
        let (chunks, idle) = if end.is_some() { (2, 1) } else { (0, 0) };
        assert_eq!((ended.entry.chunks, bench.providers.pool.idle()), (chunks, idle));
    }
}

#[test]
fn a_body_of_known_length_goes_out_as_it_comes() {
    let bench = Bench::new(STREAMS);
    let (mut running, mut client, mut provider) =
        bench.begin(&format!("{HEAD}Content-Length: 20\r\n\r\n0123"), 1);
    assert_eq!(client.text(), format!("{HEAD}{OURS}content-length: 20\r\n\r\n0123"));
    provider.send("4567");
    bench.wait(&mut running);
    assert_eq!(client.text(), "4567");
    provider.send("890123456789");
    let ended = bench.finish(running);
    assert!(matches!(ended.result, Ok(Outcome::Complete)) && ended.connection.may_reuse());
    assert_eq!((client.text().as_str(), bench.providers.pool.idle()), ("890123456789", 1));
}

#[test]
fn a_body_for_a_client_that_knows_no_chunks_ends_with_the_connection() {
    let bench = Bench::new(STREAMS);
    let (running, mut client, mut provider) =
        bench.begin(&format!("{HEAD}{CHUNKED}{}", chunk(EVENT)), 0);
    assert_eq!(client.text(), format!("{HEAD}{OURS}connection: close\r\n\r\n{EVENT}"));
    provider.send([chunk(DONE).as_str(), LAST].concat());
    let ended = bench.finish(running);
    assert!(matches!(ended.result, Ok(Outcome::Complete)) && !ended.connection.may_reuse());
    assert_eq!(client.text(), DONE);
}

#[test]
fn a_slow_client_holds_up_the_provider_and_not_the_memory() {
    let bench = Bench::new(STREAMS);
    let (mut stream, mut connection, mut entry, mut client, mut provider) = open(&bench, "\r\n");
    let bytes = vec![b'~'; 4_000_000];
    let context = Context::from_waker(Waker::noop());
    let (mut sent, mut quiet) = (0, 0);
    // Until nothing moves any more.
    while quiet < 5 {
        let more = provider.send_some(&bytes[sent..]);
        sent += more;
        quiet = if more > 0 { 0 } else { quiet + 1 };
        bench.providers.reactor.look();
        assert!(stream.poll(&context, &mut connection, &mut entry).is_pending());
        assert!(stream.pending.len() <= PIECE_BYTES_MAX + 2 * HEADROOM);
    }
    assert!(sent < bytes.len() && !stream.pending.is_empty());
    // The client goes on, and so does all else.
    let mut found = client.drain();
    while sent < bytes.len() {
        sent += provider.send_some(&bytes[sent..]);
        bench.providers.reactor.look();
        assert!(stream.poll(&context, &mut connection, &mut entry).is_pending());
        found.extend(client.drain());
    }
    drop(provider);
    let outcome = bench.providers.finish(poll_fn(|context| {
        found.extend(client.drain());
        stream.poll(context, &mut connection, &mut entry)
    }));
    found.extend(client.drain());
    assert!(matches!(outcome, Outcome::Complete) && found.ends_with(LAST.as_bytes()));
    assert_eq!((entry.bytes, stream.pending.capacity()), (bytes.len() as u64, 0));
    assert_eq!(found.iter().filter(|byte| **byte == b'~').count(), bytes.len());
}

#[test]
fn a_silent_stream_gets_comments_between_two_events_only_and_none_after_the_final_one() {
    let comments = Timeouts { comment_after: Some(10 * SECOND), ..STREAMS };
    let comment = chunk(std::str::from_utf8(Dialect::OpenAi.keep_alive()).unwrap());
    let bench = Bench::new(comments);
    let (mut running, mut client, mut provider) = begin(&bench, EVENT);
    for _ in 0..2 {
        bench.pass(9 * SECOND, &mut running);
        assert_eq!(client.text(), "");
        bench.pass(SECOND, &mut running);
        assert_eq!(client.text(), comment);
    }
    let half = "data: {\"b\"";
    provider.send(chunk(half));
    bench.wait(&mut running);
    assert_eq!(client.text(), chunk(half));
    bench.pass(100 * SECOND, &mut running);
    assert_eq!(client.text(), "", "in the middle of an event");
    let bench = Bench::new(Timeouts { comment_after: Some(SECOND / 2), ..STREAMS });
    let (mut running, mut client, _provider) = begin(&bench, DONE);
    bench.pass(SECOND - SECOND / 100, &mut running);
    assert_eq!(client.text(), "", "nobody waits any more");
}

#[test]
fn comments_keep_the_client_and_not_the_provider() {
    let bench = Bench::new(Timeouts { comment_after: Some(10 * SECOND), ..STREAMS });
    let (mut running, mut client, _provider) = begin(&bench, EVENT);
    for _ in 0..29 {
        bench.pass(10 * SECOND, &mut running);
    }
    assert_eq!(client.text().matches(": keep-alive").count(), 29);
    bench.providers.pass(10 * SECOND);
    assert_eq!(cut(bench.finish(running)).status(), Some(504));
}

#[test]
fn the_silence_before_a_comment_begins_when_the_client_has_taken_all() {
    let bench = Bench::new(Timeouts { comment_after: Some(10 * SECOND), ..STREAMS });
    let (mut stream, mut connection, mut entry, mut client, mut provider) = open(&bench, CHUNKED);
    let context = Context::from_waker(Waker::noop());
    let event = chunk(&format!("data: {}\n\n", "x".repeat(30_000)));
    let mut poll = || {
        bench.providers.reactor.look();
        assert!(stream.poll(&context, &mut connection, &mut entry).is_pending());
        stream.pending.len()
    };
    loop {
        provider.send(&event);
        if poll() > 0 {
            break;
        }
    }
    bench.providers.pass(50 * SECOND);
    assert!(poll() > 0);
    let mut found = client.text();
    while poll() > 0 {
        found += &client.text();
    }
    assert!(!found.contains(": keep-alive"));
    for (seconds, comments) in [(0, 0), (9, 0), (1, 1)] {
        bench.providers.pass(seconds * SECOND);
        poll();
        poll();
        assert_eq!(client.text().matches(": keep-alive").count(), comments);
    }
}
