//! One entry of `cors_origins`: pages of browsers that may use the proxy.

use std::net::Ipv6Addr;

use super::keys::{Kind, Value};
use super::node::Node;
use super::ConfigError;
use crate::language::Words;

/// Where a page may come from: an origin as browsers write it (RFC 6454 §6.2), one with any port, or
/// anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsOrigin(String);

impl CorsOrigin {
    fn parse(text: &str) -> Result<Self, Words> {
        const NO_ORIGIN: Words = Words(
            "不是来源，应形如 https://chat.example、http://localhost:* 或 *",
            "not an origin such as https://chat.example, http://localhost:* or *",
        );
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        if text == "null" {
            return Err(Words(
                "null 不是来源：只有 * 包含没有来源的页面",
                "null is no origin: only * lets in pages without one",
            ));
        }
        let (scheme, place) = text.split_once("://").ok_or(NO_ORIGIN)?;
        if place.contains(['/', '?', '#']) {
            return Err(Words(
                "来源没有路径，末尾也没有斜杠",
                "an origin has no path and no slash at its end",
            ));
        }
        // Behind the brackets of an IPv6 address, if there are any.
        let name_end = place.rfind(']').map_or(0, |end| end + 1);
        let port_at = place[name_end..].find(':').map_or(place.len(), |at| name_end + at);
        let (host, port) = place.split_at(port_at);
        if !is_scheme(scheme)
            || !(is_host(host) || (scheme, place) == ("file", ""))
            || !is_port(port)
        {
            return Err(NO_ORIGIN);
        }
        // Browsers leave out what the scheme says already.
        let port = match (scheme.to_ascii_lowercase().as_str(), port) {
            ("http", ":80") | ("https", ":443") => "",
            _ => port,
        };
        Ok(Self(format!("{scheme}://{host}{port}").to_ascii_lowercase()))
    }

    /// Whether every page may come, also one that has no origin.
    pub fn is_anywhere(&self) -> bool {
        self.0 == "*"
    }

    /// Whether it is this origin, as a browser wrote it.
    pub fn admits(&self, origin: &str) -> bool {
        let Some(start) = self.0.strip_suffix(":*") else {
            return self.0.eq_ignore_ascii_case(origin);
        };
        let is_any_port = |port: &str| port.is_empty() || (port != ":*" && is_port(port));
        origin
            .split_at_checked(start.len())
            .is_some_and(|(place, port)| place.eq_ignore_ascii_case(start) && is_any_port(port))
    }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
}

/// Browsers write names beyond ASCII in Punycode.
fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let plain = |char: char| char.is_ascii_alphanumeric() || "-._~".contains(char);
            !text.is_empty() && text.chars().all(plain)
        }
    }
}

/// Nothing, or a colon and a number or `*`.
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return text.is_empty() };
    port == "*" || (!port.starts_with(['+', '0']) && port.parse::<u16>().is_ok())
}

impl Value for CorsOrigin {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        Self::parse(&node.string()?).map_err(|reason| node.error(reason))
    }

    fn show(&self, _: &Kind) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_as_browsers_write_them() {
        for (text, taken) in [
            ("*", "*"),
            ("https://chat.example", "https://chat.example"),
            ("HTTPS://Chat.Example:443", "https://chat.example"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"),
            ("http://localhost:*", "http://localhost:*"),
            ("http://[::1]:*", "http://[::1]:*"),
            ("http://[2001:db8::1]", "http://[2001:db8::1]"),
            ("app://obsidian.md", "app://obsidian.md"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
            ("file://", "file://"),
        ] {
            assert_eq!(CorsOrigin::parse(text).map(|origin| origin.0), Ok(taken.to_owned()));
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "null",
            "**",
            "chat.example",
            "localhost:3000",
            "https://",
            "https://chat.example/",
            "https://chat.example/app",
            "https://chat.example?x",
            "https://me@chat.example",
            "https://*.example",
            "https://*",
            "*://chat.example",
            "https://chat.example:",
            "https://chat.example:0",
            "https://chat.example:+80",
            "https://chat.example:99999",
            "https://chat.example:80:*",
            "https://[::1",
            "https://[::1]x",
            "https://[no]:*",
            "https://chät.example",
            " https://chat.example",
            "https://chat.example, https://two.example",
            "1http://chat.example",
            "://chat.example",
        ] {
            assert!(CorsOrigin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_entry_admits_itself_and_any_port_where_it_says_so() {
        for (entry, origin, admitted) in [
            ("https://chat.example", "https://chat.example", true),
            ("https://chat.example", "https://CHAT.example", true),
            ("https://chat.example", "https://chat.example:8443", false),
            ("https://chat.example", "http://chat.example", false),
            ("https://chat.example", "https://chat.example.evil.example", false),
            ("https://chat.example", "https://evil.example/https://chat.example", false),
            ("https://chat.example", "", false),
            ("https://chat.example", "null", false),
            ("http://localhost:*", "http://localhost", true),
            ("http://localhost:*", "http://localhost:5173", true),
            ("http://localhost:*", "http://localhost:", false),
            ("http://localhost:*", "http://localhost:*", false),
            ("http://localhost:*", "http://localhost:1.evil.example", false),
            ("http://localhost:*", "http://localhost.evil.example", false),
            ("http://localhost:*", "http://localhost:80@evil.example", false),
            ("http://localhost:*", "https://localhost:5173", false),
            ("http://[::1]:*", "http://[::1]:3000", true),
            ("http://localhost:*", "http://localhös", false),
        ] {
            let entry = CorsOrigin::parse(entry).unwrap();
            assert_eq!(entry.admits(origin), admitted, "{entry:?} {origin}");
        }
    }
}
