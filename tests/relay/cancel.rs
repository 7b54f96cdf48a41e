//! A client that leaves, in any phase, drops its upstream connection: provider time is money.

mod pipelined;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use serde_json::json;

use crate::support::*;

/// How a client can leave.
#[derive(Clone, Copy, Debug)]
pub enum Leave {
    Close,
    HalfClose,
    Reset,
}

pub const WAYS: [Leave; 3] = [Leave::Close, Leave::HalfClose, Leave::Reset];

/// Leaves; the half-closed connection is given back so that it stays open.
pub fn leave(mut client: Raw, way: Leave) -> Option<Raw> {
    match way {
        Leave::Close => drop(client),
        Leave::Reset => client.reset(),
        Leave::HalfClose => {
            client.half_close();
            return Some(client);
        }
    }
    None
}

/// Asserts that a good request still works and that nothing stays open.
fn all_is_well(proxy: &TestProxy, fds: usize) {
    assert_eq!(proxy.get("/").status, 200);
    proxy.wait_fds(fds);
}

/// An upstream that takes a request and then watches for the proxy to go away.
fn silent() -> Upstream {
    Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose])
}

#[test]
fn leaving_while_waiting_for_the_answer() {
    for body in [chat(MODEL), chat_stream(MODEL)] {
        let upstream = silent();
        let proxy = TestProxy::start(&config_for(&upstream));
        let fds = proxy.fds();
        for (number, way) in WAYS.into_iter().enumerate() {
            let mut client = proxy.connect();
            client.send(chat_request("", body.as_bytes()));
            upstream.wait_requests(number + 1);
            let left = leave(client, way);
            upstream.wait_closed_by_proxy(number + 1);
            drop(left);
        }
        all_is_well(&proxy, fds);
    }
}

#[test]
fn a_half_closed_client_is_cut() {
    let upstream = silent();
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    client.half_close().assert_closed();
}

#[test]
fn leaving_while_the_stream_is_silent() {
    let head = [SSE_HEAD.as_bytes(), &event("one")].concat();
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::Send(head), Step::WaitForClose]);
    let proxy = TestProxy::start(&config_for(&upstream));
    let fds = proxy.fds();
    for (number, way) in WAYS.into_iter().enumerate() {
        let mut client = proxy.connect();
        client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one\n\n");
        let left = leave(client, way);
        upstream.wait_closed_by_proxy(number + 1);
        drop(left);
    }
    all_is_well(&proxy, fds);
}

#[test]
fn leaving_while_the_stream_flows() {
    let upstream = Upstream::each(|_, connection| {
        connection.send(SSE_HEAD);
        while connection.try_send(event("tick")) {
            pause(2);
        }
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let fds = proxy.fds();
    for (number, way) in WAYS.into_iter().enumerate() {
        let mut client = proxy.connect();
        client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: tick\n\n");
        let left = leave(client, way);
        upstream.wait_closed_by_proxy(number + 1);
        drop(left);
    }
    all_is_well(&proxy, fds);
}

#[test]
fn leaving_while_the_proxy_cannot_write() {
    let upstream = Upstream::each(|_, connection| {
        connection.send(SSE_HEAD);
        let block = chunk(vec![b'x'; 60_000]);
        while connection.try_send(&block) {}
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let fds = proxy.fds();
    for (number, way) in [Leave::Close, Leave::Reset].into_iter().enumerate() {
        let mut client = proxy.connect();
        client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("\r\n\r\n");
        pause(300);
        leave(client, way);
        upstream.wait_closed_by_proxy(number + 1);
    }
    all_is_well(&proxy, fds);
}

#[test]
fn leaving_while_uploading_to_us() {
    let upstream = silent();
    let proxy = TestProxy::start(&config_for(&upstream));
    let fds = proxy.fds();
    for way in WAYS {
        let mut client = proxy.connect();
        client.send(chat_head("Content-Length: 1000000\r\n")).send(r#"{"model":"p/m","x":""#);
        client.send(vec![b'x'; 100_000]);
        pause(50);
        let left = leave(client, way);
        eventually("nothing is open towards the provider", || upstream.open_connections() == 0);
        drop(left);
    }
    assert!(upstream.requests().iter().all(|request| !request.complete));
    all_is_well(&proxy, fds);
}

#[test]
fn leaving_while_we_upload_to_the_provider() {
    // Takes the head, then nothing until the gate opens; then it reads what came to the end.
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::serve(move |connection| {
        connection.read_head();
        held.wait();
        connection.wait_for_close();
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let fds = proxy.fds();
    let body = format!(r#"{{"model":"p/m","x":"{}"}}"#, "y".repeat(16_000_000));
    let client = proxy.connect();
    client.send_in_background(chat_request("", body.as_bytes()));
    upstream.wait_requests(1);
    pause(300);
    client.abandon();
    all_is_well(&proxy, fds);
    gate.open();
    upstream.wait_closed_by_proxy(1);
}

#[test]
fn leaving_while_we_upload_is_told_to_a_provider_that_does_not_read() {
    let told = Arc::new(AtomicBool::new(false));
    let tell = told.clone();
    let upstream = Upstream::serve(move |connection| {
        connection.read_head();
        eventually("a reset", || connection.was_reset());
        tell.store(true, Ordering::SeqCst);
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let body = format!(r#"{{"model":"p/m","x":"{}"}}"#, "y".repeat(16_000_000));
    let client = proxy.connect();
    client.send_in_background(chat_request("", body.as_bytes()));
    upstream.wait_requests(1);
    pause(300);
    client.abandon();
    eventually("the provider is told", || told.load(Ordering::SeqCst));
}

#[test]
fn leaving_while_waiting_for_a_turn() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        held.wait();
        connection.send(json_answer("200 OK", "{}"));
    });
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"max_connections": 1})));
    let request =
        |n: usize| chat_request("", format!(r#"{{"model":"{MODEL}","n":{n}}}"#).as_bytes());
    let mut first = proxy.connect();
    first.send(request(0));
    upstream.wait_requests(1);
    let mut kept = Vec::new();
    for (number, way) in WAYS.into_iter().enumerate() {
        let mut client = proxy.connect();
        client.send(request(number + 1));
        pause(50);
        kept.extend(leave(client, way));
    }
    let mut last = proxy.connect();
    last.send(request(9));
    pause(200);
    gate.open();
    assert_eq!(first.response().status, 200);
    assert_eq!(last.response().status, 200);
    let served: Vec<_> =
        upstream.requests().iter().map(|request| request.json()["n"].clone()).collect();
    assert_eq!(served, [0, 9], "those who left were not sent to the provider");
}

#[test]
fn leaving_gives_the_turn_to_the_next() {
    let upstream = Upstream::each(|request, connection| {
        if request.json()["n"] == 0 {
            connection.wait_for_close();
        } else {
            connection.send(json_answer("200 OK", "{}"));
        }
    });
    let proxy = TestProxy::start(&with(config_for(&upstream), json!({"max_connections": 1})));
    let request =
        |n: usize| chat_request("", format!(r#"{{"model":"{MODEL}","n":{n}}}"#).as_bytes());
    let mut first = proxy.connect();
    first.send(request(0));
    upstream.wait_requests(1);
    let mut second = proxy.connect();
    second.send(request(1));
    assert!(second.is_silent(100));
    drop(first);
    assert_eq!(second.response().status, 200);
}

#[test]
fn many_leavers_leave_nothing_behind() {
    let head = [SSE_HEAD.as_bytes(), &event("one")].concat();
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::Send(head), Step::WaitForClose]);
    let proxy = TestProxy::start(&config_for(&upstream));
    let fds = proxy.fds();
    let mut clients: Vec<_> = (0..60).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(chat_request("", chat_stream(MODEL).as_bytes()));
    }
    for client in &mut clients {
        client.wait_for("data: one\n\n");
    }
    for (number, client) in clients.into_iter().enumerate() {
        drop(leave(client, WAYS[number % 3]));
    }
    upstream.wait_closed_by_proxy(60);
    all_is_well(&proxy, fds);
}
