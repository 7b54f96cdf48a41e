//! Cut cables and dead name servers, in namespaces that the tests make for themselves. Needs root.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};
use serde_json::json;

use crate::support::*;

/// Runs a command; false when it fails or is not there.
fn try_run(line: &str) -> bool {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a command"));
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run(line: &str) {
    assert!(try_run(line), "{line}");
}

/// Two hosts and a cable between them.
struct Lab {
    here: String,
    there: String,
}

impl Lab {
    const PROVIDER: &'static str = "10.97.53.2:8080";

    /// `None`, with the reason printed, where this process may not make such things.
    fn new() -> Option<Self> {
        let name = |side: &str| format!("aiproxy-{}-{side}", std::process::id());
        let lab = Self { here: name("a"), there: name("b") };
        let (here, there) = (&lab.here, &lab.there);
        if !try_run(&format!("ip netns add {here}")) || !try_run(&format!("ip netns add {there}")) {
            println!("skipped: no network namespaces (they need root and iproute2)");
            return None;
        }
        run(&format!("ip link add cable netns {here} type veth peer name cable netns {there}"));
        for (side, address) in [(here, "10.97.53.1"), (there, "10.97.53.2")] {
            run(&format!("ip -n {side} addr add {address}/24 dev cable"));
            run(&format!("ip -n {side} link set lo up"));
            run(&format!("ip -n {side} link set cable up"));
        }
        Some(lab)
    }

    /// Moves this thread, and all that it starts from now on, to a host.
    fn enter(name: &str) {
        let file = File::open(format!("/run/netns/{name}")).expect("the namespace is there");
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root");
    }

    fn cable(&self, state: &str) {
        run(&format!("ip -n {} link set cable {state}", self.there));
    }

    /// Starts a provider on the other host. It answers plain chats, and streams what it is sent on a channel.
    fn provider(&self) -> std::sync::mpsc::Sender<Vec<u8>> {
        let (sender, receiver) = std::sync::mpsc::channel::<Vec<u8>>();
        let receiver = Arc::new(Mutex::new(receiver));
        let (name, ready) = (self.there.clone(), Gate::default());
        let listening = ready.clone();
        std::thread::spawn(move || {
            Self::enter(&name);
            let listener = TcpListener::bind(Self::PROVIDER).expect("the other host's address");
            listening.open();
            for mut socket in listener.incoming().map_while(Result::ok) {
                let receiver = Arc::clone(&receiver);
                std::thread::spawn(move || {
                    let mut seen = Vec::new();
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = socket.read(&mut buffer) {
                        seen.extend_from_slice(&buffer[..count]);
                        if seen.ends_with(b"true}") {
                            for piece in receiver.lock().expect("no poison").iter() {
                                if piece.is_empty() || socket.write_all(&piece).is_err() {
                                    break;
                                }
                            }
                            seen.clear();
                        } else if seen.ends_with(b"}]}") {
                            let _ = socket.write_all(&json_answer("200 OK", r#"{"id":"far"}"#));
                            seen.clear();
                        }
                    }
                });
            }
        });
        ready.wait();
        sender
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        try_run(&format!("ip netns del {}", self.here));
        try_run(&format!("ip netns del {}", self.there));
    }
}

#[test]
fn a_cut_cable_is_told_and_a_mended_one_is_not_noticed() {
    let Some(lab) = Lab::new() else { return };
    // In a thread of its own, which moves to another host.
    let done = std::thread::scope(|scope| scope.spawn(|| through_the_cable(&lab)).join());
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

fn through_the_cable(lab: &Lab) {
    let stream = lab.provider();
    Lab::enter(&lab.here);
    let url = format!("http://{}/v1", Lab::PROVIDER);
    let far = json!({"provider": "far", "baseurl": url, "model_list": ["m"]});
    let patience = json!({"stream_timeout": 3, "non_stream_timeout": 2});
    let proxy = TestProxy::start(&with(config([far]), patience));
    let open_stream = || {
        let mut client = proxy.connect();
        client.send(chat_request("", chat_stream("far/m").as_bytes()));
        stream.send([SSE_HEAD.as_bytes(), &event("one")].concat()).expect("the provider lives");
        client.wait_for("data: one\n\n");
        client
    };
    // A short outage: TCP sends again, and nobody notices.
    let mut client = open_stream();
    lab.cable("down");
    stream.send(event("two")).expect("the provider lives");
    pause(300);
    lab.cable("up");
    stream.send([event("three").as_slice(), LAST_CHUNK].concat()).expect("the provider lives");
    stream.send(Vec::new()).expect("the provider lives");
    let answer = client.response();
    assert!(answer.complete, "{answer:?}");
    assert_eq!(answer.text(), "data: one\n\ndata: two\n\ndata: three\n\n");
    // A long one in a stream: no packet says so, the clock does.
    let mut client = open_stream();
    lab.cable("down");
    let answer = client.response();
    assert!(!answer.complete);
    let text = answer.text();
    assert!(text.contains(r#""code":504"#) && text.ends_with("}}\n\n"), "{text}");
    assert!(text.contains("3 s") && !text.contains("[DONE]"), "{text}");
    // Connecting to nowhere, and the cable is mended in time.
    let mut client = proxy.connect();
    assert!(client.send(chat_request("", chat("far/m").as_bytes())).is_silent(300));
    lab.cable("up");
    // The stream before holds the provider's channel no longer.
    stream.send(Vec::new()).expect("the provider lives");
    assert_eq!(client.response().text(), r#"{"id":"far"}"#);
    // A request on a connection that was fine and leads nowhere now: late, and not sent twice.
    lab.cable("down");
    let message = client.send(chat_request("", chat("far/m").as_bytes())).response().error(504);
    assert!(message.contains("far") && message.contains("2 s"), "{message}");
    lab.cable("up");
    assert_eq!(proxy.chat(chat("far/m")).text(), r#"{"id":"far"}"#);
}

/// A proxy whose `/etc/hosts` and `/etc/resolv.conf` are files in its directory. `None`, with the reason printed,
/// without the right to that.
fn with_resolver(resolver: &str, providers: Vec<serde_json::Value>) -> Option<TestProxy> {
    if !rustix::process::geteuid().is_root() || !try_run("unshare -m true") {
        println!("skipped: no mount namespaces (they need root)");
        return None;
    }
    let inner = "mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf";
    let line = format!(
        ": > hosts; printf '{resolver}' > resolv.conf; \
         exec unshare -m sh -c '{inner} && exec \"$0\" \"$@\"' \"$0\" \"$@\""
    );
    Some(TestProxy::in_shell(&config(providers), &line))
}

fn by_name(upstream: &Upstream) -> serde_json::Value {
    let url = format!("http://provider.test:{}/v1", upstream.addr().port());
    json!({"provider": "named", "baseurl": url, "model_list": ["m"]})
}

#[test]
fn a_name_that_does_not_resolve_is_502_until_it_does() {
    let upstream = Upstream::json("200 OK", r#"{"id":"good"}"#);
    // Nobody answers there, and the kernel says so.
    let resolver = "nameserver 127.0.0.84\\noptions timeout:1 attempts:1\\n";
    let providers = vec![by_name(&upstream), provider("p", &upstream)];
    let Some(proxy) = with_resolver(resolver, providers) else { return };
    for body in [chat("named/m"), chat_stream("named/m")] {
        let message = proxy.chat(body).error(502);
        assert!(message.contains("named") && message.contains("provider.test"), "{message}");
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    proxy.directory().write("hosts", "127.0.0.1 provider.test\n");
    assert_eq!(proxy.chat(chat("named/m")).text(), r#"{"id":"good"}"#);
}

#[test]
fn a_name_server_that_never_answers_costs_only_those_who_need_it() {
    let address: SocketAddr = "127.0.0.85:53".parse().expect("an address");
    let Ok(silent) = UdpSocket::bind(address) else {
        println!("skipped: port 53 cannot be opened (it needs root)");
        return;
    };
    let upstream = Upstream::json("200 OK", r#"{"id":"good"}"#);
    let resolver = "nameserver 127.0.0.85\\noptions timeout:4 attempts:4\\n";
    let providers = vec![by_name(&upstream), provider("p", &upstream)];
    let Some(proxy) = with_resolver(resolver, providers) else { return };
    let mut waiting: Vec<_> = (0..20).map(|_| proxy.connect()).collect();
    for client in &mut waiting {
        client.send(chat_request("", chat("named/m").as_bytes())).set_patience(3 * PATIENCE);
    }
    for _ in 0..20 {
        assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    }
    for client in &mut waiting {
        let message = client.response().error(504);
        assert!(message.contains("named") && message.contains("connect"), "{message}");
    }
    proxy.directory().write("hosts", "127.0.0.1 provider.test\n");
    assert_eq!(proxy.chat(chat("named/m")).text(), r#"{"id":"good"}"#);
    drop(silent);
}
