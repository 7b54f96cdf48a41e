//! Which fields of a client's request and of a provider's answer stay here. One look at the first
//! letters of a name leaves few rules to compare: this runs for every field of every message.

/// Why a field does not go on to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stays {
    /// It is for us alone, or is said anew to the provider.
    Ours,
    /// It belongs to the client's connection (RFC 9110 §7.6.1).
    HopByHop,
    /// A browser says by it whose page asks. Providers refuse pages that they do not know, and who
    /// asks is ours to decide.
    Browser,
    /// A front says by it for whom it asks: addresses and sign-in tokens of its clients.
    Front,
}

/// A whole name, or with `*` at its end the beginning of names.
type Rule = (&'static str, Stays);

/// Why the field of this name stays, if it does.
pub(super) fn stays(name: &str) -> Option<Stays> {
    let matches = |rule: &&Rule| match rule.0.strip_suffix('*') {
        Some(start) => {
            name.get(..start.len()).is_some_and(|other| other.eq_ignore_ascii_case(start))
        }
        None => name.eq_ignore_ascii_case(rule.0),
    };
    candidates(name.as_bytes()).iter().find(matches).map(|rule| rule.1)
}

/// The rules for names that begin like this one.
fn candidates(name: &[u8]) -> &'static [Rule] {
    use Stays::{Browser, Front, HopByHop, Ours};
    let letter = |at: usize| name.get(at).map_or(0, u8::to_ascii_lowercase);
    match letter(0) {
        b'a' => &[
            ("authorization", Ours),
            ("accept-encoding", Ours),
            ("access-control-request-*", Browser),
        ],
        b'c' => &[
            ("content-length", Ours),
            ("connection", HopByHop),
            ("cookie", Ours),
            ("cf-*", Front),
            ("cdn-loop", Front),
            ("cloudfront-*", Front),
        ],
        b'd' => &[("dnt", Browser)],
        b'e' => &[("expect", Ours)],
        b'f' => &[("forwarded", Front), ("fly-*", Front), ("fastly-*", Front)],
        b'h' => &[("host", Ours)],
        b'k' => &[("keep-alive", HopByHop)],
        b'o' => &[("origin", Browser)],
        b'p' => &[("proxy-connection", HopByHop), ("proxy-authorization", HopByHop)],
        b'r' => &[("referer", Browser), ("remote-*", Front)],
        b's' => &[("sec-*", Browser)],
        b't' => &[
            ("te", HopByHop),
            ("trailer", HopByHop),
            ("transfer-encoding", HopByHop),
            ("true-client-ip", Front),
            ("tailscale-*", Front),
        ],
        b'u' => &[("upgrade", HopByHop), ("upgrade-insecure-requests", Browser)],
        b'v' => &[("via", Front)],
        b'x' => match letter(2) {
            b'a' => &[
                ("x-azure-clientip", Front),
                ("x-azure-socketip", Front),
                ("x-azure-ref", Front),
                ("x-azure-fdid", Front),
                ("x-appengine-*", Front),
                ("x-amzn-oidc-*", Front),
                ("x-auth-request-*", Front),
                ("x-authentik-*", Front),
            ],
            b'c' => &[("x-client-ip", Front), ("x-cluster-client-ip", Front)],
            b'e' => &[("x-envoy-*", Front)],
            b'f' => &[("x-forwarded*", Front)],
            b'g' => &[("x-goog-iap-*", Front), ("x-goog-authenticated-*", Front)],
            b'm' => &[("x-ms-client-principal*", Front), ("x-ms-token-*", Front)],
            b'o' => &[("x-original-*", Front)],
            b'r' => &[("x-real-ip", Front), ("x-request-id", Ours)],
            b'v' => &[("x-vercel-*", Front)],
            _ => &[],
        },
        _ => &[],
    }
}

/// Whether an answer's field of this name does not go on to the client: it belongs to the provider's
/// connection (RFC 9110 §7.6.1), frames the body, or speaks for the provider's origin and would be
/// taken for ours: other ways to reach it, rules for its host, orders to its pages' browsers.
pub(super) fn stays_of_answer(name: &str) -> bool {
    let names: &[&str] = match name.as_bytes().first().map_or(0, u8::to_ascii_lowercase) {
        b'a' => &["alt-svc"],
        b'c' => &["connection", "content-length", "clear-site-data"],
        b'k' => &["keep-alive"],
        b'n' => &["nel"],
        b'p' => &["proxy-connection", "proxy-authorization", "proxy-authenticate"],
        b'r' => &["report-to", "reporting-endpoints"],
        b's' => &["strict-transport-security"],
        b't' => &["te", "trailer", "transfer-encoding"],
        b'u' => &["upgrade"],
        _ => &[],
    };
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9110 §7.6.1.
    const HOP_BY_HOP: [&str; 8] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-authorization",
    ];

    #[test]
    fn what_an_answer_says_of_its_connection_or_origin_stays() {
        let of_origin =
            ["Alt-Svc", "STRICT-TRANSPORT-SECURITY", "Clear-Site-Data", "NEL", "Report-To"];
        for name in HOP_BY_HOP.iter().chain(&of_origin).chain(&["Reporting-Endpoints"]) {
            assert!(stays_of_answer(name), "{name}");
        }
        for name in ["Retry-After", "Set-Cookie", "Server", "Alt-Svc-Used", "X-NEL", "anthropic-x"]
        {
            assert!(!stays_of_answer(name), "{name}");
        }
    }

    #[test]
    fn what_speaks_of_the_client_or_of_this_connection_stays() {
        for (names, reason) in [
            (
                &["Host", "AUTHORIZATION", "cookie", "Accept-Encoding", "X-Request-Id"][..],
                Stays::Ours,
            ),
            (&HOP_BY_HOP, Stays::HopByHop),
            (&["Origin", "referer", "Sec-Fetch-Mode", "sec-ch-ua", "DNT"], Stays::Browser),
            (&["Upgrade-Insecure-Requests", "Access-Control-Request-Headers"], Stays::Browser),
            (
                &["Forwarded", "via", "X-Forwarded", "X-Forwarded-User", "X-Original-URL"],
                Stays::Front,
            ),
            (
                &["CF-Ray", "cf-access-jwt-assertion", "CDN-Loop", "CloudFront-Viewer-Address"],
                Stays::Front,
            ),
            (
                &["X-MS-Client-Principal", "X-MS-CLIENT-PRINCIPAL-NAME", "X-MS-TOKEN-AAD-ID-TOKEN"],
                Stays::Front,
            ),
            (
                &["Remote-User", "Tailscale-User-Login", "x-azure-ref", "X-Authentik-Jwt"],
                Stays::Front,
            ),
        ] {
            for name in names {
                assert_eq!(stays(name), Some(reason), "{name}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_it_goes_on() {
        for name in [
            "HTTP-Referer",
            "X-Title",
            "OpenAI-Organization",
            "anthropic-version",
            "traceparent",
            "x-stainless-lang",
            "X-Azure-Ref-Region",
            "X-Real-IP-2",
            "Via-Model",
            "Second",
            "remote",
            "Content-Type",
            "x-",
            "x",
            "",
            "X-Request-Identity",
            "x-auth-token",
            "TEE",
            "cf",
            "é-via",
        ] {
            assert_eq!(stays(name), None, "{name}");
        }
    }
}
