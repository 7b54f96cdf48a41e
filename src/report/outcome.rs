//! How a request ended.

use std::fmt;

use super::error::Error;
use crate::downstream;
use crate::language::Words;
use crate::message;
use crate::runtime::Wait;

/// How a request ended.
#[derive(Debug)]
pub enum Outcome {
    /// The whole response went out.
    Complete,
    /// The client left before that.
    ClientGone,
    /// The client stopped reading.
    ClientSlow(Wait),
    /// An error of ours was the response.
    Failed(Box<Error>),
    /// An error that came after a head was out: the response was cut, or ends with an error event.
    Cut(Box<Error>),
    /// The provider refused with this status after a head of ours was out.
    Refused(u16),
    /// The program was told to end, and did not wait for this any longer.
    Stopped,
    /// A fault of the program itself.
    Panicked,
}

impl Outcome {
    /// The outcome of a request that ended with this error, whether or not its client is still
    /// there.
    pub fn of(error: Error) -> Outcome {
        match error {
            Error::Client(downstream::Error::Gone) => Outcome::ClientGone,
            error => Outcome::Failed(Box::new(error)),
        }
    }

    /// Writing a response ended with this error.
    pub fn of_write(error: &downstream::Error) -> Outcome {
        match error {
            downstream::Error::Timeout(wait) => Outcome::ClientSlow(*wait),
            _ => Outcome::ClientGone,
        }
    }

    /// The status that the client got, where this decides it.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Outcome::Failed(error) => error.status(),
            _ => None,
        }
    }

    /// The level of the line in the log; `provider_status` is what the provider said.
    pub(super) fn level(&self, provider_status: u16) -> log::Level {
        match self {
            Outcome::Failed(error) if error.status().is_some_and(|status| status >= 500) => {
                log::Level::Error
            }
            Outcome::Failed(_) | Outcome::ClientSlow(_) | Outcome::Stopped => log::Level::Warn,
            Outcome::Cut(_) | Outcome::Panicked => log::Level::Error,
            // The provider's own errors: relayed as they are, and worth finding.
            _ if provider_status >= 500 => log::Level::Error,
            _ if provider_status >= 400 => log::Level::Warn,
            _ => log::Level::Info,
        }
    }

    /// The counter of errors that this adds to, and whether it counts under the provider's name, once
    /// one was chosen.
    pub(super) fn counter(&self, provider_status: u16) -> Option<(&'static str, bool)> {
        Some(match self {
            Outcome::ClientGone => ("client_gone", false),
            Outcome::ClientSlow(_) => ("client_timeout", false),
            Outcome::Failed(error) => {
                (error.kind(), !matches!(**error, Error::Client(downstream::Error::Timeout(_))))
            }
            Outcome::Cut(_) => ("stream_cut", true),
            Outcome::Stopped => ("stopped", false),
            Outcome::Panicked => ("panicked", false),
            _ if provider_status >= 500 => ("status_5xx", true),
            _ if provider_status >= 400 => ("status_4xx", true),
            _ => return None,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Complete => Words("完成", "complete").fmt(f),
            Outcome::ClientGone => Words("客户端断开", "client gone").fmt(f),
            Outcome::ClientSlow(wait) => {
                let seconds = wait.length.as_secs_f64();
                message!("客户端不读取，{seconds} s", "client timed out after {seconds} s").fmt(f)
            }
            Outcome::Failed(error) => error.fmt(f),
            Outcome::Cut(error) => match error.upstream_timeout() {
                Some(wait) => {
                    let (label, seconds) = (wait.label, wait.length.as_secs_f64());
                    message!("上游超时: {label}，{seconds} s", "timed out: {label}, {seconds} s")
                        .fmt(f)
                }
                None => message!("上游中断: {error}", "cut by provider: {error}").fmt(f),
            },
            Outcome::Refused(status) => message!(
                "提前响应后上游拒绝: 状态 {status}",
                "refused with status {status} after an early 200"
            )
            .fmt(f),
            Outcome::Stopped => {
                Words("程序停止，未等其结束", "the program stopped before its end").fmt(f)
            }
            Outcome::Panicked => Words("程序内部错误", "a fault of the program itself").fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use log::Level::{Error as Bad, Info, Warn};

    use super::*;
    use crate::runtime::label;

    #[test]
    fn every_outcome_has_its_level_and_its_counter() {
        let wait = Wait::new(label::WRITE_TO_CLIENT, Instant::now(), Duration::from_secs(60));
        let failed = |error| Outcome::Failed(Box::new(error));
        let client = |error| failed(Error::Client(error));
        for (outcome, provider_status, level, counter) in [
            (Outcome::Complete, 200, Info, None),
            (Outcome::Complete, 429, Warn, Some(("status_4xx", true))),
            (Outcome::Complete, 529, Bad, Some(("status_5xx", true))),
            (Outcome::Refused(503), 503, Bad, Some(("status_5xx", true))),
            (Outcome::ClientGone, 0, Info, Some(("client_gone", false))),
            (Outcome::ClientSlow(wait), 200, Warn, Some(("client_timeout", false))),
            (failed(Error::NoToken), 0, Warn, Some(("unauthorized", true))),
            (client(downstream::Error::Timeout(wait)), 0, Warn, Some(("client_timeout", false))),
            (client(downstream::Error::Overloaded(1)), 0, Bad, Some(("busy", true))),
            (Outcome::Cut(Box::new(Error::NoToken)), 200, Bad, Some(("stream_cut", true))),
            (Outcome::Stopped, 200, Warn, Some(("stopped", false))),
            (Outcome::Panicked, 200, Bad, Some(("panicked", false))),
        ] {
            assert_eq!(outcome.level(provider_status), level, "{outcome}");
            assert_eq!(outcome.counter(provider_status), counter, "{outcome}");
        }
    }
}
