//! A provider's base URL, taken apart once, so that it is never parsed again.

use std::fmt;

use http_types::Url;
use percent_encoding::percent_decode_str;

use crate::config::Secret;
use crate::language::{Text, Words};
use crate::text;

/// Where a provider is and what stands before its endpoints. `Display` and `Debug` show neither
/// credentials nor query, for both may hold keys. The default leads nowhere and is never used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether to speak TLS.
    pub https: bool,
    /// Name or address to connect to: IDNA-encoded, lower case, an IPv6 address without brackets.
    pub host: String,
    /// TCP port, the scheme's default filled in; never 0.
    pub port: u16,
    /// Percent-encoded path without trailing slashes; empty for the root.
    pub path: String,
    /// Percent-encoded query without its `?`; never empty.
    pub query: Option<String>,
    /// The URL's userinfo as percent-decoded `user:password`.
    pub credentials: Option<Secret>,
}

impl BaseUrl {
    /// Checks a URL and takes it apart. Spaces around it and slashes at the end of its path go
    /// away.
    ///
    /// # Errors
    ///
    /// The reason in one line, without any part of the URL, for that may hold a key.
    pub fn parse(text: &str) -> Result<Self, Text> {
        let text = text.trim();
        let has_scheme = ["http://", "https://"].iter().any(|scheme| {
            text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        if !has_scheme {
            return Err(Words(
                "必须以 http:// 或 https:// 开头",
                "must begin with http:// or https://",
            )
            .into());
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Words(
                "不能含有空白或控制字符",
                "must not contain white space or control characters",
            )
            .into());
        }
        // The URL parser would take the path for a host, and a backslash for a slash.
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        if rest.starts_with(['/', '?', '#', '\\']) || text.contains('\\') {
            return Err(Words("缺少主机名", "no host").into());
        }
        let url = Url::parse(text)
            .map_err(|error| text!("网址无效: {error}", "not a valid URL: {error}"))?;
        if url.fragment().is_some() {
            return Err(Words("不能含有 # 片段", "must not have a #fragment").into());
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if port == 0 {
            return Err(Words("端口不能是 0", "port must not be 0").into());
        }
        Ok(Self {
            https: url.scheme() == "https",
            host: host(&url)?,
            port,
            path: url.path().trim_end_matches('/').to_owned(),
            query: url.query().filter(|q| !q.is_empty()).map(str::to_owned),
            credentials: credentials(&url)?,
        })
    }

    /// The `Host` field's value: brackets around an IPv6 address, the port only when it is not
    /// the scheme's default (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        let default_port = if self.https { 443 } else { 80 };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let mut authority = format!("{open}{}{close}", self.host);
        if self.port != default_port {
            authority.push_str(&format!(":{}", self.port));
        }
        authority
    }

    /// The request target of an endpoint: path, then `suffix` (such as `/chat/completions`), then
    /// the URL's own query and `query` behind it, which may be empty.
    pub fn target(&self, suffix: &str, query: &str) -> String {
        let mut target = Vec::new();
        self.push_target(&mut target, suffix, query);
        // Put together from text.
        String::from_utf8(target).unwrap_or_default()
    }

    /// The same, appended to a head.
    pub fn push_target(&self, head: &mut Vec<u8>, suffix: &str, query: &str) {
        head.extend_from_slice(self.path.as_bytes());
        head.extend_from_slice(suffix.as_bytes());
        let own = self.query.as_deref().unwrap_or("");
        let mut mark = b'?';
        for part in [own, query].into_iter().filter(|part| !part.is_empty()) {
            head.push(mark);
            head.extend_from_slice(part.as_bytes());
            mark = b'&';
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn host(url: &Url) -> Result<String, Text> {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(Words("缺少主机名", "no host").into());
    }
    Ok(host.to_owned())
}

fn credentials(url: &Url) -> Result<Option<Secret>, Text> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let user = percent_decoded(url.username());
    let password = percent_decoded(url.password().unwrap_or_default());
    let (Some(user), Some(password)) = (user, password) else {
        return Err(Words(
            "用户名或密码解码后不是 UTF-8",
            "user or password is not UTF-8 after percent-decoding",
        )
        .into());
    };
    // RFC 7617 §2: Basic credentials hold no control characters, and the first colon ends the user.
    if user.contains(':') || format!("{user}{password}").contains(char::is_control) {
        return Err(Words(
            "用户名或密码含有不能使用的字符",
            "user or password has characters that Basic credentials cannot hold",
        )
        .into());
    }
    Ok(Some(Secret::new(format!("{user}:{password}"))))
}

/// A `%` without two hex digits stays. `None` when the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    String::from_utf8(percent_decode_str(text).collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> BaseUrl {
        BaseUrl::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"))
    }

    #[test]
    fn trailing_slashes_and_outer_spaces_go_away() {
        for text in ["https://h.cn/api/v4", " https://h.cn/api/v4/// ", "HTTPS://H.cn/api/v4/"] {
            assert_eq!(parsed(text).target("/models", ""), "/api/v4/models");
        }
        for text in ["https://h.cn", "https://h.cn/", "https://h.cn//"] {
            assert_eq!(parsed(text).target("/models", ""), "/models");
        }
    }

    #[test]
    fn the_query_follows_the_endpoint() {
        let url = parsed("https://h.cn/v1/?api-version=2024/");
        assert_eq!(url.target("/chat/completions", ""), "/v1/chat/completions?api-version=2024/");
        assert_eq!(url.target("/models", "a=%2F&b"), "/v1/models?api-version=2024/&a=%2F&b");
        assert_eq!(
            parsed("http://h/v1").target("/messages", "beta=true"),
            "/v1/messages?beta=true"
        );
        assert_eq!(parsed("https://h.cn/v1?").query, None);
    }

    #[test]
    fn the_authority_names_a_port_only_when_it_is_not_the_default() {
        for (text, authority, port) in [
            ("https://h.cn", "h.cn", 443),
            ("https://h.cn:443", "h.cn", 443),
            ("http://h.cn", "h.cn", 80),
            ("http://h.cn:443", "h.cn:443", 443),
            ("http://[::1]:11434/v1", "[::1]:11434", 11434),
            ("http://[0:0::1]/v1", "[::1]", 80),
        ] {
            assert_eq!(parsed(text).authority(), authority);
            assert_eq!(parsed(text).port, port);
        }
        assert_eq!(parsed("http://[::1]:11434/v1").host, "::1");
    }

    #[test]
    fn international_names_are_encoded() {
        assert_eq!(parsed("https://例子.测试/v1").host, "xn--fsqu00a.xn--0zwm56d");
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let url = parsed("https://us%20er:p%40ss%3A%25@h.cn/v1?key=k-secret");
        let secret = url.credentials.as_ref().map(Secret::expose);
        assert_eq!(secret, Some("us er:p@ss:%"));
        assert_eq!(url.host, "h.cn");
        for shown in [format!("{url}"), format!("{url:?}")] {
            assert_eq!(shown, "https://h.cn/v1");
        }
        let only_user = parsed("https://user@h.cn").credentials;
        assert_eq!(only_user, Some(Secret::new("user:")));
        let only_password = parsed("https://:pw@h.cn").credentials;
        assert_eq!(only_password, Some(Secret::new(":pw")));
    }

    #[test]
    fn what_is_no_http_url_is_refused_without_showing_it() {
        for text in [
            "",
            "h.cn/s3cret",
            "localhost:11434/s3cret",
            "ftp://h.cn/s3cret",
            "https:h.cn/s3cret",
            "http://",
            "http://user@/s3cret",
            "http://h.cn:0/s3cret",
            "http://h.cn:99999/s3cret",
            "http://h.cn:80s3cret/",
            "http://[::1/s3cret",
            "http://h.cn/v1#s3cret",
            "http://h.cn/v1#",
            "http://h.cn/s3cret v1",
            "http://h.cn/s3cret\nv1",
            "http://s3cret%FF@h.cn/",
            "http://s3cret%0A@h.cn/",
            "http://s3cret%3A@h.cn/",
            "http://999.999.999.999/s3cret",
            "ht中tp://s3cret",
        ] {
            let reason = BaseUrl::parse(text).expect_err(text);
            assert!(!reason.contains("s3cret") && !reason.contains("\n"), "{text}: {reason}");
        }
    }
}
