//! Whose fault it is that a request went wrong, and what it tells of its provider.

use super::error::Error;
use super::outcome::Outcome;
use crate::downstream;
use crate::upstream::{self, is_fault_of_provider, Trouble};

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The one who asked: its token, its model, its request.
    Client,
    /// The one who was asked: its key, its quota, its machines, or the way there.
    Provider,
    /// The proxy: its limits, its configuration, its end.
    Proxy,
}

impl Culprit {
    /// The word for it, which never changes.
    pub fn name(self) -> &'static str {
        match self {
            Culprit::Client => "client",
            Culprit::Provider => "provider",
            Culprit::Proxy => "proxy",
        }
    }

    /// `None` when nothing went wrong; a client may leave when it likes. `provider_status` is what
    /// the provider said.
    pub fn of(outcome: &Outcome, provider_status: u16) -> Option<Culprit> {
        match outcome {
            Outcome::ClientGone => None,
            Outcome::ClientSlow(_) => Some(Culprit::Client),
            Outcome::Failed(error) | Outcome::Cut(error) => Some(of_error(error)),
            Outcome::Stopped | Outcome::Panicked => Some(Culprit::Proxy),
            Outcome::Complete | Outcome::Refused(_) => match provider_status {
                0..400 => None,
                status if is_fault_of_provider(status) => Some(Culprit::Provider),
                _ => Some(Culprit::Client),
            },
        }
    }

    /// What is wrong with the provider, for an outcome that is its fault.
    pub fn trouble(outcome: &Outcome, provider_status: u16) -> Option<Trouble> {
        match outcome {
            Outcome::Failed(error) | Outcome::Cut(error) => match &**error {
                Error::Upstream(_, error) => Trouble::of(error),
                Error::NoAnswer(errors) => errors.iter().rev().find_map(|error| match error {
                    Error::Upstream(_, error) => Trouble::of(error),
                    _ => None,
                }),
                _ => None,
            },
            _ => Some(Trouble::of_status(provider_status)),
        }
    }
}

fn of_error(error: &Error) -> Culprit {
    use upstream::Error as Upstream;
    match error {
        Error::Client(downstream::Error::Overloaded(_))
        | Error::ReloadRefused(_)
        | Error::NotYetKnown(_) => Culprit::Proxy,
        Error::NoAnswer(_) => Culprit::Provider,
        Error::Upstream(_, error) => match **error {
            Upstream::Busy(..) | Upstream::Memory(_) | Upstream::TooLarge(_) => Culprit::Proxy,
            _ => Culprit::Provider,
        },
        _ => Culprit::Client,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::runtime::{label, Wait};
    use crate::upstream::testing::provider;

    #[test]
    fn every_outcome_names_its_culprit() {
        use Culprit::{Client, Provider, Proxy};
        let wait = Wait::new(label::WRITE_TO_CLIENT, Instant::now(), Duration::from_secs(60));
        let failed = |error| Outcome::Failed(Box::new(error));
        let upstream = |error| Error::of_exchange(&provider(), error);
        for (outcome, provider_status, culprit) in [
            (Outcome::Complete, 200, None),
            (Outcome::Complete, 304, None),
            (Outcome::Complete, 400, Some(Client)),
            (Outcome::Complete, 404, Some(Client)),
            (Outcome::Complete, 401, Some(Provider)),
            (Outcome::Complete, 429, Some(Provider)),
            (Outcome::Complete, 529, Some(Provider)),
            (Outcome::Refused(503), 503, Some(Provider)),
            (Outcome::Refused(422), 422, Some(Client)),
            (Outcome::ClientGone, 0, None),
            (Outcome::ClientGone, 500, None),
            (Outcome::ClientSlow(wait), 200, Some(Client)),
            (failed(Error::NoToken), 401, Some(Client)),
            (failed(Error::ModelNotFound("x".to_owned())), 404, Some(Client)),
            (failed(Error::Client(downstream::Error::Overloaded(1))), 503, Some(Proxy)),
            (failed(upstream(upstream::Error::Busy(1, wait))), 503, Some(Proxy)),
            (failed(upstream(upstream::Error::TooLarge(1))), 502, Some(Proxy)),
            (failed(upstream(upstream::Error::Closed(false))), 502, Some(Provider)),
            (Outcome::Cut(Box::new(upstream(upstream::Error::Timeout(wait)))), 200, Some(Provider)),
            (Outcome::Stopped, 200, Some(Proxy)),
            (Outcome::Panicked, 200, Some(Proxy)),
        ] {
            assert_eq!(Culprit::of(&outcome, provider_status), culprit, "{outcome}");
            let told = Culprit::trouble(&outcome, provider_status).is_some();
            assert!(told || culprit != Some(Provider), "{outcome}");
        }
    }
}
