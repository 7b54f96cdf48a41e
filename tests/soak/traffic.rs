//! Who asks what: several kinds of clients, each checking all it gets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;
use std::thread::Scope;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Answer, Conn, End, Wrong};
use crate::plan::{Ask, Kind, REQUEST_BYTES_MAX};
use crate::support::{TestProxy, TOKEN};

/// Clients that ask as fast as they can.
const MIXERS: u64 = 8;
/// At first large things are asked for often, so that memory has reached its height before it is measured.
const HEAVY_AT_FIRST: Duration = Duration::from_secs(15);
/// After so many failures there is nothing more to learn.
const FAILURES_MAX: usize = 50;
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";
const STATUSES: [usize; 11] = [400, 401, 403, 404, 408, 418, 429, 500, 503, 520, 529];

/// All clients together.
pub struct Field {
    addr: SocketAddr,
    seed: u64,
    begun: Instant,
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

    pub fn print(&self) {
        println!("\n{} requests, {} wrong:", self.done(), self.failures().len());
        for (name, count) in self.counts.lock().expect("no poison").iter() {
            println!("{count:>12}  {name}");
        }
    }
}

/// One client, with a connection that it keeps as long as it can.
struct Client<'f> {
    field: &'f Field,
    random: fastrand::Rng,
    conn: Option<Conn>,
    counts: BTreeMap<&'static str, u64>,
}

fn expect(holds: bool, what: &str, answer: &Answer) -> Result<(), Wrong> {
    if holds {
        Ok(())
    } else {
        Err(format!("{what}: {}", answer.show()))
    }
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

    fn ask(&mut self, kind: Kind, size: usize) -> Ask {
        Ask::new(kind, size, self.random.u64(..))
    }

    fn either(&mut self, size: usize) -> Ask {
        let kind = if self.random.bool() { Kind::Plain } else { Kind::Stream };
        self.ask(kind, size)
    }

    fn conn(&mut self) -> Result<Conn, Wrong> {
        self.conn.take().map_or_else(|| Conn::open(self.field.addr), Ok)
    }

    /// Keeps the connection for the next request, if the proxy does.
    fn keep(&mut self, conn: Conn, answer: &Answer) -> Result<(), Wrong> {
        expect(conn.in_step(), "bytes behind the answer", answer)?;
        if !answer.closes {
            self.conn = Some(conn);
        }
        Ok(())
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Answer, Wrong> {
        self.exchange_slowly(request, Duration::ZERO)
    }

    fn exchange_slowly(&mut self, request: &[u8], pause: Duration) -> Result<Answer, Wrong> {
        let mut conn = self.conn()?;
        conn.send(request)?;
        let answer = conn.answer(pause)?;
        self.keep(conn, &answer)?;
        Ok(answer)
    }

    // What may come back.

    /// Asks for what works and checks it.
    fn good(&mut self, kind: Kind, size: usize) -> Result<u64, Wrong> {
        let ask = self.ask(kind, size);
        let answer = self.exchange(&chat("a/m", &ask, ""))?;
        check_good(&ask, &answer)
    }

    fn refused(&mut self, request: &[u8], status: u16, word: &str) -> Result<u64, Wrong> {
        let answer = self.exchange(request)?;
        check_error(&answer, status, word)
    }

    // Clients.

    fn mix(&mut self) -> (&'static str, Result<u64, Wrong>) {
        let small = self.random.usize(10..2000);
        if self.field.begun.elapsed() < HEAVY_AT_FIRST && self.random.u32(0..4) == 0 {
            return match self.random.bool() {
                true => ("plain, 1.5 MB", self.good(Kind::Plain, 1_500_000)),
                false => ("upload", self.upload()),
            };
        }
        match self.random.u32(0..1000) {
            0..=599 => ("plain", self.good(Kind::Plain, small)),
            600..=649 => ("plain, 64 KB", self.good(Kind::Plain, 64 * 1024)),
            650..=654 => ("plain, 1.5 MB", self.good(Kind::Plain, 1_500_000)),
            655..=699 => ("chunked", self.good(Kind::Chunked, small * 10)),
            700..=719 => ("until close", self.good(Kind::UntilClose, small)),
            720..=729 => ("HTTP/1.0 provider", self.good(Kind::Old, small)),
            730..=799 => ("stream", self.good(Kind::Stream, small % 40)),
            800..=809 => ("stream until close", self.good(Kind::StreamUntilClose, small % 40)),
            810..=859 => ("pipelined", self.pipeline()),
            860..=879 => ("with an id", self.with_id()),
            880..=899 => ("provider's error", self.status()),
            900..=919 => ("our error", self.our_error()),
            920..=939 => ("broken provider", self.broken_provider()),
            940..=949 => ("cut stream", self.cut()),
            950..=959 => ("HTTP/1.0 client", self.old_client()),
            960..=979 => ("upload", self.upload()),
            _ => ("provider that comes and goes", self.maybe()),
        }
    }

    fn pipeline(&mut self) -> Result<u64, Wrong> {
        let count = self.random.usize(2..12);
        let asks: Vec<_> = (0..count)
            .map(|number| {
                let kind = if number % 5 == 4 { Kind::Stream } else { Kind::Plain };
                self.ask(kind, number * 7)
            })
            .collect();
        let all: Vec<u8> = asks.iter().flat_map(|ask| chat("a/m", ask, "")).collect();
        let mut conn = self.conn()?;
        conn.send(&all)?;
        for (number, ask) in asks.iter().enumerate() {
            let answer = conn.answer(Duration::ZERO)?;
            check_good(ask, &answer)?;
            expect(!answer.closes, "closed in a pipeline", &answer)?;
            if number + 1 == count {
                self.keep(conn, &answer)?;
                break;
            }
        }
        Ok(count as u64)
    }

    fn with_id(&mut self) -> Result<u64, Wrong> {
        let ask = self.ask(Kind::Plain, 100);
        let id = format!("soak-{:x}", ask.nonce);
        let answer = self.exchange(&chat("a/m", &ask, &format!("X-Request-Id: {id}\r\n")))?;
        expect(answer.field("x-request-id") == Some(&id), "another id", &answer)?;
        check_good(&ask, &answer)
    }

    fn status(&mut self) -> Result<u64, Wrong> {
        let status = STATUSES[self.random.usize(..STATUSES.len())];
        let ask = self.ask(Kind::Status, status);
        let answer = self.exchange(&chat("a/m", &ask, ""))?;
        expect(usize::from(answer.status) == status, "status", &answer)?;
        expect(
            answer.head.starts_with(&format!("HTTP/1.1 {status} As Asked\r\n")),
            "reason",
            &answer,
        )?;
        let after = (ask.nonce % 100).to_string();
        expect(answer.field("retry-after") == Some(&after), "Retry-After", &answer)?;
        expect(answer.body == ask.answer() && answer.end == End::Whole, "body", &answer)?;
        Ok(1)
    }

    fn our_error(&mut self) -> Result<u64, Wrong> {
        let ask = self.ask(Kind::Plain, 100);
        let good = chat("a/m", &ask, "");
        match self.random.u32(0..7) {
            0 => {
                let text = String::from_utf8_lossy(&good).replace(TOKEN, "sk-wrong");
                self.refused(text.as_bytes(), 401, "API token无效")
            }
            1 => {
                let text = String::from_utf8_lossy(&good).replace("Bearer", "Basic");
                self.refused(text.as_bytes(), 401, "未提供API token")
            }
            2 => self.refused(&chat("a/other", &ask, ""), 404, "a/other"),
            3 => self.refused(&chat("nobody/m", &ask, ""), 404, "nobody/m"),
            4 => self.refused(&post(b"{\"model\": oops", ""), 400, "JSON"),
            5 => {
                let length = REQUEST_BYTES_MAX + 1 + self.random.usize(..1000);
                self.refused(&head(&format!("Content-Length: {length}\r\n")), 413, "1000000")
            }
            _ => self.refused(b"GET / HTTP/1.1\r\nHost: t\r\nBad Name: x\r\n\r\n", 400, ""),
        }
    }

    fn broken_provider(&mut self) -> Result<u64, Wrong> {
        let kinds = [Kind::Close, Kind::Reset, Kind::Garbage, Kind::Short];
        match self.random.usize(..=kinds.len()) {
            4 => {
                let ask = self.ask(Kind::Plain, 1);
                self.refused(&chat("dead/m", &ask, ""), 502, "dead")
            }
            index => {
                let ask = self.ask(kinds[index], 500);
                self.refused(&chat("a/m", &ask, ""), 502, "a")
            }
        }
    }

    fn cut(&mut self) -> Result<u64, Wrong> {
        let size = self.random.usize(1..20);
        let kind = if self.random.bool() { Kind::Cut } else { Kind::CutInside };
        let ask = self.ask(kind, size);
        let answer = self.exchange(&chat("a/m", &ask, ""))?;
        check_cut(&ask, &answer, 502)
    }

    fn old_client(&mut self) -> Result<u64, Wrong> {
        let kinds = [Kind::Plain, Kind::Stream, Kind::Chunked, Kind::Cut];
        let kind = kinds[self.random.usize(..kinds.len())];
        let ask = self.ask(kind, 20);
        let request =
            String::from_utf8_lossy(&chat("a/m", &ask, "")).replace("HTTP/1.1", "HTTP/1.0");
        let mut conn = Conn::open(self.field.addr)?;
        conn.send(request.as_bytes())?;
        let answer = conn.answer(Duration::ZERO)?;
        expect(answer.closes, "kept open", &answer)?;
        expect(answer.field("transfer-encoding").is_none(), "chunks for HTTP/1.0", &answer)?;
        if ask.kind != Kind::Cut {
            return check_good(&ask, &answer);
        }
        expect(answer.end == End::Reset, "a cut that looks whole", &answer)?;
        // A reset may overtake what was not read yet.
        let events = ask.events(ask.size);
        let prefix = events.starts_with(&answer.body) || answer.body.starts_with(&events);
        expect(prefix, "events", &answer)?;
        Ok(1)
    }

    fn upload(&mut self) -> Result<u64, Wrong> {
        let mut ask = self.ask(Kind::Plain, 50);
        ask.pad = self.random.usize(1000..300_000);
        let body = ask.request("a/m");
        let mut conn = self.conn()?;
        match self.random.u32(0..3) {
            0 => {
                conn.send(&head(&format!(
                    "Expect: 100-continue\r\nContent-Length: {}\r\n",
                    body.len()
                )))?;
                conn.expect_continue()?;
                conn.send(&body)?;
            }
            1 => {
                conn.send(&head("Transfer-Encoding: chunked\r\n"))?;
                for piece in body.chunks(self.random.usize(1000..100_000)) {
                    conn.send(
                        &[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat(),
                    )?;
                }
                conn.send(b"0\r\n\r\n")?;
            }
            _ => {
                for piece in post(&body, "").chunks(self.random.usize(1000..100_000)) {
                    conn.send(piece)?;
                }
            }
        }
        let answer = conn.answer(Duration::ZERO)?;
        self.keep(conn, &answer)?;
        check_good(&ask, &answer)
    }

    fn maybe(&mut self) -> Result<u64, Wrong> {
        let ask = self.either(20);
        let answer = self.exchange(&chat("b/m", &ask, ""))?;
        if answer.status == 404 {
            return check_error(&answer, 404, "未找到模型 b/m");
        }
        check_good(&ask, &answer)
    }

    /// Leaves at the worst moments.
    fn leave(&mut self) -> (&'static str, Result<u64, Wrong>) {
        let way = self.random.u32(0..7);
        let outcome = self.leave_by(way);
        ("left early", outcome)
    }

    fn leave_by(&mut self, way: u32) -> Result<u64, Wrong> {
        let mut conn = Conn::open(self.field.addr)?;
        let silent = self.ask(Kind::Silent, 0);
        match way {
            0 => conn.send(&chat("a/m", &silent, ""))?,
            1 | 2 => {
                let ask = self.ask(Kind::StreamSlowly, 100);
                conn.send(&chat("a/m", &ask, ""))?;
                conn.wait_for(b"data: ")?;
            }
            3 => {
                let mut ask = silent;
                ask.pad = 50_000;
                let request = chat("a/m", &ask, "");
                conn.send(&request[..request.len() / 2])?;
            }
            4 => conn.send(b"POST /v1/chat/comple")?,
            5 => {
                let ask = self.ask(Kind::Plain, 1_000_000);
                conn.send(&chat("a/m", &ask, "").repeat(3))?;
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(self.random.u64(0..20)));
        if self.random.bool() {
            conn.reset();
        }
        Ok(1)
    }

    /// Takes its time to read and to write, and gets all the same everything.
    fn read_slowly(&mut self) -> (&'static str, Result<u64, Wrong>) {
        let pause = Duration::from_millis(self.random.u64(1..4));
        match self.random.u32(0..4) {
            0 => {
                let ask = self.ask(Kind::Plain, 3_000_000);
                ("slow reader, plain", self.slow(&ask, pause))
            }
            1 => {
                let ask = self.ask(Kind::Stream, 5000);
                ("slow reader, stream", self.slow(&ask, pause))
            }
            2 => {
                let ask = self.ask(Kind::StreamSlowly, 20);
                ("slow stream", self.slow(&ask, Duration::ZERO))
            }
            _ => ("slow writer", self.write_slowly()),
        }
    }

    fn slow(&mut self, ask: &Ask, pause: Duration) -> Result<u64, Wrong> {
        let answer = self.exchange_slowly(&chat("a/m", ask, ""), pause)?;
        check_good(ask, &answer)
    }

    fn write_slowly(&mut self) -> Result<u64, Wrong> {
        let ask = self.ask(Kind::Plain, 100);
        let mut conn = self.conn()?;
        for piece in chat("a/m", &ask, "").chunks(40) {
            conn.send(piece)?;
            std::thread::sleep(Duration::from_millis(2));
        }
        let answer = conn.answer(Duration::ZERO)?;
        self.keep(conn, &answer)?;
        check_good(&ask, &answer)
    }

    /// Waits for what does not come.
    fn wait_in_vain(&mut self) -> (&'static str, Result<u64, Wrong>) {
        if self.random.bool() {
            let ask = self.ask(Kind::Silent, 0);
            return ("silent provider", self.refused(&chat("a/m", &ask, ""), 504, "5 s"));
        }
        let ask = self.ask(Kind::Stall, 5);
        let answer = self.exchange(&chat("a/m", &ask, ""));
        ("stalled stream", answer.and_then(|answer| check_cut(&ask, &answer, 504)))
    }

    /// Holds connections that do nothing most of the time.
    fn idle(&mut self) -> (&'static str, Result<u64, Wrong>) {
        ("idle connections", self.idle_for_a_while())
    }

    fn idle_for_a_while(&mut self) -> Result<u64, Wrong> {
        let mut conns = Vec::new();
        for _ in 0..20 {
            conns.push(Conn::open(self.field.addr)?);
        }
        let mut count = 0;
        for _ in 0..3 {
            for conn in &mut conns {
                let ask = self.ask(Kind::Plain, 100);
                conn.send(&chat("a/m", &ask, ""))?;
                let answer = conn.answer(Duration::ZERO)?;
                count += check_good(&ask, &answer)?;
            }
            std::thread::sleep(Duration::from_millis(self.random.u64(0..1000)));
        }
        Ok(count)
    }

    /// A new connection for each request.
    fn come_and_go(&mut self) -> (&'static str, Result<u64, Wrong>) {
        self.conn = None;
        let ask = self.either(10);
        if self.random.bool() {
            let answer = self.exchange(&chat("a/m", &ask, ""));
            return ("new connection", answer.and_then(|answer| check_good(&ask, &answer)));
        }
        let answer = self.exchange(&chat("a/m", &ask, "Connection: close\r\n"));
        let checked = answer.and_then(|answer| {
            expect(answer.closes, "kept open", &answer)?;
            check_good(&ask, &answer)
        });
        ("new connection, closed", checked)
    }

    /// The small endpoints.
    fn look_around(&mut self) -> (&'static str, Result<u64, Wrong>) {
        std::thread::sleep(Duration::from_millis(10));
        ("small endpoints", self.look())
    }

    fn look(&mut self) -> Result<u64, Wrong> {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").into_bytes();
        let answer = self.exchange(&get("/"))?;
        expect(json(&answer)?["service"] == "ai_proxy", "GET /", &answer)?;
        let answer = self.exchange(&get("/v1/models"))?;
        let models = json(&answer)?;
        let ids = models["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        expect(
            ids.iter().any(|model| model["id"] == "a/m" || model["id"] == "b/m"),
            "models",
            &answer,
        )?;
        let answer = self.exchange(&get("/health"))?;
        expect(json(&answer)?["status"] == "degraded", "health", &answer)?;
        self.refused(&get("/nothing"), 404, "/nothing")?;
        self.refused(b"PUT /health HTTP/1.1\r\nHost: t\r\n\r\n", 405, "GET")?;
        Ok(5)
    }
}

fn head(headers: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: soak\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\n{headers}\r\n"
    )
    .into_bytes()
}

fn post(body: &[u8], headers: &str) -> Vec<u8> {
    let mut request = head(&format!("{headers}Content-Length: {}\r\n", body.len()));
    request.extend_from_slice(body);
    request
}

fn chat(model: &str, ask: &Ask, headers: &str) -> Vec<u8> {
    post(&ask.request(model), headers)
}

fn json(answer: &Answer) -> Result<Value, Wrong> {
    expect(answer.status == 200 && answer.end == End::Whole, "no answer", answer)?;
    serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {}", answer.show()))
}

/// An answer that must be whole and right.
fn check_good(ask: &Ask, answer: &Answer) -> Result<u64, Wrong> {
    expect(answer.status == 200, "status", answer)?;
    expect(answer.end == End::Whole, "not whole", answer)?;
    expect(answer.field("x-request-id").is_some(), "no id", answer)?;
    if ask.streams() {
        let body = without_comments(answer)?;
        expect(body == ask.stream(), "events", answer)?;
    } else {
        expect(answer.body == ask.answer(), "body", answer)?;
    }
    Ok(1)
}

/// An error of ours in the promised shape.
fn check_error(answer: &Answer, status: u16, word: &str) -> Result<u64, Wrong> {
    expect(answer.status == status, "status", answer)?;
    expect(answer.end == End::Whole, "not whole", answer)?;
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("{error}: {}", answer.show()))?;
    let error = &body["error"];
    let shape = error["code"] == status && error["type"] == "http_error";
    let message = error["message"].as_str().unwrap_or_default();
    expect(shape && message.contains(word), "error", answer)?;
    Ok(1)
}

/// A stream that the provider broke off: cut, with an error event where one can stand.
fn check_cut(ask: &Ask, answer: &Answer, code: u16) -> Result<u64, Wrong> {
    expect(answer.status == 200, "status", answer)?;
    expect(answer.end == End::Cut, "a cut that looks whole", answer)?;
    let body = without_comments(answer)?;
    let events = ask.events(ask.size);
    if ask.kind == Kind::CutInside {
        let inside = body.len() < events.len() && body.len() + 32 > events.len();
        expect(inside && events.starts_with(&body), "events", answer)?;
        return Ok(1);
    }
    let event = body.strip_prefix(events.as_slice()).and_then(|rest| rest.strip_prefix(b"data: "));
    let event = event.and_then(|rest| rest.strip_suffix(b"\n\n"));
    let event: Option<Value> = event.and_then(|event| serde_json::from_slice(event).ok());
    expect(event.is_some_and(|event| event["error"]["code"] == code), "error event", answer)?;
    Ok(1)
}

/// The body without our comments, which may stand between events only.
fn without_comments(answer: &Answer) -> Result<Vec<u8>, Wrong> {
    let mut body = Vec::with_capacity(answer.body.len());
    let mut rest = answer.body.as_slice();
    while let Some(at) = memchr::memmem::find(rest, KEEP_ALIVE) {
        body.extend_from_slice(&rest[..at]);
        expect(body.is_empty() || body.ends_with(b"\n\n"), "a comment in an event", answer)?;
        rest = &rest[at + KEEP_ALIVE.len()..];
    }
    body.extend_from_slice(rest);
    Ok(body)
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
