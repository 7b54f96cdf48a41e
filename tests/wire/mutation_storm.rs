//! Thousands of damaged requests and answers against the real program: it never hangs, the process stays the same,
//! a good request works afterwards and every descriptor is given back. `STORM_SEED` replays another storm.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::support::*;

const REQUESTS: usize = 3000;
const ANSWERS: usize = 1500;
const THREADS: usize = 8;

/// Fragments that mean something to a parser.
const WORDS: [&str; 30] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    ":",
    " ",
    "\t",
    "\0",
    "0",
    "-1",
    "+2",
    "ffffffffffffffff",
    "99999999999999999999",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Host: x\r\n",
    "0\r\n\r\n",
    "Expect: 100-continue\r\n",
    "HTTP/1.0",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "GET / HTTP/1.1\r\n",
    "HEAD ",
    "chunked",
    "\u{e9}",
    "{\"model\":\"p/m\"",
    "\"",
    "\\u0000",
    ";x=\"",
    "204",
];

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).expect("31 bits") % bound.max(1)
    }
}

fn seed() -> u64 {
    let seed =
        std::env::var("STORM_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_240_607);
    println!("STORM_SEED={seed}");
    seed
}

/// One to four random changes of `bytes`.
fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            5 => {
                let count = random.below(300);
                bytes.splice(at..at, vec![b'A'; count]);
            }
            _ => {
                let word = WORDS[random.below(WORDS.len())];
                bytes.splice(at..end.min(at + random.below(3)), word.bytes());
            }
        }
    }
    bytes
}

/// Runs `work` for every number below `count` on several threads; a panic in one is a panic here.
fn in_parallel(count: usize, work: impl Fn(usize) + Send + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return;
                }
                work(number);
            });
        }
    });
}

fn random_for(seed: u64, number: usize) -> Random {
    let number = u64::try_from(number).expect("small");
    Random((seed ^ (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1)
}

fn start(upstream: &Upstream) -> TestProxy {
    let quick = json!({"keepalive_expiry": 0.2, "stream_timeout": 5, "non_stream_timeout": 5, "log_level": "ERROR"});
    TestProxy::start(&with(config_for(upstream), quick))
}

/// What must hold after a storm.
fn all_is_well(
    proxy: &mut TestProxy,
    fds: usize,
    rss: usize,
    good: impl Fn(&TestProxy) -> Response,
) {
    let answer = good(proxy);
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert!(proxy.is_alive());
    assert!(!proxy.everything().contains("panicked"), "{}", proxy.everything());
    proxy.wait_fds(fds);
    let grown = proxy.rss().saturating_sub(rss);
    assert!(grown < 16_000_000, "{grown} bytes more than before");
}

fn requests() -> Vec<Vec<u8>> {
    let body = chat(MODEL);
    vec![
        chat_request("X-A: b\r\n", body.as_bytes()),
        [chat_head("Transfer-Encoding: chunked\r\n"), chunk(&body), LAST_CHUNK.to_vec()].concat(),
        chat_request(
            "Expect: 100-continue\r\nConnection: close\r\n",
            chat_stream(MODEL).as_bytes(),
        ),
        b"GET /v1/models?x=y HTTP/1.1\r\nHost: t\r\n\r\nHEAD / HTTP/1.1\r\nHost: t\r\n\r\n"
            .to_vec(),
        b"GET http://t/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_vec(),
        [chat_request("", body.as_bytes()), chat_request("", body.as_bytes())].concat(),
    ]
}

#[test]
fn damaged_requests_never_hang_or_kill_the_proxy() {
    let seed = seed();
    let upstream = Upstream::json("200 OK", "{}");
    let mut proxy = start(&upstream);
    proxy.get("/");
    let (fds, rss, addr) = (proxy.fds(), proxy.rss(), proxy.addr());
    let bases = requests();
    in_parallel(REQUESTS, |number| {
        let mut random = random_for(seed, number);
        let bytes = mutate(&bases[random.below(bases.len())], &mut random);
        let mut client = Raw::connect(addr);
        let split = random.below(bytes.len() + 1);
        let _ = client.try_send(&bytes[..split]);
        let _ = client.try_send(&bytes[split..]);
        if random.below(2) == 0 {
            // Give it time to work on the request before the end of file cancels it.
            client.set_patience(Duration::from_millis(15));
            client.ending();
            client.set_patience(PATIENCE);
        }
        client.half_close();
        assert_ne!(client.ending(), Ending::TimedOut, "request {number} hangs: {}", show(&bytes));
        let got = client.pending();
        assert!(
            got.is_empty() || got.starts_with(b"HTTP/1.1 "),
            "{number}: {} became {}",
            show(&bytes),
            show(got)
        );
    });
    all_is_well(&mut proxy, fds, rss, |proxy| proxy.chat(chat(MODEL)));
    let odd = upstream.requests().into_iter().find(|request| request.method != "POST");
    assert!(odd.is_none(), "something else than a chat reached the provider: {odd:?}");
}

fn answers() -> Vec<Vec<u8>> {
    vec![
        json_answer("200 OK", r#"{"id":"chatcmpl-1","choices":[]}"#),
        [SSE_HEAD.as_bytes(), &event("one"), &event("two"), LAST_CHUNK].concat(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n".to_vec(),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow Down\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}".to_vec(),
        b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n".to_vec(),
        b"HTTP/1.1 204 No Content\r\nX-Odd: \xe9\r\nConnection: close\r\n\r\n".to_vec(),
    ]
}

#[test]
fn damaged_answers_never_hang_kill_or_desynchronise_the_proxy() {
    let seed = seed() ^ 0xABCD;
    let bases = Arc::new(answers());
    let upstream = Upstream::each(move |request, connection| {
        let Some(number) = request.json()["n"].as_u64().and_then(|n| usize::try_from(n).ok())
        else {
            return connection.send(json_answer("200 OK", "{}"));
        };
        let mut random = random_for(seed, number);
        let bytes = mutate(&bases[random.below(bases.len())], &mut random);
        for piece in bytes.chunks(random.below(bytes.len()) + 1) {
            connection.send(piece);
        }
        connection.half_close();
    });
    let mut proxy = start(&upstream);
    proxy.get("/");
    let (fds, rss, addr) = (proxy.fds(), proxy.rss(), proxy.addr());
    in_parallel(ANSWERS, |number| {
        let stream = number % 2 == 0;
        let body = format!(r#"{{"model":"{MODEL}","stream":{stream},"n":{number}}}"#);
        let mut client = Raw::connect(addr);
        client.send(chat_request("", body.as_bytes()));
        let answer =
            client.try_response("POST").unwrap_or_else(|e| panic!("answer {number}: {e:?}"));
        if !answer.complete || answer.until_close {
            return;
        }
        // The connection must be in step, or closed.
        if client.try_send(GET).is_ok() {
            if let Ok(next) = client.try_response("GET") {
                assert!(
                    next.status == 200 && next.text().contains("ai_proxy"),
                    "answer {number}: {answer:?}"
                );
            }
        }
    });
    all_is_well(&mut proxy, fds, rss, |proxy| proxy.chat(chat(MODEL)));
}
