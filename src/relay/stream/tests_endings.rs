//! How streams end.

use super::tests::{begin, chunk, cut, DONE, EVENT, LAST};
use super::*;
use crate::relay::testing::{Bench, Running, SECOND, STREAMS};
use crate::runtime::label;

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
        assert_eq!(
            last,
            if told { chunk(&error.event(Dialect::OpenAi, "id")) } else { String::new() }
        );
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
    assert_eq!(client.text(), chunk(&error.event(Dialect::OpenAi, "id")), "and no last chunk");
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
    provider.send(chunk(": late\n\n"));
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
    provider.send([chunk(": more\n\n").as_str(), LAST].concat());
    let ended = bench.finish(running);
    assert!(matches!(ended.result, Ok(Outcome::Complete)) && !ended.connection.may_reuse());
    assert_eq!((ended.entry.bytes, ended.entry.chunks), (DONE.len() as u64, 2));
    assert_eq!(bench.providers.pool.idle(), 1);
}

#[test]
fn a_client_that_leaves_with_more_than_the_final_event_pending_has_had_a_complete_stream() {
    let bench = Bench::new(STREAMS);
    let (mut running, client, mut provider) = begin(&bench, DONE);
    let bytes = chunk(&": more\n\n".repeat(200_000));
    let mut sent = 0;
    loop {
        let more = provider.send_some(&bytes.as_bytes()[sent..]);
        sent += more;
        bench.wait(&mut running);
        if more == 0 {
            break;
        }
    }
    drop(client);
    bench.wait(&mut running);
    assert!(provider.send_some(&bytes.as_bytes()[sent..]) > 0, "it is read again");
    bench.providers.pass(SECOND);
    assert!(matches!(bench.finish(running).result, Ok(Outcome::Complete)));
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
