//! Which upstream connections serve again, and answers that come before the request is sent.

use std::time::Duration;

use crate::support::*;

#[test]
fn answers_without_body_are_complete_and_their_connection_is_reused() {
    for head in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Type: x\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let upstream = Upstream::keep_alive(head);
        let proxy = TestProxy::start(&config_for(&upstream));
        let mut client = proxy.connect();
        for _ in 0..3 {
            let answer = client.send(chat_request("", chat(MODEL).as_bytes())).response();
            assert!(head.contains(&answer.status.to_string()), "{head:?}: {}", answer.status);
            assert!(answer.complete && answer.body.is_empty());
        }
        assert_eq!(upstream.connections(), 1, "{head:?}");
    }
}

#[test]
fn stray_bytes_behind_a_body_reach_nobody_and_end_the_reuse() {
    for (number, stray) in
        ["x", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", "\r\n"].into_iter().enumerate()
    {
        for framed in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nright\r\n0\r\n\r\n",
        ] {
            let upstream = Upstream::keep_alive(format!("{framed}{stray}"));
            let proxy = TestProxy::start(&config_for(&upstream));
            let mut client = proxy.connect();
            for _ in 0..3 {
                let answer = client.send(chat_request("", chat(MODEL).as_bytes())).response();
                assert_eq!((answer.status, answer.text().as_str()), (200, "right"), "{number}");
            }
            assert_eq!(upstream.connections(), 3, "{stray:?}");
        }
    }
}

#[test]
fn stray_bytes_that_come_later_end_the_reuse_too() {
    let upstream = Upstream::each(|_, connection| {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright");
        pause(50);
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong");
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    for _ in 0..3 {
        assert_eq!(proxy.chat(chat(MODEL)).text(), "right");
        pause(150);
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn stray_bytes_behind_a_stream_end_the_reuse() {
    let upstream = Upstream::each(|_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        pause(50);
        connection.send([&event("two"), LAST_CHUNK, b"stray"].concat());
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    for _ in 0..2 {
        assert_eq!(proxy.chat(chat_stream(MODEL)).text(), "data: one\n\ndata: two\n\n");
    }
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn an_idle_connection_that_the_provider_closed_is_not_used() {
    let upstream = Upstream::script("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for _ in 0..5 {
        assert_eq!(proxy.chat(chat(MODEL)).text(), "{}");
        pause(50);
    }
    assert_eq!(upstream.requests().len(), 5);
}

/// A chat body that fills every socket buffer on the way.
fn large_chat() -> Vec<u8> {
    format!(r#"{{"model":"p/m","x":"{}"}}"#, "0123456789".repeat(1_600_000)).into_bytes()
}

#[test]
fn an_answer_before_the_request_is_sent_is_relayed() {
    let early = answer(
        "413 Too Large",
        "Content-Type: application/json\r\nConnection: close\r\n",
        b"{\"error\":{}}",
    );
    // The upstream answers from the head alone and never reads the body.
    let upstream =
        Upstream::steps(vec![Step::ReadHead, Step::Send(early.clone()), Step::Pause(3000)]);
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send_in_background(chat_request("", &large_chat()));
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (413, "{\"error\":{}}"));
    // The same from an upstream that stops sending but still reads.
    let steps = vec![Step::ReadHead, Step::Send(early), Step::HalfClose, Step::WaitForClose];
    let upstream = Upstream::steps(steps);
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send_in_background(chat_request("", &large_chat()));
    assert_eq!(client.response().status, 413);
}

#[test]
fn a_connection_with_an_early_answer_is_not_reused() {
    let upstream = Upstream::serve(|connection| {
        if connection.number > 0 {
            while connection.read_request().is_some() {
                connection.send(json_answer("200 OK", "{}"));
            }
        } else if connection.read_head().is_some() {
            // Keep-alive, says the answer; but half of the body still hangs in the connection.
            connection.send(json_answer("400 Bad Request", "{}"));
            connection.wait_for_close();
        }
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send_in_background(chat_request("", &large_chat()));
    assert_eq!(client.response().status, 400);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
}

#[test]
fn a_provider_that_reads_slowly_gets_everything() {
    let upstream = Upstream::serve(|connection| {
        pause(300);
        while connection.read_request().is_some() {
            connection.send(json_answer("200 OK", "{}"));
        }
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.set_patience(Duration::from_secs(20));
    client.send_in_background(chat_request("", &large_chat()));
    assert_eq!(client.response().status, 200);
    assert_eq!(upstream.request().body.len(), large_chat().len() - 2);
}

#[test]
fn the_newest_idle_connection_serves_first() {
    let gates = [Gate::default(), Gate::default(), Gate::default()];
    let held = gates.clone();
    let upstream = Upstream::serve(move |connection| {
        if connection.read_request().is_some() {
            held[connection.number % 3].wait();
            connection.send(json_answer("200 OK", "{}"));
        }
        while connection.read_request().is_some() {
            connection.send(json_answer("200 OK", &connection.number.to_string()));
        }
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut clients: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(chat_request("", chat(MODEL).as_bytes()));
        upstream.wait_requests(number + 1);
    }
    for number in [1, 0, 2] {
        gates[number].open();
        assert_eq!(clients[number].response().text(), "{}");
    }
    for _ in 0..4 {
        assert_eq!(proxy.chat(chat(MODEL)).text(), "2");
    }
}

#[test]
fn connections_of_one_provider_never_serve_another() {
    let (a, b) = (Upstream::json("200 OK", "\"a\""), Upstream::json("200 OK", "\"b\""));
    let proxy = TestProxy::start(&config([provider("a", &a), provider("b", &b)]));
    for _ in 0..3 {
        assert_eq!(proxy.chat(chat("a/m")).text(), "\"a\"");
        assert_eq!(proxy.chat(chat("b/m")).text(), "\"b\"");
    }
    assert_eq!((a.connections(), b.connections()), (1, 1));
}

#[test]
fn a_connection_that_closes_with_its_answer_is_not_kept() {
    let upstream = Upstream::script("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    for _ in 0..5 {
        assert_eq!(proxy.chat(chat(MODEL)).text(), "{}");
    }
    eventually("nothing is idle", || {
        proxy.get("/").json()["stats"]["upstream_connections"]["idle"] == 0
    });
}

#[test]
fn a_stray_answer_that_comes_with_the_next_request_reaches_nobody() {
    let (stray, sent) = (Gate::default(), Gate::default());
    let (wait, tell) = (stray.clone(), sent.clone());
    let upstream = Upstream::serve(move |connection| {
        while connection.read_request().is_some() {
            let number = connection.number;
            connection.send(json_answer("200 OK", &format!(r#"{{"connection":{number}}}"#)));
            if number == 0 {
                wait.wait();
                connection.send(json_answer("200 OK", r#"{"stray":true}"#));
                tell.open();
            }
        }
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let request = chat_request("", chat(MODEL).as_bytes());
    let mut client = proxy.connect();
    assert_eq!(client.send(&request).response().text(), r#"{"connection":0}"#);
    // The proxy hears of both at once, of the request first.
    proxy.stop();
    client.send(&request);
    pause(50);
    stray.open();
    sent.wait();
    proxy.signal("CONT");
    assert_eq!(client.response().text(), r#"{"connection":1}"#);
}
