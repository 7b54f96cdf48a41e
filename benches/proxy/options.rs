//! The command line of the bench: for people, for `cargo bench`, for its own child processes and for
//! `instructions.sh`.

use std::path::PathBuf;

use crate::authority::Manner;
use crate::payload::Model;

/// Printed on request and after a mistake.
pub const USAGE: &str = "\
cargo bench --bench proxy [-- OPTIONS]
  --quick            one short round
  --rounds N         rounds to take medians of (default 5)
  --only A,B         groups: requests, info, events, paced, memory, start, tls
  --binary PATH      measure this ai_proxy instead of the one just built
  --beside PATH      measure this ai_proxy, an older one, too: as `before`
  --rsa              the TLS upstream's keys are RSA ones of 2048 bits, not P-256
Modes for scripts (the bench binary itself):
  mock | mock-tls ROOTS keeps|closes|forgets [--rsa]
                             an upstream until standard input ends; prints its port
  configure DIR UPSTREAM [ROOTS]
                             write all configurations; prints nginx's and HAProxy's port
  guard PROGRAM ARGS…        become PROGRAM, and die with the process that started it
  load PORT MODEL CONNECTIONS REQUESTS   models: small events paced hold big";

/// The groups of measures, in the order in which a round takes them.
pub const GROUPS: [&str; 7] = ["requests", "info", "events", "paced", "memory", "start", "tls"];

/// How to run the benchmark.
#[derive(Debug)]
pub struct Options {
    /// One short round.
    pub quick: bool,
    /// Rounds to take medians of.
    pub rounds: usize,
    /// Groups to run.
    pub groups: Vec<String>,
    /// The program under test.
    pub binary: PathBuf,
    /// Another ai_proxy to compare with.
    pub beside: Option<PathBuf>,
    /// The TLS upstream's keys are RSA ones.
    pub rsa: bool,
}

impl Options {
    /// Whether `group` is to be run.
    pub fn wants(&self, group: &str) -> bool {
        self.groups.iter().any(|wanted| wanted == group)
    }
}

/// What this process is to be.
pub enum Mode {
    /// Say how it is used (also under `cargo test`, which must not load the machine).
    Usage,
    /// The benchmark.
    Bench(Options),
    /// The mock upstream.
    Mock,
    /// The mock upstream over TLS: where it puts its roots, its manner, whether its keys are RSA ones.
    MockTls(PathBuf, Manner, bool),
    /// Become this program, and die with the parent.
    Guard(Vec<String>),
    /// Write the proxies' configurations for an upstream, with TLS if there are roots.
    Configure(PathBuf, u16, Option<PathBuf>),
    /// A bounded load.
    Load {
        /// Port on 127.0.0.1.
        port: u16,
        /// What to ask for.
        model: Model,
        /// Connections at once.
        connections: usize,
        /// Requests in all.
        requests: u64,
    },
}

/// Reads the arguments after the program's name.
pub fn parse(args: impl Iterator<Item = String>) -> Result<Mode, String> {
    let args: Vec<String> = args.collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(Mode::Usage),
        ["mock"] => Ok(Mode::Mock),
        ["mock-tls", roots, manner] => mock_tls(roots, manner, false),
        ["mock-tls", roots, manner, "--rsa"] => mock_tls(roots, manner, true),
        ["guard", _, ..] => Ok(Mode::Guard(args[1..].to_vec())),
        ["configure", dir, upstream] => Ok(Mode::Configure(dir.into(), number(upstream)?, None)),
        ["configure", dir, upstream, roots] => {
            Ok(Mode::Configure(dir.into(), number(upstream)?, Some(roots.into())))
        }
        ["load", port, model, connections, requests] => Ok(Mode::Load {
            port: number(port)?,
            model: Model::named(model).ok_or_else(|| format!("no model {model}"))?,
            connections: number(connections)?,
            requests: number(requests)?,
        }),
        _ => bench(args.into_iter()),
    }
}

fn mock_tls(roots: &str, manner: &str, rsa: bool) -> Result<Mode, String> {
    let manner = Manner::named(manner).ok_or_else(|| format!("no manner {manner}"))?;
    Ok(Mode::MockTls(roots.into(), manner, rsa))
}

fn bench(mut args: impl Iterator<Item = String>) -> Result<Mode, String> {
    let (mut asked, mut help, mut rounds) = (false, false, None);
    let mut options = Options {
        quick: false,
        rounds: 5,
        groups: GROUPS.map(str::to_owned).to_vec(),
        binary: PathBuf::from(env!("CARGO_BIN_EXE_ai_proxy")),
        beside: None,
        rsa: false,
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            // Cargo says so for `cargo bench`, and only then.
            "--bench" => asked = true,
            "--help" | "-h" => help = true,
            "--quick" => options.quick = true,
            "--rounds" => rounds = Some(number::<usize>(&value()?)?.max(1)),
            "--only" => options.groups = value()?.split(',').map(str::to_owned).collect(),
            "--binary" => options.binary = value()?.into(),
            "--beside" => options.beside = Some(value()?.into()),
            "--rsa" => options.rsa = true,
            _ => return Err(format!("unknown argument {arg}")),
        }
    }
    if let Some(unknown) = options.groups.iter().find(|group| !GROUPS.contains(&group.as_str())) {
        return Err(format!("unknown group {unknown}"));
    }
    options.rounds = rounds.unwrap_or(if options.quick { 1 } else { options.rounds });
    Ok(if asked && !help { Mode::Bench(options) } else { Mode::Usage })
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text} is not a number that fits"))
}
