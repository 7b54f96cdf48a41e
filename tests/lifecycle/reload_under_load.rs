//! Reloads while the proxy works: nothing fails, nothing is mixed up, nothing is left behind.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::support::*;

const CLIENTS: usize = 64;
const STREAMS: usize = 64;
/// As many reloads as fit into [`ENOUGH`], between these two.
const RELOADS: [usize; 2] = [300, 1000];
const ENOUGH: Duration = Duration::from_secs(8);

/// A provider `name` with a key of its own. What it is asked it answers with its key, so that a request that mixes
/// two configurations shows.
fn keyed(name: &str, key: &str, model: &str, upstream: &Upstream) -> Value {
    json!({"provider": name, "baseurl": upstream.base_url(), "token": key, "model_list": [model]})
}

/// A provider that answers plain chats at once, and streams until the gate is open. It expects one key and one model.
fn strict_upstream(key: &'static str, model: &'static str, gate: &Gate, open: &Flag) -> Upstream {
    let (gate, open) = (gate.clone(), open.clone());
    Upstream::each(move |request, connection| {
        let body = request.json();
        let right = request.head.get("authorization") == Some(format!("Bearer {key}"))
            && body["model"] == model;
        if !right {
            let seen = format!("{:?} {}", request.head.get("authorization"), body["model"]);
            return connection.send(json_answer("599 Mixed", &json!({ "seen": seen }).to_string()));
        }
        if body["stream"] != true {
            let text = json!({"key": key, "user": body["user"]}).to_string();
            return connection.send(json_answer("200 OK", &text));
        }
        connection.send(SSE_HEAD);
        let mut number = 0;
        while !open.is_set() {
            connection.send(event(&format!("{key} {number}")));
            number += 1;
            pause(20);
        }
        gate.wait();
        connection.send([event("[DONE]").as_slice(), LAST_CHUNK].concat());
    })
}

/// A flag that threads share.
#[derive(Clone, Default)]
struct Flag(std::sync::Arc<AtomicBool>);

impl Flag {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Opens a stream and waits for its first event.
fn open_stream(proxy: &TestProxy, model: &str) -> Raw {
    let mut client = proxy.connect();
    client.send(chat_request("", chat_stream(model).as_bytes())).wait_for("data: ");
    client
}

/// Asserts that a stream came whole, in order, and from one provider only.
fn assert_whole_stream(answer: &Response, key: &str) {
    assert!(answer.complete && answer.status == 200, "{answer:?}");
    let text = answer.text();
    let events: Vec<_> = text.split_terminator("\n\n").collect();
    let (last, rest) = events.split_last().expect("events");
    assert_eq!(*last, "data: [DONE]");
    for (number, event) in rest.iter().enumerate() {
        assert_eq!(*event, format!("data: {key} {number}"));
    }
}

/// A client that sends requests until told to stop; returns how many. Either configuration may answer, each in full.
fn keep_asking(
    proxy: &TestProxy,
    name: usize,
    stop: &Flag,
    mut check: impl FnMut(&Response),
) -> usize {
    let mut client = proxy.connect();
    let mut number = 0;
    while !stop.is_set() {
        let user = format!("{name}-{number}");
        let body = format!(r#"{{"model":"p/both","user":"{user}"}}"#);
        let answer = client.send(chat_request("", body.as_bytes())).response();
        assert_eq!(answer.status, 200, "{user}: {}", answer.text());
        assert_eq!(answer.json()["user"], user.as_str());
        check(&answer);
        number += 1;
        // So that reloads and requests get turns alike.
        pause(10);
        // Now and then on a new connection.
        if number % 50 == 0 {
            client = proxy.connect();
        }
    }
    number
}

#[test]
fn hundreds_of_reloads_under_load_break_nothing_and_leave_nothing_behind() {
    let (gate, open, stop) = (Gate::default(), Flag::default(), Flag::default());
    let first = strict_upstream("key-first", "both", &gate, &open);
    let second = strict_upstream("key-second", "both", &gate, &open);
    let passing = strict_upstream("key-passing", "m", &gate, &open);
    let limits = json!({"max_connections": 500, "keepalive_expiry": 1.0, "log_level": "WARNING"});
    // `p` moves from one provider to the other; `q` comes and goes.
    let configs = [
        with(
            config([
                keyed("p", "key-first", "both", &first),
                keyed("q", "key-passing", "m", &passing),
            ]),
            limits.clone(),
        ),
        with(config([keyed("p", "key-second", "both", &second)]), limits),
    ];
    let proxy = TestProxy::start(&configs[0]);
    // One round of everything, so that what is measured is what stays.
    assert_eq!(proxy.chat(r#"{"model":"p/both","user":""}"#).status, 200);
    let fds = proxy.fds();
    let before = proxy.rss();
    let mut streams: Vec<_> = (0..STREAMS)
        .map(|number| match number % 2 {
            0 => (open_stream(&proxy, "p/both"), "key-first"),
            _ => (open_stream(&proxy, "q/m"), "key-passing"),
        })
        .collect();
    let start = Instant::now();
    let asked = AtomicUsize::new(0);
    let mut reloads = 0;
    std::thread::scope(|scope| {
        let guard = SetOnDrop(&stop.0);
        for name in 0..CLIENTS {
            let (proxy, stop, asked) = (&proxy, &stop, &asked);
            scope.spawn(move || {
                let guard = SetOnDrop(&stop.0);
                let count = keep_asking(proxy, name, stop, |_| {});
                asked.fetch_add(count, Ordering::SeqCst);
                std::mem::forget(guard);
            });
        }
        for number in 1..=RELOADS[1] {
            if stop.is_set() || (number > RELOADS[0] && start.elapsed() > ENOUGH) {
                break;
            }
            let answer = proxy.reload(&configs[number % 2]);
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["providers_count"], 2 - number % 2);
            if number % 10 == 0 {
                proxy.write_config("{ \"providers\": [ broken");
                assert_eq!(proxy.request("POST", "/v1/reload", "").status, 400);
            }
            reloads = number;
        }
        drop(guard);
    });
    let (asked, took) = (asked.into_inner(), start.elapsed());
    println!("{reloads} reloads and {asked} requests in {:.1} s", took.as_secs_f64());
    assert!(asked >= CLIENTS && reloads >= RELOADS[0]);
    // `q` goes while its streams still run.
    assert_eq!(proxy.reload(&configs[0]).status, 200);
    assert_eq!(proxy.reload(&configs[1]).status, 200);
    assert_eq!(proxy.chat(chat("q/m")).status, 404);
    open.set();
    gate.open();
    for (client, key) in &mut streams {
        assert_whole_stream(&client.response(), key);
    }
    assert_eq!(proxy.reload(&configs[0]).status, 200);
    drop(streams);
    // What is idle may stay.
    proxy.wait_fds(fds + 20);
    assert_eq!(proxy.chat(r#"{"model":"p/both","user":""}"#).status, 200);
    proxy.wait_fds(fds);
    let after = proxy.rss();
    println!("RSS {} KiB before, {} KiB after", before / 1024, after / 1024);
    assert!(after < before + 4_000_000, "{before} bytes before, {after} after");
}

/// Model list, filter, tokens and key change together: no request may see half of the change.
#[test]
fn a_request_sees_one_configuration_from_start_to_end() {
    let (gate, open) = (Gate::default(), Flag::default());
    let old = strict_upstream("key-old", "both", &gate, &open);
    let new = strict_upstream("key-new", "both", &gate, &open);
    let token_of = |name: &str| format!("sk-only-{name}-5e1f");
    let make = |name: &str, key: &str, upstream: &Upstream| {
        let only = json!({"tokens": [format!("{name}|{}", token_of(name))]});
        with(config([keyed("p", key, "both", upstream)]), only)
    };
    let configs = [make("old", "key-old", &old), make("new", "key-new", &new)];
    let proxy = TestProxy::start(&configs[0]);
    let stop = Flag::default();
    let (accepted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for name in ["old", "new", "old", "new"] {
            let (proxy, stop, accepted, refused) = (&proxy, &stop, &accepted, &refused);
            let token = token_of(name);
            scope.spawn(move || {
                let guard = SetOnDrop(&stop.0);
                let body = r#"{"model":"p/both","user":"u"}"#;
                let request = format!(
                    "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\n\
                     Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let mut client = proxy.connect();
                while !stop.is_set() {
                    let answer = client.send(&request).response();
                    match answer.status {
                        // Whoever is let in by a configuration is served by its provider.
                        200 => {
                            assert_eq!(answer.json()["key"], format!("key-{name}"));
                            accepted.fetch_add(1, Ordering::SeqCst);
                        }
                        401 => drop(refused.fetch_add(1, Ordering::SeqCst)),
                        _ => panic!("{answer:?}"),
                    }
                }
                std::mem::forget(guard);
            });
        }
        let guard = SetOnDrop(&stop.0);
        for number in 1..=200 {
            if stop.is_set() {
                break;
            }
            assert_eq!(proxy.reload(&configs[number % 2]).status, 200);
        }
        drop(guard);
    });
    let (accepted, refused) = (accepted.into_inner(), refused.into_inner());
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
}
