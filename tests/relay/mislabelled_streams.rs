//! Streams whose `Content-Type` does not say so.

use serde_json::json;

use crate::support::*;

const JSON_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn events_that_call_themselves_json_arrive_one_by_one() {
    for first in [
        "data: one\n\n",
        ": hello\n\n",
        "event: x\ndata: 1\n\n",
        "\u{feff}data: 1\n\n",
        "\ndata: 1\n\n",
    ] {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::each(move |_, connection| {
            connection.send([JSON_HEAD.as_bytes(), &chunk(first)].concat());
            held.wait();
            connection.send([chunk("data: two\n\n").as_slice(), LAST_CHUNK].concat());
        });
        let proxy = TestProxy::start(&config_for(&upstream));
        let mut client = proxy.connect();
        client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for(first);
        gate.open();
        let answer = client.response();
        assert!(answer.complete);
        assert_eq!(answer.text(), format!("{first}data: two\n\n"));
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    }
}

#[test]
fn events_that_call_themselves_json_and_are_cut_are_there_with_an_honest_end() {
    let three = "data: 1\n\ndata: 2\n\ndata: 3\n\n";
    let upstream = Upstream::script([JSON_HEAD.as_bytes(), &chunk(three)].concat());
    let answer = TestProxy::start(&config_for(&upstream)).chat(chat_stream(MODEL));
    assert!(!answer.complete, "{answer:?}");
    let rest = answer.text().strip_prefix(three).expect("all three").to_owned();
    let error = rest.trim().strip_prefix("data: ").expect("an event");
    let error: serde_json::Value = serde_json::from_str(error).expect("JSON");
    assert_eq!(error["error"]["code"], 502);
}

#[test]
fn events_that_call_themselves_json_may_be_longer_than_max_response_size() {
    let event = chunk(format!("data: {}\n\n", "x".repeat(1000)));
    let body = [event.repeat(100).as_slice(), LAST_CHUNK].concat();
    let upstream = Upstream::script([JSON_HEAD.as_bytes(), &body].concat());
    let limits = json!({"max_response_size": 20_000});
    let answer = TestProxy::start(&with(config_for(&upstream), limits)).chat(chat_stream(MODEL));
    assert!(answer.status == 200 && answer.complete);
    assert_eq!(answer.body.len(), 100 * 1008);
}

#[test]
fn a_document_that_is_cut_is_still_an_honest_502() {
    for start in ["{\"choices\":[", "[{"] {
        let upstream = Upstream::script([JSON_HEAD.as_bytes(), &chunk(start)].concat());
        let proxy = TestProxy::start(&config_for(&upstream));
        for body in [chat(MODEL), chat_stream(MODEL)] {
            proxy.chat(body).error(502);
        }
    }
    // Nobody asked for a stream: as ever.
    let upstream = Upstream::script([JSON_HEAD.as_bytes(), &chunk("data: 1\n\n")].concat());
    TestProxy::start(&config_for(&upstream)).chat(chat(MODEL)).error(502);
}
