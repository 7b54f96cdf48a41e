//! What one attempt came to: its failure in the words of `routing`, and what the body of an error says.

use std::io::Read;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::model_list::is_compressed;
use crate::config::RetryOn;
use crate::routing::{self, Class, Failure, Happened, Said, ERROR_BYTES_MAX};
use crate::runtime::label;
use crate::upstream::{self, ConnectError, History, Provider};

/// A request that is at a provider.
pub struct InFlight(Rc<History>);

impl InFlight {
    /// It is there until this is dropped.
    pub fn at(provider: &Provider) -> InFlight {
        let history = provider.history.clone();
        history.in_flight.set(history.in_flight.get().wrapping_add(1));
        InFlight(history)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().wrapping_sub(1));
    }
}

/// Why there is no response.
pub fn failure_of(error: &upstream::Error) -> Failure {
    use upstream::Error;
    match error {
        Error::Busy(..) | Error::Memory(_) | Error::TooLarge(_) => Failure::Ours,
        Error::Connect(ConnectError::Resolve(..)) => Failure::Dns,
        Error::Connect(ConnectError::Tls(_)) => Failure::Tls,
        Error::Connect(ConnectError::Timeout(wait)) if wait.label == label::TLS => Failure::Tls,
        Error::Connect(ConnectError::Tcp(_) | ConnectError::Timeout(_)) => Failure::Connect,
        Error::Timeout(_) => Failure::Timeout,
        Error::Io(_) | Error::Closed(_) => Failure::Closed,
        Error::Head(_) | Error::Body(_) => Failure::Invalid,
        Error::Redirect(status, _) => Failure::Redirect(*status),
    }
}

/// Whether it depends on the body what follows.
pub fn is_looked_at(happened: &Happened, retry_on: &RetryOn) -> bool {
    let is_error = matches!(happened.result, Ok(400..));
    matches!(happened.result, Ok(403 | 429))
        || is_error && !retry_on.codes.is_empty() && happened.class(retry_on) == Class::Final
}

/// What the beginning of an error's body says, though it may be compressed.
pub fn said(body: &[u8]) -> Said {
    if !is_compressed(body) {
        return routing::said(body);
    }
    let mut text = Vec::new();
    // What was read before an error, such as the end of what has come, counts.
    let _ = MultiGzDecoder::new(body).take(ERROR_BYTES_MAX as u64).read_to_end(&mut text);
    routing::said(&text)
}
