//! `cargo bench`: what ai_proxy costs, measured beside nginx in the same run; over TLS, beside HAProxy too.
//!
//! This process is the load generator. It starts itself a second time as the mock upstream, starts each
//! proxy on a CPU of its own, lets them take turns (A B C A B C …), checks every answer, prints one table and
//! writes `bench.json` into the target directory. Everything stays on the loopback interface, everything
//! is bounded, and only processes started here are ended.
//!
//! `payload` and `answer` know the bytes, `net` and `process` the system, `mock` answers, on a `stream` with
//! the certificates of `authority`, `load` asks, `subject` starts proxies with what `peers` writes for them,
//! `measure` with `speed`, `footprint` and `tls` decides what is run, `bars`, `samples` and `report` what the
//! numbers mean.

mod answer;
mod authority;
mod bars;
mod footprint;
mod load;
mod measure;
mod mock;
mod net;
mod options;
mod payload;
mod peers;
mod process;
mod report;
mod request;
mod samples;
mod speed;
mod stream;
mod subject;
mod tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use load::{Clients, Stop};
use options::{Mode, USAGE};
use payload::Model;

fn main() -> ExitCode {
    let mode = match options::parse(std::env::args().skip(1)) {
        Ok(mode) => mode,
        Err(reason) => {
            eprintln!("{reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let done = match mode {
        Mode::Usage => {
            println!("{USAGE}");
            Ok(())
        }
        Mode::Bench(options) => measure::run(options),
        Mode::Mock => mock::serve(),
        Mode::MockTls(roots, manner, rsa) => mock::serve_tls(&roots, manner, rsa),
        Mode::Guard(command) => Err(process::guard(&command)),
        Mode::Configure(dir, upstream, roots) => configure(&dir, upstream, roots.as_deref()),
        Mode::Load { port, model, connections, requests } => {
            load(port, model, connections, requests)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// For scripts: a bounded load on something that is already running.
fn load(port: u16, model: Model, connections: usize, requests: u64) -> io::Result<()> {
    process::raise_file_limit()?;
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let outcome = Clients::new(addr, model)?.run(connections, Stop::Requests(requests))?;
    println!(
        "{} answers, {} events, {:.3} s",
        outcome.requests,
        outcome.events(),
        outcome.wall.as_secs_f64()
    );
    Ok(())
}

/// For scripts: the configurations that the bench itself uses; prints nginx's and HAProxy's port.
fn configure(dir: &Path, upstream: u16, roots: Option<&Path>) -> io::Result<()> {
    let setup = subject::Setup { roots, ..subject::Setup::plain(upstream, 512) };
    let ports = (net::free_port()?, net::free_port()?);
    subject::write_configs(dir, setup, ports)?;
    println!("{} {}", ports.0, ports.1);
    Ok(())
}
