//! From a configuration to a running program, what it says on the terminal, and its end.

pub mod cli;
pub mod demo;
mod listen;
pub mod memory;
pub mod rlimit;
pub mod signals;

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use smol::LocalExecutor;

use self::signals::{Signal, Signals};
use crate::config::Config;
use crate::report::logging;
use crate::routes::{models, reload};
use crate::runtime::Reactor;
use crate::server;
use crate::state::State;

/// How often the counters are logged when something happened.
const STATS_EVERY: Duration = Duration::from_secs(60);

/// What is run: a file's configuration, or the demo.
pub enum Source {
    /// A configuration and the file it is read again from.
    File(Box<Config>, PathBuf),
    /// No configuration: the embedded provider.
    Demo,
}

/// Runs until told to stop.
///
/// # Errors
/// When it cannot listen, or the kernel refuses what it needs; one line for the terminal.
pub fn run(source: Source) -> Result<(), String> {
    // Before all that may log while it is dropped.
    let _last_lines = LastLines;
    let reactor = Reactor::new().map_err(|error| format!("epoll: {error}"))?;
    let executor = Rc::new(LocalExecutor::new());
    let (config, file) = match source {
        Source::File(config, file) => (*config, Some(file)),
        Source::Demo => (start_demo(&reactor, &executor)?, None),
    };
    logging::init(config.log_level).map_err(|error| error.to_string())?;
    rlimit::raise();
    let (host, port) = (config.host.clone(), config.port);
    let mut listeners = listen::inherited().map_err(|error| {
        format!("LISTEN_FDS 不是TCP监听套接字 (no listening TCP socket): {error}")
    })?;
    let ours = listeners.is_empty();
    if ours {
        listeners = listen::bind(&host, port, config.reuse_port).map_err(|error| {
            let line = format!("无法监听 {host}:{port} (cannot listen): {error}");
            log::error!(target: logging::CRITICAL, "{line}");
            line
        })?;
    }
    let addresses: Vec<_> =
        listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let signals = Signals::new(&reactor).map_err(|error| format!("signals: {error}"))?;
    announce(&config, &addresses, file.as_deref());
    let state = State::new(reactor.clone(), &executor, config, file, rlimit::clients_max());
    reload::prepare_tls(&state);
    models::refresh(&state);
    reactor.on_idle(logging::flush);
    // A task of its own, so that it is polled only when a signal comes.
    let served = executor.spawn(run_until_stopped(state.clone(), listeners, ours, signals));
    reactor.block_on(or(served, server::drive(&executor)));
    // Ends all tasks: what they had open is closed, and every request has its line in the log.
    drop(executor);
    log_counters(&state);
    log::warn!("已停止 (stopped)");
    Ok(())
}

/// Has the log's last lines written, whatever ends the program: an error, a panic, a signal.
struct LastLines;

impl Drop for LastLines {
    fn drop(&mut self) {
        logging::finish();
    }
}

fn start_demo(
    reactor: &Rc<Reactor>,
    executor: &Rc<LocalExecutor<'static>>,
) -> Result<Config, String> {
    let listener = demo::bind().map_err(|error| format!("demo: {error}"))?;
    let port = listener.local_addr().map_err(|error| format!("demo: {error}"))?.port();
    executor.spawn(demo::accept(reactor.clone(), Rc::downgrade(executor), listener)).detach();
    Ok(Config::demo(port))
}

async fn run_until_stopped(
    state: Rc<State>,
    listeners: Vec<TcpListener>,
    ours: bool,
    signals: Signals,
) {
    let accept = |listener| state.spawn_task(server::accept(state.clone(), listener, ours));
    let accepting = listeners.into_iter().filter_map(accept).collect();
    state.spawn(sweep(state.clone()));
    state.spawn(log_stats(state.clone()));
    while let Signal::Reload = signals.next().await {
        logging::reopen();
        state.spawn(reload_for_signal(state.clone()));
    }
    log::warn!("收到停止信号，等待 {} 个连接 (stopping)", state.admission.taken());
    state.drain();
    let second = async { while signals.next().await != Signal::Stop {} };
    or(server::drained(&state, accepting), second).await;
}

/// A task of its own: a file that cannot be read in time must not keep the program from ending.
async fn reload_for_signal(state: Rc<State>) {
    let _ = reload::reload(&state).await;
}

async fn sweep(state: Rc<State>) {
    state.pool.sweep().await;
}

async fn log_stats(state: Rc<State>) {
    let timer = state.timer();
    loop {
        timer.sleep(STATS_EVERY).await;
        log_counters(&state);
    }
}

/// The counters, when there was a request since they were last logged.
fn log_counters(state: &State) {
    if state.stats.news().is_some() {
        let report = state.stats.report(state.admission.taken(), &state.pool);
        log::info!("统计 (stats): {report}");
    }
}

/// The banner on the terminal, and the same warnings in the log.
fn announce(config: &Config, addresses: &[SocketAddr], file: Option<&Path>) {
    let mut text = String::new();
    for address in addresses {
        let _ =
            writeln!(text, "ai_proxy {} listening on http://{address}", env!("CARGO_PKG_VERSION"));
    }
    match file {
        Some(file) => {
            let _ = writeln!(text, "配置 (configuration): {}", file.display());
            let _ = writeln!(text, "提供商 (providers): {}", config.providers.len());
            for provider in &config.providers {
                let models = match provider.model_list.len() {
                    0 => "自动获取 (fetched)".to_owned(),
                    count => format!("{count} (listed)"),
                };
                let _ =
                    writeln!(text, "  {} {} 模型 (models): {models}", provider.name, provider.base);
            }
        }
        None => text.push_str(&demo_help(config, addresses)),
    }
    let _ = writeln!(text, "日志 (log): {}", logging::FILE_NAME);
    // A terminal or pipe that is gone, or that nobody reads, is no reason to stop.
    let _ = logging::tell(io::stdout(), &text, logging::PATIENCE);
    log::warn!("ai_proxy {} 已启动 (started) {addresses:?}", env!("CARGO_PKG_VERSION"));
    let mut said = String::new();
    let odd = config.warnings(addresses, rlimit::clients_max());
    for warning in config.warnings.iter().chain(&odd) {
        log::warn!("{warning}");
        let _ = writeln!(said, "警告 (warning): {warning}");
    }
    let _ = logging::tell(io::stderr(), &said, logging::PATIENCE);
}

/// Prints to a terminal, pipe or file: `print!` would panic where that cannot be.
///
/// # Errors
/// When it cannot be written.
pub fn print(text: &str) -> io::Result<()> {
    use io::Write;
    io::stdout().write_all(text.as_bytes())?;
    io::stdout().flush()
}

fn demo_help(config: &Config, addresses: &[SocketAddr]) -> String {
    let port = addresses.first().map_or(config.port, SocketAddr::port);
    let url = format!("http://localhost:{port}");
    let token = config.tokens.first().map_or("", |token| token.secret.expose());
    let chat = |stream: &str, flag: &str| {
        format!(
            "curl {flag}{url}/v1/chat/completions -H 'Authorization: Bearer {token}' \
             -H 'Content-Type: application/json' \
             -d '{{\"model\":\"demo/echo\",{stream}\"messages\":[{{\"role\":\"user\",\"content\":\"Hello from the demo\"}}]}}'\n"
        )
    };
    format!(
        "没有 config.json，使用内置演示 (no config.json: running the demo). Try:\n\n\
         curl {url}/v1/models\n\n{}\n{}\n\
         正式使用 (for real): cp config.json.example config.json\n",
        chat("", ""),
        chat("\"stream\":true,", "-N ")
    )
}
