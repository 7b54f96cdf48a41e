//! What is wrong with a provider: in both languages, and with a code that never changes.

use super::connect::ConnectError;
use super::error::Error;
use crate::language::{Text, Words};
use crate::text;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Where it went wrong: `dns`, `connect`, `tls`, `timeout`, `closed`, `invalid`, `redirect`,
    /// `page`, or `status`, which then says more.
    pub code: &'static str,
    /// The status of the response, if that is what is wrong.
    pub status: Option<u16>,
    /// The same for people.
    pub words: Text,
    /// Whether there was no connection: then no request of any kind gets through.
    pub unreachable: bool,
}

impl Trouble {
    /// A response of this status.
    pub fn of_status(status: u16) -> Trouble {
        Trouble {
            code: "status",
            status: Some(status),
            words: words_of(status),
            unreachable: false,
        }
    }

    /// A page where a list was asked for.
    pub fn page() -> Trouble {
        let words =
            Words("返回的是网页，不是接口，请检查 baseurl", "a page, not an API: check baseurl");
        Trouble { code: "page", status: None, words: Text::new(words), unreachable: false }
    }

    /// An exchange that failed; `None` where a limit of ours ended it, which tells nothing of the
    /// provider.
    pub fn of(error: &Error) -> Option<Trouble> {
        let (code, unreachable) = match error {
            Error::Busy(..) | Error::Memory(_) | Error::TooLarge(_) => return None,
            Error::Connect(ConnectError::Resolve(..)) => ("dns", true),
            Error::Connect(ConnectError::Tcp(_)) => ("connect", true),
            Error::Connect(ConnectError::Tls(_)) => ("tls", true),
            Error::Connect(ConnectError::Timeout(_)) => ("timeout", true),
            Error::Timeout(_) => ("timeout", false),
            Error::Io(_) | Error::Closed(_) => ("closed", false),
            Error::Head(_) | Error::Body(_) => ("invalid", false),
            Error::Redirect(..) => ("redirect", false),
        };
        let status = match error {
            Error::Redirect(status, _) => Some(*status),
            _ => None,
        };
        Some(Trouble { code, status, words: Text::new(error), unreachable })
    }

    /// Whether one request that met it tells enough: the next one will not fare better.
    pub fn is_lasting(&self) -> bool {
        self.unreachable || matches!(self.status, Some(401..=403))
    }
}

/// Whether a status of a response is the provider's fault: its key, its quota, its machines. Any
/// other error is about the request.
pub fn is_fault_of_provider(status: u16) -> bool {
    matches!(status, 401 | 402 | 403 | 408 | 429 | 500..)
}

/// What a provider says by this status.
fn words_of(status: u16) -> Text {
    let Words(chinese, english) = match status {
        401 => Words("提供商不接受密钥", "the provider does not accept the key"),
        402 => Words("提供商要求付费", "the provider asks for payment"),
        403 => Words("提供商拒绝访问", "the provider denies access"),
        404 => Words("提供商没有该模型或接口", "the provider has no such model or endpoint"),
        429 => Words("请求过多，或额度已用完", "too many requests, or the quota is used up"),
        503 | 529 => Words("提供商过载", "the provider is overloaded"),
        500.. => Words("提供商出错", "the provider failed"),
        _ => Words("提供商拒绝了请求", "the provider refused the request"),
    };
    text!("{chinese}，状态 {status}", "{english}, status {status}")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::language::Language::{Chinese, English};

    #[test]
    fn every_way_to_fail_has_its_code_and_limits_of_ours_have_none() {
        let io = || io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, code, status, unreachable) in [
            (Error::Connect(ConnectError::Resolve("h".to_owned(), io())), Some("dns"), None, true),
            (Error::Connect(ConnectError::Tcp(io())), Some("connect"), None, true),
            (Error::Connect(ConnectError::Tls(Text::new("x"))), Some("tls"), None, true),
            (Error::Io(io()), Some("closed"), None, false),
            (Error::Closed(true), Some("closed"), None, false),
            (Error::Redirect(301, None), Some("redirect"), Some(301), false),
            (Error::TooLarge(1), None, None, false),
            (Error::Memory(1), None, None, false),
        ] {
            let trouble = Trouble::of(&error);
            let seen = trouble.map(|t| (t.code, t.status, t.unreachable));
            assert_eq!(seen, code.map(|code| (code, status, unreachable)), "{error}");
        }
    }

    #[test]
    fn a_status_is_told_in_both_languages() {
        for (status, chinese, english, lasting, of_provider) in [
            (401, "密钥", "the key", true, true),
            (429, "额度", "quota", false, true),
            (500, "出错", "failed", false, true),
            (529, "过载", "overloaded", false, true),
            (400, "拒绝了请求", "refused the request", false, false),
            (404, "没有该模型", "no such model", false, false),
        ] {
            let trouble = Trouble::of_status(status);
            for (language, words) in [(Chinese, chinese), (English, english)] {
                let text = trouble.words.get(language);
                assert!(text.contains(words) && text.contains(&status.to_string()), "{text}");
            }
            assert!(trouble.words.get(English).is_ascii());
            assert_eq!(trouble.is_lasting(), lasting, "{status}");
            assert_eq!(is_fault_of_provider(status), of_provider, "{status}");
        }
    }
}
