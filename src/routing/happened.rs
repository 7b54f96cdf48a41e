//! What an attempt came to, and what class that is: whether the request surely did not run, whose fault it
//! was, and so whether there may be another attempt.

use std::fmt;
use std::time::Duration;

use crate::config::RetryOn;

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// A status, or why there is none.
    pub result: Result<u16, Failure>,
    /// How long the provider wants to be left alone.
    pub stated: Option<Duration>,
    /// What the body of an error says.
    pub said: Said,
}

/// What the body of an error says, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// That a quota is used up.
    pub quota: bool,
    /// Its code.
    pub code: Option<String>,
}

/// Why an attempt has no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host's name has no address.
    Dns,
    /// No TCP connection.
    Connect,
    /// No TLS session.
    Tls,
    /// The connection ended before a response.
    Closed,
    /// No response in time.
    Timeout,
    /// What came is no response.
    Invalid,
    /// A redirect of this status, which is not followed.
    Redirect(u16),
    /// A limit of ours was in the way.
    Ours,
}

impl Failure {
    /// Whether there was no connection at all.
    pub fn is_of_connection(self) -> bool {
        matches!(self, Failure::Dns | Failure::Connect | Failure::Tls)
    }
}

/// As it stands in the trail.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Dns => "dns",
            Failure::Connect => "connect",
            Failure::Tls => "tls",
            Failure::Closed => "closed",
            Failure::Timeout => "timeout",
            Failure::Invalid => "invalid",
            Failure::Redirect(status) => return status.fmt(f),
            Failure::Ours => "busy",
        })
    }
}

/// What follows from what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is the answer.
    Success,
    /// Surely not run: any other key or target, or the same again.
    Refused,
    /// The same, since there were too many requests.
    Limited,
    /// It may have run and cost money: another target.
    Unclear,
    /// The key is not accepted, or its quota is used up: another key or target.
    KeyFault,
    /// Denied or not found, perhaps by the key's fault: another key or target.
    Denied,
    /// Another target may do better.
    TargetsFault,
    /// No other attempt: the request's fault, or ours.
    Final,
}

impl Happened {
    /// A bare status.
    pub fn status(status: u16) -> Happened {
        Happened { result: Ok(status), stated: None, said: Said::default() }
    }

    /// No status.
    pub fn failure(failure: Failure) -> Happened {
        Happened { result: Err(failure), ..Happened::status(0) }
    }

    /// Its class, where these are tried again beside what always is.
    pub fn class(&self, retry_on: &RetryOn) -> Class {
        let class = match self.result {
            Ok(status) => self.class_of_status(status),
            Err(Failure::Dns | Failure::Connect | Failure::Tls) => Class::Refused,
            Err(Failure::Closed | Failure::Invalid | Failure::Redirect(_)) => Class::Unclear,
            Err(Failure::Timeout) if retry_on.timeout => Class::Refused,
            Err(Failure::Timeout | Failure::Ours) => Class::Final,
        };
        let is_added =
            |status| self.is_timeout() && retry_on.timeout || retry_on.statuses.contains(&status);
        let added_code = self.said.code.as_ref().filter(|code| retry_on.codes.contains(code));
        match (class, self.result) {
            (Class::Final | Class::Unclear, Ok(status)) if is_added(status) => Class::Refused,
            (Class::Final, Ok(_)) if added_code.is_some() => Class::TargetsFault,
            _ => class,
        }
    }

    fn class_of_status(&self, status: u16) -> Class {
        match status {
            200..300 => Class::Success,
            401 | 402 => Class::KeyFault,
            403 | 429 if self.said.quota => Class::KeyFault,
            429 => Class::Limited,
            403 | 404 => Class::Denied,
            503 | 521 | 522 | 523 | 525 | 526 | 529 | 530 => Class::Refused,
            500 | 502 | 520 => Class::Unclear,
            _ => Class::Final,
        }
    }

    /// Whether it is an answer that tells of a time-out.
    pub fn is_timeout(&self) -> bool {
        matches!(self.result, Ok(408 | 504 | 524))
    }

    /// Whether it is an answer after which waiting helps.
    pub fn is_overload(&self) -> bool {
        matches!(self.result, Ok(429 | 503 | 529))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_and_failure_has_its_class() {
        let none = RetryOn::default();
        let class = |statuses: &[u16], class| {
            for status in statuses {
                assert_eq!(Happened::status(*status).class(&none), class, "{status}");
            }
        };
        class(&[200, 201, 204, 299], Class::Success);
        class(&[503, 521, 522, 523, 525, 526, 529, 530], Class::Refused);
        class(&[429], Class::Limited);
        class(&[500, 502, 520], Class::Unclear);
        class(&[401, 402], Class::KeyFault);
        class(&[403, 404], Class::Denied);
        class(&[400, 405, 408, 409, 413, 422, 501, 504, 524, 304], Class::Final);
        for (failure, class) in [
            (Failure::Dns, Class::Refused),
            (Failure::Connect, Class::Refused),
            (Failure::Tls, Class::Refused),
            (Failure::Closed, Class::Unclear),
            (Failure::Invalid, Class::Unclear),
            (Failure::Redirect(301), Class::Unclear),
            (Failure::Timeout, Class::Final),
            (Failure::Ours, Class::Final),
        ] {
            assert_eq!(Happened::failure(failure).class(&none), class, "{failure}");
        }
    }

    #[test]
    fn a_quota_is_the_keys_fault_only_where_it_may_be_told() {
        let said = Said { quota: true, code: None };
        for (status, expected) in [
            (429, Class::KeyFault),
            (403, Class::KeyFault),
            (400, Class::Final),
            (500, Class::Unclear),
        ] {
            let happened = Happened { said: said.clone(), ..Happened::status(status) };
            assert_eq!(happened.class(&RetryOn::default()), expected, "{status}");
        }
    }

    #[test]
    fn what_is_tried_again_besides_is_added_and_nothing_is_taken_away() {
        let added =
            RetryOn { timeout: true, statuses: vec![400, 500], codes: vec!["too_long".to_owned()] };
        let said = |code: &str| Said { quota: false, code: Some(code.to_owned()) };
        for (status, code, expected) in [
            (400, "", Class::Refused),
            (500, "", Class::Refused),
            (502, "", Class::Unclear),
            (408, "", Class::Refused),
            (504, "", Class::Refused),
            (524, "", Class::Refused),
            (422, "", Class::Final),
            (422, "too_long", Class::TargetsFault),
            (422, "other", Class::Final),
            (401, "too_long", Class::KeyFault),
        ] {
            let happened = Happened { said: said(code), ..Happened::status(status) };
            assert_eq!(happened.class(&added), expected, "{status} {code}");
        }
        assert_eq!(Happened::failure(Failure::Timeout).class(&added), Class::Refused);
    }
}
