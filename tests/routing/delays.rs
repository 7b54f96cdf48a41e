//! K4: every form of a stated delay, and what a rest lasts without one.

use serde_json::json;

use crate::row::{run, Row};

/// Two keys; both refuse with 429, and the first states this: the client is told `seconds`.
fn stated(form: &str, seconds: &str) -> Row {
    Row::new(format!("stated {form}"), "anna:2")
        .up("anna#1", format!("429 | {form}"))
        .up("anna#2", "429 | retry-after: 3500")
        .ask("anna/m", 429, "anna#1=429, anna#2=429")
        .has(format!("retry-after: {seconds}"))
        .has("x-ai-proxy-upstream-retry-after: 3500")
        .lacks("retry-after-ms")
        .lacks("x-should-retry")
}

#[test]
fn every_form_of_a_stated_delay_is_read_and_clamped() {
    let forms = [
        ("retry-after: 7", "7~"),
        ("Retry-After: 2.5", "2.5~"),
        ("retry-after: 0", "1"),
        ("retry-after: 0.2", "1"),
        ("retry-after: 3000", "3000~"),
        ("retry-after: @30", "15..30"),
        ("retry-after: @-100", "1"),
        ("retry-after-ms: 4500", "4.5~"),
        ("retry-after-ms: 200", "1"),
        ("x-ms-retry-after-ms: 6000", "6~"),
        ("retry-after-ms: 5000 | retry-after: 9", "5~"),
        ("retry-after: 9 | retry-after-ms: 5000", "5~"),
        ("retry-after: 9 | x-ms-retry-after-ms: 4000", "4~"),
        ("retry-after-ms: soon | retry-after: 9", "9~"),
    ];
    let nonsense = ["soon", "NaN", "-5", "", "7 seconds", "Wed, 99 Foo 2026 25:61:61 GMT"];
    let mut rows: Vec<Row> = forms.map(|(form, seconds)| stated(form, seconds)).into();
    rows.extend(nonsense.map(|value| stated(&format!("retry-after: {value}"), "15~")));
    for form in ["retry-after: 99999", "retry-after: @99999", "retry-after-ms: 99999000"] {
        rows.push(
            Row::new(format!("an hour at most: {form}"), "anna:2")
                .up("anna", format!("429 | {form}"))
                .ask("anna/m", 429, "anna#1=429, anna#2=429")
                .has("retry-after: 3600~"),
        );
    }
    run(rows);
}

/// A first key that refuses so, a second one that is limited for long: the client is told `seconds`.
fn unstated(name: &str, first: &str, status: u16, seconds: &str) -> Row {
    Row::new(name, "anna:2")
        .up("anna#1", first)
        .up("anna#2", "429 | retry-after: 3000")
        .ask("anna/m", 429, &format!("anna#1={status}, anna#2=429"))
        .has(format!("retry-after: {seconds}"))
        .has("x-ai-proxy-upstream-retry-after: 3000")
}

#[test]
fn a_rest_lasts_as_the_table_says() {
    let quota = "429 | body {\"error\":{\"code\":\"insufficient_quota\"}}";
    run(vec![
        unstated("429 without a delay: 15 s", "429", 429, "15~"),
        unstated("402: 10 min", "402", 402, "600~"),
        unstated("402 that states a delay", "402 | retry-after: 30", 402, "30~"),
        unstated("401: 10 min", "401", 401, "600~"),
        unstated("quota: 10 min", quota, 429, "600~"),
        unstated("quota that states a delay", &format!("{quota} | retry-after: 40"), 429, "40~"),
        Row::new("403 under K5: 5 min", "anna:2")
            .up("anna#1", "403")
            .up("anna#2", "200 ; 429 | retry-after: 3000")
            .ask("anna/m", 200, "anna#1=403, anna#2=200")
            .ask("anna/m", 429, "anna#2=429")
            .has("retry-after: 300~"),
        Row::new("404 under K5: 5 min", "anna:2")
            .up("anna#1", "404")
            .up("anna#2", "200 ; 429 | retry-after: 3000")
            .ask("anna/m", 200, "anna#1=404, anna#2=200")
            .ask("anna/m", 429, "anna#2=429")
            .has("retry-after: 300~"),
    ]);
}

/// What comes while a rest is running counts once: many requests may have been under way. That a rest doubles
/// when the first request after it is refused takes 15 s at least: unit tests hold it.
#[test]
fn a_running_rest_is_neither_shortened_nor_doubled_and_a_success_ends_it() {
    let quota = "429 | body {\"error\":{\"code\":\"insufficient_quota\"}}";
    let dead = format!("{quota} | retry-after: 3500");
    run(vec![
        Row::new("429 again and again while it rests", "anna:2")
            .up("anna#1", "429")
            .up("anna#2", dead.as_str())
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .has("retry-after: 15~")
            .ask("anna/m", 429, "anna#1=429")
            .has("retry-after: 15~")
            .times(5),
        Row::new("a used-up quota again and again while it rests", "anna:2")
            .up("anna#1", quota)
            .up("anna#2", dead.as_str())
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .has("retry-after: 600~")
            .ask("anna/m", 429, "anna#1=429")
            .has("retry-after: 600~")
            .times(3),
        Row::new("a success ends a rest", "anna:2")
            .up("anna#1", "429 | retry-after: 100 ; 200 ; 429 | retry-after: 2")
            .up("anna#2", dead.as_str())
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .has("retry-after: 100~")
            .ask("anna/m", 200, "anna#1=200")
            .ask("anna/m", 429, "anna#1=429")
            .has("retry-after: 2~"),
        Row::new("a success ends a rest of the whole key", "anna:2")
            .up("anna#1", format!("{quota} | retry-after: 100 ; 200"))
            .up("anna#2", dead.as_str())
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .has("x-should-retry: false")
            .ask("anna/m", 200, "anna#1=200")
            .ask("anna/x", 200, "anna#1/x=200"),
        Row::new("a new rest never shortens a running one", "anna:2")
            .up("anna#1", "429 | retry-after: 100 ; 429 | retry-after: 2")
            .up("anna#2", "429 | retry-after: 200")
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .has("retry-after: 100~")
            .ask("anna/m", 429, "anna#1=429")
            .has("retry-after: 100~")
            .has("x-ai-proxy-upstream-retry-after: 2"),
        Row::new("… and a longer one prolongs it", "anna:2")
            .up("anna#1", "429 | retry-after: 100 ; 429 | retry-after: 150")
            .up("anna#2", "429 | retry-after: 200")
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .ask("anna/m", 429, "anna#1=429")
            .has("retry-after: 150~"),
    ]);
}

#[test]
fn what_rests_is_the_key_or_the_key_for_one_model() {
    run(vec![
        Row::new("429 rests the key for this model only", "anna:2")
            .up("anna#1/m", "429 | retry-after: 100")
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .ask("anna/x", 200, "anna#1/x=200")
            .ask("anna/m", 200, "anna#2=200"),
        Row::new("402 rests the key", "anna:2")
            .up("anna#1/m", "402")
            .ask("anna/m", 200, "anna#1=402, anna#2=200")
            .ask("anna/x", 200, "anna#2/x=200"),
        Row::new("401 rests the key", "anna:2")
            .up("anna#1/m", "401")
            .ask("anna/m", 200, "anna#1=401, anna#2=200")
            .ask("anna/x", 200, "anna#2/x=200"),
        Row::new("403 rests the key for this model only", "anna:2")
            .up("anna#1/m", "403")
            .ask("anna/m", 200, "anna#1=403, anna#2=200")
            .ask("anna/x", 200, "anna#1/x=200")
            .ask("anna/m", 200, "anna#2=200"),
        Row::new("a rest ends", "anna:2")
            .up("anna#1", "429 | retry-after: 1 ; 200")
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .ask("anna/m", 200, "anna#2=200")
            .pause(1100)
            .ask("anna/m", 200, "anna#1=200"),
        Row::new("nothing else rests a key", "anna:2")
            .file(json!({"retries": 1}))
            .up("anna#1", "close ; 400 ; 408 ; 500 ; 502 ; 504 ; 422 ; garbage ; 503 ; 529 ; 200")
            .ask("anna/m", 502, "anna#1=closed")
            .ours(&["anna"])
            .ask("anna/m", 400, "anna#1=400")
            .ask("anna/m", 408, "anna#1=408")
            .ask("anna/m", 500, "anna#1=500")
            .ask("anna/m", 502, "anna#1=502")
            .ask("anna/m", 504, "anna#1=504")
            .ask("anna/m", 422, "anna#1=422")
            .ask("anna/m", 502, "anna#1=invalid")
            .ours(&["anna"])
            .ask("anna/m", 200, "anna#1=503, anna#2=200")
            .ask("anna/m", 200, "anna#1=529, anna#2=200")
            .ask("anna/m", 200, "anna#1=200"),
    ]);
}
