//! How an upload ends: answered early, left, cut by the provider, slow, and what is told of it.

use super::*;
use crate::cancel::{leave, WAYS};

#[test]
fn an_answer_that_comes_before_the_end_of_an_upload_reaches_the_client() {
    for lingers in [false, true] {
        for (status, framing) in [
            ("413 Too Large", FRAMINGS[0]),
            ("429 Slow Down", FRAMINGS[1]),
            ("500 No", FRAMINGS[1]),
        ] {
            let body = "{\"error\":{\"message\":\"early\"} }";
            let fields =
                "Content-Type: application/json\r\nRetry-After: 7\r\nX-Request-Id: early\r\n";
            let early = answer(status, fields, body.as_bytes());
            let upstream = Upstream::serve(move |connection| {
                connection.read_head();
                connection.wait_for(BEGIN);
                connection.send(&early);
                connection.half_close();
                if lingers {
                    connection.wait_for_close();
                }
            });
            let proxy = TestProxy::start(&config_for(&upstream));
            let request = upload(ROW, "", framing, &form("model file file file", MODEL));
            let (start, rest) = split(&request);
            for goes_on in [false, true] {
                let what = format!("{status} {lingers} {goes_on}");
                let mut client = proxy.connect();
                client.send(start);
                if goes_on {
                    client.wait_for("\r\n\r\n");
                    client.send_in_background(rest[..rest.len() - 100].to_vec());
                }
                let got = client.response_to("POST");
                assert_eq!(got.head.start, format!("HTTP/1.1 {status}"), "{what}");
                assert_eq!((got.text().as_str(), got.complete), (body, true), "{what}");
                assert_eq!(got.header("retry-after").as_deref(), Some("7"), "{what}");
                assert_eq!(got.header("x-request-id").as_deref(), Some("early"), "{what}");
                client.half_close();
                assert_ne!(client.ending(), Ending::TimedOut, "{what}: it closes");
            }
        }
    }
}

#[test]
fn a_client_that_never_stops_sending_gets_the_early_answer_as_well() {
    let upstream = Upstream::serve(|connection| {
        connection.read_head();
        connection.wait_for(BEGIN);
        connection.send(json_answer("413 Too Large", "{\"early\":1}"));
        connection.half_close();
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let files = ["file"; 20].join(" ");
    for framing in FRAMINGS {
        let mut client = proxy.connect();
        let body = form(&format!("model {files}"), MODEL);
        client.send_in_background(upload(ROW, "", framing, &body));
        let got = client.response_to("POST");
        assert_eq!((got.status, got.text().as_str()), (413, "{\"early\":1}"), "{framing:?}");
        client.half_close();
        assert_ne!(client.ending(), Ending::TimedOut, "{framing:?}");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_takes_the_providers_connection_with_it() {
    let (upstream, begun) = taking();
    let proxy = TestProxy::start(&config_for(&upstream));
    let fds = proxy.fds();
    let mut number = 0;
    for target in [ROW.to_owned(), format!("{ROW}?model=p/m")] {
        for framing in FRAMINGS {
            for way in WAYS {
                let request = upload(&target, "", framing, &form("model file", MODEL));
                let mut client = proxy.connect();
                client.send(split(&request).0);
                number += 1;
                wait_begun(&begun, number);
                let left = leave(client, way);
                upstream.wait_closed_by_proxy(number);
                drop(left);
                let last = upstream.requests().pop().expect("a request");
                assert!(!last.complete, "{framing:?} {way:?}");
            }
        }
    }
    proxy.wait_fds(fds);
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn a_client_that_leaves_a_held_upload_reaches_nobody() {
    let (upstream, _begun) = taking();
    let proxy = TestProxy::start(&config_for(&upstream));
    let fds = proxy.fds();
    for framing in FRAMINGS {
        for way in WAYS {
            let request = upload(ROW, "", framing, &form("file model", MODEL));
            let mut client = proxy.connect();
            client.send(&request[..request.len() - 300]);
            pause(20);
            drop(leave(client, way));
        }
    }
    proxy.wait_fds(fds);
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_provider_that_dies_during_or_after_an_upload_is_502_and_asked_once() {
    for resets in [false, true] {
        for whole in [false, true] {
            let upstream = Upstream::serve(move |connection| {
                let Some(mut request) = connection.read_head() else { return };
                if whole {
                    connection.read_body(&mut request);
                } else {
                    connection.wait_for(BEGIN);
                }
                if resets {
                    connection.reset_on_close();
                }
            });
            let proxy = TestProxy::start(&config_for(&upstream));
            for (number, framing) in FRAMINGS.into_iter().enumerate() {
                let mut client = proxy.connect();
                let body = form("model file file file file", MODEL);
                client.send_in_background(upload(ROW, "", framing, &body));
                let what = format!("resets {resets}, whole {whole}, {framing:?}");
                let message = client.response_to("POST").error(502);
                assert!(message.contains("提供商 p"), "{what}: {message}");
                assert_eq!(upstream.connections(), number + 1, "{what}");
            }
        }
    }
}

#[test]
fn a_provider_that_is_not_there_is_502() {
    let gone = format!("http://{}/v1", free_address("127.0.0.8"));
    let gone = json!({"provider": "p", "baseurl": gone, "token": KEY, "model_list": ["m"]});
    let proxy = TestProxy::start(&config([gone]));
    for parts in ["model file", "file model"] {
        let mut client = proxy.connect();
        client.send_in_background(upload(ROW, "", Framing::Sized, &form(parts, MODEL)));
        client.response_to("POST").error(502);
    }
}

#[test]
fn the_wait_for_the_answer_begins_at_the_end_of_the_upload() {
    let (upstream, _begun) = taking();
    let timeouts = json!({"non_stream_timeout": 0.5, "stream_timeout": 0.5});
    let proxy = TestProxy::start(&with(config_for(&upstream), timeouts));
    let slowly: Vec<_> = FRAMINGS
        .into_iter()
        .flat_map(|framing| [(framing, "model file"), (framing, "file model")])
        .map(|(framing, parts)| {
            let mut client = proxy.connect();
            std::thread::spawn(move || {
                let request = upload(ROW, "", framing, &form(parts, MODEL));
                let (start, rest) = split(&request);
                client.send(start);
                client.send_in_pieces(rest, rest.len() / 4, 300);
                (client.response_to("POST").status, parts, framing)
            })
        })
        .collect();
    for thread in slowly {
        let (status, parts, framing) = thread.join().expect("an answer");
        assert_eq!(status, 200, "{parts} {framing:?}");
    }
    // From there on it counts.
    let silent = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let timeouts = json!({"non_stream_timeout": 0.3, "stream_timeout": 0.3});
    let proxy = TestProxy::start(&with(config_for(&silent), timeouts));
    for parts in ["model file", "file model"] {
        let request = upload(ROW, "", Framing::Sized, &form(parts, MODEL));
        proxy.raw(&request).error(504);
    }
}

/// A provider whose head comes with the beginning of the file, and the rest with its end.
fn hasty(head: &'static str, rest: Vec<u8>) -> Upstream {
    Upstream::serve(move |connection| {
        while let Some(mut request) = connection.read_head() {
            connection.wait_for(BEGIN);
            connection.send(head);
            connection.read_body(&mut request);
            if !request.complete {
                return;
            }
            connection.send(&rest);
        }
    })
}

#[test]
fn an_answer_that_begins_before_the_end_of_the_upload_has_its_time_behind_it() {
    const JSON: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    let events = [&event("[DONE]")[..], LAST_CHUNK].concat();
    for (head, rest) in [(JSON, b"{}".to_vec()), (SSE_HEAD, events)] {
        let upstream = hasty(head, rest);
        let timeouts = json!({"non_stream_timeout": 0.5, "stream_timeout": 0.5});
        let proxy = TestProxy::start(&with(config_for(&upstream), timeouts));
        for framing in FRAMINGS {
            let request = upload(ROW, "", framing, &form("model file", MODEL));
            let (start, rest) = split(&request);
            let mut client = proxy.connect();
            client.send(start);
            client.send_in_pieces(rest, rest.len() / 4, 300);
            let answer = client.response_to("POST");
            assert!(answer.status == 200 && answer.complete, "{framing:?}: {answer:?}");
        }
    }
    // From there on it counts.
    let upstream = hasty(JSON, Vec::new());
    let timeouts = json!({"non_stream_timeout": 0.3, "stream_timeout": 0.3});
    let proxy = TestProxy::start(&with(config_for(&upstream), timeouts));
    proxy.raw(&upload(ROW, "", Framing::Sized, &form("model file", MODEL))).error(504);
}

#[test]
fn no_head_of_ours_goes_out_before_the_end_of_an_upload() {
    let (upstream, begun) = taking();
    let early = json!({"early_keepalive": 0.1});
    let proxy = TestProxy::start(&with(config_for(&upstream), early));
    for (number, framing) in FRAMINGS.into_iter().enumerate() {
        // A second model comes too late for the provider, but not for the status.
        let form = form("model file model", MODEL);
        let stream = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n"
        );
        let request = upload(ROW, "", framing, &[stream.as_bytes(), &form].concat());
        let (start, rest) = split(&request);
        let mut client = proxy.connect();
        client.send(start);
        wait_begun(&begun, number + 1);
        pause(400);
        client.send_in_background(rest.to_vec());
        client.response_to("POST").error(400);
    }
    assert!(upstream.requests().iter().all(|request| !request.complete));
}

#[test]
fn an_upload_is_logged_and_counted_like_a_chat() {
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(1000));
    let upstream = Upstream::json("200 OK", &body);
    let proxy = TestProxy::start(&config_for(&upstream));
    let cases = [
        (ROW.to_owned(), "model file", Framing::Sized),
        (ROW.to_owned(), "file model", Framing::Chunked),
        (format!("{ROW}?model=p/m"), "file", Framing::Chunked),
    ];
    for (number, (target, parts, framing)) in cases.iter().enumerate() {
        let fields = format!("X-Request-Id: upload-{number}\r\n");
        let answer = proxy.raw(&upload(target, &fields, *framing, &form(parts, MODEL)));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let log = proxy.wait_for_log(&format!("请求 upload-{number} "));
        let line = log.lines().find(|line| line.contains(&format!("upload-{number} ")));
        let line = line.expect("a line");
        for part in [
            " INFO 请求 ",
            "客户端: tester@",
            "模型: p/m",
            "提供商: p",
            "状态: 200",
            &format!("大小: {} 字节", body.len()),
            "首字节: ",
            "完成 (complete)",
            "耗时: ",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(line.ends_with(" 秒"), "{line}");
    }
    let refused = proxy.raw(&upload(ROW, "", Framing::Sized, &form("model small", "p/nope")));
    refused.error(404);
    let expected = json!({"-": {"model_not_found": 1}});
    eventually("the counters", || {
        let stats = &proxy.get("/").json()["stats"];
        (stats["chats"] == 4)
            && stats["bytes"] == 3 * body.len()
            && stats["errors"] == expected
            && stats["upstream_connections"]["leased"] == 0
    });
}

#[test]
fn a_stream_that_answers_an_upload_goes_out_event_by_event() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &event("{\"delta\":1}")].concat());
        held.wait();
        connection.send([&event("{\"done\":1}")[..], LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(upload(ROW, "", Framing::Chunked, &form("model prompt file", MODEL)));
    client.wait_for("data: {\"delta\":1}\n\n");
    gate.open();
    let answer = client.response_to("POST");
    let expected = "data: {\"delta\":1}\n\ndata: {\"done\":1}\n\n";
    assert_eq!((answer.complete, answer.text().as_str()), (true, expected));
}
