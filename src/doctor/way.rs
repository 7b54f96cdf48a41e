//! The way to a provider, step by step: the product's own connections, with a clock at each step.

use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::certificate;
use super::record::{Record, Stage};
use super::text::clean;
use super::verdict;
use super::words::Code;
use crate::language::{Language, System};
use crate::runtime::{label, Reactor, Socket, Timer, Wait};
use crate::upstream::{Connect, ConnectError, Connected, Connecting, Network, Origin, Tls, Took};

/// For each of name, TCP, TLS, and a second look at a certificate.
const STEP_MAX: Duration = Duration::from_secs(3);
/// Characters of the system's own words that are shown.
const SAID_CHARS_MAX: usize = 160;

/// Opens connections to one provider, and writes down how the first one went.
pub struct Way {
    reactor: Rc<Reactor>,
    network: Network,
    record: Rc<Record>,
    /// There are no CA certificates.
    without_ca: bool,
    /// Then the examination must be over.
    until: Instant,
    /// The first connection was begun.
    begun: Cell<bool>,
    /// The step under way: what it is, when it began, when it must be over, and whether it is told.
    step: Cell<(Stage, Instant, Instant, bool)>,
}

impl Connect for Way {
    fn connect(self: Rc<Self>, origin: Rc<Origin>) -> Connecting {
        Box::pin(async move { self.open_in_time(&origin).await })
    }
}

impl Way {
    /// A way on which nothing went yet.
    pub fn new(
        reactor: &Rc<Reactor>,
        tls: &Rc<Tls>,
        record: &Rc<Record>,
        (without_ca, until): (bool, Instant),
    ) -> Way {
        let (network, record) = (Network::new(reactor, tls), record.clone());
        let step = Cell::new((Stage::Dns, Instant::now(), until, false));
        let (reactor, begun) = (reactor.clone(), Cell::new(false));
        Way { reactor, network, record, without_ca, until, begun, step }
    }

    /// All steps, each in its time.
    async fn open_in_time(&self, origin: &Origin) -> Result<Connected, ConnectError> {
        let timer = Timer::new(&self.reactor.clock);
        let opened = {
            let mut opening = pin!(self.open(origin));
            poll_fn(|context| {
                if let Poll::Ready(opened) = opening.as_mut().poll(context) {
                    return Poll::Ready(opened);
                }
                let (_, _, until, _) = self.step.get();
                timer.set(Some(until));
                if !timer.poll_due(context) {
                    return Poll::Pending;
                }
                let wait = Wait::new(label::CONNECT, timer.now(), STEP_MAX);
                Poll::Ready(Err(ConnectError::Timeout(wait)))
            })
            .await
        };
        if let Err(error) = &opened {
            self.note(origin, error);
        }
        self.record.connected_at.set(Instant::now());
        if (self.record.stage.get() as usize) < Stage::Http as usize {
            self.record.begin(Stage::Http);
        }
        opened
    }

    async fn open(&self, origin: &Origin) -> Result<Connected, ConnectError> {
        let first = !self.begun.replace(true);
        // An address is no name.
        self.begin(Stage::Dns, first && origin.host.parse::<IpAddr>().is_err());
        let addresses = self.network.resolve(origin).await?;
        self.end();
        self.begin(Stage::Tcp, first);
        if let Some(address) = addresses.first().filter(|_| first) {
            self.record.see("address", address);
            // Connections go straight to the provider; a proxy would be named here.
            self.record.see("way", &"direct");
            self.record.note(Stage::Way, Duration::ZERO, None);
        }
        let (watched, tcp) = self.network.open_tcp(&addresses, origin).await?;
        self.end();
        if !origin.https {
            return Ok(Connected {
                socket: Socket::plain(watched),
                took: Took { tcp, ..Took::default() },
            });
        }
        self.begin(Stage::Tls, first);
        let error = match self.network.secure(watched, origin).await {
            Ok(stream) => {
                self.end();
                if first && certificate::see(&stream, &self.record) {
                    let took = self.step.get().1.elapsed();
                    self.record.note(Stage::Tls, took, Some(Code::CertificateEndsSoon));
                }
                return Ok(Connected {
                    socket: Socket::tls(stream),
                    took: Took { tcp, ..Took::default() },
                });
            }
            Err(error) => error,
        };
        self.note(origin, &error);
        if first && self.record.code(Stage::Tls).is_some_and(verdict::is_of_certificate) {
            // A look at what was refused. Nothing is said to one who shows such.
            self.begin(Stage::Tls, false);
            let (watched, _) = self.network.open_tcp(&addresses, origin).await?;
            if let Ok(stream) = self.network.secure_untrusted(watched, origin).await {
                certificate::see(&stream, &self.record);
            }
        }
        self.begin(Stage::Tls, false);
        Err(error)
    }

    fn begin(&self, stage: Stage, told: bool) {
        if told {
            self.record.begin(stage);
        }
        let now = self.reactor.clock.now();
        self.step.set((stage, Instant::now(), (now + STEP_MAX).min(self.until), told));
    }

    fn end(&self) {
        if let (stage, begun, _, true) = self.step.get() {
            self.record.note(stage, begun.elapsed(), None);
        }
    }

    /// The step under way went wrong.
    fn note(&self, origin: &Origin, error: &ConnectError) {
        let (stage, begun, _, told) = self.step.get();
        if !told {
            return;
        }
        let said = match error {
            ConnectError::Tcp(error) => System(error).to_string(),
            ConnectError::Tls(text) => text.get(Language::English),
            _ => String::new(),
        };
        let code = match error {
            ConnectError::Tls(_) if self.without_ca => Code::NoCa,
            error => verdict::of_connecting(error, stage, verdict::is_local(&origin.host)),
        };
        self.record.note(stage, begun.elapsed(), Some(code));
        self.record.findings.borrow_mut()[stage as usize].said = clean(&said, SAID_CHARS_MAX);
    }
}
