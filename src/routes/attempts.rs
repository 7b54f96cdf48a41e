//! The attempts of a request that may go to more than one key or provider, one after the other. What comes
//! next is decided in `routing`; here it is done.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::attempt::{failure_of, is_looked_at, look, read, said, InFlight};
use super::draft::Draft;
use super::stated::stated;
use crate::relay::{Answer, Terms, WholeAnswer};
use crate::report::Error;
use crate::routing::{Attempts, Choice, Happened, Plan, Target};
use crate::runtime::{label, unix_time, Wait};
use crate::state::State;
use crate::upstream::{self, exchange, Message, Timings, Trouble, UpstreamResponse};

/// All attempts of one request, and what they came to.
pub struct Run<'r> {
    /// The program's.
    pub state: &'r State,
    /// What may be tried.
    pub plan: &'r Plan,
    /// Decides.
    pub attempts: Attempts<'r>,
    /// Writes the request anew; `None` for one that cannot be sent twice.
    pub draft: Option<Draft<'r>>,
    /// Deadlines and limits.
    pub terms: &'r Terms<'r>,
    /// When the client's request was complete.
    pub begun: Instant,
    /// The request's id.
    pub id: String,
    /// Who wants to know how long what takes.
    pub timings: Option<Rc<Timings>>,
    /// The attempt that was made last.
    pub last: Choice,
    /// The answer that the client gets if none follows that is a better one.
    pub kept: Option<Kept>,
    /// Why attempts came to nothing, and where.
    pub failed: Vec<(usize, upstream::Error)>,
    /// The attempts that have ended, and what was wrong with the provider.
    pub troubles: Vec<(Choice, Option<Trouble>)>,
}

/// An answer and where it comes from.
pub struct Kept {
    /// The answer.
    pub answer: Answer,
    /// The attempt.
    pub choice: Choice,
    /// Whether an idle connection served it.
    pub reused: bool,
}

impl<'r> Run<'r> {
    fn target(&self) -> &'r Target {
        &self.plan.targets[self.last.target]
    }

    /// Makes all attempts. The first sends `message`.
    ///
    /// # Errors
    /// A request that cannot be written for a target.
    pub async fn all(&mut self, message: Message) -> Result<(), Error> {
        let mut message = message;
        loop {
            let result = self.one(&mut message).await;
            let (happened, response) = self.judge(result).await;
            let (clock, random) = (self.state.clock(), fastrand::f64());
            let next = self.attempts.after(self.last, happened, clock.now(), random);
            if let Some(response) = response {
                self.keep(response, next.is_none()).await;
            }
            let Some(next) = next else { return Ok(()) };
            if let Some(draft) = &mut self.draft {
                draft.take_back(message);
            }
            self.last = next;
            self.pause(next.wait).await;
            message = self.message()?;
            message.count_from(self.begun);
        }
    }

    /// The request for the target whose turn it is.
    fn message(&mut self) -> Result<Message, Error> {
        let (target, key) = (self.target(), self.last.key);
        match &mut self.draft {
            Some(draft) => draft.message(&target.provider, key, Some(&target.model), &self.id),
            // There is no second attempt without a draft.
            None => Ok(Message::new(Vec::new(), Vec::new(), None)),
        }
    }

    async fn pause(&self, length: Duration) {
        if length > Duration::ZERO {
            let timer = self.state.timer();
            let wait = Wait::new(label::QUEUE, timer.now(), length);
            let _ = timer.within(wait, std::future::pending::<()>()).await;
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
    ) -> (Happened, Option<(UpstreamResponse, Vec<u8>, bool)>) {
        let mut response = match result {
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
        if !is_looked_at(&happened, &self.plan.retry_on) {
            return (happened, Some((response, Vec::new(), false)));
        }
        let (mut body, timer) = (Vec::new(), self.state.timer());
        let seen = look(&mut response, &mut body, &timer).await;
        happened.said = said(&body);
        match seen {
            Ok(whole) => (happened, Some((response, body, whole))),
            Err(error) => {
                self.failed.push((self.last.target, error));
                (happened, None)
            }
        }
    }

    /// Keeps an answer for the client, as far as it is the best so far. If others follow its connection is
    /// given back, unless its body is slow or long.
    async fn keep(&mut self, response: (UpstreamResponse, Vec<u8>, bool), is_last: bool) {
        if !self.attempts.keeps_last() {
            return;
        }
        // What was kept before gives its memory and its connection back.
        self.kept = None;
        let (mut response, mut body, mut whole) = response;
        let (reused, choice) = (response.lease.reused, self.last);
        let mut share = self.terms.budget.share();
        if !whole && !is_last {
            let timer = self.state.timer();
            match read(&mut response, &mut body, self.terms.body_bytes_max, &timer).await {
                Ok(done) => whole = done,
                Err(error) => return self.failed.push((choice.target, error)),
            }
        }
        let answer = if whole && share.resize(body.capacity()) {
            Answer::Whole(Box::new(WholeAnswer::of(response, body, share)))
        } else {
            Answer::Open(Box::new(response), body)
        };
        self.kept = Some(Kept { answer, choice, reused });
    }
}
