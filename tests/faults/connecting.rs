//! Providers that cannot be reached: the connect phase has an end of its own, and leaving ends it too.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{json, Value};

use crate::support::*;

/// A listener whose queue is full: the kernel lets further connects wait.
struct Unreachable {
    addr: SocketAddr,
    _listener: socket2::Socket,
    _queued: Vec<TcpStream>,
}

impl Unreachable {
    /// `None` where the kernel connects all the same.
    fn new() -> Option<Self> {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let listener = listener.expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        listener.bind(&any.into()).expect("a free port");
        listener.listen(0).expect("it listens");
        let addr = listener.local_addr().ok().and_then(|addr| addr.as_socket()).expect("a port");
        let mut queued = Vec::new();
        while queued.len() < 20 {
            match TcpStream::connect_timeout(&addr, Duration::from_millis(100)) {
                Ok(stream) => queued.push(stream),
                Err(_) => return Some(Self { addr, _listener: listener, _queued: queued }),
            }
        }
        println!("skipped: this kernel's queue of connections is never full");
        None
    }

    fn provider(&self) -> Value {
        let url = format!("http://{}/v1", self.addr);
        json!({"provider": "far", "baseurl": url, "token": KEY, "model_list": ["m"]})
    }
}

#[test]
fn a_connect_that_takes_ten_seconds_is_504_naming_the_provider_and_the_wait() {
    let Some(unreachable) = Unreachable::new() else { return };
    let proxy = TestProxy::start(&config([unreachable.provider()]));
    let mut client = proxy.connect();
    client.set_patience(2 * PATIENCE);
    let answer = client.send(chat_request("", chat("far/m").as_bytes())).response();
    let message = answer.error(504);
    assert!(message.contains("far") && message.contains("10"), "{message}");
}

#[test]
fn leaving_while_connecting_gives_everything_back() {
    let Some(unreachable) = Unreachable::new() else { return };
    let good = Upstream::json("200 OK", "{}");
    let both = config([unreachable.provider(), provider("p", &good)]);
    // Only one at a time may be served: the turn must come back as well.
    let limits = json!({"max_connections": 1, "max_keepalive_connections": 0});
    let proxy = TestProxy::start(&with(both, limits));
    proxy.get("/");
    let fds = proxy.fds();
    let mut client = proxy.connect();
    client.send(chat_request("", chat("far/m").as_bytes()));
    assert!(client.is_silent(200));
    let mut waiting = proxy.connect();
    waiting.send(chat_request("", chat(MODEL).as_bytes()));
    assert!(waiting.is_silent(100));
    drop(client);
    assert_eq!(waiting.response().status, 200);
    drop(waiting);
    proxy.wait_fds(fds);
}

#[test]
fn a_slow_connect_holds_up_nobody_else() {
    let Some(unreachable) = Unreachable::new() else { return };
    let good = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config([unreachable.provider(), provider("p", &good)]));
    let mut stuck: Vec<_> = (0..20).map(|_| proxy.connect()).collect();
    for client in &mut stuck {
        client.send(chat_request("", chat("far/m").as_bytes()));
    }
    for _ in 0..20 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    assert!(stuck[0].is_silent(50));
}
