//! From a configuration to a running program, what it says on the terminal, and its end.

pub mod auto;
mod banner;
pub mod cli;
pub mod demo;
mod examine;
mod listen;
pub mod memory;
pub mod rlimit;
pub mod signals;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use smol::LocalExecutor;

pub use self::examine::examine;
use self::signals::{Signal, Signals};
use crate::config::Config;
use crate::language::Words;
use crate::language::{System, Text};
use crate::message;
use crate::report::logging;
use crate::routes::{models, reload};
use crate::runtime::Reactor;
use crate::server;
use crate::state::State;
use crate::text;

/// How often the counters are logged when something happened.
const STATS_EVERY: Duration = Duration::from_secs(60);

/// What is run: a file's configuration, or the demo.
pub enum Source {
    /// A configuration and the file it is read again from.
    File(Box<Config>, PathBuf),
    /// What `--auto` found.
    Auto(Box<Config>),
    /// No configuration: the embedded provider.
    Demo,
}

/// Runs until told to stop.
///
/// # Errors
/// When it cannot listen, or the kernel refuses what it needs; one line for the terminal.
pub fn run(source: Source) -> Result<(), Text> {
    // Before all that may log while it is dropped.
    let _last_lines = LastLines;
    let reactor = Reactor::new().map_err(|error| failed("epoll", &error))?;
    let executor = Rc::new(LocalExecutor::new());
    let is_demo = matches!(source, Source::Demo);
    let (config, file) = match source {
        Source::File(config, file) => (*config, Some(file)),
        Source::Auto(config) => (*config, None),
        Source::Demo => (start_demo(&reactor, &executor)?, None),
    };
    logging::init(config.log_level).map_err(Text::new)?;
    rlimit::raise();
    let (host, port) = (config.host.clone(), config.port);
    let mut listeners = listen::inherited().map_err(|error| {
        let error = System(&error);
        text!(
            "LISTEN_FDS 不是TCP监听套接字: {error}",
            "LISTEN_FDS holds no listening TCP socket: {error}"
        )
    })?;
    let ours = listeners.is_empty();
    if ours {
        listeners = listen::bind(&host, port, config.reuse_port).map_err(|error| {
            let error = System(&error);
            let line =
                text!("无法监听 {host}:{port}: {error}", "cannot listen on {host}:{port}: {error}");
            log::error!(target: logging::CRITICAL, "{line}");
            line
        })?;
    }
    let addresses: Vec<_> =
        listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let signals = Signals::new(&reactor).map_err(|error| failed("signals", &error))?;
    banner::announce(&config, &addresses, file.as_deref(), is_demo);
    let state = State::new(reactor.clone(), &executor, config, file, rlimit::clients_max());
    reload::prepare_tls(&state);
    models::refresh(&state);
    state.spawn(banner::tell_of_lists(state.clone()));
    reactor.on_idle(logging::flush);
    // A task of its own, so that it is polled only when a signal comes.
    let served = executor.spawn(run_until_stopped(state.clone(), listeners, ours, signals));
    reactor.block_on(or(served, server::drive(&executor)));
    // Ends all tasks: what they had open is closed, and every request has its line in the log.
    drop(executor);
    log_counters(&state);
    log::warn!("{}", Words("已停止", "stopped"));
    Ok(())
}

/// What the kernel refused.
fn failed(what: &str, error: &io::Error) -> Text {
    Text::at(format!("{what}: "), &System(error))
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
) -> Result<Config, Text> {
    let listener = demo::bind().map_err(|error| failed("demo", &error))?;
    let port = listener.local_addr().map_err(|error| failed("demo", &error))?.port();
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
    let open = state.admission.taken();
    log::warn!(
        "{}",
        message!("收到停止信号，等待 {open} 个连接", "stopping" => "stopping: waiting for {open} connections")
    );
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
        log::info!("{}: {report}", Words("统计", "stats"));
    }
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
