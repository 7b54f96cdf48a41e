//! `--spend`: chats of one token, whole, as a stream, and abandoned.

use serde_json::Value;

use crate::support::*;
use crate::{answer_well, assert_found, examine, stream, well};
use crate::{Case, COMPLETION, EVENTS, ROLE, USAGE, WORD};

/// A provider whose lists and whole chats are well, and whose streams are these bytes, after which it
/// closes or not.
fn streaming(bytes: impl Into<Vec<u8>>, closes: bool) -> Upstream {
    let bytes = bytes.into();
    Upstream::serve(move |connection| {
        while let Some(request) = connection.read_request() {
            if !contains(&request.body, "\"stream\":true") {
                answer_well(&request, connection);
                continue;
            }
            connection.send(&bytes);
            if closes {
                return;
            }
        }
    })
}

/// A provider whose lists are well and whose whole chats are these bytes.
fn chatting(bytes: Vec<u8>) -> Upstream {
    Upstream::each(move |request, connection| {
        let is_whole = request.method == "POST" && !contains(&request.body, "\"stream\":true");
        if is_whole {
            connection.send(&bytes);
        } else {
            answer_well(request, connection);
        }
    })
}

#[track_caller]
fn assert_fault(case: &str, sick: &Upstream, fault: (&str, &str, &str)) {
    let neighbour = well();
    let providers = [auto_provider("sick", sick), auto_provider("well", &neighbour)];
    let (run, report) = examine(&providers, &["--spend"], &[]);
    assert_found(case, &run, &report, fault);
    let cancelled = report["providers"][1]["stages"].as_array().expect("stages").last();
    let status = cancelled.map(|stage| (&stage["stage"], &stage["status"]));
    assert_eq!(status, Some((&"cancel".into(), &"ok".into())), "{case}: {report:#}");
}

/// A stream in a body whose length is known.
fn in_one(events: &[&str]) -> Vec<u8> {
    let body: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
    answer("200 OK", "Content-Type: text/event-stream\r\n", body.as_bytes())
}

#[test]
fn every_stream_that_is_not_as_it_should_be_is_named() {
    let error = r#"{"error":{"message":"overloaded"}}"#;
    let body: Vec<u8> =
        EVENTS.iter().flat_map(|data| format!("data: {data}\n\n").into_bytes()).collect();
    let one_chunk = [SSE_HEAD.as_bytes(), &chunk(body), LAST_CHUNK].concat();
    let cut = [SSE_HEAD.as_bytes(), &event(ROLE), &event(WORD)].concat();
    let error_later = [SSE_HEAD.as_bytes(), &event(ROLE), &event(error), LAST_CHUNK].concat();
    let cases: Vec<Case> = vec![
        ("one chunk", one_chunk, ("stream", "warn", "one_burst")),
        ("known length", in_one(&EVENTS), ("stream", "warn", "one_burst")),
        ("no [DONE]", stream(&[ROLE, WORD, USAGE]), ("end", "warn", "no_end_mark")),
        ("no usage", stream(&[ROLE, WORD, "[DONE]"]), ("usage", "warn", "no_usage")),
        ("cut", cut, ("stream", "fail", "cut_stream")),
        ("an error event", error_later, ("stream", "fail", "error_in_200")),
        ("an error", json_answer("200 OK", error), ("stream", "fail", "error_in_200")),
        ("whole", json_answer("200 OK", COMPLETION), ("stream", "warn", "not_a_stream")),
        ("429", json_answer("429 Too Many", error), ("stream", "warn", "rate_limited")),
        ("400", json_answer("400 Bad Request", error), ("stream", "fail", "chat_refused")),
    ];
    for (case, bytes, fault) in cases {
        assert_fault(case, &streaming(bytes, fault.2 == "cut_stream"), fault);
    }
}

#[test]
fn a_stream_that_is_cut_behind_its_final_event_is_complete() {
    let events = EVENTS.iter().flat_map(|data| event(data));
    let bytes: Vec<u8> = SSE_HEAD.bytes().chain(events).collect();
    let (run, report) = examine(&[auto_provider("p", &streaming(bytes, true))], &["--spend"], &[]);
    assert_eq!((run.code, &report["ok"]), (Some(0), &true.into()), "{report:#}");
}

#[test]
fn every_chat_that_is_refused_is_named() {
    let error = r#"{"error":{"message":"sorry"}}"#;
    for (case, bytes, fault) in [
        ("401", json_answer("401 Unauthorized", error), ("chat", "fail", "unauthorized")),
        ("402", json_answer("402 Payment Required", error), ("chat", "fail", "no_credit")),
        ("404", json_answer("404 Not Found", error), ("chat", "fail", "chat_refused")),
        ("429", json_answer("429 Too Many", error), ("chat", "warn", "rate_limited")),
        ("503", json_answer("503 Busy", error), ("chat", "fail", "server_error")),
        ("error", json_answer("200 OK", error), ("chat", "fail", "error_in_200")),
        ("other", json_answer("200 OK", "{}"), ("chat", "fail", "bad_answer")),
    ] {
        assert_fault(case, &chatting(bytes), fault);
    }
}

#[test]
fn a_chat_that_takes_too_long_is_named_and_not_waited_for() {
    let slow = Upstream::each(|request, connection| {
        if request.method == "POST" && !contains(&request.body, "\"stream\":true") {
            connection.wait_for_close();
        } else {
            answer_well(request, connection);
        }
    });
    assert_fault("slow", &slow, ("chat", "warn", "slow_chat"));
}

#[test]
fn a_provider_that_keeps_a_connection_which_its_client_has_left_is_named() {
    let deaf = Upstream::serve(|connection| {
        let mut streams = 0;
        while let Some(request) = connection.read_request() {
            streams += usize::from(contains(&request.body, "\"stream\":true"));
            if streams < 2 {
                answer_well(&request, connection);
                continue;
            }
            connection.send([SSE_HEAD.as_bytes(), &event(ROLE)].concat());
            pause(4_000);
            return;
        }
    });
    assert_fault("deaf", &deaf, ("cancel", "warn", "cancel_ignored"));
}

#[test]
fn chats_cost_one_token_and_go_to_the_first_model_that_chats() {
    let upstream = well();
    let (run, report) = examine(&[auto_provider("p", &upstream)], &["--spend"], &[]);
    assert_eq!((run.code, &report["spend"]), (Some(0), &true.into()), "{report:#}");
    let requests = upstream.requests();
    let methods: Vec<_> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["GET", "POST", "POST", "POST"]);
    for (number, request) in requests.iter().enumerate().skip(1) {
        assert_eq!(request.target, "/v1/chat/completions");
        assert_eq!(request.head.get("authorization"), Some(format!("Bearer {KEY}")));
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!((&body["model"], &body["max_tokens"]), (&"chatty".into(), &1.into()));
        let streams = number > 1;
        assert_eq!(body.get("stream").is_some(), streams);
        assert_eq!(body["stream_options"]["include_usage"] == true, streams);
    }
    let stream = &report["providers"][0]["facts"];
    assert_eq!((&stream["events"], &stream["pieces"]), (&3.into(), &4.into()), "{report:#}");
}

#[test]
fn a_model_that_wants_another_name_for_its_limit_gets_it() {
    let picky = Upstream::each(|request, connection| {
        if contains(&request.body, "\"max_tokens\"") {
            let text = r#"{"error":{"message":"Use 'max_completion_tokens' instead."}}"#;
            connection.send(json_answer("400 Bad Request", text));
        } else {
            answer_well(request, connection);
        }
    });
    let (run, report) = examine(&[auto_provider("p", &picky)], &["--spend"], &[]);
    assert_eq!((run.code, &report["ok"]), (Some(0), &true.into()), "{report:#}");
}

#[test]
fn chats_are_tried_where_baseurl_was_meant_to_lead() {
    let upstream = well();
    let mut one = auto_provider("p", &upstream);
    one["baseurl"] = (upstream.base_url() + "/chat/completions").into();
    let (_, report) = examine(&[one], &["--spend"], &[]);
    assert_eq!(report["providers"][0]["culprit"]["code"], "baseurl_has_endpoint");
    assert_eq!(report["providers"][0]["facts"]["chat_status"], 200, "{report:#}");
}
