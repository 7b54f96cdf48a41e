//! Speed: CPU time, rates and latencies, each proxy in its turn with the instances that live through all
//! rounds.

use std::io;
use std::time::Duration;

use crate::load::{Clients, Outcome, Stop};
use crate::measure::{Bench, Live};
use crate::payload::Model;
use crate::samples::{percentile, Samples};
use crate::subject::Running;

/// Time for closes, frees and late bookings of CPU time before a reading.
const SETTLE: Duration = Duration::from_millis(20);
const PACED_STREAMS: usize = 100;

/// Within a round the proxies change places this often, so that all meet the same weather.
const TURNS: u32 = 3;

impl Bench {
    /// Loads the proxies in turn, each for `seconds` in all.
    pub fn in_turns(
        &self,
        proxies: &[&Running],
        model: Model,
        connections: usize,
        seconds: f64,
    ) -> io::Result<Vec<Metered>> {
        let mut sums: Vec<Option<Metered>> = proxies.iter().map(|_| None).collect();
        let stop = Stop::After(self.time(seconds) / TURNS);
        for _ in 0..TURNS {
            for (sum, proxy) in sums.iter_mut().zip(proxies) {
                let turn = metered(proxy, model, connections, stop)?;
                match sum {
                    None => *sum = Some(turn),
                    Some(sum) => sum.add(turn),
                }
            }
        }
        Ok(sums.into_iter().flatten().collect())
    }

    /// Small answers over 64 connections and over one; latency beyond the direct one.
    pub fn requests(&self, live: &Live, samples: &mut Samples) -> io::Result<()> {
        let runs = self.in_turns(&live.all(), Model::Small, 64, 1.5)?;
        for ((name, _), run) in live.proxies.iter().zip(runs) {
            samples.add("rps_core_64", name, 1e6 / run.cpu_us());
            samples.add("cpu_us_64", name, run.cpu_us());
            samples.add("rps_64", name, run.rate());
            samples.add(
                "busy_64",
                name,
                100.0 * run.cpu.as_secs_f64() / run.seen.wall.as_secs_f64(),
            );
        }
        let stop = Stop::After(self.time(0.7));
        let mut direct = Clients::new(live.mock.addr(), Model::Small)?.run(1, stop)?;
        let direct = percentile(&mut direct.latencies, 50);
        let runs = self.in_turns(&live.all(), Model::Small, 1, 1.5)?;
        for ((name, _), mut run) in live.proxies.iter().zip(runs) {
            samples.add("cpu_us_1", name, run.cpu_us());
            samples.add("rps_1", name, run.rate());
            for (key, percent) in [("p50_us", 50), ("p99_us", 99)] {
                let latency = percentile(&mut run.seen.latencies, percent);
                samples.add(key, name, (latency - direct) / 1e3);
            }
        }
        Ok(())
    }

    /// INFO beside WARNING.
    pub fn info(&self, live: &Live, talkative: &Running, samples: &mut Samples) -> io::Result<()> {
        let (name, quiet) = &live.proxies[0];
        let runs = self.in_turns(&[quiet, talkative], Model::Small, 64, 1.8)?;
        samples.add("info_percent", name, 100.0 * (1.0 - runs[0].cpu_us() / runs[1].cpu_us()));
        Ok(())
    }

    /// Streams as fast as they go.
    pub fn events(&self, live: &Live, samples: &mut Samples) -> io::Result<()> {
        let runs = self.in_turns(&live.all(), Model::Events, 32, 1.5)?;
        for ((name, _), run) in live.proxies.iter().zip(runs) {
            let events = run.seen.events() as f64;
            samples.add("events_core", name, events / run.cpu.as_secs_f64());
            samples.add("events_wall", name, events / run.seen.wall.as_secs_f64());
        }
        Ok(())
    }

    /// Streams that are mostly idle.
    pub fn paced(&self, live: &Live, samples: &mut Samples) -> io::Result<()> {
        for (name, proxy) in &live.proxies {
            let mut clients = Clients::new(proxy.addr, Model::Paced)?;
            clients.open_streams(PACED_STREAMS)?;
            clients.receive(Duration::from_millis(300))?;
            let before = proxy.process.cpu()?;
            let events = clients.receive(self.time(5.0))?;
            let cpu = proxy.process.cpu()? - before;
            samples.add("paced_us", name, 1e6 * cpu.as_secs_f64() / events as f64);
        }
        Ok(())
    }
}

/// A load, and the CPU time that the proxy spent on it.
pub struct Metered {
    /// What the load generator saw.
    pub seen: Outcome,
    /// The proxy's CPU time.
    pub cpu: Duration,
}

impl Metered {
    /// CPU time per request, in µs.
    pub fn cpu_us(&self) -> f64 {
        1e6 * self.cpu.as_secs_f64() / self.seen.requests as f64
    }

    /// Requests per second on the clock.
    pub fn rate(&self) -> f64 {
        self.seen.requests as f64 / self.seen.wall.as_secs_f64()
    }

    fn add(&mut self, other: Metered) {
        self.seen.requests += other.seen.requests;
        self.seen.body_bytes += other.seen.body_bytes;
        self.seen.wall += other.seen.wall;
        self.seen.latencies.extend(other.seen.latencies);
        self.cpu += other.cpu;
    }
}

/// A load through `proxy`.
pub fn metered(
    proxy: &Running,
    model: Model,
    connections: usize,
    stop: Stop,
) -> io::Result<Metered> {
    let mut clients = Clients::new(proxy.addr, model)?;
    std::thread::sleep(SETTLE);
    let before = proxy.process.cpu()?;
    let seen = clients.run(connections, stop)?;
    std::thread::sleep(SETTLE);
    Ok(Metered { seen, cpu: proxy.process.cpu()? - before })
}
