//! Responses that begin before their provider's.

use super::testing::{Bench, Ended, Running, SECOND, STREAMS};
use super::*;
use crate::downstream::Connection;
use crate::report::Outcome;

const OPENING: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    cache-control: no-cache\r\nx-accel-buffering: no\r\nx-request-id: id\r\n";
const COMMENT: &str = "e\r\n: keep-alive\n\n\r\n";

/// A request that a sign of life goes out for after 10 s.
fn begin(bench: &Bench, connection: Connection) -> Running<'_> {
    let (mut entry, mut connection) = (bench.entry(&connection), connection);
    Box::pin(async move {
        let terms = bench.terms();
        let mut early = Early::new(10 * SECOND, &terms, &connection);
        let result = match early.wait(bench.exchange(), &mut connection, &mut entry).await {
            Err(error) => Err(error.into()),
            Ok(response) => {
                assert!(early.opened);
                let response = early
                    .relay(
                        response
                            .map(|response| {
                                Answer::Open(Box::new(response), Vec::new(), terms.budget.share())
                            })
                            .map_err(|error| Error::of_exchange(terms.provider, error)),
                        &mut connection,
                        &mut entry,
                    )
                    .await;
                Ok(response.send(&mut connection, &mut entry).await)
            }
        };
        Ended { result, entry, connection }
    })
}

#[test]
fn a_provider_that_refuses_after_an_early_head_is_told_in_one_event() {
    for (minor, framed, end) in [
        (1, "transfer-encoding: chunked\r\n\r\n", "\r\n0\r\n\r\n"),
        (0, "connection: close\r\n\r\n", ""),
    ] {
        let bench = Bench::new(STREAMS);
        let (connection, mut client) = bench.client(minor);
        let mut running = begin(&bench, connection);
        bench.wait(&mut running);
        bench.pass(9 * SECOND, &mut running);
        assert_eq!(client.text(), "");
        bench.pass(SECOND, &mut running);
        let comment = if minor == 1 { COMMENT } else { ": keep-alive\n\n" };
        assert_eq!(client.text(), format!("{OPENING}{framed}{comment}"));
        bench.pass(10 * SECOND, &mut running);
        assert_eq!(client.text(), comment);
        bench.providers.peer().send("HTTP/1.1 429 No\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
        let mut ended = bench.finish(running);
        assert!(matches!(ended.result, Ok(Outcome::Refused(429))));
        assert_eq!(ended.connection.may_reuse(), minor == 1);
        let event = client.text();
        assert!(event.contains("data: {\"error\":{\"message\":\""), "{event}");
        let told = "\"type\":\"http_error\",\"code\":429,\"upstream\":{\"a\":1}}}\n\n";
        assert!(event.ends_with(&format!("{told}{end}")), "{event}");
        assert_eq!((event.matches("data:").count(), ended.entry.status), (1, 200));
        ended.entry.close(&Outcome::Refused(429));
        let report = bench.stats.report(0, &bench.providers.pool);
        assert_eq!(report["errors"], serde_json::json!({"-": {"status_4xx": 1}}));
    }
}

#[test]
fn a_provider_that_streams_after_an_early_head_goes_on_in_its_place() {
    let bench = Bench::new(STREAMS);
    let (connection, mut client) = bench.client(1);
    let mut running = begin(&bench, connection);
    bench.wait(&mut running);
    bench.pass(10 * SECOND, &mut running);
    assert!(client.text().ends_with(COMMENT));
    let mut provider = bench.providers.peer();
    // Else its end would be a reset.
    provider.drain();
    provider
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Y: z\r\n\r\ndata: 1\n\n");
    bench.wait(&mut running);
    assert_eq!(client.text(), "9\r\ndata: 1\n\n\r\n");
    drop(provider);
    let ended = bench.finish(running);
    assert!(matches!(ended.result, Ok(Outcome::Complete)), "{:?}", ended.result);
    assert_eq!(client.text(), "0\r\n\r\n");
}

#[test]
fn a_provider_that_dies_after_an_early_head_is_an_error_event_and_a_clean_end() {
    let bench = Bench::new(STREAMS);
    let (connection, mut client) = bench.client(1);
    let mut running = begin(&bench, connection);
    bench.wait(&mut running);
    bench.pass(10 * SECOND, &mut running);
    client.drain();
    drop(bench.providers.peer());
    let ended = bench.finish(running);
    assert!(matches!(ended.result, Ok(Outcome::Cut(_))));
    let event = client.text();
    assert!(event.contains("\"code\":502}}\n\n") && event.ends_with("\r\n0\r\n\r\n"), "{event}");
}

#[test]
fn a_client_that_leaves_after_an_early_head_ends_the_exchange() {
    let bench = Bench::new(STREAMS);
    let (connection, client) = bench.client(1);
    let mut running = begin(&bench, connection);
    bench.wait(&mut running);
    bench.pass(10 * SECOND, &mut running);
    let mut provider = bench.providers.peer();
    assert!(!provider.is_closed());
    drop(client);
    assert!(bench.finish(running).result.unwrap_err().status().is_none());
    assert!(provider.is_closed());
}
