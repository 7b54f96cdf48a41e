//! The measures: which load runs on which proxy, in which order, and which numbers are taken. Nothing is
//! judged here.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::authority::Manner;
use crate::bars::{BEFORE, HAPROXY, NGINX};
use crate::options::{Options, GROUPS};
use crate::peers;
use crate::process::{self, Cpus, Mock, TempDir};
use crate::report;
use crate::samples::Samples;
use crate::subject::{Program, Running, Setup};

const STREAMS_MAX: usize = 10_000;

/// Runs the rounds, prints the table, writes the JSON.
pub fn run(options: Options) -> io::Result<()> {
    let cpus = Cpus::split()?;
    process::pin(cpus.bench)?;
    // A proxy holds two descriptors per stream.
    let streams = STREAMS_MAX.min((process::raise_file_limit()? - 100) / 2);
    let bench = Bench { cpus, streams, dir: TempDir::new()?, names: Cell::new(0), options };
    let subjects = bench.subjects()?;
    let mut samples = Samples::default();
    let plain = bench.plain(&subjects)?;
    for round in 1..=bench.options.rounds {
        eprintln!("round {round} of {}", bench.options.rounds);
        bench.round(&plain, &subjects, &mut samples)?;
    }
    drop(plain);
    for (name, program) in &subjects {
        samples.add("binary_mb", name, fs::metadata(program.path())?.len() as f64 / 1e6);
    }
    let names: Vec<&str> = subjects.iter().map(|(name, _)| *name).collect();
    report::print(&samples, &names, streams);
    report::write_json(&samples, &names, streams, bench.options.rounds)
}

/// What is compared: its name in the report, and the program.
pub type Subject = (&'static str, Program);

/// What all measures share.
pub struct Bench {
    /// Who runs where.
    pub cpus: Cpus,
    /// How many streams stand for 10,000 here.
    pub streams: usize,
    dir: TempDir,
    names: Cell<u32>,
    options: Options,
}

/// Instances that are measured in turns.
pub struct Live {
    /// Their upstream.
    pub mock: Mock,
    /// One instance of each subject, by name.
    pub proxies: Vec<(&'static str, Running)>,
}

impl Live {
    /// The instances, in the order of the subjects.
    pub fn all(&self) -> Vec<&Running> {
        self.proxies.iter().map(|(_, proxy)| proxy).collect()
    }
}

/// The instances that serve all rounds of the speed measures.
struct Plain {
    live: Live,
    /// The first subject with `log_level` INFO.
    talkative: Running,
}

/// HAProxy is there for TLS only.
fn without_haproxy(subjects: &[Subject]) -> &[Subject] {
    match subjects {
        [others @ .., (_, Program::Haproxy(_))] => others,
        all => all,
    }
}

impl Bench {
    /// In the order in which they take turns; HAProxy is the last.
    fn subjects(&self) -> io::Result<Vec<Subject>> {
        let mut subjects =
            vec![("ai_proxy", Program::AiProxy(self.options.binary.canonicalize()?))];
        if let Some(beside) = &self.options.beside {
            subjects.push((BEFORE, Program::AiProxy(beside.canonicalize()?)));
        }
        match peers::find(NGINX) {
            Some(nginx) => subjects.push((NGINX, Program::Nginx(nginx))),
            None => eprintln!("nginx is not installed: no ratios to it"),
        }
        match peers::find(HAPROXY).filter(|_| self.options.wants("tls")) {
            Some(haproxy) => subjects.push((HAPROXY, Program::Haproxy(haproxy))),
            None if self.options.wants("tls") => {
                eprintln!("haproxy is not installed: no ratios to it");
            }
            None => {}
        }
        Ok(subjects)
    }

    fn plain(&self, subjects: &[Subject]) -> io::Result<Plain> {
        let mock = self.mock()?;
        let setup = Setup::plain(mock.port, 256);
        let talkative = self.start(&subjects[0].1, Setup { log_level: "INFO", ..setup })?;
        Ok(Plain { live: self.live(without_haproxy(subjects), mock, setup)?, talkative })
    }

    /// One instance of each subject, with this upstream.
    pub fn live(&self, subjects: &[Subject], mock: Mock, setup: Setup) -> io::Result<Live> {
        let start = |subject: &Subject| Ok((subject.0, self.start(&subject.1, setup)?));
        let proxies = subjects.iter().map(start).collect::<io::Result<_>>()?;
        Ok(Live { mock, proxies })
    }

    /// A new upstream.
    pub fn mock(&self) -> io::Result<Mock> {
        Mock::start(&["mock".as_ref()], self.cpus)
    }

    /// A new upstream over TLS, which writes the roots to trust to `roots`.
    pub fn mock_tls(&self, roots: &Path, manner: Manner) -> io::Result<Mock> {
        let mut args = vec!["mock-tls".as_ref(), roots.as_os_str(), manner.name().as_ref()];
        args.extend(self.options.rsa.then_some(OsStr::new("--rsa")));
        Mock::start(&args, self.cpus)
    }

    /// Starts `program` on the proxies' CPU.
    pub fn start(&self, program: &Program, setup: Setup) -> io::Result<Running> {
        program.start(setup, &self.fresh_path("proxy"), self.cpus)
    }

    /// A path below the temporary directory that nobody has used.
    pub fn fresh_path(&self, name: &str) -> PathBuf {
        self.names.set(self.names.get() + 1);
        self.dir.0.join(format!("{name}-{}", self.names.get()))
    }

    /// `seconds`, or a fifth of them when only a first impression is asked for.
    pub fn time(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(if self.options.quick { seconds / 5.0 } else { seconds })
    }

    fn round(&self, plain: &Plain, subjects: &[Subject], samples: &mut Samples) -> io::Result<()> {
        let Plain { live, talkative } = plain;
        for group in GROUPS.into_iter().filter(|group| self.options.wants(group)) {
            let done = match group {
                "requests" => self.requests(live, samples),
                "info" => self.info(live, talkative, samples),
                "events" => self.events(live, samples),
                "paced" => self.paced(live, samples),
                "tls" => self.tls(subjects, samples),
                _ => without_haproxy(subjects)
                    .iter()
                    .try_for_each(|subject| self.fresh(group, subject, samples)),
            };
            done.map_err(|error| io::Error::new(error.kind(), format!("{group}: {error}")))?;
        }
        Ok(())
    }

    /// The measures that want new processes.
    fn fresh(
        &self,
        group: &str,
        (name, program): &Subject,
        samples: &mut Samples,
    ) -> io::Result<()> {
        let done = match group {
            "memory" => self
                .open_streams(name, program, samples)
                .and_then(|()| self.big_answers(name, program, samples)),
            _ => self.starts(name, program, samples),
        };
        done.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
    }
}
