//! Watches the program from outside: memory, descriptors, threads, its log and its own counters.

use std::io::{Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

use crate::support::{TestProxy, KEY, TOKEN};
use crate::traffic::Field;

/// Memory may differ by this beyond 10 %.
const SLACK_BYTES: usize = 1_000_000;
/// A log beyond this is emptied, as logrotate's `copytruncate` does.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// Longer than the proxy keeps idle connections.
const SETTLED: Duration = Duration::from_secs(30);

struct Sample {
    name: &'static str,
    at: Duration,
    rss: usize,
    descriptors: usize,
    threads: usize,
    done: u64,
}

pub struct Watch<'p> {
    proxy: &'p TestProxy,
    start: Instant,
    samples: Vec<Sample>,
    log_read: u64,
    log_lines: u64,
    errors_logged: u64,
    stats_lines: u64,
    wrong: Vec<String>,
}

impl<'p> Watch<'p> {
    pub fn new(proxy: &'p TestProxy) -> Self {
        Self {
            proxy,
            start: Instant::now(),
            samples: Vec::new(),
            log_read: 0,
            log_lines: 0,
            errors_logged: 0,
            stats_lines: 0,
            wrong: Vec::new(),
        }
    }

    fn threads(&self) -> usize {
        let directory = format!("/proc/{}/task", self.proxy.pid());
        std::fs::read_dir(directory).expect("the process lives").count()
    }

    /// The median of some samples of the memory, and the least of the descriptors: a connection may just be closing.
    fn measure(&self) -> (usize, usize) {
        let mut samples = [0; 9];
        let mut descriptors = usize::MAX;
        for sample in &mut samples {
            *sample = self.proxy.rss();
            descriptors = descriptors.min(self.proxy.fds());
            std::thread::sleep(Duration::from_millis(100));
        }
        samples.sort_unstable();
        (samples[samples.len() / 2], descriptors)
    }

    fn sample(&mut self, name: &'static str, done: u64) {
        let at = self.start.elapsed();
        let ((rss, descriptors), threads) = (self.measure(), self.threads());
        println!(
            "{:>7.1} s  {name:<20} RSS {:>6} KiB  {descriptors:>4} descriptors  {threads} threads  {done} requests",
            at.as_secs_f64(),
            rss / 1024
        );
        self.samples.push(Sample { name, at, rss, descriptors, threads, done });
    }

    /// Waits until nothing is going on any more, and takes a sample.
    pub fn settle(&mut self, name: &'static str) {
        let start = Instant::now();
        loop {
            let about = self.proxy.get("/").json();
            let stats = &about["stats"];
            // The one who asks is a client.
            let quiet = stats["client_connections"] == 1
                && stats["upstream_connections"]["leased"] == 0
                && stats["upstream_connections"]["idle"] == 0;
            if quiet {
                break;
            }
            if start.elapsed() > SETTLED {
                self.wrong.push(format!("{name}: not quiet: {stats}"));
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        self.sample(name, 0);
    }

    /// Watches for this long.
    pub fn run(&mut self, length: Duration, field: &Field) {
        let start = Instant::now();
        let first = Duration::from_secs(60).min(length / 3);
        let marks = [
            (first, "after the first minute"),
            (length / 2, "in the middle"),
            (length, "at the end"),
        ];
        let mut last_print = start;
        for (mark, name) in marks {
            while start.elapsed() < mark && !field.has_failed() {
                std::thread::sleep(Duration::from_millis(200).min(mark));
                self.read_log();
                if last_print.elapsed() > Duration::from_secs(60) {
                    last_print = Instant::now();
                    let (done, failed) = (field.done(), field.failures().len());
                    let (rss, fds) = (self.proxy.rss() / 1024, self.proxy.fds());
                    println!(
                        "{:>7.1} s  {done} requests, {failed} wrong, RSS {rss} KiB, {fds} descriptors",
                        self.start.elapsed().as_secs_f64()
                    );
                }
            }
            self.sample(name, field.done());
        }
    }

    /// Reads what is new in the log, and empties it when it is large.
    pub fn read_log(&mut self) {
        let Ok(mut file) =
            std::fs::OpenOptions::new().read(true).write(true).open(self.proxy.log_path())
        else {
            return;
        };
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        if length < self.log_read {
            // A new file since then.
            self.log_read = 0;
        }
        let mut text = Vec::new();
        if file.seek(SeekFrom::Start(self.log_read)).is_err()
            || file.read_to_end(&mut text).is_err()
        {
            return;
        }
        self.log_read += text.len() as u64;
        self.log_lines += memchr::memchr_iter(b'\n', &text).count() as u64;
        self.errors_logged += memchr::memmem::find_iter(&text, " ERROR ").count() as u64;
        self.stats_lines += memchr::memmem::find_iter(&text, "(stats)").count() as u64;
        for bad in ["panicked", KEY, TOKEN, "key-soak"] {
            if let Some(at) = memchr::memmem::find(&text, bad.as_bytes()) {
                let end = text.len().min(at + 200);
                let shown = String::from_utf8_lossy(&text[at..end]).into_owned();
                self.wrong.push(format!("in the log: {shown}"));
            }
        }
        if length > LOG_BYTES_MAX {
            let _ = file.set_len(0);
            self.log_read = 0;
        }
    }

    fn find(&self, name: &str) -> Option<&Sample> {
        self.samples.iter().find(|sample| sample.name == name)
    }

    /// What the program left behind.
    pub fn failures(&self, length: Duration) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        let stderr = self.proxy.stderr();
        if stderr.contains("panicked") {
            wrong.push(format!("stderr: {stderr}"));
        }
        if let (Some(early), Some(late)) =
            (self.find("after the first minute"), self.find("at the end"))
        {
            if late.rss > early.rss + early.rss / 10 + SLACK_BYTES {
                wrong.push(format!("RSS grew from {} to {} bytes", early.rss, late.rss));
            }
        }
        if let (Some(before), Some(after)) =
            (self.find("at the start, idle"), self.find("at the end, idle"))
        {
            if before.descriptors != after.descriptors {
                wrong.push(format!(
                    "{} descriptors, then {}",
                    before.descriptors, after.descriptors
                ));
            }
        }
        if length > Duration::from_secs(62) && self.stats_lines == 0 {
            wrong.push("no line of counters in the log".to_owned());
        }
        wrong
    }

    pub fn print(&self) {
        println!(
            "\nlog: {} lines read, {} errors, {} lines of counters",
            self.log_lines, self.errors_logged, self.stats_lines
        );
        println!("counters: {}", self.proxy.get("/").json()["stats"]);
        println!("\n| when | s | RSS KiB | descriptors | threads | requests |\n| --- | --- | --- | --- | --- | --- |");
        for sample in &self.samples {
            println!(
                "| {} | {:.0} | {} | {} | {} | {} |",
                sample.name,
                sample.at.as_secs_f64(),
                sample.rss / 1024,
                sample.descriptors,
                sample.threads,
                sample.done
            );
        }
    }
}
