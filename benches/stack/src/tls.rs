//! TLS: async-native-tls beside ours. A server in a process of its own, whose certificate an authority
//! made at run time has signed; the roots file holds that authority and the system's roots. A client in
//! a process of its own opens connections, one after the other, uses each once and keeps all of them.

mod client;
mod server;

use std::fs;

use crate::child::{Child, Cpu, TempFile};
use crate::stats::{self, Row};
use crate::Result;

pub use client::connect;
pub use server::serve;

/// Connections after the first one, which also pays for what all share.
const CONNECTIONS: usize = 200;
/// Bytes of the one message on each.
const MESSAGE_BYTES: usize = 300;
/// The ways to open a connection; the last one is ours.
const SIDES: [(&str, &str); 4] = [
    ("async-native-tls", "as its documentation shows"),
    ("preloaded", "roots read once and handed over, built-in ones off"),
    ("emptied", "the same, SSL_CERT_FILE=/dev/null for the whole process"),
    ("ours", "ours"),
];

/// Prints what they cost.
pub fn measure(rounds: usize) -> Result<()> {
    let roots = TempFile::new("roots.pem");
    let mut server = Child::start(Cpu::First, &[], &["tls-server", roots.path()?], &[])?;
    let port = server.line()?;
    let text = fs::read_to_string(roots.path()?)?;
    println!(
        "TLS: async-native-tls 0.6.0 and ours, {rounds} rounds, {} roots in {} KB",
        text.matches("BEGIN CERTIFICATE").count(),
        text.len() / 1024
    );
    let mut samples = vec![Vec::new(); SIDES.len()];
    for _ in 0..rounds {
        for (row, (side, _)) in samples.iter_mut().zip(SIDES) {
            let seen = if side == "emptied" { "/dev/null" } else { roots.path()? };
            let words = ["tls-client", side, &port, roots.path()?];
            let environment = [("SSL_CERT_FILE", seen), ("SSL_CERT_DIR", "/nonexistent")];
            row.push(Child::start(Cpu::Last, &[], &words, &environment)?.numbers()?);
        }
    }
    println!("\n{CONNECTIONS} connections, one after the other, all kept open");
    let names = ["first connection: CPU, ms", "each further one: CPU, ms", "RSS of each, KB"];
    let ours = SIDES.len() - 1;
    for (theirs, (_, how)) in samples[..ours].iter().zip(SIDES) {
        let mut rows = names.map(Row::new);
        for (at, row) in rows.iter_mut().enumerate() {
            row.crates = theirs.iter().map(|numbers| numbers[at]).collect();
            row.ours = samples[ours].iter().map(|numbers| numbers[at]).collect();
        }
        println!("\nasync-native-tls, {how}:");
        stats::print("async-native-tls", &rows);
    }
    Ok(())
}
