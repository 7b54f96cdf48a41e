//! Which pages of browsers may use the proxy (CORS, in the Fetch standard): decided from the
//! configuration and the head of a request.

use super::table::{Endpoint, Row};
use crate::config::CorsOrigin;
use crate::wire::{Reply, RequestHead, Sharing};

/// How long, in seconds, a browser remembers the answer to a preflight.
const MAX_AGE: &str = "600";

/// With whom the response is shared; `None` when nothing is to be said of it. There is no head when it
/// was refused.
pub fn sharing(origins: &[CorsOrigin], head: Option<&RequestHead>) -> Option<Box<Sharing>> {
    if origins.is_empty() {
        return None;
    }
    let origin = head.and_then(|head| head.cross_origin.as_ref()?.origin.as_deref());
    let is_listed = |origin: &&str| origins.iter().any(|listed| listed.admits(origin));
    Some(Box::new(match origin.filter(is_listed) {
        _ if origins.iter().any(CorsOrigin::is_anywhere) => Sharing::Everybody,
        Some(origin) => Sharing::Origin(origin.into()),
        None => Sharing::Nobody,
    }))
}

/// The answer to a browser that asks whether a page may send a request; `None` for all other requests,
/// and when the page may not.
pub fn preflight(
    sharing: Option<&Sharing>,
    head: &RequestHead,
    row: Option<&Row>,
) -> Option<Reply> {
    if matches!(sharing?, Sharing::Nobody) || head.method != "OPTIONS" {
        return None;
    }
    let asked = head.cross_origin.as_deref()?;
    if asked.origin.is_none() || asked.method.is_none() {
        return None;
    }
    let row = row.filter(|row| row.endpoint != Endpoint::Reload)?;
    let mut reply = Reply::no_content()
        .with("access-control-allow-methods", row.methods)
        .with("access-control-max-age", MAX_AGE)
        .with("vary", "Origin, Access-Control-Request-Headers");
    if let Some(fields) = asked.fields.as_deref().filter(|fields| are_names(fields)) {
        reply = reply.with("access-control-allow-headers", fields);
    }
    if asked.private_network.as_deref() == Some("true") {
        reply = reply.with("access-control-allow-private-network", "true");
    }
    Some(reply)
}

/// Whether it is a list of field names (RFC 9110 §5.6.2), so that it may stand in a head of ours.
fn are_names(fields: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, \t".contains(&byte);
    !fields.is_empty() && fields.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::super::table::find;
    use super::*;
    use crate::config::Config;

    fn origins(list: &str) -> Vec<CorsOrigin> {
        let file = format!(r#"{{"providers": [], "tokens": [], "cors_origins": {list}}}"#);
        Config::parse(&file, "config.json").unwrap().cors_origins
    }

    fn head(start: &str, fields: &str) -> RequestHead {
        let text = format!("{start} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        RequestHead::parse(text.as_bytes(), &|_| false).ok().unwrap().0
    }

    #[test]
    fn a_response_is_shared_with_a_listed_origin_alone() {
        let (all, two) = (r#"["https://a", "*"]"#, r#"["https://a", "http://b:*"]"#);
        let origin = |origin: &str| Some(Sharing::Origin(origin.into()));
        for (list, fields, expected) in [
            ("[]", "Origin: https://a\r\n", None),
            (two, "Origin: https://a\r\n", origin("https://a")),
            (two, "ORIGIN: HTTPS://A\r\n", origin("HTTPS://A")),
            (two, "Origin: http://b:81\r\n", origin("http://b:81")),
            (two, "Origin: https://c\r\n", Some(Sharing::Nobody)),
            (two, "Origin: null\r\n", Some(Sharing::Nobody)),
            (two, "Origin: https://a\r\nOrigin: https://a\r\n", Some(Sharing::Nobody)),
            (two, "Origin:\r\n", Some(Sharing::Nobody)),
            (two, "", Some(Sharing::Nobody)),
            (all, "Origin: https://a\r\n", Some(Sharing::Everybody)),
            (all, "Origin: null\r\n", Some(Sharing::Everybody)),
            (all, "", Some(Sharing::Everybody)),
        ] {
            let decided = sharing(&origins(list), Some(&head("GET /", fields)));
            assert_eq!(decided.map(|sharing| *sharing), expected, "{list} {fields}");
        }
        assert_eq!(sharing(&origins(two), None).as_deref(), Some(&Sharing::Nobody));
        assert_eq!(sharing(&origins("[]"), None), None);
    }

    #[test]
    fn a_preflight_is_a_listed_page_that_asks_for_a_method_on_a_path_of_the_table() {
        let asks = "Origin: https://a\r\nAccess-Control-Request-Method: POST\r\n";
        for (start, fields, answered) in [
            ("OPTIONS /v1/chat/completions", asks, true),
            ("OPTIONS /messages?beta=true", asks, true),
            ("OPTIONS /", asks, true),
            ("OPTIONS /v1/reload", asks, false),
            ("OPTIONS /v1/nothing", asks, false),
            ("OPTIONS *", asks, false),
            ("options /", asks, false),
            ("POST /v1/chat/completions", asks, false),
            ("OPTIONS /", "Origin: https://a\r\n", false),
            ("OPTIONS /", "Access-Control-Request-Method: POST\r\n", false),
            ("OPTIONS /", "Origin: https://b\r\nAccess-Control-Request-Method: POST\r\n", false),
        ] {
            let head = head(start, fields);
            let sharing = sharing(&origins(r#"["https://a"]"#), Some(&head));
            let reply = preflight(sharing.as_deref(), &head, find(&head.path));
            assert_eq!(
                reply.map(|reply| reply.status),
                answered.then_some(204),
                "{start} {fields}"
            );
            assert!(preflight(None, &head, find(&head.path)).is_none());
        }
    }

    #[test]
    fn only_names_of_fields_are_reflected() {
        for fields in ["authorization", "a,b", "a, X-b_1 ,c"] {
            assert!(are_names(fields), "{fields}");
        }
        for fields in ["", "a:b", "x-\u{fffd}", "a;b", "\u{1}"] {
            assert!(!are_names(fields), "{fields:?}");
        }
    }
}
