//! Clients whose connection was accepted by the kernel, and whose request is on its way when SIGTERM comes.

use super::{assert_told_to_go, stop};
use crate::support::*;

#[test]
fn whoever_connected_before_the_stop_is_answered() {
    let upstream = Upstream::json("200 OK", "{}");
    let mut proxy = TestProxy::start(&config_for(&upstream));
    // Nobody is served when the signal comes: the kernel alone knows of these.
    proxy.signal("STOP");
    let mut clients: Vec<_> = (0..5).map(|_| proxy.connect()).collect();
    proxy.signal("TERM");
    proxy.signal("CONT");
    proxy.wait_for_log("stopping");
    for client in &mut clients {
        assert_told_to_go(&client.send(GET).response(), "sent after the stop");
        client.assert_closed();
    }
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn a_conversation_is_not_cut_between_two_requests() {
    let upstream = Upstream::json("200 OK", "{}");
    let mut proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    assert_eq!(client.send(GET).response().status, 200);
    stop(&proxy);
    assert_told_to_go(&client.send(GET).response(), "sent after the stop");
    client.assert_closed();
    assert_eq!(proxy.wait().code(), Some(0));
}
