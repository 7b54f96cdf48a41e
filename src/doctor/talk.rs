//! A request to the provider under examination, in its time, over the product's own exchange.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::reading::{End, Reading, Talk};
use super::record::Record;
use super::way::Way;
use crate::config::Config;
use crate::runtime::{label, Reactor, Timer, Wait};
use crate::state::Listed;
use crate::upstream::{exchange, Error, Message, Pool, PoolLimits, Provider, Timeouts, Tls};

/// One connection at a time, which serves again.
const LIMITS: PoolLimits =
    PoolLimits { leases_max: 1, idle_max: 1, idle_age_max: Duration::from_secs(30) };
/// With less time than this nothing more is begun.
const TIME_MIN: Duration = Duration::from_millis(500);

/// What is examined, and how.
pub struct Examination<'a> {
    /// All that the file says.
    pub config: &'a Config,
    /// Which provider, at the address that was meant.
    pub provider: Rc<Provider>,
    /// What is written down.
    pub record: Rc<Record>,
    /// Whether chats are tried, too.
    pub spend: bool,
    /// What is asked, or is to be.
    pub step: Step,
    /// Another address that may be the one that was meant.
    pub meant: Option<Rc<Provider>>,
    /// The models that the provider names.
    pub list: Vec<Listed>,
    /// The model that chats.
    pub model: String,
    /// The key in use, by its place.
    pub key: usize,
    /// What became of each key that was shown, in their order.
    pub key_results: Vec<String>,
    /// What is asked when all keys were shown.
    pub behind_keys: Step,
    /// The limit of tokens has its other name.
    pub renamed: bool,
    /// When the last chat was begun.
    pub begun: Instant,
    pool: Rc<Pool>,
    reactor: Rc<Reactor>,
    /// When it must be over.
    until: Instant,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The models.
    Models,
    /// The same over TLS, where that was not asked for.
    Tls,
    /// The same below `/v1`.
    V1,
    /// The models once more, with another key.
    Key,
    /// A chat of one token.
    Chat,
    /// The same with another name for its limit.
    Renamed,
    /// A chat that streams.
    Stream,
    /// The same, and away.
    Cancel,
    /// Nothing more.
    Done,
}

/// What is said to a provider.
pub struct Request {
    /// To whom.
    pub provider: Rc<Provider>,
    /// The head.
    pub head: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it and its response may take.
    pub length: Duration,
    /// Whether to leave when the body of the response has begun.
    pub leaves: bool,
}

impl<'a> Examination<'a> {
    /// Nothing was asked yet. `without_ca`: there are no CA certificates.
    pub fn new(
        (config, provider, spend): (&'a Config, &Rc<Provider>, bool),
        (reactor, tls): (&Rc<Reactor>, &Rc<Tls>),
        record: &Rc<Record>,
        (without_ca, until): (bool, Instant),
    ) -> Examination<'a> {
        let way = Rc::new(Way::new(reactor, tls, record, (without_ca, until)));
        let pool = Pool::with_connector(&reactor.clock, LIMITS, tls.clone(), way);
        pool.configure(LIMITS, std::slice::from_ref(&provider.origin));
        let (provider, record, reactor) = (provider.clone(), record.clone(), reactor.clone());
        Examination {
            config,
            provider,
            record,
            spend,
            step: Step::Models,
            meant: None,
            list: Vec::new(),
            model: String::new(),
            key: 0,
            key_results: Vec::new(),
            behind_keys: Step::Done,
            renamed: false,
            begun: Instant::now(),
            pool,
            reactor,
            until,
        }
    }

    /// Whether there is time for something more.
    pub fn has_time(&self) -> bool {
        self.reactor.clock.now() + TIME_MIN < self.until
    }

    /// Sends a request and reads what comes, until it is all there or the time is over.
    ///
    /// # Errors
    /// There is no head of a response.
    pub async fn talk(&self, request: Request) -> Result<Talk, Error> {
        let begun = Instant::now();
        let mut message = Message::new(request.head, request.body, None);
        let timeouts = Timeouts::query(request.length);
        let timer = Timer::new(&self.reactor.clock);
        let asking =
            exchange(&self.pool, &request.provider.origin, &mut message, &timeouts, &timer);
        let mut wait = Wait::new(label::WHOLE_ANSWER, timer.now(), request.length);
        wait.until = self.until;
        let outer = Timer::new(&self.reactor.clock);
        let response = outer.within(wait, asking).await.map_err(Error::Timeout)??;
        // Its connection may have had to be opened first.
        let sent_at = self.record.connected_at.get().max(begun);
        let head_took = sent_at.elapsed();
        let until = timer.now() + request.length.saturating_sub(head_took);
        let mut reading = Reading::new(response, sent_at, request.leaves);
        timer.set(Some(until.min(self.until)));
        let end = poll_fn(|context| match reading.poll(context, &timer) {
            Poll::Pending if timer.poll_due(context) => Poll::Ready(End::Late),
            poll => poll,
        })
        .await;
        let mut talk = reading.into_talk(end);
        (talk.head_took, talk.took) = (head_took, sent_at.elapsed());
        Ok(talk)
    }
}
