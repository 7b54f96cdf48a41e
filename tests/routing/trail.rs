//! R8, R9: what is told of the attempts, and origins that nobody reaches.

use serde_json::json;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::row::{run, Row};
use crate::support::*;

#[test]
fn the_trail_names_every_attempt_as_it_ended() {
    run(vec![
        Row::new("several ends in one trail", "anna!refused bert!dns cleo!tls dora eve:2")
            .alias(&["anna/m", "bert/m", "cleo/m", "dora/m", "eve/m"])
            .up("dora", "close")
            .up("eve#1", "429")
            .ask("a", 200, "anna=connect, bert=dns, cleo=tls, dora=closed, eve#1=429, eve#2=200")
            .logged(" 尝试: anna=connect, bert=dns, cleo=tls, dora=closed, eve#1=429, eve#2=200 结束:"),
        Row::new("a time-out", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .file(json!({"non_stream_timeout": 0.5}))
            .up("anna", "503")
            .up("bert", "stall")
            .ask("a", 503, "anna=503, bert=timeout")
            .from(0),
        Row::new("one attempt of two ways: in the log only", "anna:2")
            .ask("anna/m", 200, "anna#1=200")
            .logged(" 尝试: anna#1=200 结束:")
            .lacks("x-ai-proxy-attempts"),
        Row::new("one way: nowhere", "anna").ask("anna/m", 200, "anna=200"),
        Row::new("a name that a field cannot hold as it is", "b,c=d%:2")
            .up("b,c=d%#1", "429")
            .ask("b,c=d%/m", 200, "b,c=d%#1=429, b,c=d%#2=200"),
        Row::new("a name in Chinese", "智谱:2")
            .up("智谱#1", "429")
            .ask("智谱/m", 200, "智谱#1=429, 智谱#2=200"),
        Row::new("a field of that name from a provider is not taken for ours", "anna:2")
            .up("anna#1", "429")
            .up("anna#2", "200 | x-ai-proxy-attempts: forged=200")
            .ask("anna/m", 200, "anna#1=429, anna#2=200"),
        Row::new("other rows have it, too", "anna:2")
            .up("anna#1", "429")
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .to("/v1/embeddings"),
        Row::new("Anthropic's row has it, too", "anna:2")
            .up("anna#1", "429 | body {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}")
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .to("/v1/messages"),
        Row::new("Anthropic's overload goes to the next target", "anna bert")
            .alias(&["anna/m", "bert/m"])
            .up("anna", "529 | body {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}")
            .ask("a", 200, "anna=529, bert=200")
            .to("/v1/messages?beta=true")
            .with("anthropic-version: 2023-06-01"),
        Row::new("explained, the model is told once", "anna bert")
            .alias(&["anna/x", "bert/y"])
            .up("anna", "503")
            .ask("a", 200, "anna/x=503, bert/y=200")
            .with("x-ai-proxy-explain: 1")
            .has("x-ai-proxy-model: bert/y")
            .has("server-timing: *"),
        Row::new("Anthropic's own errors at the end are unchanged", "anna:2")
            .up("anna", "429 | retry-after: 30 | body {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}")
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .to("/v1/messages")
            .has("retry-after: 30~"),
    ]);
}

#[test]
fn an_origin_that_nobody_reaches_is_tried_last() {
    let pair = |name: &str, providers: &str| Row::new(name, providers).alias(&["anna/m", "bert/m"]);
    run(vec![
        pair("three failures in a row: tried last", "anna!refused bert")
            .ask("a", 200, "anna=connect, bert=200")
            .times(3)
            .ask("a", 200, "bert=200"),
        pair("… which is an order, no refusal", "anna!refused bert")
            .up("bert", "200*4 ; 503")
            .ask("a", 200, "anna=connect, bert=200")
            .times(3)
            .ask("a", 200, "bert=200")
            .ask("a", 503, "bert=503, anna=connect")
            .from(0),
        pair("names that do not resolve count", "anna!dns bert")
            .ask("a", 200, "anna=dns, bert=200")
            .times(3)
            .ask("a", 200, "bert=200"),
        pair("TLS that fails counts", "anna!tls bert")
            .ask("a", 200, "anna=tls, bert=200")
            .times(3)
            .ask("a", 200, "bert=200"),
        pair("answers of any status do not count", "anna bert")
            .up("anna", "503")
            .ask("a", 200, "anna=503, bert=200")
            .times(5),
        pair("connections that are closed do not count", "anna bert")
            .up("anna", "close")
            .ask("a", 200, "anna=closed, bert=200")
            .times(5),
        Row::new("the only one is asked whatever was", "anna!refused")
            .ask("anna/m", 502, "anna=connect")
            .times(6)
            .ours(&["anna"]),
    ]);
}

#[test]
fn an_origin_that_answers_again_is_asked_in_its_order_again() {
    let world = Row::new("again", "anna!refused bert")
        .alias(&["anna/m", "bert/m"])
        .up("bert", "200*4 ; 503 ; 200")
        .world();
    let ask = || {
        let answer = world.proxy.chat(chat("a"));
        (answer.status, answer.header("x-ai-proxy-attempts"))
    };
    let failed = Some("anna=connect, bert=200".to_owned());
    for _ in 0..3 {
        assert_eq!(ask(), (200, failed.clone()));
    }
    assert_eq!(ask(), (200, None));
    let address = world.config["providers"][0]["baseurl"].as_str().expect("a URL");
    let address = address.trim_start_matches("http://").trim_end_matches("/v1");
    let listener = TcpListener::bind(address).expect("nobody else has this address");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok).take(2) {
            let mut request = [0; 4096];
            let _ = socket.read(&mut request);
            let _ = socket
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
        }
    });
    assert_eq!(ask(), (200, Some("bert=503, anna=200".to_owned())));
    assert_eq!(ask(), (200, None));
    assert_eq!(world.course(0), "bert bert bert bert bert", "the first one was asked first");
}

#[test]
fn a_request_is_counted_once_whatever_was_tried_for_it() {
    let row = Row::new("counted", "anna:2 bert").alias(&["anna/m", "bert/m"]).up("anna", "429");
    let world = row.world();
    assert_eq!(world.proxy.chat(chat("a")).status, 200);
    assert_eq!(world.calls().len(), 3);
    let log = world.proxy.wait_for_log(" 耗时: ");
    assert_eq!(log.matches(" 耗时: ").count(), 1, "{log}");
    assert_eq!(world.proxy.get("/").json()["stats"]["chats"], 1);
}

#[test]
fn a_request_is_in_flight_at_the_provider_that_it_is_at_and_nowhere_in_the_end() {
    let row = Row::new("in flight", "anna:2 bert")
        .alias(&["anna/m", "bert/m"])
        .up("anna", "429")
        .up("bert", "200 | gate");
    let world = row.world();
    let fields = format!("Authorization: Bearer {TOKEN}\r\n");
    let in_flight = || {
        let status = world.proxy.request("GET", "/v1/status", &fields).json();
        let of = |name: &str| {
            let providers = status["providers"].as_array().expect("a list");
            providers.iter().find(|row| row["name"] == name).map(|row| row["in_flight"].clone())
        };
        [of("anna"), of("bert")]
    };
    let counts = |anna: u64, bert: u64| [Some(json!(anna)), Some(json!(bert))];
    let (mut leaves, mut stays) = (world.proxy.connect(), world.proxy.connect());
    for client in [&mut leaves, &mut stays] {
        client.send(chat_request("", chat("a").as_bytes()));
    }
    eventually("both are at the last provider", || in_flight() == counts(0, 2));
    drop(leaves);
    eventually("one has left", || in_flight() == counts(0, 1));
    world.open_gate();
    assert_eq!(stays.response().status, 200);
    eventually("none is left", || in_flight() == counts(0, 0));
}

#[test]
fn what_a_provider_says_of_attempts_and_model_is_not_taken_for_ours() {
    let own = "x-ai-proxy-model: evil/x | x-ai-proxy-attempts: evil=200";
    let row = Row::new("names", "anna bert")
        .alias(&["anna/m", "bert/m"])
        .up("anna", "503")
        .up("bert", format!("200 | {own}"));
    let world = row.world();
    let answer = world.proxy.chat(chat("a"));
    assert_eq!(answer.header("x-ai-proxy-model").as_deref(), Some("bert/m"));
    assert_eq!(answer.header("x-ai-proxy-attempts").as_deref(), Some("anna=503, bert=200"));
    assert!(!contains(&answer.head.raw, "evil"), "both are told");
}
