//! Arguments in, exit code out: 0 done, 1 cannot run, 2 bad arguments or configuration.

use std::io;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ai_proxy::config::Config;
use ai_proxy::program::cli::{self, Action};
use ai_proxy::program::{memory, print, rlimit, run, Source};
use ai_proxy::report::logging;

const DEFAULT_FILE: &str = "config.json";

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, line)) => {
            logging::say_on_stderr(&format!("ai_proxy: {line}"));
            ExitCode::from(code)
        }
    }
}

fn start() -> Result<(), (u8, String)> {
    let arguments = cli::arguments().map_err(|line| (2, line))?;
    match arguments.action {
        Action::Help => show(cli::HELP),
        Action::Version => show(concat!("ai_proxy ", env!("CARGO_PKG_VERSION"), "\n")),
        Action::Schema => show(cli::SCHEMA),
        Action::Check => {
            let file = arguments.config.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
            let mut config = load(&file)?;
            let addresses = (config.host.as_str(), config.port).to_socket_addrs();
            let addresses: Vec<_> = addresses.map(Iterator::collect).unwrap_or_default();
            config.warnings.extend(config.warnings(&addresses, rlimit::clients_max()));
            let memory = memory::describe(&config, rlimit::clients_max());
            show(&(config.describe(&file.display().to_string()) + &memory))
        }
        Action::Run => {
            let source = match arguments.config {
                Some(file) => Source::File(Box::new(load(&file)?), file),
                None if Path::new(DEFAULT_FILE).exists() => {
                    let file = PathBuf::from(DEFAULT_FILE);
                    Source::File(Box::new(load(&file)?), file)
                }
                None => Source::Demo,
            };
            run(source).map_err(|line| (1, line))
        }
    }
}

/// Prints what was asked for. A reader that closed the pipe has read enough.
fn show(text: &str) -> Result<(), (u8, String)> {
    match print(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err((1, format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn load(file: &Path) -> Result<Config, (u8, String)> {
    Config::load(file).map_err(|error| (2, error.to_string()))
}
