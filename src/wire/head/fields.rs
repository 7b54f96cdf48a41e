//! Which fields of a client's request and of a provider's response stay here. One look at the first
//! letters of a name leaves few rules to compare: this runs for every field of every message.

use Rule::{Name, Start};

/// Why a field does not go on to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stays {
    /// It is for us alone, or is said anew to the provider.
    Ours,
    /// It may hold the client's token, or a key of the client's own.
    Credential,
    /// It belongs to the client's connection (RFC 9110 §7.6.1).
    HopByHop,
    /// A browser says by it which page asks. Providers refuse pages that they do not know, and it
    /// is the proxy that decides who may ask.
    Browser,
    /// A reverse proxy in front says by it for whom it asks: addresses and sign-in tokens of its
    /// clients.
    Front,
}

/// Which names stay.
enum Rule {
    /// This one.
    Name(&'static str, Stays),
    /// All that begin like this.
    Start(&'static str, Stays),
}

/// Why the field of this name stays, if it does.
pub(super) fn stays(name: &str) -> Option<Stays> {
    let name = name.as_bytes();
    candidates(name).iter().find_map(|rule| match rule {
        Name(other, stays) => name.eq_ignore_ascii_case(other.as_bytes()).then_some(*stays),
        Start(start, stays) => {
            let other = name.get(..start.len())?;
            other.eq_ignore_ascii_case(start.as_bytes()).then_some(*stays)
        }
    })
}

/// The rules for names that begin like this one.
fn candidates(name: &[u8]) -> &'static [Rule] {
    use Stays::{Browser, Credential, Front, HopByHop, Ours};
    let letter = |at: usize| name.get(at).map_or(0, u8::to_ascii_lowercase);
    match letter(0) {
        b'a' => &[
            Name("authorization", Credential),
            Name("accept-encoding", Ours),
            Name("api-key", Credential),
            Start("access-control-request-", Browser),
        ],
        b'c' => &[
            Name("content-length", Ours),
            Name("connection", HopByHop),
            Name("cookie", Ours),
            Start("cf-", Front),
            Name("cdn-loop", Front),
            Start("cloudfront-", Front),
        ],
        b'd' => &[Name("dnt", Browser)],
        b'e' => &[Name("expect", Ours)],
        b'f' => &[Name("forwarded", Front), Start("fly-", Front), Start("fastly-", Front)],
        b'h' => &[Name("host", Ours)],
        b'k' => &[Name("keep-alive", HopByHop)],
        b'o' => &[Name("origin", Browser)],
        b'p' => &[Name("proxy-connection", HopByHop), Name("proxy-authorization", HopByHop)],
        b'r' => &[Name("referer", Browser), Start("remote-", Front)],
        b's' => &[Start("sec-", Browser)],
        b't' => &[
            Name("te", HopByHop),
            Name("trailer", HopByHop),
            Name("transfer-encoding", HopByHop),
            Name("true-client-ip", Front),
            Start("tailscale-", Front),
        ],
        b'u' => &[Name("upgrade", HopByHop), Name("upgrade-insecure-requests", Browser)],
        b'v' => &[Name("via", Front)],
        b'x' => candidates_with_x(letter(2)),
        _ => &[],
    }
}

/// The rules for names that begin with `x-` and this letter.
fn candidates_with_x(letter: u8) -> &'static [Rule] {
    use Stays::{Credential, Front, Ours};
    match letter {
        b'a' => &[
            Name("x-api-key", Credential),
            Name("x-ai-proxy-explain", Ours),
            Name("x-ai-proxy-retries", Ours),
            Name("x-azure-clientip", Front),
            Name("x-azure-socketip", Front),
            Name("x-azure-ref", Front),
            Name("x-azure-fdid", Front),
            Start("x-appengine-", Front),
            Start("x-amzn-oidc-", Front),
            Start("x-auth-request-", Front),
            Start("x-authentik-", Front),
        ],
        b'c' => &[Name("x-client-ip", Front), Name("x-cluster-client-ip", Front)],
        b'e' => &[Start("x-envoy-", Front)],
        b'f' => &[Start("x-forwarded", Front)],
        b'g' => &[
            Name("x-goog-api-key", Credential),
            Start("x-goog-iap-", Front),
            Start("x-goog-authenticated-", Front),
        ],
        b'm' => &[Start("x-ms-client-principal", Front), Start("x-ms-token-", Front)],
        b'o' => &[Start("x-original-", Front)],
        b'r' => &[Name("x-real-ip", Front), Name("x-request-id", Ours)],
        b'v' => &[Start("x-vercel-", Front)],
        _ => &[],
    }
}

/// Whether a response's field of this name does not go on to the client: it belongs to the
/// provider's connection (RFC 9110 §7.6.1), frames the body, or speaks for the provider's origin
/// and would be taken for ours: other ways to reach it, rules for its host, orders to its pages'
/// browsers.
pub(super) fn stays_of_response(name: &str) -> bool {
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
    fn what_a_response_says_of_its_connection_or_origin_stays() {
        let of_origin =
            ["Alt-Svc", "STRICT-TRANSPORT-SECURITY", "Clear-Site-Data", "NEL", "Report-To"];
        for name in HOP_BY_HOP.iter().chain(&of_origin).chain(&["Reporting-Endpoints"]) {
            assert!(stays_of_response(name), "{name}");
        }
        for name in ["Retry-After", "Set-Cookie", "Server", "Alt-Svc-Used", "X-NEL", "anthropic-x"]
        {
            assert!(!stays_of_response(name), "{name}");
        }
    }

    #[test]
    fn what_speaks_of_the_client_or_of_this_connection_stays() {
        for (names, reason) in [
            (&["Host", "cookie", "Accept-Encoding", "X-Request-Id"][..], Stays::Ours),
            (&["X-AI-Proxy-Explain"], Stays::Ours),
            (&["AUTHORIZATION", "x-api-key", "Api-Key", "X-Goog-Api-Key"], Stays::Credential),
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
