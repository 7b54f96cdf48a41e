//! Arguments in, exit code out: 0 done, 1 cannot run, 2 bad arguments or configuration.

use std::fmt::Display;
use std::io;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ai_proxy::config::{Config, ConfigError};
use ai_proxy::language::{pick, Language, System, Text};
use ai_proxy::program::cli::{self, Action};
use ai_proxy::program::{auto, examine, memory, print, rlimit, run, Source};
use ai_proxy::report::logging;
use ai_proxy::text;
use ai_proxy::upstream::defer_bundle;

const DEFAULT_FILE: &str = "config.json";

fn main() -> ExitCode {
    // First: it changes the environment, and there are no other threads yet.
    defer_bundle();
    Config::default().set_language();
    match start() {
        Ok(code) => ExitCode::from(code),
        Err((code, lines)) => {
            for line in lines {
                logging::say_on_stderr(&format_args!("ai_proxy: {line}"));
            }
            ExitCode::from(code)
        }
    }
}

/// The exit code, and what to say.
type Failure = (u8, Vec<Text>);

/// The exit code of what was done.
fn start() -> Result<u8, Failure> {
    let arguments = cli::arguments().map_err(|line| (2, vec![line]))?;
    match arguments.action {
        Action::Help => show(&cli::HELP),
        Action::Version => show(&concat!("ai_proxy ", env!("CARGO_PKG_VERSION"), "\n")),
        Action::Schema => show(&cli::SCHEMA),
        Action::Check => {
            let file = arguments.config.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
            let mut config = load(&file)?;
            let addresses = (config.host.as_str(), config.port).to_socket_addrs();
            let addresses: Vec<_> = addresses.map(Iterator::collect).unwrap_or_default();
            config.warnings.extend(config.warnings(&addresses, rlimit::clients_max()));
            config.warnings.extend(config.advice());
            let file = file.display().to_string();
            Language::of_terminal().speak(|| {
                let memory = memory::describe(&config, rlimit::clients_max());
                show(&(config.describe(&file) + &memory + check_left()))
            })
        }
        Action::Doctor(options) => {
            let file = arguments.config.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
            if !file.exists() {
                return Err((2, vec![no_configuration(&file)]));
            }
            let examined = examine(&load(&file)?, &file, options);
            let (text, well) = examined.map_err(|line| (1, vec![line]))?;
            show(&text)?;
            return Ok(u8::from(!well));
        }
        Action::AutoPrint => show(&auto::text().map_err(|line| (1, vec![line]))?),
        Action::Auto => {
            let text = auto::text().map_err(|line| (1, vec![line]))?;
            let config = checked(Config::parse(&text, "--auto"))?;
            run(Source::Auto(Box::new(config))).map_err(|line| (1, vec![line]))
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
            run(source).map_err(|line| (1, vec![line]))
        }
    }
    .map(|()| 0)
}

fn no_configuration(file: &Path) -> Text {
    let file = file.display();
    text!(
        "没有配置文件 {file}，因此没有可以检查的提供商；先运行 cp config.json.example config.json 并填写，或用 -c 指定文件",
        "there is no configuration {file}, so that there are no providers to examine: \
         cp config.json.example config.json and fill it in, or name another file by -c"
    )
}

/// What `--check` leaves open.
fn check_left() -> &'static str {
    pick(
        "未尝试: 没有连接任何提供商，也没有验证密钥；请用 ai_proxy --doctor\n",
        "not tried: no provider was asked, and no key; ai_proxy --doctor does\n",
    )
}

/// Prints what was asked for. A reader that closed the pipe has read enough.
fn show(text: &dyn Display) -> Result<(), Failure> {
    match print(&Language::of_terminal().speak(|| text.to_string())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let error = System(&error);
            Err((1, vec![text!("标准输出: {error}", "stdout: {error}")]))
        }
        _ => Ok(()),
    }
}

fn load(file: &Path) -> Result<Config, Failure> {
    checked(Config::load(file))
}

fn checked(loaded: Result<Config, ConfigError>) -> Result<Config, Failure> {
    match &loaded {
        Ok(config) => config.set_language(),
        Err(error) => error.set_language(),
    }
    loaded.map_err(|error| (2, error.lines().to_vec()))
}
