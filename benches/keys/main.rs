//! `cargo bench --bench keys`: what the order of the keys does to prompt caches, rate limits and quotas.
//!
//! A simulation: 10 keys of one provider, 20 conversations of 30 turns each. What decides is the program's
//! own `routing`; provider, clients and clock are made up, so that it needs no socket, takes seconds, and
//! says the same each time. It ends with 1 when a bar is missed.
//!
//! `workload` says what is asked, `provider` what it answers, `run` lets time pass, `report` says what the
//! numbers mean.

mod provider;
mod report;
mod run;
mod workload;

use std::process::ExitCode;

/// Runs of each kind, with a workload and keys of their own.
const SEEDS: u64 = 30;
/// What the file says of `retries`: nothing, so that there are two further attempts, or one for each key.
const RETRIES: [Option<u8>; 2] = [None, Some(run::KEYS as u8 - 1)];

/// `cargo bench` hands its arguments to all benchmarks; this one takes none.
fn main() -> ExitCode {
    let workloads: Vec<_> = (0..SEEDS).map(workload::conversations).collect();
    report::print_identity(&workloads);
    let mut missed = Vec::new();
    for retries in RETRIES {
        let outcomes = run::ORDERS.map(|order| {
            let all = (0..).zip(&workloads);
            let run = |(seed, work): (u64, &Vec<_>)| run::simulate(order, retries, seed, work);
            (order, all.map(run).collect())
        });
        report::print(retries, &outcomes);
        missed.extend(report::missed(retries, &outcomes));
    }
    missed.iter().for_each(|bar| println!("MISS {bar}"));
    ExitCode::from(u8::from(!missed.is_empty()))
}
