//! Nobody takes the last place of all.

use serde_json::json;

use crate::support::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

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
