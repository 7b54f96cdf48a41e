//! Every error that the program itself tells a client, and in one table what follows from it.

use std::rc::Rc;

use super::dialect::Dialect;
use crate::downstream;
use crate::language::Text;
use crate::runtime::Wait;
use crate::upstream::{self, ConnectError, Provider};
use crate::wire::{Coding, HeadError, Reply};

mod words;

/// What went wrong with one request.
#[derive(Debug)]
pub enum Error {
    /// The client's side.
    Client(downstream::Error),
    /// A provider's side: it could not be reached, was too slow, or its response cannot be used.
    Upstream(Rc<Provider>, Box<upstream::Error>),
    /// The same of several providers, of which none has answered.
    NoAnswer(Vec<Error>),
    /// The request body is refused; the reason.
    BadRequest(Text),
    /// The request body is in a content coding that cannot be read: this one.
    UnknownCoding(String),
    /// A form is in this content coding: none is read there.
    CodedForm(String),
    /// More than this many bytes would have to be held, for the model stands behind them.
    ModelBehindFile(u64),
    /// No `Authorization: Bearer`.
    NoToken,
    /// The token is not on the list.
    BadToken,
    /// No such path.
    NotFound(String),
    /// The path repeats a part of itself, as when a base URL already ends with it.
    PathTwice(String),
    /// Only plain HTTP is spoken there.
    NoWebSocket,
    /// The path knows other methods only: these.
    MethodNotAllowed(&'static str),
    /// No such provider, or the model is filtered or not listed; the model's name.
    ModelNotFound(String),
    /// The provider does not offer the endpoint.
    NotOffered {
        /// The provider's name.
        provider: String,
        /// Such as `embeddings`.
        endpoint: String,
    },
    /// A bare name that more than one provider lists; two of them.
    SeveralProviders {
        /// The name.
        model: String,
        /// The providers' names.
        providers: [String; 2],
    },
    /// A bare name, while not every provider has said which models it has.
    NotYetKnown(String),
    /// Nobody is known to have stored an object of this id.
    UnknownStored(String),
    /// The configuration file does not load; what is wrong with it.
    ReloadRefused(Vec<Text>),
}

impl From<downstream::Error> for Error {
    fn from(error: downstream::Error) -> Error {
        Error::Client(error)
    }
}

/// What follows from an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Consequence {
    /// The HTTP status.
    pub status: u16,
    /// A short name for counters.
    pub kind: &'static str,
    /// A field that the response needs.
    pub field: Option<(&'static str, &'static str)>,
    /// Whether nothing that follows on the connection can be trusted to be a request.
    pub closes: bool,
}

impl Error {
    /// What failed with `provider`.
    pub fn of_exchange(provider: &Rc<Provider>, error: upstream::Error) -> Error {
        Error::Upstream(provider.clone(), Box::new(error))
    }

    /// Status, counter, field, and whether the connection must be closed; `None` when the client
    /// has left, so that there is no response.
    pub fn consequence(&self) -> Option<Consequence> {
        use downstream::Error as Client;
        const RETRY: Option<(&str, &str)> = Some(("retry-after", "1"));
        const BEARER: Option<(&str, &str)> = Some(("www-authenticate", "Bearer"));
        // What can be read (RFC 9110 §15.5.16).
        const CODING: Option<(&str, &str)> = Some(("accept-encoding", Coding::NAMES));
        let (status, kind, field, closes) = match self {
            Error::Client(Client::Gone) => return None,
            Error::Client(Client::Head(head)) => (head_status(*head), "bad_request", None, true),
            Error::Client(Client::Body(_) | Client::Form(_)) => (400, "bad_request", None, false),
            Error::Client(Client::Timeout(_)) => (408, "client_timeout", None, true),
            Error::Client(Client::TooLarge(_)) => (413, "request_too_large", None, false),
            Error::Client(Client::Overloaded(_)) => (503, "busy", RETRY, false),
            Error::BadRequest(_) | Error::ReloadRefused(_) => (400, "bad_request", None, false),
            Error::UnknownCoding(_) => (415, "bad_request", CODING, false),
            Error::CodedForm(_) => {
                (415, "bad_request", Some(("accept-encoding", "identity")), false)
            }
            Error::ModelBehindFile(_) => (413, "request_too_large", None, false),
            Error::NoToken | Error::BadToken => (401, "unauthorized", BEARER, false),
            Error::NotFound(_) | Error::PathTwice(_) | Error::UnknownStored(_) => {
                (404, "not_found", None, false)
            }
            Error::NoWebSocket => (426, "upgrade", Some(("upgrade", "HTTP/1.1")), false),
            Error::MethodNotAllowed(allowed) => {
                (405, "not_found", Some(("allow", *allowed)), false)
            }
            Error::ModelNotFound(_) | Error::SeveralProviders { .. } | Error::NotOffered { .. } => {
                (404, "model_not_found", None, false)
            }
            Error::NotYetKnown(_) => (503, "busy", RETRY, false),
            Error::NoAnswer(errors) => {
                let is_timeout = |error: &Error| error.status() == Some(504);
                match errors.iter().all(is_timeout) {
                    true => (504, "upstream_timeout", None, false),
                    false => (502, "upstream_failed", None, false),
                }
            }
            Error::Upstream(_, error) => match **error {
                upstream::Error::Busy(..) | upstream::Error::Memory(_) => {
                    (503, "busy", RETRY, false)
                }
                upstream::Error::Timeout(_)
                | upstream::Error::Connect(ConnectError::Timeout(_)) => {
                    (504, "upstream_timeout", None, false)
                }
                upstream::Error::TooLarge(_) => (502, "answer_too_large", None, false),
                upstream::Error::Connect(_)
                | upstream::Error::Io(_)
                | upstream::Error::Closed(_)
                | upstream::Error::Head(_)
                | upstream::Error::Body(_)
                | upstream::Error::Redirect(..) => (502, "upstream_failed", None, false),
            },
        };
        Some(Consequence { status, kind, field, closes })
    }

    /// The HTTP status; `None` when the client has left.
    pub fn status(&self) -> Option<u16> {
        self.consequence().map(|consequence| consequence.status)
    }

    /// A short name for counters.
    pub fn kind(&self) -> &'static str {
        self.consequence().map_or("client_gone", |consequence| consequence.kind)
    }

    /// The response that says so in the client's dialect; `None` when the client has left. `id` is
    /// the request's.
    pub fn reply(&self, dialect: Dialect, id: &str) -> Option<Reply> {
        let Consequence { status, field, .. } = self.consequence()?;
        let body = dialect.error(&self.to_string(), status, id, None);
        let reply = Reply::json(status, body.into_bytes());
        Some(match field {
            Some((name, value)) => reply.with(name, value),
            None => reply,
        })
    }

    /// The same as an event, for a client whose response has begun.
    pub fn event(&self, dialect: Dialect, id: &str) -> String {
        dialect.error_event(&self.to_string(), self.status().unwrap_or(502), id, None)
    }

    /// The wait that ran out, if that is what happened with the provider.
    pub fn upstream_timeout(&self) -> Option<&Wait> {
        match self {
            Error::Upstream(_, error) => timeout(error),
            _ => None,
        }
    }
}

fn head_status(error: HeadError) -> u16 {
    match error {
        HeadError::Malformed(_) => 400,
        HeadError::TooLarge => 431,
        HeadError::Version | HeadError::Http2 | HeadError::Tls => 505,
        HeadError::Coding => 501,
        HeadError::Expectation => 417,
    }
}

fn timeout(error: &upstream::Error) -> Option<&Wait> {
    match error {
        upstream::Error::Timeout(wait) | upstream::Error::Connect(ConnectError::Timeout(wait)) => {
            Some(wait)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_route_has_its_status_and_says_what_to_do() {
        let name = || "resp_1".to_owned();
        for (error, status, kind, words) in [
            (Error::BadRequest(Text::new("resp_1")), 400, "bad_request", "resp_1"),
            (Error::ModelNotFound(name()), 404, "model_not_found", "未找到模型 resp_1"),
            (Error::UnknownStored(name()), 404, "not_found", "不知道 resp_1 在哪个提供商"),
            (Error::UnknownStored(name()), 404, "not_found", "?model=provider/model"),
            (Error::UnknownStored(name()), 404, "not_found", "x-ai-proxy-model"),
        ] {
            let expected = Consequence { status, kind, field: None, closes: false };
            assert_eq!(error.consequence(), Some(expected));
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
