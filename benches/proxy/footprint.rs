//! Footprint: memory, start-up and what TLS upstreams cost, each with a new process.

use std::io;
use std::time::Duration;

use crate::load::{Clients, Stop};
use crate::measure::Bench;
use crate::payload::Model;
use crate::process::Mock;
use crate::samples::Samples;
use crate::speed::metered;
use crate::subject::{Program, Running, Setup};
use crate::tls;

const SETTLE_MEMORY: Duration = Duration::from_millis(300);
const TLS_CLIENTS: usize = 16;
const TLS_STREAMS: usize = 200;
const STARTS_PER_ROUND: usize = 5;

impl Bench {
    /// Memory of a new process, idle and with silent streams.
    pub fn open_streams(
        &self,
        name: &'static str,
        program: &Program,
        samples: &mut Samples,
    ) -> io::Result<()> {
        let mock = Mock::start("mock", None, self.cpus)?;
        let memory = |proxy: &Running| {
            std::thread::sleep(SETTLE_MEMORY);
            proxy.process.rss_kb()
        };
        for (key, count) in [("rss_1000", 1000), ("rss_10000", self.streams)] {
            let proxy = self.start(program, Setup::plain(mock.port, count))?;
            let idle = memory(&proxy)?;
            let anonymous = proxy.process.anonymous_kb()?;
            let mut clients = Clients::new(proxy.addr, Model::Hold)?;
            clients.open_streams(count)?;
            let full = memory(&proxy)?;
            samples.add(key, name, full / 1024.0);
            match count {
                1000 => {
                    samples.add("rss_idle", name, idle / 1024.0);
                    samples.add("rss_idle_own", name, anonymous / 1024.0);
                }
                _ => samples.add("stream_kb", name, (full - idle) / count as f64),
            }
        }
        Ok(())
    }

    /// Memory that 32 answers of 10 MB at once need, and leave behind.
    pub fn big_answers(
        &self,
        name: &'static str,
        program: &Program,
        samples: &mut Samples,
    ) -> io::Result<()> {
        let mock = Mock::start("mock", None, self.cpus)?;
        let setup = Setup::plain(mock.port, 64);
        let proxy = self.start(program, setup)?;
        std::thread::sleep(SETTLE_MEMORY);
        let idle = proxy.process.rss_kb()?;
        let seen = Clients::new(proxy.addr, Model::Big)?.run(32, Stop::Requests(32))?;
        samples.add("big_peak", name, (proxy.process.peak_rss_kb()? - idle) / 1024.0);
        std::thread::sleep(SETTLE_MEMORY);
        samples.add("big_after", name, (proxy.process.rss_kb()? - idle) / 1024.0);
        samples.add("big_mb_s", name, seen.body_bytes as f64 / 1e6 / seen.wall.as_secs_f64());
        Ok(())
    }

    /// From spawn to the first answer.
    pub fn starts(
        &self,
        name: &'static str,
        program: &Program,
        samples: &mut Samples,
    ) -> io::Result<()> {
        let mock = Mock::start("mock", None, self.cpus)?;
        let setup = Setup { guarded: false, ..Setup::plain(mock.port, 256) };
        for _ in 0..STARTS_PER_ROUND {
            samples.add("start_ms", name, 1e3 * self.start(program, setup)?.start.as_secs_f64());
        }
        Ok(())
    }

    /// New TLS connections: their CPU time beside a bare exchange, and their memory.
    pub fn tls(
        &self,
        name: &'static str,
        program: &Program,
        samples: &mut Samples,
    ) -> io::Result<()> {
        let roots = self.fresh_path("roots");
        let mock = Mock::start("mock-tls", Some(&roots), self.cpus)?;
        let setup = Setup { roots: Some(&roots), ..Setup::plain(mock.port, 256) };
        let proxy = self.start(program, setup)?;
        // Reading the roots belongs to the first connections only.
        let first = metered(&proxy, Model::Small, TLS_CLIENTS, Stop::Requests(TLS_CLIENTS as u64))?;
        let run = metered(&proxy, Model::Small, TLS_CLIENTS, Stop::After(self.time(1.5)))?;
        samples.add("tls_first_ms", name, 1e3 * first.cpu.as_secs_f64());
        let bare = tls::bare_exchange(mock.port, &roots, 200)?.as_secs_f64();
        samples.add("tls_s", name, run.rate());
        samples.add("tls_ms", name, run.cpu_us() / 1e3);
        samples.add("tls_own_ms", name, run.cpu_us() / 1e3 - 1e3 * bare);

        let proxy = self.start(program, setup)?;
        let mut clients = Clients::new(proxy.addr, Model::Hold)?;
        let mut memory = |count| {
            clients.open_streams(count)?;
            std::thread::sleep(SETTLE_MEMORY);
            proxy.process.rss_kb()
        };
        let first = memory(1)?;
        samples.add("tls_kb", name, (memory(TLS_STREAMS)? - first) / (TLS_STREAMS - 1) as f64);
        Ok(())
    }
}
