//! What an upstream with TLS costs: its connections kept and used, opened for each request, and open by
//! the thousand. The proxies take turns, HAProxy among them.

use std::io;
use std::time::Duration;

use crate::authority::Manner;
use crate::footprint::SETTLE_MEMORY;
use crate::load::{Clients, Stop};
use crate::measure::{Bench, Live, Subject};
use crate::payload::Model;
use crate::samples::Samples;
use crate::speed::metered;
use crate::subject::{self, Program, Setup};

const CLIENTS: usize = 64;
/// Handshakes take so long that a few clients keep the proxies busy.
const OPENING_CLIENTS: usize = 16;
const STREAMS: usize = 1000;

impl Bench {
    /// The whole group.
    pub fn tls(&self, subjects: &[Subject], samples: &mut Samples) -> io::Result<()> {
        self.kept_connections(subjects, samples)?;
        self.new_connections(subjects, Manner::Closes, "tls_new_us", samples)?;
        self.new_connections(subjects, Manner::Forgets, "tls_full_us", samples)?;
        for subject in subjects {
            self.tls_start(subject, samples)?;
            self.tls_streams(subject, samples)?;
        }
        Ok(())
    }

    /// Small answers over connections that are all open already.
    fn kept_connections(&self, subjects: &[Subject], samples: &mut Samples) -> io::Result<()> {
        let live = self.live_tls(subjects, Manner::Keeps)?;
        for (name, proxy) in &live.proxies {
            // They open here.
            metered(proxy, Model::Small, CLIENTS, Stop::Requests(20 * CLIENTS as u64))
                .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        }
        let runs = self.in_turns(&live.all(), Model::Small, CLIENTS, 1.5)?;
        for ((name, _), run) in live.proxies.iter().zip(runs) {
            samples.add("tls_rps_core", name, 1e6 / run.cpu_us());
            samples.add("tls_us", name, run.cpu_us());
        }
        Ok(())
    }

    /// Small answers, each over a connection of its own.
    fn new_connections(
        &self,
        subjects: &[Subject],
        manner: Manner,
        key: &'static str,
        samples: &mut Samples,
    ) -> io::Result<()> {
        let live = self.live_tls(subjects, manner)?;
        for proxy in live.all() {
            metered(proxy, Model::Small, OPENING_CLIENTS, Stop::Requests(OPENING_CLIENTS as u64))?;
        }
        let runs = self.in_turns(&live.all(), Model::Small, OPENING_CLIENTS, 1.5)?;
        for ((name, _), run) in live.proxies.iter().zip(runs) {
            samples.add(key, name, run.cpu_us());
        }
        Ok(())
    }

    /// What a new process needs until it has spoken TLS once.
    ///
    /// ai_proxy runs without settings for its roots here, as users do, and so it does not trust this
    /// upstream; but `/health` waits until it knows that.
    fn tls_start(&self, (name, program): &Subject, samples: &mut Samples) -> io::Result<()> {
        let roots = self.fresh_path("roots");
        let mock = self.mock_tls(&roots, Manner::Keeps)?;
        let own = matches!(program, Program::AiProxy(_));
        let setup =
            Setup { roots: Some(&roots), system_roots: own, ..Setup::plain(mock.port, 256) };
        let proxy = self.start(program, setup)?;
        if own {
            subject::get(proxy.addr, "/health")?;
        } else {
            Clients::new(proxy.addr, Model::Small)?.run(1, Stop::Requests(1))?;
        }
        std::thread::sleep(SETTLE_MEMORY);
        samples.add("tls_start_ms", name, 1e3 * proxy.process.cpu()?.as_secs_f64());
        samples.add("tls_idle", name, proxy.process.rss_kb()? / 1024.0);
        samples.add("tls_idle_own", name, proxy.process.anonymous_kb()? / 1024.0);
        Ok(())
    }

    /// Memory of a new process before and while it carries streams, and their events' CPU time.
    fn tls_streams(&self, (name, program): &Subject, samples: &mut Samples) -> io::Result<()> {
        let roots = self.fresh_path("roots");
        let mock = self.mock_tls(&roots, Manner::Keeps)?;
        let setup = Setup { roots: Some(&roots), ..Setup::plain(mock.port, STREAMS) };
        let proxy = self.start(program, setup)?;
        // What the first connection needs, and all share, is there before anything is compared.
        Clients::new(proxy.addr, Model::Small)?.run(1, Stop::Requests(1))?;
        std::thread::sleep(SETTLE_MEMORY);
        let idle = proxy.process.rss_kb()?;
        let mut clients = Clients::new(proxy.addr, Model::Paced)?;
        clients.open_streams(STREAMS)?;
        clients.receive(Duration::from_millis(300))?;
        let before = proxy.process.cpu()?;
        let events = clients.receive(self.time(4.0))?;
        let cpu = proxy.process.cpu()? - before;
        let full = proxy.process.rss_kb()?;
        samples.add("tls_event_us", name, 1e6 * cpu.as_secs_f64() / events as f64);
        samples.add("tls_1000", name, full / 1024.0);
        samples.add("tls_kb", name, (full - idle) / STREAMS as f64);
        Ok(())
    }

    /// An upstream of this manner, and one instance of each subject before it.
    fn live_tls(&self, subjects: &[Subject], manner: Manner) -> io::Result<Live> {
        let roots = self.fresh_path("roots");
        let mock = self.mock_tls(&roots, manner)?;
        let sessions = manner != Manner::Forgets;
        let setup = Setup { roots: Some(&roots), sessions, ..Setup::plain(mock.port, 256) };
        self.live(subjects, mock, setup)
    }
}
