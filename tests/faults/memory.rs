//! What hostile clients and providers can make the program keep: bounded, whatever they do together.

use std::time::Duration;

use crate::support::*;

/// What `--check` says the default limits allow at most.
const RSS_MAX: usize = 128 * 1024 * 1024;

/// A chat's head and all but the end of its body of `length` bytes.
fn unfinished(length: usize) -> Vec<u8> {
    let mut bytes = chat_request("", &vec![b' '; length]);
    bytes.truncate(bytes.len() - 1);
    bytes
}

#[test]
fn bodies_that_never_end_take_no_more_than_the_budget() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut clients: Vec<Raw> = (0..30).map(|_| proxy.connect()).collect();
    let bytes = unfinished(8_000_000);
    clients.iter().for_each(|client| client.send_in_background(bytes.clone()));
    let mut refused = 0;
    for client in &mut clients {
        client.set_patience(Duration::from_millis(500));
        if let Ok(response) = client.try_response("POST") {
            assert_eq!(response.status, 503, "{response:?}");
            assert_eq!(response.header("retry-after").as_deref(), Some("1"));
            refused += 1;
        }
    }
    assert!(refused > 0 && refused < 30, "{refused}");
    assert!(proxy.rss() < RSS_MAX, "{}", proxy.rss());
    // Whoever leaves gives back what was kept.
    drop(clients);
    let mut large = chat(MODEL).into_bytes();
    large.resize(30_000_000, b' ');
    eventually("room for a large request", || proxy.chat(&large).status == 200);
}

#[test]
fn responses_that_never_end_take_no_more_than_the_budget_and_arrive_all_the_same() {
    const COUNT: usize = 95;
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        connection.send(head);
        let piece = format!("{:x}\r\n{}\r\n", 100_000, "[".to_owned() + &"1,".repeat(49_999) + "1");
        for _ in 0..10 {
            if !connection.try_send(&piece) {
                return;
            }
        }
        held.wait();
        connection.send("0\r\n\r\n");
    });
    let mut config = config_for(&upstream);
    config["max_request_size"] = 1_000_000.into();
    config["max_response_size"] = 2_000_000.into();
    let proxy = TestProxy::start(&config);
    let mut clients: Vec<Raw> = (0..COUNT).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(chat_request("", chat(MODEL).as_bytes()));
    }
    upstream.wait_requests(COUNT);
    pause(1500);
    // Less than half of what they would take.
    assert!(proxy.rss() < 50 * 1024 * 1024, "{}", proxy.rss());
    gate.open();
    for client in &mut clients {
        let response = client.response();
        assert!(response.complete, "{}", response.status);
        assert_eq!((response.status, response.body.len()), (200, 1_000_000));
    }
}

/// Long heads have a part of the memory of their own: whoever sends them without a token keeps nobody
/// from chatting, and an idle connection keeps nothing of the one before.
#[test]
fn long_heads_keep_nobody_from_chatting() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let long = "x".repeat(60_000);
    let mut idle: Vec<Raw> = (0..100).map(|_| proxy.connect()).collect();
    for client in &mut idle {
        client.send(format!("GET /none HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n"));
        assert_eq!(client.response().status, 404);
    }
    let mut half: Vec<Raw> = (0..300).map(|_| proxy.connect()).collect();
    for client in &mut half {
        // Those that find no memory left are refused while they send.
        let _ = client.try_send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {long}"));
    }
    let mut large = chat(MODEL).into_bytes();
    large.resize(30_000_000, b' ');
    assert_eq!(proxy.chat(&large).status, 200);
    assert!(proxy.rss() < RSS_MAX, "{}", proxy.rss());
}

/// Clients that do not read what was held for them keep no request out.
#[test]
fn slow_readers_of_held_responses_keep_no_request_out() {
    let body = format!("[{}1]", "1,".repeat(4_500_000));
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let upstream = Upstream::each(move |request, connection| {
        let slow = request.head.get("x-slow").is_some();
        connection.try_send(if slow { response.clone() } else { json_text("{}") });
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut slow: Vec<Raw> = (0..6).map(|_| proxy.connect()).collect();
    for client in &mut slow {
        client.send(chat_request("X-Slow: 1\r\n", chat(MODEL).as_bytes()));
    }
    upstream.wait_requests(6);
    pause(500);
    let mut large = chat(MODEL).into_bytes();
    large.resize(30_000_000, b' ');
    assert_eq!(proxy.chat(&large).status, 200);
    for client in &mut slow {
        let response = client.response();
        assert!(response.complete && response.body.len() == body_length(), "{}", response.status);
    }
}

fn body_length() -> usize {
    2 * 4_500_000 + 3
}

fn json_text(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
