//! What can go wrong in an exchange, in words that name the cause and no secret.

use std::fmt;
use std::io;

use crate::language::{System, Text, Words};
use crate::message;
use crate::runtime::Wait;
use crate::upstream::connect::ConnectError;
use crate::upstream::tls::plain;
use crate::wire::{BodyError, HeadError};

/// Why there is no usable response.
#[derive(Debug)]
pub enum Error {
    /// All of so many connections were taken for so long.
    Busy(usize, Wait),
    /// No connection.
    Connect(ConnectError),
    /// The response did not come in time.
    Timeout(Wait),
    /// The connection broke.
    Io(io::Error),
    /// The connection was closed; whether part of a response had come.
    Closed(bool),
    /// The response's head is refused.
    Head(HeadError),
    /// The response's body is refused.
    Body(BodyError),
    /// The response is a redirect: its status, and where to.
    Redirect(u16, Option<Box<str>>),
    /// The response is larger than allowed, in bytes.
    TooLarge(u64),
    /// All that is kept at once would be over so many bytes.
    Memory(usize),
}

impl Error {
    /// Whether the connection ended before a response began, as one does that was dead already.
    pub(super) fn is_death(&self) -> bool {
        matches!(self, Error::Closed(false) | Error::Io(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Busy(_, wait)
            | Error::Timeout(wait)
            | Error::Connect(ConnectError::Timeout(wait)) => {
                let (label, seconds) = (wait.label, wait.length.as_secs_f64());
                message!("{label}超时，{seconds} s", "{label}: timed out after {seconds} s").fmt(f)
            }
            Error::Connect(ConnectError::Resolve(host, error)) => {
                let error = System(error);
                message!("域名 {host} 解析失败: {error}", "name not resolved: {host}: {error}")
                    .fmt(f)
            }
            Error::Connect(ConnectError::Tcp(error)) => {
                let error = System(error);
                message!("无法连接: {error}", "cannot connect: {error}").fmt(f)
            }
            Error::Connect(ConnectError::Tls(cause)) => {
                message!("TLS失败: {cause}", "TLS failed: {cause}").fmt(f)
            }
            Error::Io(error) => {
                let error = system_or_tls(error);
                message!("连接中断: {error}", "connection broke: {error}").fmt(f)
            }
            Error::Closed(false) => Words("连接在响应前被关闭", "closed before an answer").fmt(f),
            Error::Closed(true) => Words("响应头被截断", "answer was cut short").fmt(f),
            Error::Head(error) => message!("响应无效: {error}", "invalid answer: {error}").fmt(f),
            Error::Body(error) => message!("响应体无效: {error}", "invalid body: {error}").fmt(f),
            Error::Redirect(status, location) => {
                let target = location.as_deref().map_or_else(|| "?".to_owned(), shown_target);
                message!(
                    "状态 {status} 重定向到 {target}，请修改 baseurl",
                    "status {status} redirects to {target}: change baseurl"
                )
                .fmt(f)
            }
            Error::Memory(limit) => {
                message!("合计内存上限 {limit} 字节已用完", "memory of {limit} bytes is used up")
                    .fmt(f)
            }
            Error::TooLarge(limit) => {
                message!("响应过大，上限 {limit} 字节", "answer over {limit} bytes").fmt(f)
            }
        }
    }
}

/// The words of the system, or of OpenSSL, which hands its errors on as those of a socket.
fn system_or_tls(error: &io::Error) -> Text {
    match error.get_ref() {
        Some(inner) => plain(&inner.to_string()),
        None => Text::new(System(error)),
    }
}

/// Characters of a redirect's target that are shown.
const TARGET_CHARS_MAX: usize = 200;

/// The target of a redirect without what may be secret in it: userinfo, query and fragment.
pub fn shown_target(location: &str) -> String {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    let target = &location[..end];
    let mut text: String = match target.split_once("//") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            let authority = rest.find(['/', '\\']).unwrap_or(rest.len());
            let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}//{}", &rest[host..])
        }
        _ => target.to_owned(),
    };
    if let Some((cut, _)) = text.char_indices().nth(TARGET_CHARS_MAX) {
        text.truncate(cut);
        text.push('…');
    }
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::shown_target;

    #[test]
    fn a_redirect_is_shown_without_credentials_query_and_fragment() {
        for (location, expected) in [
            ("https://h/v1/chat", "https://h/v1/chat"),
            ("https://u:p@h:1/v1?key=k#f", "https://h:1/v1"),
            ("//u:p@h/x", "//h/x"),
            ("/v2/chat?k=s", "/v2/chat"),
            ("v2//u@h", "v2//h"),
            ("https://a@b@h", "https://h"),
            ("/\u{85}x", "/ x"),
        ] {
            assert_eq!(shown_target(location), expected, "{location}");
        }
        assert_eq!(shown_target(&"ä".repeat(300)).chars().count(), 201);
    }
}
