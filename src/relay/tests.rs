use super::testing::{Bench, SECOND, STREAMS, WHOLE};
use super::*;
use crate::downstream;
use crate::report::Outcome;

const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

#[test]
fn bodies_are_held_until_they_are_whole_or_prove_to_be_long_or_no_json() {
    let (small, much) = (&b"{\"a\":"[..], &[b'{'; ENOUGH_BYTES][..]);
    let long = Framing::Length(RELEASE_LENGTH_MIN + 1);
    for (framing, held, asked, let_go) in [
        (Framing::Length(RELEASE_LENGTH_MIN), much, true, false),
        (long, &much[1..], true, false),
        (long, much, true, true),
        (long, much, false, true),
        (Framing::Chunked, much, false, false),
        (Framing::Chunked, much, true, false),
        (Framing::Chunked, &b""[..], true, false),
        (Framing::Chunked, small, true, false),
        (Framing::UntilClose, &b"[1"[..], true, false),
        (Framing::UntilClose, &b"data: 1"[..], true, true),
        (Framing::Chunked, &b": hi"[..], true, true),
        (Framing::Chunked, &b": hi"[..], false, false),
        (Framing::Length(100), &b": hi"[..], true, false),
    ] {
        let start = String::from_utf8_lossy(&held[..held.len().min(9)]).into_owned();
        assert_eq!(is_let_go(framing, held, asked), let_go, "{framing:?} {start} {asked}");
    }
}

#[test]
fn a_whole_response_is_held_until_it_is_whole_and_then_sent_unchanged() {
    for (timeouts, framing, first, rest) in [
        (WHOLE, "Content-Length: 7", "{\"a\"", ":1}"),
        (STREAMS, "Content-Length: 7", "{\"a\"", ":1}"),
        (WHOLE, "Transfer-Encoding: chunked", "4\r\n{\"a\"\r\n", "3\r\n:1}\r\n0\r\n\r\n"),
        (STREAMS, "Transfer-Encoding: chunked", "4\r\n{\"a\"\r\n", "3\r\n:1}\r\n0\r\n\r\n"),
    ] {
        let bench = Bench::new(timeouts);
        let fields =
            "HTTP/1.1 418 So What\r\nX-RateLimit-Left: 3\r\nContent-Type: application/json\r\n";
        let (mut running, mut client, mut provider) =
            bench.begin(&format!("{fields}{framing}\r\n\r\n{first}"), 1);
        assert_eq!(client.text(), "");
        provider.send(&rest[..1]);
        bench.wait(&mut running);
        assert_eq!(client.text(), "");
        provider.send(&rest[1..]);
        let ended = bench.finish(running);
        assert!(matches!(ended.result, Ok(Outcome::Complete)));
        assert_eq!(client.text(), format!("{fields}content-length: 7\r\n\r\n{{\"a\":1}}"));
        assert_eq!((ended.entry.bytes, ended.connection.may_reuse()), (7, true));
        assert_eq!((bench.providers.pool.idle(), bench.clients.budget.used()), (1, 0));
    }
}

#[test]
fn a_response_for_which_there_is_no_memory_is_let_go() {
    let bench = Bench::new(WHOLE);
    bench.clients.budget.set_limit(1000);
    let (mut running, mut client, mut provider) =
        bench.begin(&format!("{JSON}Content-Length: 5000\r\n\r\n{{"), 1);
    assert_eq!(client.text(), "");
    provider.send("x".repeat(2000));
    bench.wait(&mut running);
    assert_eq!(client.text(), format!("{JSON}content-length: 5000\r\n\r\n{{{}", "x".repeat(2000)));
    assert_eq!(bench.clients.budget.used(), 0);
    provider.send("y".repeat(2999));
    assert!(matches!(bench.finish(running).result, Ok(Outcome::Complete)));
    assert_eq!(client.text(), "y".repeat(2999));
}

#[test]
fn a_long_response_of_known_length_is_let_go_when_enough_of_it_has_come() {
    let bench = Bench::new(WHOLE);
    let length = RELEASE_LENGTH_MIN + 1;
    let (mut running, mut client, mut provider) =
        bench.begin(&format!("{JSON}Content-Length: {length}\r\n\r\n{{"), 1);
    provider.send("x".repeat(ENOUGH_BYTES - 2));
    bench.wait(&mut running);
    assert_eq!(client.text(), "");
    provider.send("x");
    bench.wait(&mut running);
    assert!(client.text().ends_with('x'));
    // Half a response cannot look like one.
    drop(provider);
    let ended = bench.finish(running);
    assert!(matches!(ended.result, Ok(Outcome::Cut(_))) && !ended.connection.may_reuse());
}

#[test]
fn what_fails_while_a_response_is_held_is_told_by_its_status_and_nothing_else_is_sent() {
    let long = "x".repeat(200);
    for (framing, sent, waits, status, words) in [
        ("Content-Length: 7", "{", 0, 502, "cut short"),
        ("Transfer-Encoding: chunked", "2\r\n{}\r\n", 0, 502, "cut short"),
        ("Transfer-Encoding: chunked", "2\r\n{}\r\nzz", 0, 502, "malformed chunked coding"),
        ("Transfer-Encoding: chunked", &format!("c8\r\n{long}"), 0, 502, "answer over 100 bytes"),
        ("Content-Length: 101", "", 0, 502, "answer over 100 bytes"),
        ("Content-Length: 7", "{", 30, 504, "whole answer"),
    ] {
        let mut bench = Bench::new(WHOLE);
        bench.body_bytes_max = 100;
        let (response, provider) = bench.response(&format!("{JSON}{framing}\r\n\r\n{sent}"));
        let (connection, mut client) = bench.client(1);
        let mut running = bench.relay(response, connection);
        let early = bench.providers.poll(&mut running);
        let provider = (waits > 0).then_some(provider);
        bench.providers.pass(waits * SECOND);
        let ended = early.unwrap_or_else(|| bench.finish(running));
        let error = ended.result.unwrap_err();
        assert_eq!(error.status(), Some(status), "{framing} {sent}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(client.text(), "");
        assert!(provider.is_none_or(|mut provider| provider.is_closed()));
        assert_eq!((bench.providers.pool.idle(), bench.clients.budget.used()), (0, 0));
    }
}

#[test]
fn a_client_that_leaves_while_its_response_is_held_ends_the_exchange() {
    let bench = Bench::new(WHOLE);
    let (running, client, mut provider) =
        bench.begin(&format!("{JSON}Content-Length: 7\r\n\r\n{{"), 1);
    drop(client);
    let ended = bench.finish(running);
    assert!(matches!(ended.result, Err(Error::Client(downstream::Error::Gone))));
    assert!(provider.is_closed());
}

#[test]
fn what_calls_itself_json_but_is_none_streams_to_who_asked_for_that() {
    let bench = Bench::new(STREAMS);
    let (mut running, mut client, mut provider) =
        bench.begin(&format!("{JSON}Transfer-Encoding: chunked\r\n\r\n"), 1);
    assert_eq!(client.text(), "");
    provider.send("9\r\ndata: 1\n\n\r\n");
    bench.wait(&mut running);
    let text = client.text();
    assert!(text.ends_with("\r\n\r\n9\r\ndata: 1\n\n\r\n"), "{text}");
    assert!(text.contains("x-accel-buffering: no\r\n"), "they are events: {text}");
    provider.send("0\r\n\r\n");
    assert!(matches!(bench.finish(running).result, Ok(Outcome::Complete)));
}
