//! R6, R7: what the client gets when everything failed.

use serde_json::json;

use crate::row::{run, Row};
use crate::support::*;

const QUOTA: &str = "429 | body {\"error\":{\"code\":\"insufficient_quota\"}}";

/// Two targets of one key each, and what they do.
fn pair(name: &str, first: &str, second: &str) -> Row {
    let row = Row::new(name, "anna bert").alias(&["anna/m", "bert/m"]);
    row.up("anna", first).up("bert", second)
}

#[test]
fn the_answer_at_the_end_is_the_one_that_helps_and_a_providers_own() {
    run(vec![
        pair("two limits: the last", "429", "429").ask("a", 429, "anna=429, bert=429"),
        pair("503, 529: the last of them", "503", "529").ask("a", 529, "anna=503, bert=529"),
        pair("429, 500: waiting helps", "429", "500").ask("a", 429, "anna=429, bert=500").from(0),
        pair("503, 401: waiting helps", "503", "401").ask("a", 503, "anna=503, bert=401").from(0),
        pair("529, closed: waiting helps", "529", "close")
            .ask("a", 529, "anna=529, bert=closed")
            .from(0),
        pair("500, 401: the last one", "500", "401").ask("a", 401, "anna=500, bert=401"),
        pair("401, 502: the last one", "401", "502").ask("a", 502, "anna=401, bert=502"),
        pair("500, closed: the only one", "500", "close").ask("a", 500, "anna=500, bert=closed").from(0),
        pair("429, 400: the request's fault is final", "429", "400")
            .ask("a", 400, "anna=429, bert=400")
            .lacks("retry-after"),
        pair("503, 422: the request's fault is final", "503 | retry-after: 9", "422")
            .ask("a", 422, "anna=503, bert=422")
            .lacks("retry-after"),
        pair("fields and body as they came", "500",
             "521 | x-ratelimit-remaining: 0 | X-Odd:  a  b | content-type: text/html | body <p>Web server is down\r\n")
            .ask("a", 521, "anna=500, bert=521")
            .has("x-ratelimit-remaining: 0")
            .has("x-odd: a  b")
            .has("content-type: text/html"),
        pair("a body of any bytes", "503", "503 | body \u{1}\u{7f}\u{e9} {{")
            .ask("a", 503, "anna=503, bert=503"),
        pair("the answer of the first, kept while the second is asked", "429 | x-odd: 1 | body first", "close")
            .ask("a", 429, "anna=429, bert=closed")
            .has("x-odd: 1")
            .from(0),
    ]);
}

#[test]
fn an_answer_that_is_kept_while_others_are_asked_stays_whole() {
    let long = format!("body {{\"error\":\"{}\"}}", "x".repeat(300_000));
    run(vec![
        pair("long", &format!("503 | {long}"), "close")
            .ask("a", 503, "anna=503, bert=closed")
            .from(0),
        pair("long, and its body was looked at", &format!("429 | {long}"), "500")
            .ask("a", 429, "anna=429, bert=500")
            .from(0),
        pair("slow", "503 | slow", "close").ask("a", 503, "anna=503, bert=closed").from(0),
        pair("slow, and its body was looked at", "429 | slow", "close")
            .ask("a", 429, "anna=429, bert=closed")
            .from(0),
        pair("the last one, long and slow", "500", &format!("429 | slow | {long}")).ask(
            "a",
            429,
            "anna=500, bert=429",
        ),
        pair("compressed", "503 | gzip", "close")
            .ask("a", 503, "anna=503, bert=closed")
            .has("content-encoding: gzip")
            .from(0),
        pair("in chunks", "503 | chunked", "close").ask("a", 503, "anna=503, bert=closed").from(0),
        pair("in chunks, and its body was looked at", "429 | chunked", "close")
            .ask("a", 429, "anna=429, bert=closed")
            .from(0),
        pair("without a length", "503 | unframed", "close")
            .ask("a", 503, "anna=503, bert=closed")
            .from(0),
        pair("the last one in chunks", "500", "429 | chunked").ask("a", 429, "anna=500, bert=429"),
        pair("the last one without a length", "500", "429 | unframed").ask(
            "a",
            429,
            "anna=500, bert=429",
        ),
        pair("without a body", "503 | body ", "close")
            .ask("a", 503, "anna=503, bert=closed")
            .from(0),
        Row::new("a second one without its body replaces no first", "anna bert cleo")
            .alias(&["anna/m", "bert/m", "cleo/m"])
            .up("anna", "503")
            .up("bert", "503 | torn")
            .up("cleo", "close")
            .ask("a", 503, "anna=503, bert=503, cleo=closed")
            .from(0),
        pair("a last one that breaks off replaces no other", "429", "503 | torn")
            .ask("a", 429, "anna=429, bert=503")
            .from(0),
        pair("what is kept takes no connection from the next", "503 | slow", "200")
            .file(json!({"max_connections": 1, "non_stream_timeout": 4}))
            .ask("a", 200, "anna=503, bert=200"),
        pair("one whose body never comes is none", "429 | torn", "500").ask(
            "a",
            500,
            "anna=429, bert=500",
        ),
    ]);
}

#[test]
fn answers_that_are_kept_are_within_the_common_memory() {
    let long = "x".repeat(400_000);
    let list = format!("{{\"data\":[{{\"id\":\"z\"}}],\"x\":\"{long}\"}}");
    let row = Row::new("kept", "anna bert cleo*")
        .alias(&["anna/m", "bert/m"])
        .file(json!({"max_response_size": 1024 * 1024}))
        .up("anna", format!("503 | body {long}"))
        .up("bert", "200 | gate")
        .up("cleo/models", format!("503 ; 200 | body {list}"));
    let world = row.world();
    eventually("the list is refused", || !world.lists().is_empty());
    let mut clients: Vec<_> = (0..14).map(|_| world.proxy.connect()).collect();
    for client in &mut clients {
        client.send(chat_request("", chat("a").as_bytes()));
    }
    world.wait_calls(2 * clients.len());
    let reload = || assert_eq!(world.proxy.request("POST", "/v1/reload", "").status, 200);
    reload();
    world.proxy.wait_for_log("合计内存上限 3145728 字节已用完");
    world.open_gate();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    reload();
    let has_list = || world.proxy.get("/v1/models").text().contains("cleo/z");
    eventually("the memory is given back", has_list);
}

#[test]
fn few_answers_are_kept_with_their_connections_and_others_are_given_up() {
    let row = Row::new("many", "anna bert")
        .alias(&["anna/m", "bert/m"])
        .up("anna", "503 | slow")
        .up("bert", "close | gate");
    let world = row.world();
    let mut clients: Vec<_> = (0..20).map(|_| world.proxy.connect()).collect();
    for client in &mut clients {
        client.send(chat_request("", chat("a").as_bytes()));
    }
    world.wait_calls(40);
    world.open_gate();
    let mut statuses: Vec<_> = clients.iter_mut().map(|client| client.response().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [[502; 4].as_slice(), &[503; 16]].concat());
    // The places are free again.
    assert_eq!(world.proxy.chat(chat("a")).status, 503);
}

#[test]
fn where_nobody_answered_our_error_names_every_target() {
    run(vec![
        Row::new("nobody can be reached", "anna!refused bert!dns cleo!tls")
            .alias(&["anna/m", "bert/m", "cleo/m"])
            .ask("a", 502, "anna=connect, bert=dns, cleo=tls")
            .ours(&["anna", "bert", "cleo"]),
        pair("nobody says a word", "close", "garbage")
            .ask("a", 502, "anna=closed, bert=invalid")
            .ours(&["anna", "bert"]),
        pair("the last is too slow", "close", "stall")
            .file(json!({"non_stream_timeout": 0.5}))
            .ask("a", 502, "anna=closed, bert=timeout")
            .ours(&["anna", "bert"]),
        Row::new("Anthropic's shape where that is spoken", "anna!refused bert!refused")
            .alias(&["anna/m", "bert/m"])
            .ask("a", 502, "anna=connect, bert=connect")
            .to("/v1/messages")
            .ours(&["anna", "bert"]),
        Row::new("one target", "anna:2!refused")
            .file(json!({"retries": 1}))
            .ask("anna/m", 502, "anna#1=connect, anna#2=connect")
            .ours(&["anna"])
            .lacks("retry-after"),
    ]);
}

#[test]
fn retry_after_is_the_soonest_recovery_of_the_route() {
    run(vec![
        pair("429 and 429", "429 | retry-after: 20", "429 | retry-after: 90")
            .ask("a", 429, "anna=429, bert=429")
            .has("retry-after: 20~")
            .has("x-ai-proxy-upstream-retry-after: 90"),
        pair(
            "a stated delay counts where nothing rests",
            "503 | retry-after: 20",
            "503 | retry-after: 90",
        )
        .ask("a", 503, "anna=503, bert=503")
        .has("retry-after: 20~")
        .has("x-ai-proxy-upstream-retry-after: 90"),
        pair(
            "the date of a provider moves as it came",
            "429 | retry-after: 20",
            "429 | retry-after: Fri, 01 Jan 2038 00:00:00 GMT",
        )
        .ask("a", 429, "anna=429, bert=429")
        .has("retry-after: 20~")
        .has("x-ai-proxy-upstream-retry-after: Fri, 01 Jan 2038 00:00:00 GMT"),
        pair("a rest without a stated delay", "429", "503")
            .ask("a", 503, "anna=429, bert=503")
            .has("retry-after: 15~")
            .lacks("x-ai-proxy-upstream-retry-after"),
        pair("529", "529 | retry-after: 40", "529")
            .ask("a", 529, "anna=529, bert=529")
            .has("retry-after: 40~"),
        pair("nothing stated, nothing rests", "503", "503")
            .ask("a", 503, "anna=503, bert=503")
            .lacks("retry-after")
            .lacks("x-ai-proxy-upstream-retry-after"),
        pair("another status keeps its own", "401", "500 | retry-after: 7")
            .ask("a", 500, "anna=401, bert=500")
            .has("retry-after: 7")
            .lacks("x-ai-proxy-upstream-retry-after"),
        pair(
            "milliseconds where the provider sent them",
            "429 | retry-after: 20",
            "429 | retry-after-ms: 90000",
        )
        .ask("a", 429, "anna=429, bert=429")
        .has("retry-after: 20~")
        .has("retry-after-ms: 20000~ms"),
        pair("no milliseconds else", "429 | retry-after-ms: 20000", "429 | retry-after: 90")
            .ask("a", 429, "anna=429, bert=429")
            .has("retry-after: 20~")
            .lacks("retry-after-ms"),
        pair("at least a second", "429 | retry-after-ms: 10", "503")
            .ask("a", 503, "anna=429, bert=503")
            .has("retry-after: 1"),
        Row::new("later, the rest that is left", "anna:2")
            .up("anna", "429 | retry-after: 60")
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .has("retry-after: 60~")
            .pause(1200)
            .ask("anna/m", 429, "anna#1=429")
            .has("retry-after: 58..60"),
    ]);
}

#[test]
fn x_should_retry_says_so_only_where_waiting_does_not_help() {
    run(vec![
        Row::new("all quotas are used up", "anna:2")
            .up("anna", QUOTA)
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .has("x-should-retry: false")
            .has("retry-after: 600~"),
        Row::new("… but what the provider itself says stays, once", "anna:2")
            .up("anna", format!("{QUOTA} | x-should-retry: true"))
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .has("x-should-retry: true"),
        Row::new("a limit ends sooner", "anna:2")
            .up("anna#1", "429 | retry-after: 20")
            .up("anna#2", QUOTA)
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .lacks("x-should-retry")
            .has("retry-after: 20~"),
        Row::new("one attempt only", "anna")
            .up("anna", QUOTA)
            .ask("anna/m", 429, "anna=429")
            .lacks("x-should-retry"),
        pair("limits", "429", "429").ask("a", 429, "anna=429, bert=429").lacks("x-should-retry"),
        pair("a provider's own stays", "503", "503 | x-should-retry: true")
            .ask("a", 503, "anna=503, bert=503")
            .has("x-should-retry: true"),
    ]);
}
