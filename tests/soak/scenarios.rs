//! What most clients do, request by request. `habits.rs` has the others.

use std::time::Duration;

use crate::checks::{chat, check_cut, check_error, check_good, expect, head, post};
use crate::client::{Conn, End, Wrong};
use crate::plan::{Kind, REQUEST_BYTES_MAX};
use crate::support::TOKEN;
use crate::traffic::Client;

/// At first large things are asked for often, so that memory has reached its height before it is measured.
const HEAVY_AT_FIRST: Duration = Duration::from_secs(15);
const STATUSES: [usize; 11] = [400, 401, 403, 404, 408, 418, 429, 500, 503, 520, 529];

impl Client<'_> {
    pub fn mix(&mut self) -> (&'static str, Result<u64, Wrong>) {
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
}
