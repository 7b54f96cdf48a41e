//! The measures: which load runs on which proxy, in which order, and which numbers are taken. Nothing is
//! judged here.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::options::{Options, GROUPS};
use crate::process::{self, Cpus, Mock, TempDir};
use crate::report;
use crate::samples::Samples;
use crate::subject::{self, Program, Running, Setup};

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
    let live = Live::start(&bench, &subjects)?;
    for round in 1..=bench.options.rounds {
        eprintln!("round {round} of {}", bench.options.rounds);
        bench.round(&live, &subjects, &mut samples)?;
    }
    drop(live);
    for (name, program) in &subjects {
        let (Program::AiProxy(path) | Program::Nginx(path)) = program;
        samples.add("binary_mb", name, fs::metadata(path)?.len() as f64 / 1e6);
    }
    let names: Vec<&str> = subjects.iter().map(|(name, _)| *name).collect();
    report::print(&samples, &names, streams);
    report::write_json(&samples, &names, streams, bench.options.rounds)
}

type Subject = (&'static str, Program);

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

/// The instances that serve all rounds of the speed measures.
pub struct Live {
    /// Their upstream.
    pub mock: Mock,
    /// One instance of each subject, by name.
    pub proxies: Vec<(&'static str, Running)>,
    /// The first subject with `log_level` INFO.
    pub talkative: Running,
}

impl Live {
    /// The instances, in the order of the subjects.
    pub fn all(&self) -> Vec<&Running> {
        self.proxies.iter().map(|(_, proxy)| proxy).collect()
    }

    fn start(bench: &Bench, subjects: &[Subject]) -> io::Result<Live> {
        let mock = Mock::start("mock", None, bench.cpus)?;
        let setup = Setup::plain(mock.port, 256);
        let start = |subject: &Subject| Ok((subject.0, bench.start(&subject.1, setup)?));
        let proxies = subjects.iter().map(start).collect::<io::Result<_>>()?;
        let talkative = bench.start(&subjects[0].1, Setup { log_level: "INFO", ..setup })?;
        Ok(Live { mock, proxies, talkative })
    }
}

impl Bench {
    fn subjects(&self) -> io::Result<Vec<Subject>> {
        let mut subjects =
            vec![("ai_proxy", Program::AiProxy(self.options.binary.canonicalize()?))];
        match (&self.options.peer, subject::find_nginx()) {
            (Some(peer), _) => subjects.push(("peer", Program::AiProxy(peer.canonicalize()?))),
            (None, Some(nginx)) => subjects.push(("nginx", Program::Nginx(nginx))),
            (None, None) => eprintln!("nginx is not installed: no ratios"),
        }
        Ok(subjects)
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

    fn round(&self, live: &Live, subjects: &[Subject], samples: &mut Samples) -> io::Result<()> {
        for group in GROUPS.into_iter().filter(|group| self.options.wants(group)) {
            let done = match group {
                "requests" => self.requests(live, samples),
                "info" => self.info(live, samples),
                "events" => self.events(live, samples),
                "paced" => self.paced(live, samples),
                _ => subjects.iter().try_for_each(|subject| self.fresh(group, subject, samples)),
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
            "start" => self.starts(name, program, samples),
            // The rows are about our own client; nginx has no say.
            _ if matches!(program, Program::Nginx(_)) => Ok(()),
            _ => self.tls(name, program, samples),
        };
        done.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
    }
}
