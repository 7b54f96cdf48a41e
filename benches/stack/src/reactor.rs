//! Sockets: async-io, smol's reactor, beside our own. A small server in a process of its own, on either,
//! under three loads; the program around the sockets is the same. It echoes messages, or relays them as
//! a proxy does: to an echo server and back, each wait under a deadline.

mod calls;
mod load;
mod server;

use std::net::SocketAddr;
use std::time::Instant;

use crate::child::{self, Child, Cpu};
use crate::stats::{self, Row};
use crate::Result;

pub use server::serve;

/// Bytes of a message, and of its answer: a small event of a stream.
const MESSAGE_BYTES: usize = 300;
/// Begins a message that asks for CPU seconds, resident KB and threads.
const REPORT: u8 = b'?';
/// Begins a message that ends the server.
const QUIT: u8 = b'!';
/// Connections that are open and idle while memory is read.
const IDLE: usize = 1000;
const SIDES: [&str; 2] = ["async-io", "ours"];

/// What the server does with a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Echo,
    Relay,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Work::Echo => "echo",
            Work::Relay => "relay",
        }
    }
}

/// How the connections are used.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    connections: usize,
    messages: usize,
    /// Each connection sends a message every 10 ms; else the next one as soon as the answer is there.
    paced: bool,
}

const LOADS: [Load; 3] = [
    Load { name: "1 connection", connections: 1, messages: 10_000, paced: false },
    Load { name: "64 connections", connections: 64, messages: 32_000, paced: false },
    Load { name: "64 connections, 10 ms apart", connections: 64, messages: 6_400, paced: true },
];

/// A server in its process, and the echo server behind it.
struct Server {
    child: Child,
    address: SocketAddr,
    upstream: Option<(Child, SocketAddr)>,
}

impl Server {
    fn start(tool: &[&str], side: &str, work: Work) -> Result<Server> {
        let mut upstream = None;
        let mut words = vec!["serve".to_owned(), side.to_owned()];
        if work == Work::Relay {
            let mut child = Child::start(Cpu::First, &[], &["serve", "ours"], &[])?;
            let port = child.line()?;
            upstream = Some((child, SocketAddr::from(([127, 0, 0, 1], port.parse()?))));
            words.push(port);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut child = Child::start(Cpu::Last, tool, &words, &[])?;
        let address = SocketAddr::from(([127, 0, 0, 1], child.line()?.parse()?));
        Ok(Server { child, address, upstream })
    }

    /// Ends it, and waits for the tool that runs it.
    fn quit(mut self) -> Result<()> {
        // First the one that needs the other.
        load::quit(self.address)?;
        self.child.wait()?;
        if let Some((child, address)) = &mut self.upstream {
            load::quit(*address)?;
            child.wait()?;
        }
        Ok(())
    }
}

/// Prints what the two cost.
pub fn measure(rounds: usize) -> Result<()> {
    child::raise_file_limit()?;
    println!("Sockets: async-io 2.6 and ours, {rounds} rounds, messages of {MESSAGE_BYTES} bytes");
    for work in [Work::Echo, Work::Relay] {
        let name = work.name();
        let row = |what: &str, load: Load| Row::new(format!("{name}, {}: {what}", load.name));
        let mut cpu = LOADS.map(|load| row("CPU per message, µs", load));
        let mut wall = LOADS.map(|load| row("round trip, µs", load));
        let mut memory = Row::new(format!("{name}, {IDLE} connections idle: KB for each"));
        let mut threads = Row::new(format!("{name}: threads"));
        for _ in 0..rounds {
            for (index, side) in SIDES.iter().enumerate() {
                for (at, load) in LOADS.into_iter().enumerate() {
                    let (busy, trip) = one_load(side, work, load)?;
                    side_of(&mut cpu[at], index).push(busy);
                    side_of(&mut wall[at], index).push(trip);
                }
                let (kb, count) = idle(side, work)?;
                side_of(&mut memory, index).push(kb);
                side_of(&mut threads, index).push(count);
            }
        }
        let mut rows: Vec<Row> = cpu.into();
        // At 64 connections the round trip says only how long the queue was.
        rows.extend(wall.into_iter().take(1));
        rows.extend([memory, threads]);
        stats::print(SIDES[0], &rows);
        for load in LOADS {
            calls::count(work, load)?;
        }
    }
    Ok(())
}

fn side_of(row: &mut Row, index: usize) -> &mut Vec<f64> {
    [&mut row.crates, &mut row.ours][index]
}

/// The server's CPU, and the time that passed on each connection, per message in µs.
fn one_load(side: &str, work: Work, load: Load) -> Result<(f64, f64)> {
    let server = Server::start(&[], side, work)?;
    // What happens only once must not count.
    load::run(server.address, Load { messages: load.messages / 10, ..load })?;
    let before = load::report(server.address)?;
    let begun = Instant::now();
    load::run(server.address, load)?;
    let passed = begun.elapsed().as_secs_f64();
    let after = load::report(server.address)?;
    server.quit()?;
    let each = 1e6 / load.messages as f64;
    Ok(((after.cpu - before.cpu) * each, passed * each * load.connections as f64))
}

/// KB per idle connection, and threads.
fn idle(side: &str, work: Work) -> Result<(f64, f64)> {
    let server = Server::start(&[], side, work)?;
    let first = load::open(server.address, 1)?;
    let before = load::report(server.address)?;
    let others = load::open(server.address, IDLE)?;
    let after = load::report(server.address)?;
    drop((first, others));
    server.quit()?;
    Ok(((after.rss - before.rss) / IDLE as f64, after.threads))
}
