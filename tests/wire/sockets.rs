//! What the kernel is asked to do for quiet connections, and which connections serve on.

use std::process::Command;

use serde_json::json;

use crate::support::*;

/// What `ss` says of the established connections of a process.
fn timers(pid: u32) -> Vec<String> {
    let output = Command::new("ss").args(["-Htnpo", "state", "established"]).output().expect("ss");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.contains(&format!("pid={pid},"))).map(str::to_owned).collect()
}

#[test]
fn quiet_connections_are_probed_on_both_sides() {
    if Command::new("ss").arg("-V").output().is_err() {
        eprintln!("SKIPPED: ss (iproute2) is not installed");
        return;
    }
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(MODEL).as_bytes()));
    upstream.wait_requests(1);
    let both =
        || timers(proxy.pid()).into_iter().filter(|line| line.contains("keepalive,")).count();
    // Each may be busy with its last bytes for a moment.
    eventually("two timers", || both() == 2);
}

#[test]
fn a_reload_closes_idle_connections_and_those_that_become_idle_after_it() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |request, connection| {
        if request.json()["stream"] == true {
            held.wait();
        }
        connection.send(json_answer("200 OK", "{}"));
    });
    let config = config_for(&upstream);
    let proxy = TestProxy::start(&config);
    let mut slow = proxy.connect();
    slow.send(chat_request("", chat_stream(MODEL).as_bytes()));
    upstream.wait_requests(1);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    assert_eq!(upstream.connections(), 2);
    assert_eq!(proxy.reload(&config).status, 200);
    upstream.wait_closed_by_proxy(1);
    gate.open();
    assert_eq!(slow.response().status, 200);
    upstream.wait_closed_by_proxy(2);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn a_connection_to_a_provider_that_was_removed_before_it_was_opened_serves_nobody() {
    let gate = Gate::default();
    let held = gate.clone();
    let old = Upstream::each(move |_, connection| {
        held.wait();
        connection.send(json_answer("200 OK", "{}"));
    });
    let new = Upstream::json("200 OK", "{}");
    let one = json!({"max_connections": 1});
    let proxy = TestProxy::start(&with(config_for(&old), one.clone()));
    let mut first = proxy.connect();
    first.send(chat_request("", chat(MODEL).as_bytes()));
    old.wait_requests(1);
    let mut second = proxy.connect();
    second.send(chat_request("", chat(MODEL).as_bytes()));
    pause(200);
    assert_eq!(proxy.reload(&with(config_for(&new), one)).status, 200);
    gate.open();
    assert_eq!(first.response().status, 200);
    assert_eq!(second.response().status, 200);
    old.wait_closed_by_proxy(2);
}
