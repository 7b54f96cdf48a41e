//! Every error the program itself makes: its status, its words, and the JSON the client reads.
//! Knows nothing of sockets.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::runtime::timer::Wait;
use crate::upstream::connect::ConnectError;
use crate::upstream::exchange::ExchangeError;
use crate::wire::head::HeadError;

/// What went wrong with one request.
#[derive(Debug)]
pub enum Error {
    /// The request head is refused.
    Head(HeadError),
    /// The request body is refused; the reason.
    BadRequest(String),
    /// The client sent too slowly.
    ClientTimeout(Wait),
    /// The request body is in a content coding that cannot be read: this one.
    UnknownCoding(String),
    /// The request body is over the limit, in bytes.
    RequestTooLarge(u64),
    /// No `Authorization: Bearer`.
    NoToken,
    /// The token is not on the list.
    BadToken,
    /// No such path.
    NotFound(String),
    /// The path knows other methods only: these.
    MethodNotAllowed(&'static str),
    /// No such provider, or the model is filtered or not listed; the model's name.
    ModelNotFound(String),
    /// The configuration file does not load; the reason.
    ReloadRefused(String),
    /// More requests at once than there may be connections; the limit, and how long it waited.
    Busy(usize, Wait),
    /// The bodies of all requests together are over this many bytes.
    Overloaded(u64),
    /// The provider could not be reached or its answer cannot be used.
    Upstream {
        /// The provider's name.
        provider: String,
        /// What happened, without credentials.
        cause: String,
    },
    /// The provider was too slow.
    UpstreamTimeout {
        /// The provider's name.
        provider: String,
        /// Which wait ran out.
        wait: Wait,
    },
    /// The answer is over `max_response_size`.
    AnswerTooLarge {
        /// The provider's name.
        provider: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The client has left.
    ClientGone,
}

impl Error {
    /// What a failed exchange with `provider` is to the client.
    pub fn of_exchange(provider: &str, error: ExchangeError) -> Error {
        let provider = provider.to_owned();
        match error {
            ExchangeError::Busy(limit, wait) => Error::Busy(limit, wait),
            ExchangeError::Timeout(wait) | ExchangeError::Connect(ConnectError::Timeout(wait)) => {
                Error::UpstreamTimeout { provider, wait }
            }
            ExchangeError::TooLarge(limit) => Error::AnswerTooLarge { provider, limit },
            other => Error::Upstream { provider, cause: other.to_string() },
        }
    }

    /// The HTTP status; `None` when the client has left and nobody can be answered.
    pub fn status(&self) -> Option<u16> {
        Some(match self {
            Error::Head(HeadError::Malformed(_))
            | Error::BadRequest(_)
            | Error::ReloadRefused(_) => 400,
            Error::Head(HeadError::TooLarge) => 431,
            Error::Head(HeadError::Version) => 505,
            Error::Head(HeadError::Coding) => 501,
            Error::Head(HeadError::Expectation) => 417,
            Error::ClientTimeout(_) => 408,
            Error::RequestTooLarge(_) => 413,
            Error::UnknownCoding(_) => 415,
            Error::NoToken | Error::BadToken => 401,
            Error::NotFound(_) | Error::ModelNotFound(_) => 404,
            Error::MethodNotAllowed(_) => 405,
            Error::Busy(..) | Error::Overloaded(_) => 503,
            Error::Upstream { .. } | Error::AnswerTooLarge { .. } => 502,
            Error::UpstreamTimeout { .. } => 504,
            Error::ClientGone => return None,
        })
    }

    /// A short name for counters.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Head(_)
            | Error::BadRequest(_)
            | Error::ReloadRefused(_)
            | Error::UnknownCoding(_) => "bad_request",
            Error::ClientTimeout(_) => "client_timeout",
            Error::RequestTooLarge(_) => "request_too_large",
            Error::NoToken | Error::BadToken => "unauthorized",
            Error::NotFound(_) | Error::MethodNotAllowed(_) => "not_found",
            Error::ModelNotFound(_) => "model_not_found",
            Error::Busy(..) | Error::Overloaded(_) => "busy",
            Error::Upstream { .. } => "upstream_failed",
            Error::UpstreamTimeout { .. } => "upstream_timeout",
            Error::AnswerTooLarge { .. } => "answer_too_large",
            Error::ClientGone => "client_gone",
        }
    }

    /// The error body of the contract. `code` equals the HTTP status.
    pub fn body(&self, status: u16) -> Vec<u8> {
        error_json(&self.to_string(), status).into_bytes()
    }
}

/// The contract's JSON for an error of ours.
pub fn error_json(message: &str, code: u16) -> String {
    to_json(&Body { error: Detail { message, r#type: "http_error", code, upstream: None } })
}

/// The same as a server-sent event, for a client whose answer has begun; `upstream` is what the
/// provider said.
pub fn error_event(message: &str, code: u16, upstream: Option<&RawValue>) -> String {
    let json = to_json(&Body { error: Detail { message, r#type: "http_error", code, upstream } });
    // Within a JSON document line ends are white space, and an event's data is one line.
    format!("data: {}\n\n", json.replace(['\r', '\n'], " "))
}

#[derive(Serialize)]
struct Body<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    message: &'a str,
    r#type: &'static str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a RawValue>,
}

/// The JSON of plain structures, whose keys are strings.
pub fn to_json(value: &impl Serialize) -> String {
    // Fails only for maps with other keys and for failing `Serialize` implementations.
    serde_json::to_string(value).unwrap_or_default()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Head(error) => write!(f, "{error}"),
            Error::BadRequest(reason) | Error::ReloadRefused(reason) => f.write_str(reason),
            Error::ClientTimeout(wait) => {
                write!(f, "请求超时: {} (request timed out after {})", wait.label, Seconds(wait))
            }
            Error::UnknownCoding(coding) => write!(
                f,
                "不支持的请求体编码 {coding} (a request body in this Content-Encoding cannot be read)"
            ),
            Error::RequestTooLarge(limit) => {
                write!(f, "请求体过大，上限 {limit} 字节 (request body over {limit} bytes)")
            }
            Error::NoToken => f.write_str("未提供API token"),
            Error::BadToken => f.write_str("API token无效 (invalid API token)"),
            Error::NotFound(path) => write!(f, "未找到路径 {path} (no such path)"),
            Error::MethodNotAllowed(allowed) => {
                write!(f, "不支持的请求方法，允许 {allowed} (method not allowed)")
            }
            Error::ModelNotFound(model) => write!(f, "未找到模型 {model} (no such model)"),
            Error::Busy(limit, wait) => write!(
                f,
                "并发请求过多，上限 {limit} 个上游连接 (too many requests at once: no free \
                 connection of {limit} within {})",
                Seconds(wait)
            ),
            Error::Overloaded(limit) => write!(
                f,
                "并发请求过多，请求体合计上限 {limit} 字节 (too many requests at once: their bodies are \
                 over {limit} bytes together)"
            ),
            Error::Upstream { provider, cause } => {
                write!(f, "提供商 {provider} 请求失败: {cause} (provider {provider} failed)")
            }
            Error::UpstreamTimeout { provider, wait } => write!(
                f,
                "提供商 {provider} 响应超时: {}，{} (provider {provider} timed out)",
                wait.label,
                Seconds(wait)
            ),
            Error::AnswerTooLarge { provider, limit } => write!(
                f,
                "提供商 {provider} 响应过大，上限 {limit} 字节 (answer over {limit} bytes)"
            ),
            Error::ClientGone => f.write_str("客户端已断开 (client gone)"),
        }
    }
}

/// The length of a wait as people write it: `30 s`, `0.3 s`.
struct Seconds<'a>(&'a Wait);

impl fmt::Display for Seconds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.length.as_secs_f64())
    }
}
