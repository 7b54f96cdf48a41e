//! What a response says to browsers: which page may read it (CORS, in the Fetch standard).

use super::{list, push_field, trim};

/// With whom a response is shared.
#[derive(Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Every page.
    Everybody,
    /// Pages of this origin.
    Origin(Box<str>),
    /// No page that comes from elsewhere.
    Nobody,
}

/// What pages may read of a head beyond the few fields that they always may: ids, and what a client
/// needs to know when to ask again, in the words of OpenAI, Azure, OpenRouter and Anthropic, and ours. No
/// browser takes a pattern here.
const EXPOSED: &str = "x-request-id, request-id, retry-after, retry-after-ms, x-should-retry, \
    x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, \
    x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
    x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, \
    anthropic-ratelimit-requests-limit, anthropic-ratelimit-requests-remaining, \
    anthropic-ratelimit-requests-reset, \
    anthropic-ratelimit-tokens-limit, anthropic-ratelimit-tokens-remaining, \
    anthropic-ratelimit-tokens-reset, \
    anthropic-ratelimit-input-tokens-limit, anthropic-ratelimit-input-tokens-remaining, \
    anthropic-ratelimit-input-tokens-reset, \
    anthropic-ratelimit-output-tokens-limit, anthropic-ratelimit-output-tokens-remaining, \
    anthropic-ratelimit-output-tokens-reset, \
    anthropic-priority-input-tokens-limit, anthropic-priority-input-tokens-remaining, \
    anthropic-priority-input-tokens-reset, \
    anthropic-priority-output-tokens-limit, anthropic-priority-output-tokens-remaining, \
    anthropic-priority-output-tokens-reset, \
    x-ai-proxy-model, x-ai-proxy-attempts, x-ai-proxy-limit, x-ai-proxy-upstream-retry-after, \
    server-timing";

impl Sharing {
    /// Puts our fields into a head, which has no empty line at its end yet.
    pub fn mark(&self, head: &mut Vec<u8>) {
        let origin = match self {
            Sharing::Everybody => Some("*"),
            Sharing::Origin(origin) => Some(&**origin),
            Sharing::Nobody => None,
        };
        if let Some(origin) = origin {
            push_field(head, "access-control-allow-origin", origin.as_bytes());
            push_field(head, "access-control-expose-headers", EXPOSED.as_bytes());
        }
        add_to_vary(head);
    }

    /// The same for a provider's head: what it says of pages goes, for it does not know ours.
    pub fn mark_relayed(&self, head: &mut Vec<u8>) {
        let mut at = 0;
        while let Some(length) = head[at..].iter().position(|byte| *byte == b'\n') {
            let line = at..=at + length;
            if starts_with(&head[line.clone()], b"access-control-") {
                head.drain(line);
            } else {
                at += length + 1;
            }
        }
        self.mark(head);
    }
}

/// Has caches ask who asks (RFC 9110 §12.5.5), in the `Vary` that is there or in one of ours.
fn add_to_vary(head: &mut Vec<u8>) {
    let (mut at, mut first_end) = (0, None);
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if !starts_with(line, b"vary:") {
            continue;
        }
        let names = list(trim(&line[b"vary:".len()..]));
        if { names }.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin")) {
            return;
        }
        first_end.get_or_insert(at - b"\r\n".len());
    }
    match first_end {
        Some(end) => drop(head.splice(end..end, *b", Origin")),
        None => push_field(head, "vary", b"Origin"),
    }
}

fn starts_with(line: &[u8], start: &[u8]) -> bool {
    line.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(sharing: &Sharing, fields: &str) -> String {
        let mut head = format!("HTTP/1.1 200 OK\r\n{fields}").into_bytes();
        sharing.mark_relayed(&mut head);
        let text = String::from_utf8(head).unwrap();
        let exposed = format!("access-control-expose-headers: {EXPOSED}\r\n");
        let text = text.strip_prefix("HTTP/1.1 200 OK\r\n").unwrap();
        text.replace(&exposed, "E\r\n")
    }

    #[test]
    fn a_provider_has_no_say_in_who_reads_a_response() {
        let origin = Sharing::Origin("https://a".into());
        let allowed = "access-control-allow-origin: https://a\r\nE\r\n";
        for (fields, before, vary) in [
            ("", "", "vary: Origin\r\n"),
            ("access-control-allow-origin: *\r\n", "", "vary: Origin\r\n"),
            (
                "A: 1\r\nAccess-Control-Max-Age: 1\r\nACCESS-CONTROL-X: 1\r\nB: 2\r\n",
                "A: 1\r\nB: 2\r\n",
                "vary: Origin\r\n",
            ),
            ("Access-Control: 1\r\n", "Access-Control: 1\r\n", "vary: Origin\r\n"),
            ("Vary: Accept\r\nB: 2\r\n", "Vary: Accept, Origin\r\nB: 2\r\n", ""),
            ("Vary: a\r\nVary: b\r\n", "Vary: a, Origin\r\nVary: b\r\n", ""),
            ("Vary: a\r\nvary: b,ORIGIN\r\n", "Vary: a\r\nvary: b,ORIGIN\r\n", ""),
            ("Vary: *\r\n", "Vary: *\r\n", ""),
            ("Vary: Origin-Agent\r\n", "Vary: Origin-Agent, Origin\r\n", ""),
            ("X-Vary: Origin\r\n", "X-Vary: Origin\r\n", "vary: Origin\r\n"),
        ] {
            assert_eq!(marked(&origin, fields), format!("{before}{allowed}{vary}"), "{fields}");
            assert_eq!(marked(&Sharing::Nobody, fields), format!("{before}{vary}"), "{fields}");
        }
        let all = "access-control-allow-origin: *\r\nE\r\nvary: Origin\r\n";
        assert_eq!(marked(&Sharing::Everybody, ""), all);
    }

    #[test]
    fn what_is_exposed_are_names() {
        for name in EXPOSED.split(", ") {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(!name.is_empty() && name.bytes().all(plain), "{name:?}");
        }
    }
}
