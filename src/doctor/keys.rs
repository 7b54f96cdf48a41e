//! Several keys of one provider: each is shown to it in a list request of its own, and told by its number.
//! The rest is examined with the first that is not refused.

use std::time::Duration;

use super::examine::TRIAL_MAX;
use super::reading::Talk;
use super::record::Stage;
use super::talk::{Examination, Request, Step};
use super::verdict;
use super::words::{Code, Status};
use crate::routes::query;
use crate::upstream::Error;

impl Examination<'_> {
    fn keys(&self) -> usize {
        self.provider.config.keys.len()
    }

    /// Whether no number is needed to tell which.
    pub fn has_one_key(&self) -> bool {
        self.keys() == 1
    }

    /// The key in use brought a list, perhaps at another address than before.
    pub fn accept_key(&mut self) {
        self.key_results.pop();
        self.tell_key("✓".to_owned());
    }

    /// The key in use is refused: the next one, if there is one, is shown in its place.
    pub fn refuse(&mut self, code: Code, talk: &Talk) -> Step {
        self.judge_key(talk.status, Some(code), &talk.text);
        let next = self.key_results.len();
        if next >= self.keys() {
            return Step::Done;
        }
        self.key = next;
        Step::Models
    }

    /// What became of the key that was shown last.
    pub fn judge_key(&mut self, status: u16, refused: Option<Code>, text: &[u8]) {
        let number = self.key_results.len() + 1;
        if let Some(code) = refused {
            if self.record.status(Stage::Key) != Status::Fail {
                self.note(Stage::Key, Duration::ZERO, Some(code), text);
            }
            if self.keys() > 1 {
                self.record.blame_key(Stage::Key, number);
            }
        }
        self.tell_key(match (status, refused) {
            (200, None) => "✓".to_owned(),
            (status, None) => format!("– {status}"),
            (status, Some(_)) => format!("✗ {status}"),
        });
    }

    fn tell_key(&mut self, result: String) {
        self.key_results.push(result);
        let count = self.keys();
        if count > 1 {
            let results = self.key_results.iter().map(|result| &**result);
            let results = results.chain(std::iter::repeat("–")).take(count).enumerate();
            let told: Vec<_> =
                results.map(|(index, told)| format!("#{} {told}", index + 1)).collect();
            self.record.see("keys", &told.join(" "));
        }
    }

    /// What follows the list: the keys that were not shown yet come before `next`.
    pub fn or_keys(&mut self, next: Step) -> Step {
        let ends = matches!(next, Step::Done | Step::Chat);
        let asks = matches!(self.step, Step::Models | Step::Tls | Step::V1);
        let answers =
            self.record.has(Stage::Http) && self.record.status(Stage::Http) != Status::Fail;
        if !(ends && asks && answers && self.key_results.len() < self.keys()) {
            return next;
        }
        self.behind_keys = next;
        Step::Key
    }

    /// The list once more, with the next key.
    pub fn next_key(&self) -> Request {
        let provider = self.provider.clone();
        let head = query::request_head(&provider, self.key_results.len());
        Request { provider, head, body: Vec::new(), length: TRIAL_MAX, leaves: false }
    }

    /// Whether that one is refused, and what is asked next.
    pub fn judge_next_key(&mut self, result: Result<Talk, Error>) -> Step {
        match result {
            Ok(talk) => {
                let refused = verdict::of_key(talk.status, true, talk.is_page());
                self.judge_key(talk.status, refused, &talk.text);
            }
            Err(_) => self.tell_key("–".to_owned()),
        }
        match self.key_results.len() < self.keys() {
            true => Step::Key,
            false => self.behind_keys,
        }
    }
}
