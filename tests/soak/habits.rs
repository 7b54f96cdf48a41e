//! Clients with habits of their own: they leave, dawdle, wait, idle, or only look around.

use std::time::Duration;

use crate::checks::{chat, check_cut, check_good, expect, json};
use crate::client::{Conn, Wrong};
use crate::plan::{Ask, Kind};
use crate::traffic::Client;

impl Client<'_> {
    /// Leaves at the worst moments.
    pub fn leave(&mut self) -> (&'static str, Result<u64, Wrong>) {
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
    pub fn read_slowly(&mut self) -> (&'static str, Result<u64, Wrong>) {
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
    pub fn wait_in_vain(&mut self) -> (&'static str, Result<u64, Wrong>) {
        if self.random.bool() {
            let ask = self.ask(Kind::Silent, 0);
            return ("silent provider", self.refused(&chat("a/m", &ask, ""), 504, "5 s"));
        }
        let ask = self.ask(Kind::Stall, 5);
        let answer = self.exchange(&chat("a/m", &ask, ""));
        ("stalled stream", answer.and_then(|answer| check_cut(&ask, &answer, 504)))
    }

    /// Holds connections that do nothing most of the time.
    pub fn idle(&mut self) -> (&'static str, Result<u64, Wrong>) {
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
    pub fn come_and_go(&mut self) -> (&'static str, Result<u64, Wrong>) {
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
    pub fn look_around(&mut self) -> (&'static str, Result<u64, Wrong>) {
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
