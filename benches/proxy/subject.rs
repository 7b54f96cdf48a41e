//! The proxies under test: how each is configured, started and recognised as ready. Loopback only; every
//! instance has a directory of its own below the bench's temporary directory.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::net;
use crate::payload::{PROVIDER, TOKEN};
use crate::peers;
use crate::process::{Cpus, Process};

const START_MAX: Duration = Duration::from_secs(10);

/// A program that can stand between the load generator and the mock upstream.
#[derive(Clone, Debug)]
pub enum Program {
    /// This project's binary, or an older build of it to compare with.
    AiProxy(PathBuf),
    /// nginx with one worker.
    Nginx(PathBuf),
    /// HAProxy with one thread.
    Haproxy(PathBuf),
}

/// How an instance is to be set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'s> {
    /// Port of the mock upstream.
    pub upstream: u16,
    /// The upstream speaks TLS; these are the roots to trust.
    pub roots: Option<&'s Path>,
    /// ai_proxy is told nothing of roots: it trusts the system's, and not the upstream.
    pub system_roots: bool,
    /// TLS sessions may be resumed; ai_proxy has no setting for it.
    pub sessions: bool,
    /// `log_level` of ai_proxy.
    pub log_level: &'s str,
    /// It dies with the bench even when that is killed; costs a second exec at start.
    pub guarded: bool,
    /// Client connections to be ready for (nginx allocates for all of them at start).
    pub connections: usize,
}

impl Setup<'_> {
    /// A plain upstream and no log lines to write.
    pub fn plain(upstream: u16, connections: usize) -> Self {
        Setup {
            upstream,
            roots: None,
            system_roots: false,
            sessions: true,
            log_level: "WARNING",
            guarded: true,
            connections,
        }
    }

    /// The upstream's.
    pub fn scheme(&self) -> &'static str {
        if self.roots.is_some() {
            "https"
        } else {
            "http"
        }
    }
}

/// A started instance that has answered once.
pub struct Running {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub addr: SocketAddr,
    /// From spawn to its first complete answer.
    pub start: Duration,
}

impl Program {
    /// The file.
    pub fn path(&self) -> &Path {
        let (Program::AiProxy(path) | Program::Nginx(path) | Program::Haproxy(path)) = self;
        path
    }

    /// Starts an instance in `dir`, which must not exist yet, and waits for its first answer.
    pub fn start(&self, setup: Setup, dir: &Path, cpus: Cpus) -> io::Result<Running> {
        fs::create_dir(dir)?;
        let errors = dir.join("stderr");
        let started = match self {
            Program::AiProxy(program) => start_ai_proxy(program, setup, dir, cpus),
            Program::Nginx(program) | Program::Haproxy(program) => {
                self.start_peer(program, setup, dir, cpus)
            }
        };
        started.map_err(|error| {
            let said = fs::read_to_string(errors).unwrap_or_default();
            io::Error::new(error.kind(), format!("{self:?} did not start: {error}\n{said}"))
        })
    }

    /// Starts what listens on a port that it was given.
    fn start_peer(
        &self,
        program: &Path,
        setup: Setup,
        dir: &Path,
        cpus: Cpus,
    ) -> io::Result<Running> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, net::free_port()?));
        let mut command = command(program, setup)?;
        if let Program::Haproxy(_) = self {
            fs::write(dir.join("haproxy.cfg"), peers::haproxy(setup, addr))?;
            command.args(["-db", "-f", "haproxy.cfg"]);
        } else {
            fs::write(dir.join("nginx.conf"), peers::nginx(setup, addr))?;
            command.arg("-p").arg(dir).args(["-c", "nginx.conf", "-e", "stderr"]);
        }
        command.current_dir(dir).stderr(fs::File::create(dir.join("stderr"))?);
        let begin = Instant::now();
        let mut process = Process::spawn(&mut command, cpus.proxy, cpus.bench)?;
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = process.child.try_wait()? {
                return Err(io::Error::other(format!("it ended with {status}")));
            }
            if begin.elapsed() > START_MAX {
                return Err(io::Error::other("it does not listen"));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        get(addr, "/")?;
        Ok(Running { process, addr, start: begin.elapsed() })
    }
}

/// All configurations into `dir`, for whoever starts the proxies by other means; nginx and HAProxy are to
/// listen on these ports.
pub fn write_configs(dir: &Path, setup: Setup, (nginx, haproxy): (u16, u16)) -> io::Result<()> {
    let addr = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    fs::write(dir.join("config.json"), config(setup))?;
    fs::write(dir.join("nginx.conf"), peers::nginx(setup, addr(nginx)))?;
    fs::write(dir.join("haproxy.cfg"), peers::haproxy(setup, addr(haproxy)))
}

fn start_ai_proxy(program: &Path, setup: Setup, dir: &Path, cpus: Cpus) -> io::Result<Running> {
    fs::write(dir.join("config.json"), config(setup))?;
    let mut command = command(program, setup)?;
    command.current_dir(dir).stderr(fs::File::create(dir.join("stderr"))?);
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    if let Some(roots) = setup.roots.filter(|_| !setup.system_roots) {
        command.env("SSL_CERT_FILE", roots);
    }
    let begin = Instant::now();
    let mut process = Process::spawn(&mut command, cpus.proxy, cpus.bench)?;
    let mut said = String::new();
    let stdout = process.child.stdout.as_mut().ok_or_else(|| io::Error::other("no pipe"))?;
    BufReader::with_capacity(256, stdout).read_line(&mut said)?;
    let addr = said.trim().rsplit("http://").next().and_then(|addr| addr.parse().ok());
    let addr: SocketAddr =
        addr.ok_or_else(|| io::Error::other(format!("no address in its first line {said:?}")))?;
    get(addr, "/")?;
    Ok(Running { process, addr, start: begin.elapsed() })
}

fn command(program: &Path, setup: Setup) -> io::Result<Command> {
    if !setup.guarded {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("guard").arg(program);
    Ok(command)
}

/// The same for every kind of load, as the bars ask.
fn config(setup: Setup) -> String {
    json!({
        "host": "127.0.0.1",
        "port": 0,
        "log_level": setup.log_level,
        "max_connections": 20_000,
        "max_keepalive_connections": 256,
        "max_client_connections": 10_000,
        "tokens": [format!("bench|{TOKEN}")],
        "providers": [{
            "provider": PROVIDER,
            "baseurl": format!("{}://127.0.0.1:{}/v1", setup.scheme(), setup.upstream),
            "token": "sk-provider-key",
        }],
    })
    .to_string()
}

/// Asks for `path` and reads the whole answer, which must be 200.
pub fn get(addr: SocketAddr, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(START_MAX))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") && answer.contains("\r\n\r\n") {
        return Ok(());
    }
    Err(io::Error::other(format!("GET {path} answered {answer:?}")))
}
