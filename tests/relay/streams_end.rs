//! Streams that end honestly: whatever a provider does after the head is out, the client can tell that the
//! answer is not whole.
//!
//! One ending is not here: a provider that frames its stream by closing and then closes. That is the end its
//! framing promises (RFC 9112 §6.3), and nobody can tell it from a death.

mod special;

use serde_json::{json, Value};

use crate::support::*;

/// How the provider frames its stream.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Framed {
    Chunked,
    UntilClose,
    Length,
}

/// What the provider does after it was sent something.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Fin,
    Reset,
    /// Says nothing more, for longer than `stream_timeout`.
    Stall,
    /// A chunk whose size is no number.
    Garbage,
    /// A chunk of 256 bytes of which nothing comes.
    MidChunk,
}

impl Framed {
    fn head(self) -> String {
        let framing = match self {
            Framed::Chunked => "Transfer-Encoding: chunked\r\n",
            Framed::UntilClose => "",
            Framed::Length => "Content-Length: 1000\r\n",
        };
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n")
    }

    fn body(self, text: &str) -> Vec<u8> {
        if self == Framed::Chunked && !text.is_empty() {
            chunk(text)
        } else {
            text.into()
        }
    }
}

fn die(end: End, connection: &mut Connection) {
    match end {
        End::Fin => {}
        End::Reset => {
            connection.run(&Step::Reset);
        }
        End::Stall => {
            connection.wait_for_close();
        }
        End::Garbage => {
            connection.send("zz\r\n");
            connection.wait_for_close();
        }
        End::MidChunk => connection.send("100\r\n"),
    }
}

/// A provider that streams `first`, waits for the gate and dies, and answers what does not stream.
fn mortal(head: String, first: Vec<u8>, end: End) -> (Gate, Upstream) {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::serve(move |connection| {
        while let Some(request) = connection.read_request() {
            if request.json()["stream"] != true {
                connection.send(json_answer("200 OK", "{}"));
                continue;
            }
            connection.send([head.as_bytes(), &first].concat());
            held.wait();
            return die(end, connection);
        }
    });
    (gate, upstream)
}

/// A proxy whose patience with streams is short only where a stall is what is tested.
fn start(upstream: &Upstream, end: End) -> TestProxy {
    let patience = if end == End::Stall { 1.0 } else { 60.0 };
    TestProxy::start(&with(config_for(upstream), json!({ "stream_timeout": patience })))
}

fn stream_request(minor: u8) -> Vec<u8> {
    let request = String::from_utf8(chat_request("", chat_stream(MODEL).as_bytes()));
    request.expect("ASCII").replace("HTTP/1.1", &format!("HTTP/1.{minor}")).into_bytes()
}

/// The answer to a stream that gets `first` and then ends like this.
fn ended(framed: Framed, first: &str, end: End, minor: u8) -> Response {
    let (gate, upstream) = mortal(framed.head(), framed.body(first), end);
    let proxy = start(&upstream, end);
    let mut client = proxy.connect();
    client.send(stream_request(minor)).wait_for("\r\n\r\n").wait_for(first);
    gate.open();
    let answer = client.response();
    assert_eq!(proxy.chat(chat(MODEL)).status, 200, "the next request");
    answer
}

/// What the proxy added behind `first`: an error event in the promised shape.
fn error_event(text: &str, first: &str) -> Value {
    let event = text.strip_prefix(first).and_then(|rest| rest.strip_prefix("data: "));
    let event = event.and_then(|rest| rest.strip_suffix("\n\n"));
    let event = event.unwrap_or_else(|| panic!("one event of ours behind {first:?}: {text:?}"));
    assert!(!event.contains(['\n', '\r']), "two lines: {event:?}");
    let error: Value = serde_json::from_str(event).unwrap_or_else(|e| panic!("{e}: {event}"));
    assert_eq!(error["error"]["type"], "http_error", "{error}");
    assert!(error["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    error
}

/// Asserts that the client can tell: the body is not whole, and nothing but an error event was added to it.
fn assert_honest(framed: Framed, first: &str, end: End, minor: u8) {
    let case = format!("{framed:?} {first:?} {end:?} to HTTP/1.{minor}");
    let answer = ended(framed, first, end, minor);
    assert_eq!(answer.status, 200, "{case}");
    assert!(!answer.complete, "{case}: looks complete: {}", answer.text());
    // To HTTP/1.0 only a reset can say so, to HTTP/1.1 the framing does.
    let expected_framing = match (framed, minor) {
        (Framed::Length, _) => (false, Some("1000")),
        (_, 0) => (true, None),
        (_, _) => (false, None),
    };
    let length = answer.header("content-length");
    assert_eq!((answer.until_close, length.as_deref()), expected_framing, "{case}");
    let text = answer.text();
    assert!(!text.contains("[DONE]"), "{case}: {text}");
    let between = first.is_empty() || first.ends_with("\n\n") || first.ends_with("\r\n\r\n");
    if between && framed != Framed::Length {
        let error = error_event(&text, first);
        let code = if end == End::Stall { 504 } else { 502 };
        assert_eq!(error["error"]["code"], code, "{case}: {error}");
    } else {
        assert_eq!(text, first, "{case}: nothing can be added here");
    }
}

/// Where the stream stands when it ends: before, between and inside events, with both kinds of line ends.
const PLACES: [&str; 6] = [
    "",
    "data: one\n\n",
    "data: one\r\n\r\ndata: two\r\n\r\n",
    "data: {\"half",
    "data: one\n\ndata: two\n",
    "data: one\r\n\r\ndata: two\r\n",
];

fn in_all_places(framed: Framed, ends: &[End]) {
    for end in ends {
        for first in PLACES {
            for minor in [1, 0] {
                assert_honest(framed, first, *end, minor);
            }
        }
    }
}

#[test]
fn a_chunked_stream_whose_provider_closes_is_cut() {
    in_all_places(Framed::Chunked, &[End::Fin]);
}

#[test]
fn a_chunked_stream_whose_provider_resets_is_cut() {
    in_all_places(Framed::Chunked, &[End::Reset]);
}

#[test]
fn a_chunked_stream_cut_inside_a_chunk_is_cut() {
    in_all_places(Framed::Chunked, &[End::MidChunk]);
}

#[test]
fn a_chunked_stream_that_turns_to_garbage_is_cut() {
    in_all_places(Framed::Chunked, &[End::Garbage]);
}

#[test]
fn a_stream_of_known_length_that_stays_short_is_cut_with_nothing_added() {
    in_all_places(Framed::Length, &[End::Fin, End::Reset]);
}

#[test]
fn a_stream_that_ends_with_the_connection_is_cut_by_a_reset() {
    in_all_places(Framed::UntilClose, &[End::Reset]);
}

#[test]
fn a_stream_that_stalls_is_cut_in_every_framing() {
    let cases = [
        (Framed::Chunked, "data: one\n\n", 1),
        (Framed::Chunked, "data: one\n\n", 0),
        (Framed::Chunked, "data: {\"half", 1),
        (Framed::UntilClose, "data: one\n\n", 1),
        (Framed::UntilClose, "", 0),
        (Framed::Length, "data: one\n\n", 1),
        (Framed::Length, "data: {\"half", 0),
    ];
    std::thread::scope(|scope| {
        for (framed, first, minor) in cases {
            scope.spawn(move || assert_honest(framed, first, End::Stall, minor));
        }
    });
}

#[test]
fn a_stall_inside_a_chunk_is_one_too() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::serve(move |connection| {
        connection.read_request();
        // 11 of 256 bytes: between two events, and in the midst of a chunk.
        connection.send(format!("{SSE_HEAD}100\r\ndata: one\n\n"));
        held.wait();
        connection.wait_for_close();
    });
    let proxy = start(&upstream, End::Stall);
    let mut client = proxy.connect();
    client.send(stream_request(1)).wait_for("data: one\n\n");
    gate.open();
    let answer = client.response();
    assert!(!answer.complete);
    assert_eq!(error_event(&answer.text(), "data: one\n\n")["error"]["code"], 504);
    upstream.wait_closed_by_proxy(1);
}

#[test]
fn a_good_event_and_garbage_in_one_piece_are_still_a_cut() {
    for (bad, minor) in [("zz\r\n", 1), ("zz\r\n", 0), ("5\r\nhello!!", 1), ("-1\r\n", 0)] {
        let bytes = [event("one").as_slice(), bad.as_bytes()].concat();
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::serve(move |connection| {
            connection.read_request();
            connection.send(SSE_HEAD);
            held.wait();
            connection.send(&bytes);
            connection.wait_for_close();
        });
        let proxy = start(&upstream, End::Garbage);
        let mut client = proxy.connect();
        client.send(stream_request(minor)).wait_for("\r\n\r\n");
        gate.open();
        let answer = client.response();
        assert!(!answer.complete, "{bad:?}: {answer:?}");
        let text = answer.text();
        // Behind half an event nothing of ours can stand.
        if bad.contains("hello") {
            assert_eq!(text, "data: one\n\nhello");
        } else {
            assert_eq!(error_event(&text, "data: one\n\n")["error"]["code"], 502);
        }
        upstream.wait_closed_by_proxy(1);
    }
}
