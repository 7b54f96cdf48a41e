//! Which ids are remembered, and how many.

use super::*;

const SSE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunked(text: &str, size: usize) -> String {
    let chunks = text.as_bytes().chunks(size).flat_map(chunk);
    String::from_utf8(chunks.chain(LAST_CHUNK.iter().copied()).collect()).expect("UTF-8")
}

#[test]
fn ids_are_learnt_from_json_however_it_comes() {
    let house = House::new();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let json = "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\n";
    let long = "x".repeat(20_000);
    for (number, (v1, body)) in [
        ("/v1", "{\"id\":\"ID\"}".to_owned()),
        ("", " \r\n{ \"object\" : \"response\" ,\t\"id\" :\n\"ID\" , \"x\":[1.0] }".to_owned()),
        (
            "/v1",
            "{\"output\":[{\"id\":\"msg_1\"}],\"x\":{\"id\":\"nested\"},\"id\":\"ID\"}".to_owned(),
        ),
        ("/v1", "{\"a\":\"\\\"id\\\":\\\"quoted\\\"\",\"id\":\"ID\",\"b\":\"é\"}".to_owned()),
        ("/v1", format!("{{\"id\":\"ID\",\"text\":\"{long}\"}}")),
    ]
    .into_iter()
    .enumerate()
    {
        for (way, provider) in
            ["whole", "chunks", "pieces"].into_iter().zip(["alpha", "beta", "alpha"])
        {
            let id = format!("resp_{number}_{way}");
            let body = body.replace("ID", &id);
            let whole = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            let coded = format!("{json}Transfer-Encoding: chunked\r\n\r\n{}", chunked(&body, 700));
            let pieces: Vec<&str> = match way {
                "whole" => vec![&whole],
                "chunks" => vec![&coded],
                _ => {
                    let at = whole.find(&id).expect("the id") + 3;
                    vec![&whole[..at], &whole[at..at + 2], &whole[at + 2..]]
                }
            };
            let answer = house.teach(&format!("{v1}/responses"), provider, &pieces);
            assert_eq!((answer.status, answer.text()), (200, body), "{id}");
            let found = house.ask("GET", &format!("/v1/responses/{id}"), "");
            assert_eq!((found.status, &found.json()["from"]), (200, &json!(provider)), "{id}");
        }
    }
    for id in ["msg_1", "nested", "quoted", "response", "ID"] {
        assert!(!house.knows(id), "{id}");
    }
}

#[test]
fn ids_are_learnt_from_the_first_event_of_a_stream() {
    let house = House::new();
    let rest = "event: response.output_item.added\ndata: {\"item\":{\"id\":\"msg_2\"}}\n\n\
        event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"later\"}}\n\n";
    for (number, first) in [
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"ID\"}}\n\n",
        "data: {\"response\":{\"object\":\"response\",\"id\":\"ID\",\"x\":[]},\"type\":\"response.created\"}\n\n",
        ": comment\n\nevent: response.created\r\ndata:{\"sequence_number\":0, \"response\" : { \"id\" : \"ID\" }}\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        for (size, provider) in [(10_000, "beta"), (7, "alpha"), (1, "beta")] {
            let id = format!("resp_stream_{number}_{size}");
            let text = format!("{}{rest}", first.replace("ID", &id));
            let answer = format!("{SSE}{}", chunked(&text, size));
            let at = answer.find("\r\n\r\n").expect("a head") + 40;
            let body = json!({
                "model": format!("{provider}/m"), "stream": true,
                "pieces": [&answer[..at], &answer[at..]],
            });
            let got = house.post("/v1/responses", "", &body.to_string());
            assert_eq!((got.complete, got.text()), (true, text), "{id}");
            let found = house.ask("GET", &format!("/v1/responses/{id}"), "");
            assert_eq!((found.status, &found.json()["from"]), (200, &json!(provider)), "{id}");
        }
    }
    for id in ["msg_2", "later", "ID"] {
        assert!(!house.knows(id), "{id}");
    }
}

#[test]
fn a_conversation_is_learnt_with_its_response() {
    let house = House::new();
    let body = "{\"id\":\"resp_c\",\"conversation\":{\"id\":\"conv_1\"},\"output\":[]}";
    assert_eq!(house.teach("/v1/responses", "beta", &[&json_text(body)]).status, 200);
    for conversation in ["\"conv_1\"", "{\"id\":\"conv_1\"}", "{ \"x\":1, \"id\" : \"conv_1\" }"] {
        let body = format!("{{\"conversation\": {conversation}, \"input\":\"hi\"}}");
        let answer = house.post("/v1/responses", "", &body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        assert_eq!(show(&house.last("beta").body), show(body.as_bytes()));
    }
    assert!(house.knows("resp_c"));
    assert!(house.alpha.requests().is_empty());
}

#[test]
fn errors_and_other_rows_teach_nothing() {
    let house = House::new();
    let body = "{\"id\":\"resp_other\"}";
    for row in [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses/compact",
        "/v1/responses/input_tokens",
        "/v1/messages",
    ] {
        assert_eq!(house.teach(row, "alpha", &[&json_text(body)]).status, 200);
        assert!(!house.knows("resp_other"), "{row}");
    }
    for status in ["400 Bad", "404 Not", "429 Slow", "500 No", "529 Overloaded"] {
        let answer = String::from_utf8(json_answer(status, body)).expect("UTF-8");
        let got = house.teach("/v1/responses", "alpha", &[&answer]);
        assert_eq!(got.head.start, format!("HTTP/1.1 {status}"));
        assert!(!house.knows("resp_other"), "{status}");
    }
    for odd in [
        "{\"id\":5}",
        "{\"id\":\"resp.other\"}",
        "{\"id\":\"\"}",
        "{\"id\":null,\"conversation\":\"resp_other\"}",
        "[{\"id\":\"resp_other\"}]",
        "\"resp_other\"",
    ] {
        assert_eq!(house.teach("/v1/responses", "alpha", &[&json_text(odd)]).status, 200, "{odd}");
        assert!(!house.knows("resp_other"), "{odd}");
    }
    house.stored("alpha", "resp_other");
    assert!(house.knows("resp_other"));
}

#[test]
fn the_last_four_thousand_ids_are_remembered_and_a_newer_answer_wins() {
    let house = House::new();
    house.stored("alpha", "resp_first");
    house.stored("alpha", "resp_second");
    house.stored("beta", "resp_second");
    let second = house.ask("GET", "/v1/responses/resp_second", "");
    assert_eq!(second.json()["from"], "beta");
    let mut client = house.proxy.connect();
    for number in 0..4096 {
        let answer = json_text(&format!("{{\"id\":\"resp_{number:04}\"}}"));
        let body = json!({"model": "alpha/m", "pieces": [answer]}).to_string();
        let request = format!(
            "POST /v1/responses HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(client.send(request).response_to("POST").status, 200);
    }
    assert!(!house.knows("resp_first"), "it is forgotten");
    assert!(!house.knows("resp_second"), "it is forgotten");
    assert!(house.knows("resp_4095") && house.knows("resp_0100"));
}
