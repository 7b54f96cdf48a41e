//! Child processes: started on a chosen CPU, read through /proc, killed and reaped when dropped. And the
//! directory that they leave their files in, which goes with them.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{
    getrlimit, set_parent_process_death_signal, setrlimit, Resource, Rlimit, Signal,
};
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};

/// Who runs where.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    /// The load generator's and the mock upstreams' CPU.
    pub bench: usize,
    /// The CPU of the proxy under test.
    pub proxy: usize,
}

impl Cpus {
    /// The first and the last CPU that this process may use (the same one when there is only one).
    pub fn split() -> io::Result<Cpus> {
        let allowed = sched_getaffinity(None)?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let bench = cpus.next().ok_or_else(|| io::Error::other("no CPU"))?;
        Ok(Cpus { bench, proxy: cpus.next_back().unwrap_or(bench) })
    }
}

/// Binds this thread, and what it starts from now on, to one CPU.
pub fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises the limit of open files as far as it may go, for this process and its children.
pub fn raise_file_limit() -> io::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(limit.maximum.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX)))
}

/// Becomes `command`, to be killed when the process that started this one dies in whatever way.
pub fn guard(command: &[String]) -> io::Error {
    match set_parent_process_death_signal(Some(Signal::KILL)) {
        Ok(()) => Command::new(&command[0]).args(&command[1..]).exec(),
        Err(errno) => errno.into(),
    }
}

/// A child that ends with this value.
pub struct Process {
    /// The child itself; its pipes may be taken.
    pub child: Child,
}

impl Process {
    /// Starts `command` on `cpu`; the caller goes on on `home`.
    pub fn spawn(command: &mut Command, cpu: usize, home: usize) -> io::Result<Process> {
        pin(cpu)?;
        // A piped stdin tells the mocks when the bench is gone; the proxies do not read theirs.
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        pin(home)?;
        let child = child
            .map_err(|e| io::Error::new(e.kind(), format!("{:?}: {e}", command.get_program())))?;
        Ok(Process { child })
    }

    /// CPU time used so far by all its threads, those that have ended too, in user and kernel mode:
    /// of the first thread in nanoseconds where the kernel tells, of the others in ticks.
    pub fn cpu(&self) -> io::Result<Duration> {
        let id = self.child.id();
        let read = |name: &str| fs::read_to_string(format!("/proc/{id}/{name}"));
        let first_ticks = ticks(&read(&format!("task/{id}/stat"))?);
        let first = match read(&format!("task/{id}/schedstat")) {
            Ok(text) => Duration::from_nanos(number(text.split(' ').next())),
            // Kernels without CONFIG_SCHED_INFO count in ticks only.
            Err(_) => first_ticks,
        };
        // One tick may have passed between the two reads.
        let others = ticks(&read("stat")?).saturating_sub(first_ticks + TICK);
        Ok(first + others)
    }

    /// Resident memory in KB; exact where the kernel offers `smaps_rollup`, else `VmRSS`.
    pub fn rss_kb(&self) -> io::Result<f64> {
        self.memory("smaps_rollup", "Rss:").or_else(|_| self.memory("status", "VmRSS:"))
    }

    /// The most resident memory that it ever had, in KB.
    pub fn peak_rss_kb(&self) -> io::Result<f64> {
        self.memory("status", "VmHWM:")
    }

    /// Of the resident memory what is not a file's: heap, stack, written data. In KB.
    pub fn anonymous_kb(&self) -> io::Result<f64> {
        self.memory("status", "RssAnon:")
    }

    fn memory(&self, file: &str, field: &str) -> io::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?;
        let value = text.lines().find_map(|line| line.strip_prefix(field));
        Ok(number(value.and_then(|value| value.split_whitespace().next())) as f64)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The mock upstream in its own process, on the bench's CPU.
pub struct Mock {
    _process: Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Mock {
    /// Starts this program again with `args`, which make it a mock upstream.
    pub fn start(args: &[&OsStr], cpus: Cpus) -> io::Result<Mock> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args);
        let mut process = Process::spawn(&mut command, cpus.bench, cpus.bench)?;
        let mut line = String::new();
        let stdout = process.child.stdout.as_mut().ok_or_else(|| io::Error::other("no pipe"))?;
        BufReader::new(stdout).read_line(&mut line)?;
        let port =
            line.trim().parse().map_err(|_| io::Error::other(format!("the mock said {line:?}")))?;
        Ok(Mock { _process: process, port })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// A directory that goes away with this value.
pub struct TempDir(
    /// Its path.
    pub PathBuf,
);

impl TempDir {
    /// A new one below the system's.
    pub fn new() -> io::Result<TempDir> {
        let path = std::env::temp_dir().join(format!("ai_proxy-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(TempDir(path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

const TICK: Duration = Duration::from_millis(10);

/// `utime` and `stime` of a `/proc/…/stat` line, at the usual 100 ticks a second.
fn ticks(stat: &str) -> Duration {
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = after_name.split_whitespace().skip(11);
    TICK * (number(fields.next()) + number(fields.next())) as u32
}
