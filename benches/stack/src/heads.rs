//! Heads: async-h1, which makes a `Request` or `Response` of a head and writes it anew, beside ours, which
//! passes its lines on. Both read a head from memory, leave out what must not go on, and make the bytes
//! of the head for the other side.

mod messages;

use std::fs;

use futures_lite::future::block_on;
use futures_lite::AsyncReadExt;
use http_types::{Method, Request, Response, Url};

use crate::child::{self, Child, Cpu, TempFile};
use crate::memory::{End, Memory};
use crate::ours::{push_field, Decoder, HeadScanner, RequestHead, ResponseHead};
use crate::stats::{self, Row};
use crate::Result;
use messages::{ANSWER, FIRST_CHUNK, KEY, NOT_IN_ANSWERS, NOT_IN_REQUESTS, REQUEST};

/// Messages for the time of one.
const TIMED: usize = 20_000;
/// Messages under valgrind; twice as many in the second run.
const COUNTED: usize = 500;
/// Streams that are open while memory is read.
const HELD: usize = 1000;
const SIDES: [&str; 2] = ["async-h1", "ours"];
const TARGET: &str = "http://api.example.com/v1/chat/completions";

/// Prints what the two cost.
pub fn measure(rounds: usize) -> Result<()> {
    println!(
        "Heads: async-h1 2.3.4 and ours, {rounds} rounds, a request of {} bytes, an answer of {}",
        REQUEST.len(),
        ANSWER.len()
    );
    let mut rows = Vec::new();
    for message in ["request", "answer"] {
        let mut time = Row::new(format!("{message}: CPU, µs"));
        for _ in 0..rounds {
            for (index, side) in SIDES.iter().enumerate() {
                let count = TIMED.to_string();
                let words = ["heads-loop", side, message, &count];
                let seconds = Child::start(Cpu::Last, &[], &words, &[])?.numbers()?[0];
                [&mut time.crates, &mut time.ours][index].push(seconds * 1e6 / TIMED as f64);
            }
        }
        rows.push(time);
        if child::runs("valgrind", &["--version"]) {
            rows.extend(counts(message)?);
        }
    }
    let mut held =
        Row::new(format!("{HELD} streams after their first chunk: KB for head and body of each"));
    for _ in 0..rounds {
        for (index, side) in SIDES.iter().enumerate() {
            let kb = Child::start(Cpu::Last, &[], &["heads-hold", side], &[])?.numbers()?[0];
            [&mut held.crates, &mut held.ours][index].push(kb / HELD as f64);
        }
    }
    rows.push(held);
    stats::print(SIDES[0], &rows);
    Ok(())
}

/// Instructions, allocations and allocated bytes of one message.
fn counts(message: &str) -> Result<Vec<Row>> {
    let names = ["instructions", "allocations", "bytes allocated"];
    let mut rows = names.map(|name| Row::new(format!("{message}: {name}")));
    for (index, side) in SIDES.iter().enumerate() {
        let [once, twice] = [COUNTED, 2 * COUNTED].map(|count| count_one(side, message, count));
        let pairs = once?.into_iter().zip(twice?);
        for (row, (once, twice)) in rows.iter_mut().zip(pairs) {
            [&mut row.crates, &mut row.ours][index].push((twice - once) / COUNTED as f64);
        }
    }
    Ok(rows.into())
}

fn count_one(side: &str, message: &str, count: usize) -> Result<Vec<f64>> {
    let count = count.to_string();
    let words = ["heads-count", side, message, &count];
    let run = |tool: &str, option: &str| -> Result<String> {
        let log = TempFile::new("valgrind");
        let log_option = format!("--log-file={}", log.path()?);
        let tool = ["valgrind", "--trace-children=yes", tool, option, &log_option];
        Child::start(Cpu::Last, &tool, &words, &[])?.wait()?;
        Ok(fs::read_to_string(log.path()?)?)
    };
    let after = |text: &str, mark: &str, at: usize| -> Result<f64> {
        let rest = text.rsplit_once(mark).ok_or("valgrind said something else")?.1;
        let word = rest.split_whitespace().nth(at).ok_or("valgrind said less")?;
        Ok(word.replace(',', "").parse()?)
    };
    let calls = run("--tool=callgrind", "--callgrind-out-file=/dev/null")?;
    let heap = run("--tool=memcheck", "--leak-check=no")?;
    Ok(vec![
        after(&calls, "Collected :", 0)?,
        after(&heap, "total heap usage:", 0)?,
        after(&heap, "total heap usage:", 4)?,
    ])
}

/// Relays `count` heads and prints the CPU seconds that it took.
pub fn time(side: &str, message: &str, count: usize) -> Result<()> {
    let before = child::cpu_seconds();
    repeat(side, message, count)?;
    println!("{}", child::cpu_seconds() - before);
    Ok(())
}

/// Relays `count` heads.
pub fn repeat(side: &str, message: &str, count: usize) -> Result<()> {
    let (memory, bytes) = match message {
        "request" => (Memory::new(&[REQUEST], End::Silence), REQUEST),
        _ => (Memory::new(&[ANSWER], End::Silence), ANSWER),
    };
    let url = Url::parse(TARGET)?;
    let mut out = vec![0; 16 * 1024];
    for _ in 0..count {
        let length = match (side, message) {
            ("async-h1", "request") => {
                memory.rewind();
                block_on(relay_request(&memory, &url, &mut out))?
            }
            ("async-h1", _) => {
                memory.rewind();
                let mut encoder = block_on(relay_answer(&memory))?;
                block_on(encoder.read(&mut out))?
            }
            (_, "request") => our_request(bytes)?.len(),
            _ => our_answer(bytes)?.0.len(),
        };
        if length < bytes.len() / 2 {
            return Err("a head that is too short".into());
        }
    }
    Ok(())
}

async fn relay_request(memory: &Memory, url: &Url, out: &mut [u8]) -> Result<usize> {
    let decoded = async_h1::server::decode(memory.clone()).await?;
    let (mut request, _body) = decoded.ok_or("no request")?;
    for name in NOT_IN_REQUESTS {
        request.remove_header(*name);
    }
    *Request::url_mut(&mut request) = url.clone();
    request.insert_header("authorization", KEY);
    request.insert_header("accept-encoding", "identity");
    Ok(async_h1::client::Encoder::new(request).read(out).await?)
}

async fn relay_answer(memory: &Memory) -> Result<async_h1::server::Encoder> {
    let mut response: Response = async_h1::client::decode(memory.clone()).await?;
    for name in NOT_IN_ANSWERS {
        response.remove_header(*name);
    }
    Ok(async_h1::server::Encoder::new(response, Method::Post))
}

fn our_request(bytes: &[u8]) -> Result<Vec<u8>> {
    let parse = |bytes: &[u8]| RequestHead::parse(bytes, &|_| false);
    let read = HeadScanner::default().read(bytes, parse).map_err(|error| error.to_string())?;
    let (head, _) = read.ok_or("no head")?;
    let mut out = Vec::with_capacity(head.relayed.len() + 256);
    out.extend_from_slice(b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\n");
    out.extend_from_slice(&head.relayed);
    push_field(&mut out, "Accept-Encoding", b"identity");
    push_field(&mut out, "Authorization", KEY.as_bytes());
    push_field(&mut out, "Content-Length", b"187");
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

fn our_answer(bytes: &[u8]) -> Result<(Vec<u8>, Decoder)> {
    let read = HeadScanner::default().read(bytes, ResponseHead::parse);
    let (mut head, _) = read.map_err(|error| error.to_string())?.ok_or("no head")?;
    push_field(&mut head.relayed, "Transfer-Encoding", b"chunked");
    head.relayed.extend_from_slice(b"\r\n");
    Ok((head.relayed, Decoder::new(head.framing)))
}

/// Relays the head and the first chunk of many answers, keeps what the next chunk needs, and prints the
/// KB that all of that takes.
pub fn hold(side: &str) -> Result<()> {
    let mut out = vec![0; 16 * 1024];
    let mut encoders = Vec::with_capacity(HELD);
    let mut decoders = Vec::with_capacity(HELD);
    let mut before = 0.0;
    // The first one pays for what all share.
    for index in 0..=HELD {
        if index == 1 {
            before = child::rss_kb()?;
        }
        if side == "async-h1" {
            let memory = Memory::new(&[ANSWER, FIRST_CHUNK], End::Silence);
            let mut encoder = block_on(relay_answer(&memory))?;
            for part in ["head", "chunk"] {
                let count = block_on(encoder.read(&mut out))?;
                (count > 0).then_some(()).ok_or(part)?;
            }
            encoders.push(encoder);
        } else {
            let (_, mut decoder) = our_answer(ANSWER)?;
            let mut chunk = FIRST_CHUNK.to_vec();
            decoder.decode(&mut chunk).map_err(|error| error.to_string())?;
            decoders.push(decoder);
        }
    }
    println!("{}", child::rss_kb()? - before);
    Ok(())
}
