//! The program under test as a running process in a directory of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{channel, Sender};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;

use super::message::Response;
use super::{chat_request, eventually, program, Raw, TempDir, PATIENCE};

/// How to start a proxy when [`TestProxy::start`] is not enough.
#[derive(Default)]
pub struct Launch {
    /// The text of `config.json`; none: no file.
    pub config: Option<String>,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// Runs before the program in a shell.
    pub shell: Option<String>,
}

/// A running proxy; killed on drop.
pub struct TestProxy {
    child: Child,
    addrs: Vec<SocketAddr>,
    directory: TempDir,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl TestProxy {
    /// Starts with this configuration.
    pub fn start(config: &Value) -> Self {
        Self::start_text(&config.to_string())
    }

    /// Starts with a `config.json` of this text.
    pub fn start_text(config: &str) -> Self {
        Self::launch(Launch { config: Some(config.to_owned()), ..Launch::default() })
    }

    /// Starts without any provider.
    pub fn without_providers() -> Self {
        Self::start(&super::config([]))
    }

    /// Starts after a line of shell: `ulimit -n 64`, for instance.
    pub fn in_shell(config: &Value, line: &str) -> Self {
        let (config, shell) = (Some(config.to_string()), Some(line.to_owned()));
        Self::launch(Launch { config, shell, ..Launch::default() })
    }

    /// Starts with these variables beside those of the test.
    pub fn with_environment(config: &Value, variables: &[(&str, impl AsRef<OsStr>)]) -> Self {
        let environment = variables.iter().map(|(name, value)| {
            ((*name).to_owned(), value.as_ref().to_string_lossy().into_owned())
        });
        let (config, environment) = (Some(config.to_string()), environment.collect());
        Self::launch(Launch { config, environment, ..Launch::default() })
    }

    /// Starts and waits for the line with the address.
    ///
    /// # Panics
    /// When no such line comes; shows what the program printed.
    pub fn launch(launch: Launch) -> Self {
        let directory = TempDir::new();
        if let Some(config) = &launch.config {
            directory.write("config.json", config);
        }
        let mut command = match &launch.shell {
            None => program::command(directory.path()),
            Some(line) => in_shell(line, &directory),
        };
        command.args(&launch.arguments).envs(launch.environment);
        let mut child = command.spawn().expect("the program starts");
        let (found, address) = channel();
        let stdout = collect(child.stdout.take().expect("piped"), Some(found));
        let stderr = collect(child.stderr.take().expect("piped"), None);
        let mut proxy = Self { child, addrs: Vec::new(), directory, stdout, stderr };
        match address.recv_timeout(PATIENCE) {
            Ok(addr) => proxy.addrs.push(addr),
            Err(e) => panic!("no address on stdout ({e})"),
        }
        proxy
    }

    /// The first address of the banner.
    pub fn addr(&self) -> SocketAddr {
        self.addrs[0]
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it runs.
    pub fn directory(&self) -> &TempDir {
        &self.directory
    }

    /// What it has printed to the standard output.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("no poison").clone()
    }

    /// What it has printed to the standard error.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no poison").clone()
    }

    /// What it has printed to both.
    pub fn output(&self) -> String {
        self.stdout() + &self.stderr()
    }

    /// Everything it has printed and logged.
    pub fn everything(&self) -> String {
        self.output() + &self.log()
    }

    /// The log file.
    pub fn log_path(&self) -> PathBuf {
        self.directory.path().join("ai_proxy.log")
    }

    /// What the log file holds; nothing when it is a pipe or a device, whose end may never come.
    pub fn log(&self) -> String {
        if !self.log_path().is_file() {
            return String::new();
        }
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the log holds `text`; returns the log.
    pub fn wait_for_log(&self, text: &str) -> String {
        eventually(&format!("{text:?} in the log"), || self.log().contains(text));
        self.log()
    }

    /// Connects.
    pub fn connect(&self) -> Raw {
        Raw::connect(self.addr())
    }

    /// Sends an authorised chat on a connection of its own.
    pub fn chat(&self, body: impl AsRef<[u8]>) -> Response {
        self.chat_with("", body)
    }

    /// The same with further header lines.
    pub fn chat_with(&self, headers: &str, body: impl AsRef<[u8]>) -> Response {
        self.raw(&chat_request(headers, body.as_ref()))
    }

    /// Gets a path on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, "")
    }

    /// Sends a request without body on a connection of its own.
    pub fn request(&self, method: &str, path: &str, headers: &str) -> Response {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        self.connect().send(request).response_to(method)
    }

    /// Sends raw bytes on a connection of their own and reads one answer.
    pub fn raw(&self, bytes: &[u8]) -> Response {
        self.connect().send(bytes).response()
    }

    /// Overwrites `config.json`.
    pub fn write_config(&self, text: impl AsRef<[u8]>) {
        self.directory.write("config.json", text);
    }

    /// Overwrites `config.json` and asks for a reload.
    pub fn reload(&self, config: &Value) -> Response {
        self.write_config(config.to_string());
        self.request("POST", "/v1/reload", "")
    }

    /// Open file descriptors.
    pub fn fds(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(directory).expect("the process lives").count()
    }

    /// Waits until at most `count` file descriptors are open.
    pub fn wait_fds(&self, count: usize) {
        let start = Instant::now();
        while self.fds() > count {
            assert!(start.elapsed() < PATIENCE, "{} descriptors, not {count}", self.fds());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> usize {
        self.status("VmRSS:") * 1024
    }

    /// Threads of the process.
    pub fn threads(&self) -> usize {
        self.status("Threads:")
    }

    fn status(&self, name: &str) -> usize {
        self.status_text(name).parse().expect("a number")
    }

    fn status_text(&self, name: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the process lives");
        let line = status.lines().find(|line| line.starts_with(name)).expect(name);
        line.split_whitespace().nth(1).expect("a value").to_owned()
    }

    /// Stops the process, which hears of all that comes at once when it gets the signal `CONT`.
    pub fn stop(&self) {
        self.signal("STOP");
        eventually("it stops", || self.status_text("State:") == "T");
    }

    /// Sends a signal: `HUP`, `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &line]).status().expect("sh");
        assert!(status.success(), "{line}");
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status;
            }
            assert!(start.elapsed() < 2 * PATIENCE, "the proxy does not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the child can be waited for").is_none()
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            eprintln!(
                "stdout: {}\nstderr: {}\nlog: {}",
                self.stdout(),
                self.stderr(),
                &log[from..]
            );
        }
    }
}

fn in_shell(line: &str, directory: &TempDir) -> Command {
    let plain = program::command(directory.path());
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{line} && exec \"$0\" \"$@\""), program::PROGRAM]);
    command.current_dir(directory.path()).stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    for (name, _) in plain.get_envs() {
        command.env_remove(name);
    }
    command
}

/// Collects the lines of `source`; the first address among them goes to `found`.
fn collect(
    source: impl Read + Send + 'static,
    found: Option<Sender<SocketAddr>>,
) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let target = Arc::clone(&text);
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            let listening = ["listening on http://", "正在监听 http://"];
            let addr = listening.iter().find_map(|words| line.split_once(words));
            let addr = addr.map(|(_, addr)| addr.trim().parse());
            {
                let mut target = target.lock().expect("no poison");
                target.push_str(&line);
                target.push('\n');
            }
            if let (Some(Ok(addr)), Some(found)) = (addr, &found) {
                let _ = found.send(addr);
            }
        }
    });
    text
}
