use serde_json::json;

use super::*;
use crate::runtime::testing::Peer;
use crate::state::testing::{chat, Bench, STREAMED};

const EVENT: &str = "data: {\"a\":1}\n\n";
const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// A client whose connection is served.
fn client(bench: &Bench) -> Peer {
    let (connection, peer) = bench.connect();
    bench.state.spawn(live(bench.state.clone(), connection));
    bench.run();
    peer
}

/// A chat that streams, and has got one event so far.
fn streaming(bench: &Bench) -> (Peer, Peer) {
    let mut client = client(bench);
    client.send(chat("", STREAMED));
    bench.run();
    let mut provider = bench.providers.peer();
    provider.send(format!("{STREAM_HEAD}{:x}\r\n{EVENT}\r\n", EVENT.len()));
    bench.run();
    assert!(client.text().contains(EVENT));
    (client, provider)
}

// What every open stream keeps, beside what it shares with all others and its two sockets: a program
// with ten thousand of them has ten thousand of these. Raise it for a reason only.
#[test]
fn a_connections_life_is_small() {
    let bench = Bench::new();
    let (connection, _client) = bench.connect();
    let size = size_of_val(&live(bench.state.clone(), connection));
    assert!(size <= 648, "{size}");
}

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let bench = Bench::new();
    let mut client = client(&bench);
    let body = "{\"model\":\"p/m\",\"messages\":[]}";
    client.send(
        ["GET /none HTTP/1.1\r\nHost: x\r\n\r\n", &chat("", body), &chat("", STREAMED)].concat(),
    );
    bench.run();
    let refused = client.text();
    assert!(refused.starts_with("HTTP/1.1 404 ") && refused.matches("HTTP/1.1 ").count() == 1);
    let mut provider = bench.providers.peer();
    provider.send(ANSWER);
    bench.run();
    let answered = client.text();
    assert!(
        answered.starts_with("HTTP/1.1 200 ") && answered.ends_with("\r\n\r\n{}"),
        "{answered}"
    );
    // The same connection of the provider's serves the third one.
    assert!(provider.text().contains("\"stream\":true"));
    provider.send([STREAM_HEAD, "0\r\n\r\n"].concat());
    bench.run();
    assert!(client.text().ends_with("\r\n\r\n0\r\n\r\n"));
    assert!(!client.is_closed());
    assert_eq!(bench.report()["chats"], 2);
}

#[test]
fn a_connection_ends_when_its_client_says_so() {
    let bench = Bench::new();
    let mut client = client(&bench);
    let request = "GET / HTTP/1.1\r\nHost: x\r\n";
    client.send([request, "Connection: close\r\n\r\n", request, "\r\n"].concat());
    bench.run();
    let answer = client.text();
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
    assert!(client.is_closed());
}

#[test]
fn a_request_that_comes_while_the_program_shuts_down_is_answered_and_is_the_last_one() {
    let bench = Bench::new();
    let mut client = client(&bench);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    bench.run();
    assert!(!client.text().contains("connection: close"));
    bench.state.drain();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    bench.run();
    let answer = client.text();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\nconnection: close\r\n"));
    assert!(client.is_closed());
}

#[test]
fn a_stream_that_the_end_of_the_program_cuts_is_counted_once_with_what_was_sent() {
    let mut bench = Bench::new();
    let (mut client, mut provider) = streaming(&bench);
    assert_eq!(bench.report()["chats"], 0);
    // Whoever runs the executor is its only owner.
    bench.executor = Rc::default();
    let report = bench.report();
    assert_eq!((&report["chats"], &report["chunks"]), (&json!(1), &json!(1)));
    assert_eq!(report["bytes"], EVENT.len());
    assert_eq!(report["errors"], json!({"-": {"stopped": 1}}));
    assert_eq!(report["client_connections"], 0);
    assert!(!client.text().contains("0\r\n\r\n"), "it looks complete");
    assert!(client.is_closed() && provider.is_closed());
}

#[test]
fn a_chat_that_meets_a_fault_of_the_program_is_counted_as_that_and_others_go_on() {
    let bench = Bench::new();
    let (mut other, mut provider) = streaming(&bench);
    let mut client = client(&bench);
    bench.providers.panic();
    client.send(chat("", STREAMED));
    bench.run();
    assert!(client.is_closed());
    let report = bench.report();
    assert_eq!(report["chats"], 1);
    assert_eq!(report["errors"], json!({"-": {"panicked": 1}}));
    assert_eq!(report["upstream_connections"]["leased"], 1);
    provider.send("0\r\n\r\n");
    bench.run();
    assert_eq!(other.text(), "0\r\n\r\n");
}

#[test]
fn a_connection_gives_its_place_back_however_it_ends() {
    let bench = Bench::new();
    let left = client(&bench);
    let (client, _provider) = streaming(&bench);
    assert_eq!(bench.report()["client_connections"], 2);
    drop(left);
    bench.run();
    assert_eq!(bench.report()["client_connections"], 1);
    drop(client);
    bench.run();
    assert_eq!(bench.report()["client_connections"], 0);
    assert_eq!(bench.report()["errors"], json!({"-": {"client_gone": 1}}));
    let memory = &bench.state.memory;
    assert_eq!([&memory.bodies, &memory.held, &memory.connections].map(|part| part.used()), [0; 3]);
}
