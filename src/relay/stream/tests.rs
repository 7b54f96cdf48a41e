use std::task::Waker;

use super::waiting::KEEP_ALIVE_COMMENT;
use super::*;
use crate::relay::testing::{Bench, Ended, Running, SECOND, STREAMS};
use crate::relay::{relay, Response};
use crate::report::Error;
use crate::runtime::label;
use crate::runtime::testing::Peer;
use crate::upstream::Timeouts;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
const OURS: &str = "cache-control: no-cache\r\nx-accel-buffering: no\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
const EVENT: &str = "data: {\"a\":1}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const LAST: &str = "0\r\n\r\n";

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A stream of which `events` have come and went out.
fn begin<'b>(bench: &'b Bench, events: &str) -> (Running<'b>, Peer, Peer) {
    let (running, mut client, provider) =
        bench.begin(&format!("{HEAD}{CHUNKED}{}", chunk(events)), 1);
    assert!(client.text().ends_with(&chunk(events)));
    (running, client, provider)
}

#[track_caller]
fn cut(ended: Ended) -> Error {
    match ended.result {
        Ok(Outcome::Cut(error)) => *error,
        other => panic!("{other:?}"),
    }
}

// All that is kept of a response that streams, beside its two sockets: there may be thousands of them.
#[test]
fn a_stream_is_small() {
    assert!(size_of::<Stream>() <= 448);
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
    let (response, mut provider) = bench.response(&format!("{HEAD}\r\n"));
    let (mut connection, mut client) = bench.client(1);
    let (terms, mut entry) = (bench.terms(), bench.entry(&connection));
    let relayed = bench.providers.finish(relay(response, &mut connection, &terms, &mut entry));
    let Ok(Response::Stream(mut stream)) = relayed else { panic!() };
    let bytes = vec![b'x'; 4_000_000];
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
    let relayed = found.iter().filter(|byte| **byte == b'x').count();
    // Each head has the `x` of `text/` and that of `x-accel`, and `text/` again.
    let head = format!("{HEAD}{OURS}").matches('x').count();
    assert_eq!(relayed - head, bytes.len());
}

#[test]
fn a_client_that_takes_nothing_for_a_minute_is_given_up_and_one_that_takes_little_is_not() {
    let bench = Bench::new(STREAMS);
    let (mut running, mut client, mut provider) = begin(&bench, EVENT);
    let bytes = chunk(&"x".repeat(8_000_000));
    let mut sent = 0;
    let mut fill = |running: &mut Running<'_>| loop {
        let more = provider.send_some(&bytes.as_bytes()[sent..]);
        sent += more;
        bench.wait(running);
        if more == 0 {
            break;
        }
    };
    for _ in 0..3 {
        fill(&mut running);
        bench.pass(59 * SECOND, &mut running);
        assert!(!client.drain().is_empty());
        bench.wait(&mut running);
    }
    fill(&mut running);
    bench.pass(59 * SECOND, &mut running);
    bench.providers.pass(SECOND);
    let ended = bench.finish(running);
    let Ok(Outcome::ClientSlow(wait)) = ended.result else { panic!("{:?}", ended.result) };
    assert_eq!((wait.label, wait.length), (label::WRITE_TO_CLIENT, 60 * SECOND));
    assert!(!ended.connection.may_reuse());
}

#[test]
fn silence_cuts_a_stream_and_says_so_between_two_events_only() {
    for (events, told) in [(EVENT, true), ("data: {\"a\"", false)] {
        let bench = Bench::new(STREAMS);
        let (mut running, mut client, mut provider) = begin(&bench, events);
        bench.pass(299 * SECOND, &mut running);
        assert_eq!(client.text(), "");
        bench.providers.pass(SECOND);
        let ended = bench.finish(running);
        assert!(!ended.connection.may_reuse());
        let error = cut(ended);
        assert_eq!(
            (error.status(), error.upstream_timeout().unwrap().label),
            (Some(504), label::NEXT_BYTES)
        );
        let last = client.text();
        assert_eq!(last, if told { chunk(&error.event()) } else { String::new() });
        assert!(provider.is_closed());
    }
}

#[test]
fn a_provider_that_dies_before_the_final_event_cuts_and_after_it_completes_the_stream() {
    let bench = Bench::new(STREAMS);
    let (running, mut client, provider) = begin(&bench, EVENT);
    drop(provider);
    let error = cut(bench.finish(running));
    assert_eq!(error.status(), Some(502));
    assert_eq!(client.text(), chunk(&error.event()), "and no last chunk");
    let (running, mut client, provider) = begin(&bench, DONE);
    drop(provider);
    let ended = bench.finish(running);
    assert!(matches!(ended.result, Ok(Outcome::Complete)) && ended.connection.may_reuse());
    assert_eq!(client.text(), LAST);
}

#[test]
fn a_provider_that_lingers_after_the_final_event_is_not_waited_for_long() {
    let bench = Bench::new(STREAMS);
    let (mut running, mut client, mut provider) = begin(&bench, DONE);
    assert_eq!(client.text(), "");
    bench.pass(SECOND - SECOND / 100, &mut running);
    bench.providers.pass(SECOND / 100);
    let ended = bench.finish(running);
    assert!(matches!(ended.result, Ok(Outcome::Complete)));
    assert_eq!(client.text(), LAST);
    assert!(provider.is_closed() && bench.providers.pool.idle() == 0);
}

#[test]
fn a_client_that_leaves_before_the_final_event_ends_the_exchange() {
    let bench = Bench::new(STREAMS);
    let (running, client, mut provider) = begin(&bench, EVENT);
    drop(client);
    assert!(matches!(bench.finish(running).result, Ok(Outcome::ClientGone)));
    assert!(provider.is_closed());
}

#[test]
fn a_client_that_leaves_after_the_final_event_has_had_a_complete_stream() {
    let bench = Bench::new(STREAMS);
    let (mut running, client, mut provider) = begin(&bench, DONE);
    drop(client);
    // The last bytes are waited for, so that the provider's connection serves again.
    bench.wait(&mut running);
    provider.send(LAST);
    let ended = bench.finish(running);
    assert!(matches!(ended.result, Ok(Outcome::Complete)) && !ended.connection.may_reuse());
    assert_eq!((ended.entry.bytes, bench.providers.pool.idle()), (DONE.len() as u64, 1));
}

#[test]
fn a_silent_stream_gets_comments_between_two_events_only_and_none_after_the_final_one() {
    let comments = Timeouts { comment_after: Some(10 * SECOND), ..STREAMS };
    let comment = chunk(std::str::from_utf8(KEEP_ALIVE_COMMENT).unwrap());
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
    // Comments keep the client, not the provider: its silence has its own end.
    bench.providers.pass(200 * SECOND);
    assert!(cut(bench.finish(running)).upstream_timeout().is_some());
    let (mut running, mut client, _provider) = begin(&bench, DONE);
    bench.pass(SECOND / 2, &mut running);
    assert_eq!(client.text(), "");
}
