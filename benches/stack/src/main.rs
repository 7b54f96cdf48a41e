//! What the owner's crates cost, and where they fail, beside what stands in their place:
//! `cargo run --release --manifest-path benches/stack/Cargo.toml -- reactor|heads|tls|cases`.
//!
//! Both sides take turns within one run, each in a process of its own on the last CPU; what loads them
//! runs on the first. Medians and ratios within a run count, not numbers of different runs.

mod cases;
mod child;
mod heads;
mod memory;
mod ours;
mod reactor;
mod stats;
mod tls;

use std::process::ExitCode;

/// Any error here ends the program with its text.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: ai_proxy-stack reactor|heads|tls|cases [--rounds N]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode> {
    let rounds = match words {
        [_, "--rounds", rounds] => rounds.parse()?,
        _ => stats::ROUNDS,
    };
    match words {
        ["reactor"] | ["reactor", "--rounds", _] => reactor::measure(rounds)?,
        ["heads"] | ["heads", "--rounds", _] => heads::measure(rounds)?,
        ["tls"] | ["tls", "--rounds", _] => tls::measure(rounds)?,
        ["cases"] => return cases::show(),
        // The rest are the processes that the four above start.
        ["guard", command @ ..] => return Err(child::guard(command).into()),
        ["serve", side] => reactor::serve(side, None)?,
        ["serve", side, upstream] => reactor::serve(side, Some(upstream.parse()?))?,
        ["heads-loop", side, message, count] => heads::time(side, message, count.parse()?)?,
        ["heads-count", side, message, count] => heads::repeat(side, message, count.parse()?)?,
        ["heads-hold", side] => heads::hold(side)?,
        ["tls-server", roots] => tls::serve(roots)?,
        ["tls-client", side, port, roots] => tls::connect(side, port.parse()?, roots)?,
        _ => return Err(USAGE.into()),
    }
    Ok(ExitCode::SUCCESS)
}
