//! Footprint: memory and start-up, each with a new process.

use std::io;
use std::time::Duration;

use crate::load::{Clients, Stop};
use crate::measure::Bench;
use crate::payload::Model;
use crate::samples::Samples;
use crate::subject::{Program, Running, Setup};

/// Time for frees before memory is read.
pub const SETTLE_MEMORY: Duration = Duration::from_millis(300);
const STARTS_PER_ROUND: usize = 5;

impl Bench {
    /// Memory of a new process, idle and with silent streams.
    pub fn open_streams(
        &self,
        name: &'static str,
        program: &Program,
        samples: &mut Samples,
    ) -> io::Result<()> {
        let mock = self.mock()?;
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
        let mock = self.mock()?;
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
        let mock = self.mock()?;
        let setup = Setup { guarded: false, ..Setup::plain(mock.port, 256) };
        for _ in 0..STARTS_PER_ROUND {
            samples.add("start_ms", name, 1e3 * self.start(program, setup)?.start.as_secs_f64());
        }
        Ok(())
    }
}
