//! The whole program in memory: its state, its tasks, its clients and providers, in the thread of the
//! test. Nothing moves by itself.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, poll_once};
use smol::LocalExecutor;

use super::State;
use crate::config::Config;
use crate::downstream::{self, Connection};
use crate::runtime::testing::Peer;
use crate::upstream::testing::{Bench as Providers, WIDE};

/// The token of the only client.
pub(crate) const TOKEN: &str = "sk-test-123456";
/// Longer than any thread needs for its work, on any machine.
const THREAD_MAX: Duration = Duration::from_secs(60);

/// A program without a network.
pub(crate) struct Bench {
    pub(crate) providers: Providers,
    pub(crate) state: Rc<State>,
    /// Dropped, it ends all tasks.
    pub(crate) executor: Rc<LocalExecutor<'static>>,
    clients: downstream::testing::Bench,
}

impl Bench {
    /// One provider, `p`, whose models are not known.
    pub(crate) fn new() -> Bench {
        Bench::with(Config::parse(&file(""), "config.json").unwrap(), None)
    }

    /// The configuration is read again from `file`.
    pub(crate) fn with(config: Config, file: Option<PathBuf>) -> Bench {
        let providers = Providers::new(WIDE);
        let reactor = providers.reactor.clone();
        let executor = Rc::new(LocalExecutor::new());
        let mut state = State::new(reactor.clone(), &executor, config, file, 10);
        providers.pool.configure(WIDE, &state.settings().origins());
        // Nobody else has it yet.
        let own = Rc::get_mut(&mut state).unwrap();
        own.pool = providers.pool.clone();
        let clients = downstream::testing::Bench {
            reactor,
            admission: own.admission.clone(),
            budget: own.memory.connections.clone(),
            shutdown: own.shutdown.clone(),
        };
        Bench { providers, state, executor, clients }
    }

    /// A client connects.
    #[track_caller]
    pub(crate) fn connect(&self) -> (Connection, Peer) {
        self.clients.connect()
    }

    /// Runs all tasks until each of them waits.
    #[track_caller]
    pub(crate) fn run(&self) {
        for _ in 0..1000 {
            let events = self.state.reactor.look();
            let ticks = (0..100).take_while(|_| self.executor.try_tick()).count();
            if events + ticks == 0 {
                return;
            }
        }
        panic!("it is never quiet")
    }

    /// Moves the clock, and runs who waited for that.
    #[track_caller]
    pub(crate) fn pass(&self, length: Duration) {
        self.state.reactor.pass_time(length);
        self.run();
    }

    /// Runs all tasks, and polls `future` once.
    #[track_caller]
    pub(crate) fn poll<T>(&self, future: impl Future<Output = T> + Unpin) -> Option<T> {
        self.run();
        block_on(poll_once(future))
    }

    /// Runs all tasks, and polls `future` to its end, for which threads may have to do something.
    #[track_caller]
    pub(crate) fn finish<T>(&self, future: impl Future<Output = T>) -> T {
        let (mut future, begun) = (pin!(future), Instant::now());
        loop {
            if let Some(value) = self.poll(future.as_mut()) {
                return value;
            }
            assert!(begun.elapsed() < THREAD_MAX, "it waits for ever");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The counters.
    pub(crate) fn report(&self) -> serde_json::Value {
        self.state.stats.report(self.state.admission.taken(), &self.state.pool)
    }
}

/// A configuration file with one provider, one token, and `more` keys, each with a comma before it.
pub(crate) fn file(more: &str) -> String {
    format!(
        "{{\"providers\": [{{\"provider\": \"p\", \"baseurl\": \"http://p.test/v1\", \"token\": \"key\"}}], \
         \"tokens\": [\"tester|{TOKEN}\"]{more}}}"
    )
}

/// A chat as bytes, with `fields` (whole lines) in its head.
pub(crate) fn chat(fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{fields}\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// The body of a chat that streams.
pub(crate) const STREAMED: &str = "{\"model\":\"p/m\",\"stream\":true,\"messages\":[]}";
