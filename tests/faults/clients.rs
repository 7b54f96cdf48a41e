//! Slow and hostile clients cost only their own connection.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::*;

/// Asserts that the proxy ends this connection between `from` and `until` seconds from `start`.
fn cut_between(client: &mut Raw, start: Instant, from: f32, until: u64) {
    client.set_patience(Duration::from_secs(until));
    assert_ne!(client.ending(), Ending::TimedOut, "not cut after {until} s");
    let seconds = start.elapsed().as_secs_f32();
    assert!(seconds >= from, "cut after {seconds} s already");
}

#[test]
fn a_head_must_be_complete_ten_seconds_after_its_first_byte() {
    let proxy = TestProxy::without_providers();
    let mut stuck = proxy.connect();
    let mut second = proxy.connect();
    assert_eq!(second.send(GET).response().status, 200);
    let begin = Instant::now();
    stuck.send("GET / HT");
    second.send("GET / HT");
    // Every byte keeps this one alive, and does not help it.
    let mut trickling = proxy.connect();
    for byte in format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}", "y".repeat(1000)).bytes() {
        if trickling.try_send([byte]).is_err() || begin.elapsed() > Duration::from_secs(18) {
            break;
        }
        pause(100);
    }
    assert!(begin.elapsed() < Duration::from_secs(18), "the trickle was never cut");
    cut_between(&mut stuck, begin, 8.0, 10);
    cut_between(&mut second, begin, 8.0, 10);
    assert_eq!(proxy.get("/").status, 200);
}

/// All at once, however few threads the tests have: a minute in place of four.
#[test]
fn stuck_and_slow_bodies_and_clients_that_do_not_read_are_cut_in_time_and_idle_ones_are_not() {
    std::thread::scope(|scope| {
        scope.spawn(an_idle_connection_serves_after_more_than_a_minute);
        scope.spawn(a_body_must_make_progress_every_thirty_seconds);
        scope.spawn(a_body_must_come_at_five_hundred_bytes_a_second_after_twenty_seconds);
        scope.spawn(a_client_that_does_not_read_for_sixty_seconds_is_cut);
    });
}

/// Fronts close theirs after a minute or so: whoever closes first must be they.
fn an_idle_connection_serves_after_more_than_a_minute() {
    let proxy = TestProxy::without_providers();
    let (mut used, mut fresh) = (proxy.connect(), proxy.connect());
    assert_eq!(used.send(GET).response().status, 200);
    pause(66_000);
    for client in [&mut used, &mut fresh] {
        assert_eq!(client.send(GET).response().status, 200);
    }
}

fn a_body_must_make_progress_every_thirty_seconds() {
    let proxy = TestProxy::start(&config_for(&Upstream::json("200 OK", "{}")));
    let mut client = proxy.connect();
    // Fast enough on average for two minutes.
    client.send(chat_head("Content-Length: 100000\r\n")).send(vec![b' '; 60_000]);
    pause(5_000);
    let begin = Instant::now();
    client.send("{");
    cut_between(&mut client, begin, 25.0, 50);
}

fn a_body_must_come_at_five_hundred_bytes_a_second_after_twenty_seconds() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let begin = Instant::now();
    let slow = |headers: &str, byte: &[u8]| {
        let mut client = proxy.connect();
        client.send(chat_head(headers));
        while client.try_send(byte).is_ok() && client.is_silent(1000) {
            assert!(begin.elapsed() < Duration::from_secs(50), "it lives on");
        }
        let answer = client.response();
        assert!(answer.error(408).contains("500"), "{}", answer.text());
        assert_eq!(answer.header("connection").as_deref(), Some("close"));
        client.assert_closed();
        assert!(begin.elapsed() > Duration::from_secs(15), "the first 20 s are free");
    };
    let fast_enough = || {
        let mut client = proxy.connect();
        let body = format!(r#"{{"model":"p/m","x":"{}"}}"#, "y".repeat(26_000));
        client.send(chat_head(&format!("Content-Length: {}\r\n", body.len())));
        client.send_in_pieces(body.as_bytes(), 1000, 900);
        assert_eq!(client.response().status, 200);
        assert!(begin.elapsed() > Duration::from_secs(21), "this shows nothing");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| slow("Content-Length: 1000\r\n", b" "));
        scope.spawn(|| slow("Transfer-Encoding: chunked\r\n", b"1\r\n \r\n"));
        scope.spawn(fast_enough);
    });
}

fn a_client_that_does_not_read_for_sixty_seconds_is_cut() {
    let upstream = Upstream::each(|_, connection| {
        connection.set_patience(Duration::from_secs(120));
        connection.send(SSE_HEAD);
        while connection.try_send(chunk(vec![b'x'; 60_000])) {}
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("\r\n\r\n");
    let begin = Instant::now();
    while upstream.closed_by_proxy() == 0 && begin.elapsed() < Duration::from_secs(90) {
        pause(100);
    }
    assert!((50..85).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

#[test]
fn others_are_served_beside_many_slow_and_idle_clients() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&with(
        config_for(&upstream),
        json!({"max_client_connections": 2000, "keepalive_expiry": 0.2}),
    ));
    let fds = proxy.fds();
    let mut slow: Vec<_> = (0..600).map(|_| proxy.connect()).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        match number % 3 {
            0 => client.send("GET / HTTP/1.1\r\nHo"),
            1 => client.send(chat_head("Content-Length: 500\r\n")).send("{\"model\""),
            _ => client,
        };
    }
    for _ in 0..50 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    // They are not forgotten: the idle ones are served when they ask.
    for client in slow.iter_mut().skip(2).step_by(3) {
        assert_eq!(client.send(GET).response().status, 200);
    }
    drop(slow);
    drop(upstream);
    proxy.wait_fds(fds);
}

#[test]
fn a_client_that_pipelines_and_never_reads_costs_no_memory() {
    let proxy = TestProxy::without_providers();
    let before = proxy.rss();
    let client = proxy.connect();
    client.send_in_background(GET.repeat(1_000_000).into());
    pause(1000);
    let grown = proxy.rss().saturating_sub(before);
    assert!(grown < 4_000_000, "{grown} bytes");
    assert_eq!(proxy.get("/").status, 200);
    client.abandon();
}

#[test]
fn bodies_in_tiny_chunks_cost_what_they_weigh() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = format!(r#"{{"model":"p/m","x":"{}"}}"#, "y".repeat(200_000));
    let framed: Vec<_> =
        body.as_bytes().chunks(1).flat_map(chunk).chain(LAST_CHUNK.iter().copied()).collect();
    let mut client = proxy.connect();
    client.send_in_background([chat_head("Transfer-Encoding: chunked\r\n"), framed].concat());
    assert_eq!(client.response().status, 200);
    assert!(upstream.request().body == body.replace("p/m", "m").into_bytes());
    assert!(proxy.rss() < 40_000_000, "{} bytes", proxy.rss());
}

#[test]
fn a_full_descriptor_table_breaks_nothing_for_good() {
    let mut proxy = TestProxy::in_shell(
        &with(config([]), json!({"max_client_connections": 500})),
        "ulimit -n 64",
    );
    let clients: Vec<_> = (0..200).map(|_| proxy.connect()).collect();
    let mut served = 0;
    for mut client in clients {
        let _ = client.try_send(GET);
        client.set_patience(Duration::from_millis(20));
        served += usize::from(client.try_response("GET").is_ok());
    }
    assert!(served > 0);
    assert!(proxy.is_alive());
    eventually("/health works again", || {
        let mut client = proxy.connect();
        client.set_patience(Duration::from_millis(500));
        client.try_send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n").is_ok()
            && client.try_response("GET").is_ok()
    });
}

#[test]
fn the_descriptor_limit_is_raised_at_start() {
    let proxy = TestProxy::in_shell(&config([]), "ulimit -S -n 64");
    let mut clients: Vec<_> = (0..150).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.send(GET).response().status, 200);
    }
}

#[test]
fn a_low_descriptor_limit_lowers_the_default_with_a_warning() {
    let proxy =
        TestProxy::in_shell(&with(config([]), json!({"log_level": "WARNING"})), "ulimit -n 128");
    eventually("a warning", || proxy.everything().contains("max_client_connections"));
    // At the lowered limit further clients wait; they are not refused.
    let mut clients: Vec<_> = (0..200).map(|_| proxy.connect()).collect();
    assert_eq!(clients[199].send(GET).response().status, 200);
    drop(clients);
    assert_eq!(proxy.get("/health").status, 200);
}

#[test]
fn a_client_that_resets_in_the_middle_of_anything_hurts_nobody() {
    let upstream = Upstream::sse(&["one", "two"]);
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let request = chat_request("", chat_stream(MODEL).as_bytes());
    for cut in (1..=request.len()).step_by(7) {
        let mut client = proxy.connect();
        client.send(&request[..cut]);
        client.reset();
    }
    assert_eq!(proxy.chat(chat_stream(MODEL)).text(), "data: one\n\ndata: two\n\n");
    assert!(proxy.is_alive());
}

/// A provider that takes requests and never answers.
fn silent() -> Upstream {
    Upstream::serve(|connection| {
        connection.wait_for_close();
    })
}

#[test]
fn callers_of_health_that_leave_leave_nothing_behind() {
    let upstream = silent();
    let proxy = TestProxy::start(&config_for(&upstream));
    let call = |_| {
        let mut client = proxy.connect();
        client.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n");
    };
    (0..500).for_each(call);
    let before = proxy.rss();
    (0..5000).for_each(call);
    let grown = proxy.rss().saturating_sub(before);
    assert!(grown < 1_000_000, "{grown} bytes");
}

#[test]
fn bytes_behind_a_request_wait_in_the_kernel_and_not_here() {
    let upstream = silent();
    let proxy = TestProxy::start(&config_for(&upstream));
    let request = ["GET /health HTTP/1.1\r\nHost: t\r\n\r\n", &"x".repeat(200_000)].concat();
    let before = proxy.rss();
    let clients: Vec<_> = (0..200).map(|_| proxy.connect()).collect();
    for client in &clients {
        client.send_in_background(request.clone().into());
    }
    pause(1000);
    let grown = proxy.rss().saturating_sub(before);
    assert!(grown < 200 * 32 * 1024, "{grown} bytes");
    clients.into_iter().for_each(Raw::abandon);
}

#[test]
fn an_empty_line_behind_a_request_is_no_request() {
    let proxy = TestProxy::without_providers();
    let mut client = proxy.connect();
    assert_eq!(client.send(GET).response().status, 200);
    client.send("\r\n");
    // Longer than a head may take.
    assert!(client.is_silent(11_000));
    assert_eq!(client.send("\r\n").send(GET).response().status, 200);
}

#[test]
fn a_connection_header_that_names_hundreds_of_fields_is_431() {
    let proxy = TestProxy::without_providers();
    let head = |count: usize| {
        format!("GET / HTTP/1.1\r\nHost: t\r\nConnection: {}\r\n\r\n", "x,".repeat(count))
    };
    assert_eq!(proxy.raw(head(16).as_bytes()).status, 200);
    let refused = proxy.raw(head(500).as_bytes());
    assert_eq!(refused.status, 431, "{}", refused.text());
}
