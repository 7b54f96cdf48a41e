//! System calls per message, by perf's tracepoints where the kernel lets us (the server runs at its own
//! speed), else by strace (which slows it down, so that more is ready whenever it looks).

use std::fmt::Write;
use std::fs;

use super::{load, Load, Server, Work, SIDES};
use crate::child::{self, TempFile};
use crate::Result;

/// So many that the calls of start and end hardly count.
const MESSAGES: usize = 12_800;
/// Less than this is start and end.
const COUNTS_FROM: f64 = 0.05;
/// Calls that either reactor makes.
const NAMES: [&str; 10] = [
    "recvfrom",
    "sendto",
    "epoll_pwait",
    "epoll_wait",
    "epoll_pwait2",
    "epoll_ctl",
    "timerfd_settime",
    "read",
    "write",
    "futex",
];

/// Prints the calls of both sides.
pub fn count(work: Work, load: Load) -> Result<()> {
    let perf = child::runs("perf", &["stat", "-e", "raw_syscalls:sys_enter", "true"]);
    if !perf && !child::runs("strace", &["--version"]) {
        println!("\nNeither perf nor strace to count system calls with.");
        return Ok(());
    }
    let by = if perf { "perf" } else { "strace" };
    println!("\n{}, {}: system calls per message, by {by}:\n", work.name(), load.name);
    for side in SIDES {
        let calls = if perf { by_perf } else { by_strace };
        let mut text = String::new();
        for (name, count) in calls(side, work, Load { messages: MESSAGES, ..load })? {
            let each = count / MESSAGES as f64;
            if each >= COUNTS_FROM {
                write!(text, " {name} {each:.2}")?;
            }
        }
        println!("- {side}:{text}");
    }
    Ok(())
}

/// The calls of a whole life of the server, by name.
fn by_perf(side: &str, work: Work, load: Load) -> Result<Vec<(String, f64)>> {
    let names: Vec<_> = NAMES.iter().map(|name| format!("syscalls:sys_enter_{name}")).collect();
    let events = format!("raw_syscalls:sys_enter,{}", names.join(","));
    let text = traced(&["perf", "stat", "-x,", "-e", &events, "-o"], side, work, load)?;
    let mut counts = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        if let [count, _, event, ..] = fields[..] {
            let name = event.rsplit("sys_enter_").next().unwrap_or(event);
            let name = if event.starts_with("raw") { "total" } else { name };
            counts.push((name.to_owned(), count.parse().unwrap_or(0.0)));
        }
    }
    Ok(counts)
}

fn by_strace(side: &str, work: Work, load: Load) -> Result<Vec<(String, f64)>> {
    let text = traced(&["strace", "-c", "-f", "-o"], side, work, load)?;
    let mut counts = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [share, _, _, count, .., name] = fields[..] {
            if let (Ok(_), Ok(count)) = (share.parse::<f64>(), count.parse()) {
                counts.push((name.to_owned(), count));
            }
        }
    }
    Ok(counts)
}

/// What the tool wrote about a server that had this load.
fn traced(tool: &[&str], side: &str, work: Work, load: Load) -> Result<String> {
    let file = TempFile::new("calls");
    let tool = [tool, &[file.path()?]].concat();
    let server = Server::start(&tool, side, work)?;
    load::run(server.address, load)?;
    server.quit()?;
    Ok(fs::read_to_string(file.path()?)?)
}
