//! Nobody takes the last place of all.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::*;

fn full(clients: usize) -> (Upstream, TestProxy) {
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let limits = json!({"max_client_connections": clients});
    let proxy = TestProxy::start(&with(config_for(&upstream), limits));
    (upstream, proxy)
}

#[test]
fn connections_that_say_nothing_leave_room_for_newcomers() {
    let (_upstream, proxy) = full(20);
    let silent: Vec<_> = (0..60).map(|_| proxy.connect()).collect();
    for _ in 0..5 {
        assert_eq!(proxy.get("/").status, 200);
    }
    drop(silent);
}

#[test]
fn connections_in_the_middle_of_a_head_leave_room_when_there_is_nothing_else() {
    let (_upstream, proxy) = full(20);
    let mut slow: Vec<_> = (0..20).map(|_| proxy.connect()).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\nHo");
    }
    for _ in 0..5 {
        assert_eq!(proxy.get("/").status, 200);
    }
}

#[test]
fn who_never_sent_a_byte_goes_first_then_the_longest_idle_and_who_works_stays() {
    let (upstream, proxy) = full(4);
    let mut working = proxy.connect();
    working.send(chat_request("", chat_stream(MODEL).as_bytes()));
    upstream.wait_requests(1);
    let (mut first, mut second) = (proxy.connect(), proxy.connect());
    assert_eq!(first.send(GET).response().status, 200);
    pause(50);
    assert_eq!(second.send(GET).response().status, 200);
    let mut fresh = proxy.connect();
    // Older than a request on its way could be.
    pause(700);
    let mut third = proxy.connect();
    assert_eq!(third.send(GET).response().status, 200);
    fresh.assert_closed();
    let mut fourth = proxy.connect();
    assert_eq!(fourth.send(GET).response().status, 200);
    first.assert_closed();
    assert_eq!(second.send(GET).response().status, 200);
    assert!(working.is_silent(200), "it was closed");
    upstream.wait_requests(1);
    assert_eq!(upstream.closed_by_proxy(), 0);
}

#[test]
fn clients_that_ask_again_and_again_leave_room_for_newcomers() {
    let (_upstream, proxy) = full(4);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = SetOnDrop(&over);
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = proxy.connect();
                while !over.load(Ordering::SeqCst) {
                    if client.try_send(GET).is_err() || client.try_response("GET").is_err() {
                        // It has lost its place, and wants another one.
                        client = proxy.connect();
                    }
                    pause(100);
                }
            });
        }
        pause(200);
        for _ in 0..3 {
            assert_eq!(proxy.get("/").status, 200);
        }
        drop(end);
    });
}

#[test]
fn clients_that_do_not_read_their_answers_leave_room_for_newcomers() {
    let (_upstream, proxy) = full(4);
    let blocked: Vec<_> = (0..4).map(|_| proxy.connect()).collect();
    for client in &blocked {
        client.send_in_background(GET.repeat(200_000).into());
    }
    pause(500);
    for _ in 0..3 {
        assert_eq!(proxy.get("/").status, 200);
    }
    blocked.into_iter().for_each(Raw::abandon);
}

#[test]
fn refused_clients_that_linger_leave_room_at_once() {
    let (_upstream, proxy) = full(4);
    let mut lingering: Vec<_> = (0..4).map(|_| proxy.connect()).collect();
    for client in &mut lingering {
        client.send("garbage!\r\n\r\n").response().error(400);
    }
    let mut others: Vec<_> = (0..12).map(|_| proxy.connect()).collect();
    for client in &mut others {
        // Their places are free long before their own time is over.
        client.send(GET);
    }
    for client in &mut others {
        assert_eq!(client.response().status, 200);
    }
}

/// Nobody can leave when the newcomer comes; somebody can a moment later.
#[test]
fn a_newcomer_gets_the_place_of_who_becomes_idle() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        held.wait();
        connection.send(json_answer("200 OK", "{}"));
    });
    let proxy =
        TestProxy::start(&with(config_for(&upstream), json!({"max_client_connections": 1})));
    let mut first = proxy.connect();
    first.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    let mut newcomer = proxy.connect();
    newcomer.send(GET);
    pause(200);
    gate.open();
    assert_eq!(first.response().status, 200);
    assert_eq!(newcomer.response().status, 200);
}

#[test]
fn clients_that_pipeline_without_end_leave_room_for_newcomers() {
    let (_upstream, proxy) = full(4);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = SetOnDrop(&over);
        for _ in 0..4 {
            scope.spawn(|| {
                // Each request is followed by the next one before its body is complete.
                let mut client = proxy.connect();
                let put = "PUT /v1/models HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\n";
                let _ = client.try_send(put);
                while !over.load(Ordering::SeqCst) {
                    pause(300);
                    if client.try_send(format!("x{put}")).is_err() {
                        return;
                    }
                }
            });
        }
        pause(200);
        for _ in 0..3 {
            assert_eq!(proxy.get("/").status, 200);
        }
        drop(end);
    });
}
