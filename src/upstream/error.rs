//! What can go wrong in an exchange, in words that name the cause and no secret.

use std::fmt;
use std::io;

use crate::body::BodyError;
use crate::clock::Wait;
use crate::connect::ConnectError;
use crate::head::HeadError;

/// Why there is no usable answer.
#[derive(Debug)]
pub enum ExchangeError {
    /// All of so many connections were taken for so long.
    Busy(usize, Wait),
    /// No connection.
    Connect(ConnectError),
    /// The answer did not come in time.
    Timeout(Wait),
    /// The connection broke.
    Io(io::Error),
    /// The connection was closed; whether part of an answer had come.
    Closed(bool),
    /// The answer's head is refused.
    Head(HeadError),
    /// The answer's body is refused.
    Body(BodyError),
    /// The answer is larger than allowed, in bytes.
    TooLarge(u64),
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExchangeError::Busy(_, wait)
            | ExchangeError::Timeout(wait)
            | ExchangeError::Connect(ConnectError::Timeout(wait)) => {
                write!(f, "{}超时 (timed out after {} s)", wait.phase, wait.length.as_secs_f64())
            }
            ExchangeError::Connect(ConnectError::Resolve(host, error)) => {
                write!(f, "域名 {host} 解析失败 (name not resolved): {error}")
            }
            ExchangeError::Connect(ConnectError::Tcp(error)) => {
                write!(f, "无法连接 (cannot connect): {error}")
            }
            ExchangeError::Connect(ConnectError::Tls(cause)) => {
                write!(f, "TLS失败 (TLS failed): {cause}")
            }
            ExchangeError::Io(error) => write!(f, "连接中断 (connection broke): {error}"),
            ExchangeError::Closed(false) => {
                f.write_str("连接在响应前被关闭 (closed before an answer)")
            }
            ExchangeError::Closed(true) => f.write_str("响应头被截断 (answer was cut short)"),
            ExchangeError::Head(error) => write!(f, "响应无效 (invalid answer): {error}"),
            ExchangeError::Body(error) => write!(f, "响应体无效 (invalid body): {error}"),
            ExchangeError::TooLarge(limit) => {
                write!(f, "响应过大，上限 {limit} 字节 (answer over {limit} bytes)")
            }
        }
    }
}
