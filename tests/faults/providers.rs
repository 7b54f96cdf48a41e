//! Providers that refuse, reset, fall silent or answer garbage.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::support::*;

/// A provider that does `fault` on its first connection and answers well on all others.
fn faulty_once(fault: impl Fn(&mut Connection) + Send + Sync + 'static) -> Upstream {
    Upstream::serve(move |connection| {
        if connection.number == 0 {
            return fault(connection);
        }
        while connection.read_request().is_some() {
            connection.send(json_answer("200 OK", r#"{"id":"good"}"#));
        }
    })
}

/// Chats with the provider `acme` twice: the first must fail with `status`, the second must work. Returns the message.
fn fails_once(upstream: &Upstream, status: u16, body: &str) -> String {
    let patience = json!({"non_stream_timeout": 0.4, "stream_timeout": 0.4});
    let patience = if status == 504 { patience } else { json!({}) };
    let proxy = TestProxy::start(&with(config([provider("acme", upstream)]), patience.clone()));
    let mut client = proxy.connect();
    let request = chat_request("", body.as_bytes());
    let message = client.send(&request).response().error(status);
    assert!(message.contains("acme") && !message.contains(KEY), "{message}");
    // Nothing is short of time from here on.
    assert_eq!(proxy.reload(&config([provider("acme", upstream)])).status, 200);
    let answer = client.send(&request).response();
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"id":"good"}"#));
    message
}

fn in_both_manners(status: u16, fault: fn(&mut Connection)) -> Vec<String> {
    [chat("acme/m"), chat_stream("acme/m")]
        .iter()
        .map(|body| fails_once(&faulty_once(fault), status, body))
        .collect()
}

#[test]
fn a_reset_in_any_phase_is_502_and_the_next_request_works() {
    for message in in_both_manners(502, |connection| {
        connection.run(&Step::Reset);
    }) {
        assert!(message.contains("reset") || message.contains("broke"), "{message}");
    }
    in_both_manners(502, |connection| {
        connection.read_request();
        connection.run(&Step::Reset);
    });
    in_both_manners(502, |connection| {
        connection.read_request();
        connection.send("HTTP/1.1 200 OK\r\nContent-");
        pause(50);
        connection.run(&Step::Reset);
    });
    in_both_manners(502, |connection| {
        connection.read_request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        pause(50);
        connection.run(&Step::Reset);
    });
}

#[test]
fn a_close_in_any_phase_is_502_and_the_next_request_works() {
    in_both_manners(502, |_| {});
    in_both_manners(502, |connection| {
        connection.read_request();
    });
    in_both_manners(502, |connection| {
        connection.read_request();
        connection.send("HTTP/1.1 200 OK\r\nContent-");
    });
    for message in in_both_manners(502, |connection| {
        connection.read_request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    }) {
        assert!(message.contains("cut short"), "{message}");
    }
    in_both_manners(502, |connection| {
        connection.read_request();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        connection.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\""));
    });
}

#[test]
fn garbage_is_502_and_the_next_request_works() {
    in_both_manners(502, |connection| {
        connection.read_request();
        connection.send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
        connection.wait_for_close();
    });
    in_both_manners(502, |connection| connection.send(vec![0; 100_000]));
    in_both_manners(502, |connection| {
        connection.read_request();
        // Noise from the first byte on.
        connection.send((0..10_000).map(|number| (number * 7919 % 251) as u8).collect::<Vec<_>>());
        connection.wait_for_close();
    });
    in_both_manners(502, |connection| {
        connection.read_request();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        connection.send(format!("{head}Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"));
        connection.wait_for_close();
    });
}

#[test]
fn silence_in_any_phase_is_504_and_the_next_request_works() {
    for message in in_both_manners(504, |connection| {
        connection.wait_for_close();
    }) {
        assert!(message.contains("0.4 s"), "{message}");
    }
    in_both_manners(504, |connection| {
        connection.read_request();
        connection.send("HTTP/1.1 200 OK\r\nContent-");
        connection.wait_for_close();
    });
    in_both_manners(504, |connection| {
        connection.read_request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        connection.wait_for_close();
    });
    in_both_manners(504, |connection| {
        connection.read_request();
        // Always something, and never a whole head.
        connection.send("HTTP/1.1 200 OK\r\nX-Long: ");
        for _ in 0..2000 {
            if !connection.try_send("H") {
                return;
            }
            pause(10);
        }
    });
}

/// A listening socket on an address that no other test's connections use.
pub fn listener_on(addr: SocketAddr) -> TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.set_reuse_address(true).expect("SO_REUSEADDR");
    socket.bind(&addr.into()).expect("the address is free");
    // The smallest queue there is.
    socket.listen(0).expect("a listening socket");
    socket.into()
}

/// Answers every request on every connection of `listener`, for ever.
pub fn answer_on(listener: TcpListener) {
    use std::io::{Read, Write};
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = socket.read(&mut buffer) {
                    seen.extend_from_slice(&buffer[..count]);
                    // A chat's body ends with its only line that ends so.
                    if seen.ends_with(b"}]}") {
                        seen.clear();
                        let _ = socket.write_all(&json_answer("200 OK", r#"{"id":"good"}"#));
                    }
                }
            });
        }
    });
}

/// `named` at this address, and `p` which always works.
fn beside_a_good_one(addr: SocketAddr, good: &Upstream) -> TestProxy {
    let url = format!("http://{addr}/v1");
    let named = json!({"provider": "named", "baseurl": url, "token": KEY, "model_list": ["m"]});
    TestProxy::start(&config([named, provider("p", good)]))
}

#[test]
fn a_refused_connection_is_502_until_the_provider_is_back() {
    let good = Upstream::json("200 OK", "{}");
    let addr = free_address("127.0.0.81");
    let proxy = beside_a_good_one(addr, &good);
    for body in [chat("named/m"), chat_stream("named/m"), chat("named/m")] {
        let message = proxy.chat(body).error(502);
        assert!(message.contains("named") && message.contains("refused"), "{message}");
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    answer_on(listener_on(addr));
    assert_eq!(proxy.chat(chat("named/m")).text(), r#"{"id":"good"}"#);
}

/// A listening socket whose queue is full: further connections get no answer at all. Returns what fills it.
fn fill(listener: &TcpListener) -> Vec<TcpStream> {
    let addr = listener.local_addr().expect("an address");
    let connect = |_| TcpStream::connect_timeout(&addr, Duration::from_millis(300)).ok();
    let held: Vec<_> = (0..16).map_while(connect).collect();
    assert!(held.len() < 16, "the queue does not fill up");
    held
}

#[test]
fn a_black_hole_is_504_naming_the_wait_and_costs_nobody_else() {
    let good = Upstream::json("200 OK", "{}");
    let addr = free_address("127.0.0.82");
    let listener = listener_on(addr);
    let held = fill(&listener);
    let proxy = beside_a_good_one(addr, &good);
    let fds = proxy.fds();
    let mut waiting: Vec<_> = [chat("named/m"), chat_stream("named/m")]
        .iter()
        .map(|body| {
            let mut client = proxy.connect();
            client.send(chat_request("", body.as_bytes())).set_patience(3 * PATIENCE);
            client
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    // Who leaves meanwhile takes the attempt along.
    let mut leaver = proxy.connect();
    leaver.send(chat_request("", chat("named/m").as_bytes()));
    assert!(leaver.is_silent(100));
    drop(leaver);
    for client in &mut waiting {
        let message = client.response().error(504);
        assert!(message.contains("named") && message.contains("connect"), "{message}");
        assert!(message.contains("10 s"), "{message}");
    }
    drop(waiting);
    // One idle connection to the good provider may stay.
    proxy.wait_fds(fds + 1);
    drop(held);
    answer_on(listener);
    assert_eq!(proxy.chat(chat("named/m")).text(), r#"{"id":"good"}"#);
}

#[test]
fn a_provider_that_is_late_to_accept_is_waited_for() {
    let good = Upstream::json("200 OK", "{}");
    let addr = free_address("127.0.0.83");
    let listener = listener_on(addr);
    let held = fill(&listener);
    let proxy = beside_a_good_one(addr, &good);
    let mut client = proxy.connect();
    assert!(client.send(chat_request("", chat("named/m").as_bytes())).is_silent(100));
    drop(held);
    answer_on(listener);
    assert_eq!(client.response().text(), r#"{"id":"good"}"#);
}
