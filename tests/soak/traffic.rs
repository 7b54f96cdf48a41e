//! Who asks what: several kinds of clients, each checking all it gets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;
use std::thread::Scope;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::checks::{chat, check_error, check_good, expect};
use crate::client::{Answer, Conn, Wrong};
use crate::plan::{Ask, Kind};
use crate::support::TestProxy;

/// Clients that ask as fast as they can.
const MIXERS: u64 = 8;
/// After so many failures there is nothing more to learn.
const FAILURES_MAX: usize = 50;

/// All clients together.
pub struct Field {
    pub addr: SocketAddr,
    seed: u64,
    pub begun: Instant,
    stop: AtomicBool,
    done: AtomicU64,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    failures: Mutex<Vec<String>>,
}

type Role<'f> = fn(&mut Client<'f>) -> (&'static str, Result<u64, Wrong>);

impl Field {
    pub fn new(addr: SocketAddr, seed: u64) -> Self {
        Self {
            addr,
            seed,
            begun: Instant::now(),
            stop: AtomicBool::new(false),
            done: AtomicU64::new(0),
            counts: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// One of each, so that what the program makes once is made.
    pub fn warm_up(&self) {
        let mut client = Client::new(self, u64::MAX);
        for kind in [Kind::Plain, Kind::Stream, Kind::Chunked] {
            let outcome = client.good(kind, 3);
            assert!(outcome.is_ok(), "{outcome:?}");
        }
    }

    /// Starts all clients.
    pub fn begin<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        let roles: [(Role<'s>, u64); 7] = [
            (Client::mix, MIXERS),
            (Client::leave, 2),
            (Client::read_slowly, 2),
            (Client::wait_in_vain, 2),
            (Client::idle, 1),
            (Client::come_and_go, 1),
            (Client::look_around, 1),
        ];
        let roles = roles.into_iter().flat_map(|(role, count)| (0..count).map(move |_| role));
        for (number, role) in roles.enumerate() {
            scope.spawn(move || Client::new(self, number as u64).run(role));
        }
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.has_failed()
    }

    pub fn has_failed(&self) -> bool {
        self.failures.lock().expect("no poison").len() >= FAILURES_MAX
    }

    /// Requests so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn fail(&self, name: &str, wrong: &str) {
        eprintln!("WRONG {name}: {wrong}");
        self.failures.lock().expect("no poison").push(format!("{name}: {wrong}"));
    }

    fn add(&self, counts: &BTreeMap<&'static str, u64>) {
        let mut all = self.counts.lock().expect("no poison");
        for (name, count) in counts {
            *all.entry(name).or_default() += count;
        }
    }

    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().expect("no poison").clone()
    }

    /// What the program counted otherwise than its clients: `stats` is its own report.
    pub fn disagreements(&self, stats: &Value) -> Vec<String> {
        let errors = stats["errors"].as_object().cloned().unwrap_or_default();
        let counted = |kinds: &[&str]| -> u64 {
            let of = |provider: &Value| -> u64 {
                kinds.iter().filter_map(|kind| provider[kind].as_u64()).sum()
            };
            errors.values().map(of).sum()
        };
        let counts = self.counts.lock().expect("no poison");
        [
            ("broken provider", counted(&["upstream_failed"])),
            ("silent provider", counted(&["upstream_timeout"])),
            ("provider's error", counted(&["status_4xx", "status_5xx"])),
        ]
        .iter()
        .filter(|(name, counted)| counts.get(name).copied().unwrap_or(0) != *counted)
        .map(|(name, counted)| format!("{name}: the program counted {counted}"))
        .collect()
    }

    pub fn print(&self) {
        println!("\n{} requests, {} wrong:", self.done(), self.failures().len());
        for (name, count) in self.counts.lock().expect("no poison").iter() {
            println!("{count:>12}  {name}");
        }
    }
}

/// One client, with a connection that it keeps as long as it can.
pub struct Client<'f> {
    pub field: &'f Field,
    pub random: fastrand::Rng,
    pub conn: Option<Conn>,
    counts: BTreeMap<&'static str, u64>,
}

impl<'f> Client<'f> {
    fn new(field: &'f Field, number: u64) -> Self {
        let random = fastrand::Rng::with_seed(field.seed.wrapping_add(number));
        Self { field, random, conn: None, counts: BTreeMap::new() }
    }

    fn run(mut self, role: Role<'f>) {
        while !self.field.is_over() {
            let (name, outcome) = role(&mut self);
            match outcome {
                Ok(count) => {
                    *self.counts.entry(name).or_default() += count;
                    self.field.done.fetch_add(count, Ordering::Relaxed);
                }
                Err(wrong) => {
                    self.conn = None;
                    self.field.fail(name, &wrong);
                }
            }
        }
        self.field.add(&self.counts);
    }

    pub fn ask(&mut self, kind: Kind, size: usize) -> Ask {
        Ask::new(kind, size, self.random.u64(..))
    }

    pub fn either(&mut self, size: usize) -> Ask {
        let kind = if self.random.bool() { Kind::Plain } else { Kind::Stream };
        self.ask(kind, size)
    }

    pub fn conn(&mut self) -> Result<Conn, Wrong> {
        self.conn.take().map_or_else(|| Conn::open(self.field.addr), Ok)
    }

    /// Keeps the connection for the next request, if the proxy does.
    pub fn keep(&mut self, conn: Conn, answer: &Answer) -> Result<(), Wrong> {
        expect(conn.in_step(), "bytes behind the answer", answer)?;
        if !answer.closes {
            self.conn = Some(conn);
        }
        Ok(())
    }

    pub fn exchange(&mut self, request: &[u8]) -> Result<Answer, Wrong> {
        self.exchange_slowly(request, Duration::ZERO)
    }

    pub fn exchange_slowly(&mut self, request: &[u8], pause: Duration) -> Result<Answer, Wrong> {
        let mut conn = self.conn()?;
        conn.send(request)?;
        let answer = conn.answer(pause)?;
        self.keep(conn, &answer)?;
        Ok(answer)
    }

    // What may come back.

    /// Asks for what works and checks it.
    pub fn good(&mut self, kind: Kind, size: usize) -> Result<u64, Wrong> {
        let ask = self.ask(kind, size);
        let answer = self.exchange(&chat("a/m", &ask, ""))?;
        check_good(&ask, &answer)
    }

    pub fn refused(&mut self, request: &[u8], status: u16, word: &str) -> Result<u64, Wrong> {
        let answer = self.exchange(request)?;
        check_error(&answer, status, word)
    }
}

/// Changes the configuration again and again, sometimes to one that does not load, and rotates the log.
pub fn reload_for_ever(field: &Field, proxy: &TestProxy, configs: &[Value]) {
    let old = proxy.directory().path().join("ai_proxy.log.1");
    let mut counts = BTreeMap::new();
    for number in 1.. {
        if field.is_over() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        let config = &configs[number % configs.len()];
        let answer = proxy.reload(config);
        let providers = config["providers"].as_array().map_or(0, Vec::len);
        if answer.status != 200 || answer.json()["providers_count"] != providers {
            field.fail("reload", &answer.text());
        }
        *counts.entry("reload").or_default() += 1;
        if number % 7 == 0 {
            let text = config.to_string();
            proxy.write_config(&text[..text.len() / 2]);
            let answer = proxy.request("POST", "/v1/reload", "");
            if answer.status != 400 {
                field.fail("broken file", &answer.text());
            }
            *counts.entry("reload refused").or_default() += 1;
        }
        if number % 50 == 0 {
            proxy.write_config(config.to_string());
            let _ = std::fs::rename(proxy.log_path(), &old);
            proxy.signal("HUP");
            *counts.entry("log rotated").or_default() += 1;
        }
    }
    field.done.fetch_add(counts.values().sum(), Ordering::Relaxed);
    field.add(&counts);
}
