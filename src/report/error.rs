//! Every error that the program itself tells a client: its words, and in one table what follows
//! from it.

use std::fmt::{self, Display as _};
use std::rc::Rc;

use super::dialect::Dialect;
use crate::downstream;
use crate::language::{pick, Joined, Text, Words};
use crate::message;
use crate::runtime::Wait;
use crate::upstream::{self, ConnectError, Provider};
use crate::wire::{Coding, HeadError, Reply};

/// Promised without a translation in the same string.
const NO_TOKEN: Words =
    Words("未提供API token", "no API token: send `Authorization: Bearer <token>`");

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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Client(error) => write_client(f, error),
            Error::Upstream(provider, error) => write_upstream(f, provider.name(), error),
            Error::NoAnswer(errors) => {
                Joined(&errors.iter().map(Text::new).collect::<Vec<_>>()).fmt(f)
            }
            Error::BadRequest(reason) => reason.fmt(f),
            Error::ReloadRefused(mistakes) => Joined(mistakes).fmt(f),
            Error::UnknownCoding(coding) => message!("不支持的请求体编码 {coding}", "a request body in this Content-Encoding cannot be read" => "a request body in Content-Encoding {coding} cannot be read").fmt(f),
            Error::CodedForm(coding) => message!("表单不能用 Content-Encoding {coding} 压缩", "a form must not be in a Content-Encoding" => "a form must not be in Content-Encoding {coding}").fmt(f),
            Error::ModelBehindFile(limit) => message!("表单过大，上限 {limit} 字节，因为 model 在文件之后：请把 model 放在文件之前，或用 ?model=", "form over {limit} bytes: send model before file, or `?model=`").fmt(f),
            Error::NoToken => f.write_str(pick(NO_TOKEN.0, NO_TOKEN.1)),
            Error::BadToken => Words("API token无效", "invalid API token").fmt(f),
            Error::NotFound(path) => message!("未找到路径 {path}", "no such path" => "no such path: {path}").fmt(f),
            Error::PathTwice(path) => message!("未找到路径 {path}：路径有一段重复，请检查客户端的 base_url", "no such path: a part of it is there twice, check the client's base_url" => "no such path: {path}: a part of it is there twice, check the client's base_url").fmt(f),
            Error::NoWebSocket => {
                Words("这里不支持 WebSocket，请用普通 HTTP", "no WebSocket here: use plain HTTP").fmt(f)
            }
            Error::MethodNotAllowed(allowed) => {
                message!("不支持的请求方法，允许 {allowed}", "method not allowed" => "method not allowed, only {allowed}").fmt(f)
            }
            Error::ModelNotFound(model) => message!("未找到模型 {model}", "no such model" => "no such model: {model}").fmt(f),
            Error::NotOffered { provider, endpoint } => message!(
                "提供商 {provider} 不提供接口 {endpoint}",
                "provider {provider} does not offer {endpoint}"
            )
            .fmt(f),
            Error::SeveralProviders { model, providers: [one, other] } => message!(
                "未找到模型 {model}：提供商 {one} 和 {other} 都有，请写成 {one}/{model} 或 {other}/{model}",
                "no such model: {model}: providers {one} and {other} both list it, ask for {one}/{model} or {other}/{model}"
            )
            .fmt(f),
            Error::NotYetKnown(model) => message!(
                "尚未获得所有提供商的模型列表，暂时不知道 {model} 属于谁",
                "not every provider has listed its models yet: not known whose {model} is"
            )
            .fmt(f),
            Error::UnknownStored(id) => message!("不知道 {id} 在哪个提供商：请加 ?model=提供商/模型 或请求头 x-ai-proxy-model", "no provider is known for it: add `?model=provider/model` or the header `x-ai-proxy-model`" => "no provider is known for {id}: add `?model=provider/model` or the header `x-ai-proxy-model`"
            ).fmt(f),
        }
    }
}

fn write_client(f: &mut fmt::Formatter<'_>, error: &downstream::Error) -> fmt::Result {
    use downstream::Error as Client;
    match error {
        Client::Head(error) => write!(f, "{error}"),
        Client::Body(error) => {
            message!("请求体无效: {error}", "invalid request body: {error}").fmt(f)
        }
        Client::Form(error) => {
            message!("请求体无效: {error}", "invalid request body: {error}").fmt(f)
        }
        Client::TooLarge(limit) => {
            message!("请求体过大，上限 {limit} 字节", "request body over {limit} bytes").fmt(f)
        }
        Client::Overloaded(limit) => message!(
            "并发请求过多，合计内存上限 {limit} 字节",
            "too many requests at once: they are over {limit} bytes together"
        )
        .fmt(f),
        Client::Timeout(wait) => {
            let (label, seconds) = (wait.label, Seconds(wait));
            message!("请求超时: {label}，{seconds}", "request timed out after {seconds}: {label}")
                .fmt(f)
        }
        Client::Gone => Words("客户端已断开", "client gone").fmt(f),
    }
}

fn write_upstream(
    f: &mut fmt::Formatter<'_>,
    provider: &str,
    error: &upstream::Error,
) -> fmt::Result {
    match error {
        upstream::Error::Busy(limit, wait) => {
            let seconds = Seconds(wait);
            message!(
                "并发请求过多，上限 {limit} 个上游连接，等待了 {seconds}",
                "too many requests at once: no free connection of {limit} within {seconds}"
            )
            .fmt(f)
        }
        upstream::Error::TooLarge(limit) => message!(
            "提供商 {provider} 响应过大，上限 {limit} 字节",
            "provider {provider}: answer over {limit} bytes"
        )
        .fmt(f),
        _ => match timeout(error) {
            Some(wait) => {
                let (label, seconds) = (wait.label, Seconds(wait));
                message!(
                    "提供商 {provider} 响应超时: {label}，{seconds}",
                    "provider {provider} timed out: {label}, {seconds}"
                )
                .fmt(f)
            }
            None => message!(
                "提供商 {provider} 请求失败: {error}",
                "provider {provider} failed: {error}"
            )
            .fmt(f),
        },
    }
}

/// The length of a wait as people write it: `30 s`, `0.3 s`.
struct Seconds<'a>(&'a Wait);

impl fmt::Display for Seconds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.length.as_secs_f64())
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
