//! SIGTERM and SIGINT end the program gently, a second one at once; SIGHUP reloads.

use crate::support::*;

/// A proxy with one stream in flight: its first event has arrived, the gate lets the rest come.
fn stream_in_flight() -> (Gate, Upstream, TestProxy, Raw) {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        held.wait();
        connection.send([&event("two"), LAST_CHUNK].concat());
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes())).wait_for("data: one\n\n");
    (gate, upstream, proxy, client)
}

/// Waits until nobody answers new connections.
fn wait_until_refusing(proxy: &TestProxy) {
    eventually("no new connections are accepted", || match Raw::try_connect(proxy.addr()) {
        Err(_) => true,
        Ok(mut client) => {
            let sent = client.try_send(GET);
            sent.is_err() || client.try_response("GET").is_err()
        }
    });
}

#[test]
fn sigterm_and_sigint_finish_the_answer_in_flight_and_exit_0() {
    for signal in ["TERM", "INT"] {
        let (gate, _upstream, mut proxy, mut client) = stream_in_flight();
        proxy.signal(signal);
        wait_until_refusing(&proxy);
        assert!(proxy.is_alive());
        gate.open();
        let answer = client.response();
        assert!(answer.complete, "{signal}");
        assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
        assert_eq!(proxy.wait().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_signal_cuts_the_answers_in_flight() {
    let (_gate, upstream, mut proxy, mut client) = stream_in_flight();
    proxy.signal("TERM");
    wait_until_refusing(&proxy);
    proxy.signal("TERM");
    assert!(!client.response().complete);
    assert_eq!(proxy.wait().code(), Some(0));
    drop(upstream);
}

#[test]
fn without_anything_in_flight_the_end_comes_at_once() {
    let upstream = Upstream::json("200 OK", "{}");
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let mut idle = proxy.connect();
    idle.send(chat_request("", chat(MODEL).as_bytes())).response();
    let mut fresh = proxy.connect();
    let start = std::time::Instant::now();
    assert_eq!(proxy.terminate().code(), Some(0));
    // Ten seconds is the wait for answers in flight; idle connections are none.
    assert!(start.elapsed().as_secs() < 8);
    idle.assert_closed();
    let _ = fresh.ending();
}

#[test]
fn a_drained_connection_takes_no_further_request() {
    let (gate, upstream, mut proxy, mut client) = stream_in_flight();
    proxy.signal("TERM");
    wait_until_refusing(&proxy);
    gate.open();
    assert!(client.response().complete);
    let _ = client.try_send(chat_request("", chat(MODEL).as_bytes()));
    assert!(client.try_response("POST").is_err());
    assert_eq!(proxy.wait().code(), Some(0));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn answers_in_flight_are_cut_after_ten_seconds() {
    let (_gate, _upstream, mut proxy, mut client) = stream_in_flight();
    client.set_patience(2 * PATIENCE);
    assert_eq!(proxy.terminate().code(), Some(0));
    assert!(!client.response().complete);
}

#[test]
fn sighup_reloads_the_configuration() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config([]));
    assert_eq!(proxy.chat(chat(MODEL)).status, 404);
    proxy.write_config(config_for(&upstream).to_string());
    proxy.signal("HUP");
    eventually("the new provider is known", || proxy.chat(chat(MODEL)).status == 200);
}

#[test]
fn sighup_with_a_broken_file_changes_nothing() {
    let upstream = Upstream::json("200 OK", "{}");
    let mut proxy = TestProxy::start(&config_for(&upstream));
    proxy.write_config("{ broken");
    proxy.signal("HUP");
    proxy.wait_for_log("config.json");
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    assert!(proxy.is_alive());
}
