//! What a scripted provider does with one call, written in one line.
//!
//! ```text
//! 429 | retry-after: 2 | body {"error":{}}     status, fields, body
//! 503*2 ; 200                                  two calls get 503, all further ones 200
//! close, reset, garbage, stall                 in place of a status
//! after 300, gate, gzip, slow, sse             further parts; slow: a body with a pause of 1.3 s
//! chunked, unframed                            how the body ends: by its last chunk, by the connection's end
//! half, torn, sse-cut                          half of the body and silence, or the end; events and the end
//! ```
//!
//! A field's value `@20` is the HTTP-date in 20 seconds.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use crate::support::*;

/// What one call gets.
#[derive(Clone, Debug, Default)]
pub struct Does {
    /// A status, or one of the words.
    first: String,
    fields: String,
    body: Option<Vec<u8>>,
    delay: u64,
    gated: bool,
    gzip: bool,
    half: bool,
    torn: bool,
    slow: bool,
    chunked: bool,
    unframed: bool,
    events: bool,
    cut: bool,
}

/// Reads a whole script; its last entry is for all further calls.
pub fn parse(line: &str) -> Vec<Does> {
    let mut all = Vec::new();
    for entry in line.split(" ; ") {
        let mut parts = entry.split(" | ");
        let first = parts.next().unwrap_or_default();
        let (first, count) = first.split_once('*').unwrap_or((first, "1"));
        let mut does = Does { first: first.to_owned(), ..Does::default() };
        for part in parts {
            does.add(part);
        }
        let count = count.parse().unwrap_or_else(|_| panic!("a count in {line}"));
        all.extend(std::iter::repeat_n(does, count));
    }
    all
}

impl Does {
    fn add(&mut self, part: &str) {
        match part.split_once(' ').unwrap_or((part, "")) {
            ("body", body) => self.body = Some(body.as_bytes().to_vec()),
            ("after", milliseconds) => self.delay = milliseconds.parse().expect("milliseconds"),
            ("gate", "") => self.gated = true,
            ("gzip", "") => self.gzip = true,
            ("half", "") => self.half = true,
            ("torn", "") => self.torn = true,
            ("slow", "") => self.slow = true,
            ("chunked", "") => self.chunked = true,
            ("unframed", "") => self.unframed = true,
            ("sse", "") => self.events = true,
            ("sse-cut", "") => (self.events, self.cut) = (true, true),
            (name, value) if name.ends_with(':') => {
                let value = value.strip_prefix('@').map_or(value.to_owned(), date_in);
                self.fields += &format!("{name} {value}\r\n");
            }
            _ => panic!("no part of a script: {part}"),
        }
    }

    /// The body that goes out, as its client must get it. `who` and `number` make it one of a kind.
    pub fn body(&self, who: &str, number: usize) -> Vec<u8> {
        let body = match &self.body {
            Some(body) => body.clone(),
            None if self.events => {
                let end = if self.cut { "" } else { "data: [DONE]\n\n" };
                format!("data: {{\"from\":\"{who}\",\"call\":{number}}}\n\n{end}").into_bytes()
            }
            None if self.first.starts_with('2') => {
                format!("{{\"from\": \"{who}\",\n\"call\": {number}}}").into_bytes()
            }
            None => format!(
                "{{\"error\": {{\"message\":\"no {number} of {who}\",\"type\":\"refusal\"}} }}"
            )
            .into_bytes(),
        };
        if self.gzip {
            zipped(&body)
        } else {
            body
        }
    }

    /// Does it; false when the connection is over.
    pub fn run(
        &self,
        connection: &mut Connection,
        request: &Request,
        body: &[u8],
        gate: &Gate,
    ) -> bool {
        if self.delay > 0 {
            pause(self.delay);
        }
        if self.gated {
            gate.wait();
        }
        match self.first.as_str() {
            "close" => return false,
            "reset" => {
                connection.reset_on_close();
                return false;
            }
            "garbage" => {
                connection.send("SSH-2.0-x\r\n\r\n");
                return false;
            }
            "stall" => {
                connection.wait_for_close();
                return false;
            }
            status => connection.send(self.head(status, body)),
        }
        if request.method == "HEAD" {
            return true;
        }
        if self.chunked {
            connection.send(body.chunks(7).flat_map(chunk).collect::<Vec<u8>>());
            connection.send(LAST_CHUNK);
        } else if self.unframed {
            connection.send(body);
            return false;
        } else if self.events {
            connection.send(chunk(body));
            if self.cut {
                connection.half_close();
                connection.wait_for_close();
                return false;
            }
            connection.send(LAST_CHUNK);
        } else if self.half || self.torn {
            connection.send(&body[..body.len() / 2]);
            if self.half {
                connection.wait_for_close();
            }
            return false;
        } else if self.slow {
            connection.send(&body[..body.len() / 2]);
            pause(1300);
            connection.send(&body[body.len() / 2..]);
        } else {
            connection.send(body);
        }
        true
    }

    fn head(&self, status: &str, body: &[u8]) -> String {
        let typed = self.fields.to_ascii_lowercase().contains("content-type:");
        let (kind, framing) = if self.events {
            ("text/event-stream", "Transfer-Encoding: chunked\r\n".to_owned())
        } else if self.chunked {
            ("application/json", "Transfer-Encoding: chunked\r\n".to_owned())
        } else if self.unframed {
            ("application/json", String::new())
        } else {
            ("application/json", format!("Content-Length: {}\r\n", body.len()))
        };
        let kind = if typed { String::new() } else { format!("Content-Type: {kind}\r\n") };
        let coding = if self.gzip { "Content-Encoding: gzip\r\n" } else { "" };
        format!("HTTP/1.1 {status} Said\r\n{}{kind}{coding}{framing}\r\n", self.fields)
    }
}

fn zipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

fn date_in(seconds: &str) -> String {
    let seconds: i64 = seconds.parse().expect("seconds");
    let length = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    let time = if seconds < 0 { now - length } else { now + length };
    let time: chrono::DateTime<chrono::Utc> = time.into();
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
