//! Connections that are being opened, and requests that wait for one.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// A provider behind TLS, which answers the first chats when the first gate opens and all others at once, with the
/// number of the connection. But for the first one, its handshakes wait for the second gate, and answers to what
/// says `X-Hold` for the third.
fn slow_tls(authority: &Authority, gates: &Gates, held: usize) -> Upstream {
    let (acceptor, accepted) = (authority.openssl(&GOOD).build(), AtomicUsize::new(0));
    let [answers, handshakes, held_back] = gates.clone();
    let wrap = move |socket| {
        if accepted.fetch_add(1, Ordering::SeqCst) > 0 {
            handshakes.wait();
        }
        Some(Box::new(acceptor.accept(socket).ok()?) as Box<dyn Duplex>)
    };
    let asked = AtomicUsize::new(0);
    Upstream::serve_tls(Box::new(wrap), move |connection| {
        while let Some(request) = connection.read_request() {
            if request.head.get("x-hold").is_some() {
                held_back.wait();
            }
            if asked.fetch_add(1, Ordering::SeqCst) < held {
                answers.wait();
            }
            connection.send(json_answer("200 OK", &connection.number.to_string()));
        }
    })
}

/// The counters of the pool.
fn pool(proxy: &TestProxy) -> Value {
    proxy.get("/").json()["stats"]["pool"].clone()
}

#[test]
fn a_request_that_waits_for_a_handshake_takes_a_connection_that_becomes_free() {
    let (authority, gates) = (Authority::new("ours"), Gates::default());
    let upstream = slow_tls(&authority, &gates, 1);
    let (_directory, proxy) = start_trusting(&authority, &config_for(&upstream));
    let explain = chat_request("X-AI-Proxy-Explain: 1\r\n", chat(MODEL).as_bytes());
    let mut first = proxy.connect();
    first.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    let mut second = proxy.connect();
    second.send(&explain);
    eventually("it is opened", || upstream.connections() == 2);
    gates[0].open();
    assert_eq!(first.response().text(), "0");
    let answer = second.response();
    assert_eq!(answer.text(), "0");
    assert!(answer.header("server-timing").expect("it is explained").contains("tls;dur=0"));
    assert_eq!(pool(&proxy), json!({"reused": 1, "opened": 1}));
    // What was opened is finished, and new to the next one, which does not wait.
    assert_eq!(idle(&proxy), 1);
    gates[1].open();
    eventually("both are idle", || idle(&proxy) == 2);
    let answer = proxy.connect().send(&explain).response();
    assert_eq!(answer.text(), "1");
    let timing = answer.header("server-timing").expect("it is explained");
    assert!(timing.contains("connect;dur=0") && timing.contains("tls;dur=0"), "{timing}");
    assert_eq!(pool(&proxy), json!({"reused": 1, "opened": 2}));
    assert_eq!(proxy.chat(chat(MODEL)).text(), "1");
    assert_eq!(upstream.connections(), 2);
    eventually("all are logged", || proxy.log().matches("耗时:").count() == 4);
    let log = proxy.log();
    let connections = log.lines().filter_map(|line| line.split_once("连接: "));
    let connections = connections.map(|(_, rest)| &rest[.."新建".len()]);
    assert_eq!(connections.collect::<Vec<_>>(), ["新建", "复用", "新建", "复用"]);
}

/// What happens to a handshake that nobody waits for any more.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Handshake {
    Ends,
    FailsBefore,
    FailsUnderTheNext,
}

#[test]
fn a_handshake_that_nobody_waits_for_serves_the_next_request_and_its_errors_are_nobodys() {
    for handshake in [Handshake::Ends, Handshake::FailsBefore, Handshake::FailsUnderTheNext] {
        let (authority, gates) = (Authority::new("ours"), Gates::default());
        let upstream = slow_tls(&authority, &gates, 1);
        let (_directory, proxy) = start_trusting(&authority, &config_for(&upstream));
        let request = chat_request("", chat(MODEL).as_bytes());
        let mut clients = [(); 4].map(|()| proxy.connect());
        clients[0].send(&request);
        upstream.wait_requests(1);
        clients[1].send(&request);
        eventually("it is opened", || upstream.connections() == 2);
        gates[0].open();
        assert_eq!(clients[0].response().text() + &clients[1].response().text(), "00");
        if handshake == Handshake::FailsBefore {
            upstream.reset(1);
        }
        // The only one that is idle is taken, and then there is none.
        clients[2].send(chat_request("X-Hold: 1\r\n", chat(MODEL).as_bytes()));
        upstream.wait_requests(3);
        clients[3].send(&request);
        if handshake == Handshake::FailsUnderTheNext {
            assert!(clients[3].is_silent(50));
            upstream.reset(1);
        }
        gates[1].open();
        let served = if handshake == Handshake::Ends { "1" } else { "2" };
        assert_eq!(clients[3].response().text(), served, "{handshake:?}");
        gates[2].open();
        assert_eq!(clients[2].response().text(), "0");
        assert_eq!(upstream.connections(), if handshake == Handshake::Ends { 2 } else { 3 });
        assert_eq!(proxy.get("/").json()["stats"]["errors"], json!({}));
        let log = proxy.log();
        assert!(!log.contains(" ERROR ") && !log.contains("TLS"), "{log}");
    }
}

#[test]
fn a_burst_opens_no_more_connections_than_it_has_requests() {
    let (authority, gates) = (Authority::new("ours"), Gates::default());
    let upstream = slow_tls(&authority, &gates, 1);
    let (_directory, proxy) = start_trusting(&authority, &config_for(&upstream));
    let mut clients: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
    for round in 0..3 {
        for client in &mut clients {
            client.send(chat_request("", chat(MODEL).as_bytes()));
        }
        if round == 0 {
            // All are on their way before the first one ends.
            eventually("they are opened", || upstream.connections() == 8);
            gates.iter().for_each(Gate::open);
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 200);
        }
    }
    eventually("all are idle", || idle(&proxy) == 8);
    assert_eq!(upstream.connections(), 8);
}

/// A listener on which the test accepts by itself, with the shortest queue that there is.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let listener = listener.expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any.into()).expect("a free port");
    listener.listen(0).expect("it listens");
    let listener = TcpListener::from(listener);
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

#[test]
fn a_request_that_waits_for_tcp_takes_a_connection_that_becomes_free() {
    let (listener, addr) = listener();
    let url = format!("http://{addr}/v1");
    let provider = json!({"provider": "p", "baseurl": url, "token": KEY, "model_list": ["m"]});
    let proxy = TestProxy::start(&config([provider]));
    let request = chat_request("", chat(MODEL).as_bytes());
    let mut first = proxy.connect();
    first.send(&request);
    let mut served = Accepted::new(&listener);
    served.read_request();
    // Until its queue is full: then the kernel lets further connects wait.
    let mut fillers = Vec::new();
    while let Ok(filler) = TcpStream::connect_timeout(&addr, Duration::from_millis(100)) {
        fillers.push(filler);
        if fillers.len() > 20 {
            println!("skipped: this kernel's queue of connections is never full");
            return;
        }
    }
    let mut second = proxy.connect();
    second.send(&request);
    assert!(second.is_silent(100));
    served.answer();
    assert_eq!(first.response().status, 200);
    served.read_request();
    served.answer();
    assert_eq!(second.response().status, 200);
    assert_eq!(pool(&proxy), json!({"reused": 1, "opened": 1}));
    // There is room again: the other one is there when the kernel asks once more.
    let _accepted: Vec<_> = fillers.iter().map(|_| listener.accept().expect("a filler")).collect();
    eventually("both are idle", || idle(&proxy) == 2);
}

/// A connection in the hands of the test.
struct Accepted(TcpStream);

impl Accepted {
    fn new(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self(stream)
    }

    fn read_request(&mut self) {
        let mut found = Vec::new();
        while !contains(&found, "\"hi\"}]}") {
            let mut piece = [0; 4096];
            let count = std::io::Read::read(&mut self.0, &mut piece).expect("a request");
            assert!(count > 0, "no request in {}", show(&found));
            found.extend_from_slice(&piece[..count]);
        }
    }

    fn answer(&mut self) {
        std::io::Write::write_all(&mut self.0, &json_answer("200 OK", "{}")).expect("it goes out");
    }
}

/// Session tickets, and what closes others, close none.
#[test]
fn idle_connections_stay_while_others_close() {
    let (authority, gates) = (Authority::new("ours"), Gates::default());
    gates[1].open();
    let upstream = slow_tls(&authority, &gates, 4);
    let (_directory, proxy) = start_trusting(&authority, &config_for(&upstream));
    let mut clients: Vec<_> = (0..4).map(|_| proxy.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(chat_request("", chat(MODEL).as_bytes()));
        eventually("a connection for each", || upstream.connections() > number);
    }
    gates[0].open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    eventually("all are idle", || idle(&proxy) == 4);
    for left in (1..4).rev() {
        upstream.reset(left);
        eventually("the others are idle", || idle(&proxy) == left as u64);
        pause(20);
    }
    assert_eq!(proxy.chat(chat(MODEL)).text(), "0");
    assert_eq!((upstream.connections(), upstream.open_connections()), (4, 1));
}
