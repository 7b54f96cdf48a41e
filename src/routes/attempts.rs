//! The attempts of a request that may go to more than one key or provider, one after the other. What comes
//! next is decided in `routing`; here it is done.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::attempt::{failure_of, is_looked_at, said, InFlight};
use super::draft::{Draft, Request};
use super::dressing;
use super::stated::stated;
use crate::downstream::Connection;
use crate::relay::{Answer, Terms, WholeAnswer};
use crate::report::{Entry, Error};
use crate::routing::{Attempts, Choice, Happened, Plan, Target, ERROR_BYTES_MAX};
use crate::runtime::{label, unix_time, Share, Timer, Wait, SCRATCH_BYTES};
use crate::state::State;
use crate::upstream::{self, exchange, Message, Part, Timings, Trouble, UpstreamResponse};
use crate::wire::push_field;

/// The longest wait for the body of an error that tells whose fault it is.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// The same of any other, so that its connection serves again: it mostly comes with the head.
const REST_MAX: Duration = Duration::from_millis(20);
/// No more is read of a body at once.
const PIECE_BYTES_MAX: usize = SCRATCH_BYTES;
/// How much of a body is read before the next attempt.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// All attempts of one request, and what they came to.
pub struct Run<'r> {
    state: &'r State,
    plan: &'r Plan,
    /// Decides.
    pub attempts: Attempts<'r>,
    /// Writes the request anew; `None` for one that cannot be sent twice.
    draft: Option<Draft<'r>>,
    terms: &'r Terms<'r>,
    /// When the client's request was complete.
    begun: Instant,
    /// The request's id.
    id: String,
    timings: Option<Rc<Timings>>,
    /// The attempt that was made last.
    last: Choice,
    /// The answer that the client gets if none follows that is a better one.
    pub kept: Option<Kept>,
    /// Why attempts came to nothing, and which targets'.
    pub failed: Vec<(usize, upstream::Error)>,
    /// The attempts that have ended, and what was wrong with the provider.
    pub troubles: Vec<(Choice, Option<Trouble>)>,
}

/// An answer and where it comes from.
pub struct Kept {
    /// The answer.
    pub answer: Answer,
    /// Whether an idle connection served it.
    pub reused: bool,
    choice: Choice,
    /// Whether it is one after which waiting helps.
    is_overload: bool,
}

/// A response, as far as it was read.
struct Heard {
    response: UpstreamResponse,
    body: Vec<u8>,
    /// Whether that is all of the body.
    whole: bool,
    /// How its body is waited for before the next attempt.
    wait: Wait,
    /// The body's memory.
    share: Share,
}

impl<'r> Run<'r> {
    /// Chooses the first target, and writes the request for it.
    ///
    /// # Errors
    /// A request that cannot be written for it.
    pub fn begin(
        state: &'r State,
        (plan, conversation): (&'r Plan, u64),
        request: Request<'r>,
        connection: &mut Connection,
        terms: &'r Terms<'r>,
        entry: &mut Entry,
    ) -> Result<(Run<'r>, Message), Error> {
        let begun = state.clock().now();
        let (deadline, retries_max) = (terms.timeouts.head(begun).until, request.retries_max());
        let mut attempts = Attempts::new(plan, conversation, retries_max, deadline);
        let last = attempts.first(begun);
        let Target { provider, model, .. } = &plan.targets[last.target];
        dressing::begin(plan, last, entry);
        let (message, request) =
            request.begin(provider, last.key, Some(model), connection, entry)?;
        let run = Run {
            state,
            plan,
            attempts,
            draft: request.and_then(Request::into_draft),
            terms,
            begun,
            id: entry.id.clone(),
            timings: entry.timings(),
            last,
            kept: None,
            failed: Vec::new(),
            troubles: Vec::new(),
        };
        Ok((run, message))
    }

    fn target(&self) -> &'r Target {
        &self.plan.targets[self.last.target]
    }

    /// The attempt whose answer the client gets, or that was the last one.
    pub fn chosen(&self) -> Choice {
        self.kept.as_ref().map_or(self.last, |kept| kept.choice)
    }

    /// Makes all attempts. The first sends `message`.
    ///
    /// # Errors
    /// A request that cannot be written for a target.
    pub async fn all(&mut self, message: Message) -> Result<(), Error> {
        let mut message = message;
        loop {
            let result = self.one(&mut message).await;
            let ended = self.state.clock().real_now();
            let (happened, heard) = self.judge(result).await;
            let (is_overload, random) = (happened.is_overload(), fastrand::f64());
            let now = self.state.clock().now();
            let next = self.attempts.after(self.last, happened, now, random);
            if let Some(heard) = heard {
                self.keep(heard, is_overload, next.is_none()).await;
            }
            // Without a draft there is no further attempt.
            let (Some(next), Some(draft)) = (next, &mut self.draft) else {
                // Nothing of the request is kept while the response comes.
                self.draft = None;
                return Ok(());
            };
            draft.take_back(message);
            self.last = next;
            pause(self.state, next.wait).await;
            let Target { provider, model, .. } = &self.plan.targets[next.target];
            message = draft.message(provider, next.key, Some(model), &self.id)?;
            message.count_from(self.begun);
            if let Some(timings) = &self.timings {
                timings.add(Part::Wait, self.state.clock().real_now() - ended);
            }
        }
    }

    /// One attempt, up to the head of its response. All but the first must be over when the first would be.
    async fn one(&self, message: &mut Message) -> Result<UpstreamResponse, upstream::Error> {
        let (target, timeouts) = (self.target(), self.terms.timeouts);
        let _in_flight = InFlight::at(&target.provider);
        message.measure(self.timings.clone());
        let (timer, outer) = (self.state.timer(), self.state.timer());
        let pool = &self.state.pool;
        let exchange = exchange(pool, &target.provider.origin, message, timeouts, &timer);
        if self.attempts.count() == 0 {
            return exchange.await;
        }
        let result = outer.within(timeouts.head(self.begun), exchange).await;
        result.unwrap_or_else(|wait| Err(upstream::Error::Timeout(wait)))
    }

    /// What an attempt came to, and its response with what was read of the body.
    async fn judge(
        &mut self,
        result: Result<UpstreamResponse, upstream::Error>,
    ) -> (Happened, Option<Heard>) {
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                self.troubles.push((self.last, Trouble::of(&error)));
                let happened = Happened::failure(failure_of(&error));
                self.failed.push((self.last.target, error));
                return (happened, None);
            }
        };
        let status = response.head.status;
        let trouble = upstream::is_fault_of_provider(status).then(|| Trouble::of_status(status));
        self.troubles.push((self.last, trouble));
        let mut happened = Happened::status(status);
        happened.stated = stated(&response.head.relayed, unix_time());
        let (timer, share) = (self.state.timer(), self.terms.budget.share());
        let wait = Wait::new(label::NEXT_BYTES, timer.now(), REST_MAX);
        let mut heard = Heard { response, body: Vec::new(), whole: false, wait, share };
        if !is_looked_at(&happened, &self.plan.retry_on) {
            return (happened, Some(heard));
        }
        heard.wait = Wait::new(label::NEXT_BYTES, timer.now(), LOOK_MAX);
        let seen = heard.read(ERROR_BYTES_MAX, &timer).await;
        happened.said = said(&heard.body);
        match seen {
            Ok(()) => (happened, Some(heard)),
            Err(error) => {
                self.failed.push((self.last.target, error));
                (happened, None)
            }
        }
    }

    /// Keeps an answer for the client if it is the best so far. If others follow its connection is given
    /// back, unless its body is slow or long; then its place among the connections is, for one of a few
    /// others. If there is none it is not kept. What is not kept is discarded.
    async fn keep(&mut self, mut heard: Heard, is_overload: bool, is_last: bool) {
        let kept_is_overload = self.kept.as_ref().is_some_and(|kept| kept.is_overload);
        if !self.attempts.keeps_last(kept_is_overload) {
            return heard.response.discard();
        }
        let (reused, choice) = (heard.response.lease.reused, self.last);
        // One that breaks off is no better than another that is here.
        if !is_last || is_overload && self.kept.is_some() {
            if let Err(error) = heard.read(KEPT_BYTES_MAX, &self.state.timer()).await {
                return self.failed.push((choice.target, error));
            }
        }
        let Heard { mut response, body, whole, wait, share } = heard;
        if !response.head.has_request_id {
            push_field(&mut response.head.relayed, "x-request-id", self.id.as_bytes());
        }
        let answer = if whole {
            Answer::Whole(Box::new(WholeAnswer::of(response, body, share)))
        } else {
            if !is_last {
                let Some(place) = self.state.kept_answers.try_take() else {
                    let is_long = body.len() >= KEPT_BYTES_MAX;
                    let error = match is_long {
                        true => upstream::Error::TooLarge(KEPT_BYTES_MAX as u64),
                        false => upstream::Error::Timeout(wait),
                    };
                    response.discard();
                    return self.failed.push((choice.target, error));
                };
                response.lease.permit = Some(place);
            }
            Answer::Open(Box::new(response), body, share)
        };
        let before = self.kept.replace(Kept { answer, choice, reused, is_overload });
        if let Some(Kept { answer: Answer::Open(response, ..), .. }) = before {
            response.discard();
        }
    }
}

impl Heard {
    /// Reads more of the body, up to `limit` bytes in all, as far as time and memory allow: there must be
    /// room for a piece before it is read.
    ///
    /// # Errors
    /// The connection or its framing breaks.
    async fn read(&mut self, limit: usize, timer: &Timer) -> Result<(), upstream::Error> {
        while !self.whole && self.body.len() < limit {
            if !self.share.grow_to(self.body.capacity() + PIECE_BYTES_MAX) {
                return Ok(());
            }
            let (response, body) = (&mut self.response, &mut self.body);
            let piece = poll_fn(|context| response.poll_body(context, body, u64::MAX));
            let read = timer.within(self.wait, piece).await;
            let fits = self.share.resize(self.body.capacity());
            let Ok(done) = read else { return Ok(()) };
            self.whole = done? && fits;
        }
        Ok(())
    }
}

async fn pause(state: &State, length: Duration) {
    if length > Duration::ZERO {
        let timer = state.timer();
        let wait = Wait::new(label::QUEUE, timer.now(), length);
        let _ = timer.within(wait, std::future::pending::<()>()).await;
    }
}
