//! Addresses that are plainly wrong, and where they were meant to lead.

use std::rc::Rc;

use super::examine::List;
use super::record::Stage;
use super::talk::{Examination, Step};
use super::words::Code;
use crate::config::{BaseUrl, Secret};
use crate::upstream::Provider;

/// What follows `baseurl` in requests, and so must not be part of it.
const ENDPOINTS: [&str; 7] = [
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/messages",
    "/models",
    "/responses",
    "/rerank",
];

impl Examination<'_> {
    /// What is wrong before anything is asked.
    pub fn read_configuration(&mut self) {
        let begun = self.record.begin(Stage::Config);
        let config = &self.provider.config;
        let (keys, base) = (&config.keys, &config.base);
        self.record.see("base", base);
        self.record.see("host", &base.host);
        self.record.count("port", base.port.into());
        let endpoint = ENDPOINTS.iter().find(|endpoint| base.path.ends_with(*endpoint));
        let code = match () {
            () if endpoint.is_some() => Some(Code::BaseurlHasEndpoint),
            () if keys.iter().any(Secret::is_unexpanded) => Some(Code::UnexpandedKey),
            () if keys.iter().any(Secret::is_quoted) => Some(Code::QuotedKey),
            () => None,
        };
        let is_odd = |key: &Secret| match code {
            Some(Code::UnexpandedKey) => key.is_unexpanded(),
            Some(Code::QuotedKey) => key.is_quoted(),
            _ => false,
        };
        let odd = keys.iter().enumerate().filter(|(_, key)| keys.len() > 1 && is_odd(key));
        odd.for_each(|(index, _)| self.record.blame_key(Stage::Config, index + 1));
        if let Some(endpoint) = endpoint {
            self.record.see("endpoint", endpoint);
            let path = base.path[..base.path.len() - endpoint.len()].to_owned();
            self.mend(self.at(base.https, path));
        }
        self.record.note(Stage::Config, begun.elapsed(), code);
    }

    /// The same provider at another address of its host.
    fn at(&self, https: bool, path: String) -> Rc<Provider> {
        let mut config = self.provider.config.clone();
        config.base = BaseUrl { https, path, ..config.base };
        Provider::new(config)
    }

    /// Goes on at the address that was meant.
    fn mend(&mut self, meant: Rc<Provider>) {
        self.record.see("fix", &meant.config.base);
        self.provider = meant;
    }

    /// Many servers close a plain connection, or answer with 400, where they wait for TLS.
    pub fn try_tls(&mut self) -> Step {
        self.meant = Some(self.at(true, self.provider.config.base.path.clone()));
        Step::Tls
    }

    /// Whether they do.
    pub fn judge_tls(&mut self, spoken: bool) -> Step {
        match self.meant.take() {
            Some(meant) if spoken => {
                self.mend(meant);
                let took = self.record.findings.borrow()[Stage::Http as usize].took;
                self.record.note(Stage::Http, took, Some(Code::SpeaksTls));
                Step::Done
            }
            _ => self.after_list(),
        }
    }

    /// The API may be found one step further down, as it is with many providers.
    pub fn try_v1(&mut self) -> Step {
        let BaseUrl { https, path, .. } = &self.provider.config.base;
        // `v4` is one, too.
        let is_version = |part: &str| {
            let digit = part.strip_prefix('v').and_then(|rest| rest.bytes().next());
            digit.is_some_and(|byte| byte.is_ascii_digit())
        };
        if path.split('/').any(is_version) {
            return self.after_list();
        }
        self.meant = Some(self.at(*https, format!("{path}/v1")));
        Step::V1
    }

    /// Whether it is.
    pub fn judge_v1(&mut self, list: List) -> Step {
        if let (Ok(list), Some(meant)) = (list, self.meant.take()) {
            self.mend(meant);
            let took = self.record.findings.borrow()[Stage::List as usize].took;
            self.record.note(Stage::List, took, Some(Code::BaseurlNeedsV1));
            self.accept(list);
        }
        self.after_list()
    }
}
