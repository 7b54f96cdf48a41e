//! R2: what may follow from an answer, or from none.

use serde_json::json;

use crate::row::{run, Row};

/// Surely not run, but for 429, which rests a key.
const REFUSED: [u16; 8] = [503, 521, 522, 523, 525, 526, 529, 530];
/// May have run and cost money.
const UNCLEAR: [u16; 3] = [500, 502, 520];
const TIMED_OUT: [u16; 3] = [408, 504, 524];
/// Some of all else.
const REQUESTS_FAULT: [u16; 30] = [
    400, 405, 406, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 428,
    431, 451, 499, 501, 505, 506, 507, 508, 511, 527, 599,
];

/// Two targets of one key each; the first does this.
fn pair(name: impl Into<String>, first: &str) -> Row {
    Row::new(name, "anna bert").alias(&["anna/m", "bert/m"]).up("anna", first)
}

/// One provider of two keys; the first does this.
fn keys(name: impl Into<String>, first: &str) -> Row {
    Row::new(name, "anna:2").up("anna#1", first)
}

#[test]
fn what_was_refused_goes_to_any_other_key_or_target() {
    let mut rows = Vec::new();
    for status in REFUSED {
        let says = status.to_string();
        rows.push(
            pair(format!("{status}: the next target at once, and nothing rests"), &says)
                .ask("a", 200, &format!("anna={status}, bert=200"))
                .times(2),
        );
        rows.push(
            keys(format!("{status}: a further key only where `retries` is said"), &says)
                .file(json!({"retries": 1}))
                .ask("anna/m", 200, &format!("anna#1={status}, anna#2=200"))
                .times(2),
        );
        rows.push(
            keys(format!("{status}: by default no further key"), &says)
                .ask("anna/m", status, &format!("anna#1={status}"))
                .times(2),
        );
    }
    rows.push(pair("429: the next target at once", "429").ask("a", 200, "anna=429, bert=200"));
    rows.push(keys("429: the next key at once", "429").ask(
        "anna/m",
        200,
        "anna#1=429, anna#2=200",
    ));
    run(rows);
}

#[test]
fn who_cannot_be_reached_has_refused() {
    let mut rows = Vec::new();
    for trouble in ["dns", "refused", "tls"] {
        let told = trouble.replace("refused", "connect");
        rows.push(
            Row::new(format!("{trouble}: the next target"), &format!("anna!{trouble} bert"))
                .alias(&["anna/m", "bert/m"])
                .ask("a", 200, &format!("anna={told}, bert=200"))
                .times(2),
        );
        rows.push(
            Row::new(format!("{trouble}: no further key by default"), &format!("anna:2!{trouble}"))
                .ask("anna/m", 502, &format!("anna#1={told}"))
                .ours(&["anna"]),
        );
        rows.push(
            Row::new(
                format!("{trouble}: a further key with `retries`"),
                &format!("anna:2!{trouble}"),
            )
            .file(json!({"retries": 1}))
            .ask("anna/m", 502, &format!("anna#1={told}, anna#2={told}"))
            .ours(&["anna"]),
        );
    }
    run(rows);
}

#[test]
fn what_may_have_run_goes_to_another_target_only_and_never_back() {
    let mut rows = Vec::new();
    for first in UNCLEAR.map(|status| status.to_string()) {
        rows.push(
            pair(format!("{first}: another target, and nothing rests"), &first)
                .ask("a", 200, &format!("anna={first}, bert=200"))
                .times(2),
        );
        rows.push(
            keys(format!("{first}: no other key, whatever `retries` says"), &first)
                .file(json!({"retries": 5}))
                .ask("anna/m", first.parse().expect("a status"), &format!("anna#1={first}")),
        );
        rows.push(
            pair(format!("{first}: never back to it"), &first)
                .file(json!({"retries": 2}))
                .up("bert", "503")
                .ask("a", 503, &format!("anna={first}, bert=503, bert=503")),
        );
    }
    for (script, told) in [
        ("close", "closed"),
        ("reset", "closed"),
        ("garbage", "invalid"),
        ("307 | location: http://127.0.0.1:1/", "307"),
        ("301", "301"),
    ] {
        rows.push(
            pair(format!("{script}: another target"), script)
                .ask("a", 200, &format!("anna={told}, bert=200"))
                .times(2),
        );
        rows.push(
            keys(format!("{script}: no other key"), script)
                .file(json!({"retries": 5}))
                .ask("anna/m", 502, &format!("anna#1={told}"))
                .ours(&["anna"]),
        );
    }
    rows.push(
        Row::new("another model of the same provider is another target", "anna")
            .alias(&["anna/x", "anna/y"])
            .up("anna/x", "500")
            .ask("a", 200, "anna/x=500, anna/y=200"),
    );
    rows.push(
        Row::new("500 with keys left: the next target", "anna:2 bert")
            .alias(&["anna/m", "bert/m"])
            .up("anna", "500")
            .ask("a", 200, "anna#1=500, bert=200"),
    );
    run(rows);
}

#[test]
fn what_took_too_long_is_tried_elsewhere_only_if_asked_for() {
    let mut rows = Vec::new();
    for status in TIMED_OUT {
        let says = status.to_string();
        rows.push(pair(format!("{status}: nobody else"), &says).file(json!({"retries": 5})).ask(
            "a",
            status,
            &format!("anna={status}"),
        ));
        rows.push(
            pair(format!("{status}: another target with retry_on"), &says)
                .file(json!({"retry_on": ["timeout"]}))
                .ask("a", 200, &format!("anna={status}, bert=200"))
                .times(2),
        );
    }
    rows.push(
        pair("no head in time: 504, nobody else", "stall")
            .file(json!({"non_stream_timeout": 0.4}))
            .ask("a", 504, "anna=timeout")
            .ours(&["anna"]),
    );
    rows.push(
        pair("no head in time of a stream: 504, nobody else", "stall")
            .file(json!({"stream_timeout": 0.4}))
            .ask("a", 504, "anna=timeout")
            .streamed()
            .ours(&["anna"]),
    );
    run(rows);
}

#[test]
fn the_requests_own_fault_is_final() {
    let script = REQUESTS_FAULT.map(|status| status.to_string()).join(" ; ");
    let mut row = Row::new("request's fault: one call each", "anna:2 bert")
        .file(json!({"retries": 10}))
        .alias(&["anna/m", "bert/m"])
        .up("anna", script);
    for status in REQUESTS_FAULT {
        row = row.ask("a", status, &format!("anna#1={status}"));
    }
    run(vec![
        row,
        pair("a success that is cut short was begun: an error, nobody else", "200 | torn")
            .ask("a", 502, "anna=200")
            .ours(&["anna"]),
        pair("a success that is too long: an error, nobody else", "200")
            .file(json!({"max_response_size": 20}))
            .ask("a", 502, "anna=200")
            .ours(&["响应过大"]),
        pair("201 is an answer", "201").ask("a", 201, "anna=201"),
    ]);
}

#[test]
fn retry_on_adds_statuses_and_codes() {
    let long = "400 | body {\"error\":{\"message\":\"long\",\"code\":\"context_length_exceeded\"}}";
    run(vec![
        pair("retry_on a status: another target", "418").file(json!({"retry_on": [418]})).ask(
            "a",
            200,
            "anna=418, bert=200",
        ),
        pair("retry_on another status: as ever", "418")
            .file(json!({"retry_on": [422, "timeout"]}))
            .ask("a", 418, "anna=418"),
        keys("retry_on a status and `retries`: another key", "500")
            .file(json!({"retry_on": [500], "retries": 1}))
            .ask("anna/m", 200, "anna#1=500, anna#2=200"),
        keys("retry_on a status: by default no other key", "500")
            .file(json!({"retry_on": [500]}))
            .ask("anna/m", 500, "anna#1=500"),
        pair("retry_on a code: another target", long)
            .file(json!({"retry_on": ["context_length_exceeded"]}))
            .ask("a", 200, "anna=400, bert=200"),
        pair("retry_on another code: as ever", long)
            .file(json!({"retry_on": ["model_overloaded"]}))
            .ask("a", 400, "anna=400"),
        keys("retry_on a code: no other key", long)
            .file(json!({"retry_on": ["context_length_exceeded"], "retries": 5}))
            .ask("anna/m", 400, "anna#1=400"),
        pair("retry_on of an alias is its own", "418")
            .file(json!({"aliases": {
                "a": ["anna/m", "bert/m"],
                "b": {"targets": ["anna/m", "bert/m"], "retry_on": [418]},
            }}))
            .ask("b", 200, "anna=418, bert=200")
            .ask("a", 418, "anna=418"),
        pair("retry_on of an alias adds to the file's", "418 ; 422 ; 424")
            .file(json!({"retry_on": [418], "aliases": {
                "b": {"targets": ["anna/m", "bert/m"], "retry_on": [422]},
            }}))
            .ask("b", 200, "anna=418, bert=200")
            .ask("b", 200, "anna=422, bert=200")
            .ask("b", 424, "anna=424"),
        pair("all fail by retry_on: the last answer", "418")
            .file(json!({"retry_on": [418]}))
            .up("bert", "418")
            .ask("a", 418, "anna=418, bert=418"),
    ]);
}

#[test]
fn a_keys_fault_goes_to_another_key_or_target_at_once() {
    let mut rows = Vec::new();
    for status in [401, 402, 403, 404] {
        let says = status.to_string();
        rows.push(
            keys(format!("{status}: the next key, and this one rests"), &says)
                .ask("anna/m", 200, &format!("anna#1={status}, anna#2=200"))
                .ask("anna/m", 200, "anna#2=200"),
        );
        rows.push(
            pair(format!("{status}: the next target, and this key rests"), &says)
                .ask("a", 200, &format!("anna={status}, bert=200"))
                .ask("a", 200, "bert=200"),
        );
        let further = if status < 403 { 3 } else { 2 };
        let course: Vec<String> = (1..=further).map(|key| format!("anna#{key}={status}")).collect();
        rows.push(
            Row::new(format!("{status} of all five keys by default"), "anna:5")
                .up("anna", says)
                .ask("anna/m", status, &course.join(", ")),
        );
    }
    run(rows);
}
