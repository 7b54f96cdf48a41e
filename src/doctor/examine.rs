//! The examination of one provider: what is asked next, and what the answer means.
//!
//! ```text
//! configuration ─▶ Models ─▶ [Tls | V1] ─▶ [Key …] ─▶ with --spend: Chat ─▶ [Renamed] ─▶ Stream ─▶ Cancel
//!                  name, way, TCP, TLS,
//!                  HTTP, clock, key, list
//! ```
//!
//! What follows a stage that failed is not tried. Where `baseurl` is plainly wrong, the rest is
//! examined at the address that was meant.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::reading::{End, Talk};
use super::record::Stage;
use super::talk::{Examination, Request, Step};
use super::text::{clean, is_error};
use super::verdict;
use super::words::{Code, Status};
use crate::config::BaseUrl;
use crate::language::Text;
use crate::routes::model_list::is_compressed;
use crate::routes::models;
use crate::routes::query::{self, LIST_BYTES_MAX, QUERY_MAX};
use crate::state::Listed;
use crate::upstream::{shown_target, Error};
use crate::wire::parse_date;

/// For another try in another way.
pub const TRIAL_MAX: Duration = Duration::from_secs(2);
/// Characters of a name or address of others that are shown.
const SHOWN_CHARS_MAX: usize = 200;
const NO_TIME: Duration = Duration::ZERO;

/// A list of models, or none.
pub type List = Result<Vec<Listed>, Text>;

impl Examination<'_> {
    /// All of it. What was found is in the record.
    pub async fn run(mut self) {
        self.read_configuration();
        while let Some(request) = self.next_request() {
            let mut result = self.talk(request).await;
            let text = match (&mut result, self.step) {
                (Ok(talk), Step::Models | Step::V1) if talk.is_list() => talk.text.clone(),
                _ => Vec::new(),
            };
            let list = models::parse(text).await;
            let next = match (self.step, result) {
                (Step::Models, Ok(talk)) => self.judge_answer(&talk, list),
                (Step::Models, Err(error)) => self.judge_silence(&error),
                (Step::Tls, result) => self.judge_tls(verdict::speaks_tls(&result)),
                (Step::V1, _) => self.judge_v1(list),
                (Step::Key, result) => self.judge_next_key(result),
                (_, result) => self.judge_chat(result),
            };
            self.step = self.or_keys(next);
        }
        self.record.done.set(true);
    }

    /// What is asked next, if anything is, and time is left for it.
    fn next_request(&mut self) -> Option<Request> {
        let begins = self.step == Step::Models && self.key_results.is_empty() || self.has_time();
        if !begins || self.step == Step::Chat && !self.begins_to_chat() {
            return None;
        }
        let length = match self.step {
            Step::Done => return None,
            Step::Models => QUERY_MAX,
            Step::Tls | Step::V1 => TRIAL_MAX,
            Step::Key => return Some(self.next_key()),
            _ => return self.next_chat(),
        };
        let provider = self.meant.as_ref().unwrap_or(&self.provider).clone();
        let head = query::request_head(&provider, self.key);
        Some(Request { provider, head, body: Vec::new(), length, leaves: false })
    }

    /// Whether there is something to show to the provider.
    #[inline(never)]
    pub fn has_key(&self) -> bool {
        let config = &self.provider.config;
        !config.keys.is_empty() || config.base.credentials.is_some()
    }

    /// Whether clients may use a model.
    #[inline(never)]
    pub fn allows(&self, model: &str) -> bool {
        self.config.allows(&format!("{}/{model}", self.provider.name()))
    }

    /// A stage is over; `text` is a response that may hold the provider's own words.
    #[inline(never)]
    pub fn note(&self, stage: Stage, took: Duration, code: Option<Code>, text: &[u8]) {
        self.record.note(stage, took, code);
        if code.is_some() {
            self.record.say(stage, text, &self.provider.config);
        }
    }

    /// What follows when there is nothing more to be learnt of the list.
    #[inline(never)]
    pub fn after_list(&self) -> Step {
        let failed = |stage| self.record.status(stage) == Status::Fail;
        let open = [Stage::Dns, Stage::Tcp, Stage::Tls, Stage::Http];
        if self.spend && !open.into_iter().any(failed) {
            Step::Chat
        } else {
            Step::Done
        }
    }

    /// There is no response.
    fn judge_silence(&mut self, error: &Error) -> Step {
        let base = &self.provider.config.base;
        if let Error::Connect(_) = error {
            // What keeps a connection from being opened is written down by the way.
            if self.record.code(Stage::Tls) == Some(Code::NotTls) {
                self.record.see("fix", &BaseUrl { https: false, ..base.clone() });
            }
            return Step::Done;
        }
        let mut code = verdict::of_exchange(error);
        if let Error::Redirect(status, location) = error {
            self.record.count("http_status", i64::from(*status));
            let target = shown_target(location.as_deref().unwrap_or("?"));
            let target = clean(&target, SHOWN_CHARS_MAX);
            if let Some(base) = verdict::base_of_redirect(&target, base) {
                self.record.see("fix", &base);
                code = Code::Redirect;
            }
            self.record.see("redirect", &target);
        }
        self.record.note(Stage::Http, self.record.connected_at.get().elapsed(), Some(code));
        match code {
            Code::Closed | Code::SpeaksTls if !self.provider.config.base.https => self.try_tls(),
            _ => Step::Done,
        }
    }

    /// Reads the response to `GET /models`.
    fn judge_answer(&mut self, talk: &Talk, list: List) -> Step {
        let status = talk.status;
        self.record.count("http_status", status.into());
        self.note(Stage::Http, talk.head_took, verdict::of_status(status), &talk.text);
        self.compare_clocks(talk);
        if status == 400 && !self.provider.config.base.https {
            return self.try_tls();
        }
        if let Some(code) = verdict::of_key(status, self.has_key(), talk.is_page()) {
            // A key that is plainly wrong is refused for that.
            let known = self.record.code(Stage::Config);
            let known = known.filter(|code| code.row().culprit == "key" && self.has_one_key());
            return self.refuse(known.unwrap_or(code), talk);
        }
        self.judge_key(status, None, &[]);
        let code = match (status, list) {
            (200, Ok(list)) => {
                let code = verdict::of_list(talk.took, is_compressed(&talk.text));
                self.note_list(talk, code);
                self.accept(list);
                return self.after_list();
            }
            (200, Err(_)) => self.no_list(talk),
            (404 | 405, _) => Code::NoList,
            (429, _) => Code::RateLimited,
            _ => return self.after_list(),
        };
        self.note_list(talk, Some(code));
        // Those that are given count, whatever became of the list.
        if !self.provider.config.model_list.is_empty() {
            self.count();
        }
        if matches!(code, Code::NoList | Code::HtmlPage) {
            return self.try_v1();
        }
        self.after_list()
    }

    /// Why a response with status 200 is no list.
    fn no_list(&self, talk: &Talk) -> Code {
        match talk.end {
            End::Cut => Code::CutList,
            End::Late => Code::SlowListGivenUp,
            End::TooLong => {
                self.record.see("limit", &format_args!("{} MiB", LIST_BYTES_MAX >> 20));
                Code::ListTooLarge
            }
            End::Whole if talk.is_page() => Code::HtmlPage,
            End::Whole if is_error(&talk.text) => Code::ErrorInList,
            End::Whole => Code::NotAList,
        }
    }

    /// What is wrong with a list does no harm to a provider whose models are given.
    #[inline(never)]
    fn note_list(&self, talk: &Talk, code: Option<Code>) {
        let given = !self.provider.config.model_list.is_empty();
        let code = code.filter(|code| !given || !verdict::is_of_list_alone(*code));
        self.note(Stage::List, talk.took, code, &talk.text);
    }

    fn compare_clocks(&self, talk: &Talk) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let Some(date) = talk.date().and_then(parse_date) else { return };
        let skew = date - now.as_secs() as i64;
        self.record.count("clock_skew_seconds", skew);
        self.record.count("skew", skew.abs() / 60);
        self.record.note(Stage::Clock, NO_TIME, verdict::of_clock(skew));
    }

    /// A list came.
    #[inline(never)]
    pub fn accept(&mut self, list: Vec<Listed>) {
        self.list = list;
        self.accept_key();
        if self.has_key() && !self.record.has(Stage::Key) {
            self.record.note(Stage::Key, NO_TIME, None);
        }
        self.count();
    }

    /// How many models there are, and whether that is as it should be.
    #[inline(never)]
    fn count(&self) {
        let given = &self.provider.config.model_list;
        let is_listed = |name: &String| self.list.iter().any(|model| *model.id == **name);
        let missing = given.iter().find(|name| !self.list.is_empty() && !is_listed(name));
        if let Some(name) = missing {
            self.record.see("missing", &clean(name, SHOWN_CHARS_MAX));
        }
        let (mut count, mut allowed) = (0, false);
        self.each_model(&mut |name| {
            count += 1;
            allowed |= self.allows(name);
        });
        self.record.count("models", count);
        let code = match () {
            () if count == 0 => Some(Code::EmptyList),
            () if !allowed => Some(Code::AllFiltered),
            () if missing.is_some() => Some(Code::ModelNotListed),
            () => None,
        };
        self.record.note(Stage::Models, NO_TIME, code);
    }

    /// The models that clients see: those that are given, or else those that are listed.
    pub fn each_model(&self, visit: &mut dyn FnMut(&str)) {
        let given = &self.provider.config.model_list;
        if given.is_empty() {
            self.list.iter().for_each(|model| visit(&model.id));
        } else {
            given.iter().for_each(|name| visit(name));
        }
    }
}
