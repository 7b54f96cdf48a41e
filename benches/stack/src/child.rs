//! Child processes on a chosen CPU, what they use, and the tools that count for us.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child as Process, Command, Stdio};

use rustix::process::{
    getrlimit, set_parent_process_death_signal, setrlimit, Resource, Rlimit, Signal,
};
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};
use rustix::time::{clock_gettime, ClockId};

use crate::Result;

/// Where a process runs.
#[derive(Clone, Copy)]
pub enum Cpu {
    /// What measures and loads.
    First,
    /// What is measured.
    Last,
}

/// Binds this thread, and what it starts from now on, to one CPU.
pub fn pin(cpu: Cpu) -> Result<()> {
    thread_local! {
        static ALLOWED: rustix::io::Result<CpuSet> = sched_getaffinity(None);
    }
    let allowed = ALLOWED.with(Clone::clone)?;
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let chosen = match cpu {
        Cpu::First => cpus.next(),
        Cpu::Last => cpus.next_back(),
    };
    let mut set = CpuSet::new();
    set.set(chosen.ok_or("no CPU")?);
    Ok(sched_setaffinity(None, &set)?)
}

/// Becomes `command`, to be killed when whoever started this process dies in whatever way.
pub fn guard(command: &[&str]) -> io::Error {
    if let Err(errno) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return errno.into();
    }
    match command {
        [program, arguments @ ..] => Command::new(program).args(arguments).exec(),
        [] => io::ErrorKind::InvalidInput.into(),
    }
}

/// Raises the limit of open files as far as it may go.
pub fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// CPU time of this process so far, threads that have ended included, in seconds.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Resident memory of this process in KB; what the allocator could give back is still in it.
pub fn rss_kb() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    Ok(line.unwrap_or_default().trim().trim_end_matches(" kB").parse()?)
}

/// Names of this process's threads.
pub fn threads() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for task in fs::read_dir("/proc/self/task")? {
        names.push(fs::read_to_string(task?.path().join("comm"))?.trim().to_owned());
    }
    names.sort();
    Ok(names)
}

/// This program again, in another role; killed and reaped when dropped.
pub struct Child {
    process: Process,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Child {
    /// Starts this program with `words`; `tool` and its arguments may stand in front.
    pub fn start(
        cpu: Cpu,
        tool: &[&str],
        words: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Child> {
        let own = std::env::current_exe()?;
        let mut command = Command::new(&own);
        command.arg("guard").args(tool).arg(&own);
        if !tool.is_empty() {
            // The tool's child has another parent: it guards itself.
            command.arg("guard").arg(&own);
        }
        command.args(words).envs(environment.iter().copied()).stdout(Stdio::piped());
        pin(cpu)?;
        let process = command.stdin(Stdio::null()).spawn();
        pin(Cpu::First)?;
        let mut process = process?;
        let stdout = process.stdout.take().ok_or("no pipe")?;
        Ok(Child { process, stdout: BufReader::new(stdout) })
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        if line.is_empty() {
            return Err("a child ended without an answer".into());
        }
        Ok(line.trim().to_owned())
    }

    /// The numbers on the next line that it prints.
    pub fn numbers(&mut self) -> Result<Vec<f64>> {
        let line = self.line()?;
        Ok(line.split(' ').map(str::parse).collect::<std::result::Result<_, _>>()?)
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> Result<()> {
        let status = self.process.wait()?;
        status.success().then_some(()).ok_or_else(|| format!("a child: {status}").into())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A file that goes away with this value.
pub struct TempFile(PathBuf);

impl TempFile {
    /// A name for one in the system's place for such files.
    pub fn new(name: &str) -> TempFile {
        let name = format!("ai_proxy-stack-{}-{name}", std::process::id());
        TempFile(std::env::temp_dir().join(name))
    }

    /// Its path.
    pub fn path(&self) -> Result<&str> {
        self.0.to_str().ok_or_else(|| "a path that is not UTF-8".into())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // There is none when the tool that writes it did not come so far.
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether a tool is here and does this.
pub fn runs(tool: &str, arguments: &[&str]) -> bool {
    let output = Command::new(tool).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}
