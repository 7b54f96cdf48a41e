//! The fields that the program knows, and which of a client's request and of a provider's response stay
//! here. One look at the length and the first letter of a name leaves few to compare: this runs for every
//! field of every message.

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

/// What is known by a field's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: it goes on.
    #[default]
    Nothing,
    Accept,
    AcceptEncoding,
    AnthropicVersion,
    ApiKey,
    Authorization,
    CacheControl,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentType,
    Cookie,
    Expect,
    Explain,
    Host,
    Location,
    NamedModel,
    Origin,
    RequestId,
    Retries,
    SecFetchMode,
    SecFetchSite,
    TransferEncoding,
    Upgrade,
    XAccelBuffering,
    XApiKey,
    XGoogApiKey,
    /// Others of the connection.
    HopByHop,
    /// Others of a browser.
    Browser,
    /// Those of a reverse proxy.
    Front,
    /// A provider says by it how else its own origin is to be asked, gives orders to the browsers of its
    /// own pages, or asks for a proxy's credentials.
    OfOrigin,
}

/// How much of a name is compared: no name that is known is longer.
const NAME_BYTES: usize = 32;

/// The first bytes of a field's name, in lower case, as numbers that compare at once. No other
/// token's bytes become those of a name of letters and hyphens.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Name(pub [u64; NAME_BYTES / 8]);

impl Name {
    pub(super) const fn new(name: &[u8]) -> Name {
        let mut words = [0; NAME_BYTES / 8];
        let mut at = 0;
        while at < name.len() && at < NAME_BYTES {
            words[at / 8] |= ((name[at] | 0x20) as u64) << (at % 8 * 8);
            at += 1;
        }
        Name(words)
    }

    fn letter(&self, at: usize) -> u8 {
        (self.0[0] >> (8 * at)) as u8
    }

    /// Whether it begins with these bytes, at most 32.
    fn begins(&self, start: &str) -> bool {
        let Name(start_words) = Name::new(start.as_bytes());
        let (whole, rest) = (start.len() / 8, start.len() % 8);
        self.0[..whole] == start_words[..whole]
            && (rest == 0 || (self.0[whole] ^ start_words[whole]) << (64 - 8 * rest) == 0)
    }
}

impl Known {
    /// What is known of the name of so many bytes.
    pub(super) fn by_name(length: usize, name: &Name) -> Known {
        let named = NAMES.get(length).copied().unwrap_or_default();
        // The first eight letters tell nearly all apart.
        let is_it = |other: &Name| other.0[0] == name.0[0] && other == name;
        if let Some((_, known)) = named.iter().find(|(other, _)| is_it(other)) {
            return *known;
        }
        let (first, third) = (name.letter(0), name.letter(2));
        let begin = beginnings(first, third).iter().find(|(start, _)| name.begins(start));
        begin.map_or(Known::Nothing, |(_, known)| *known)
    }

    /// Why such a field of a request stays, if it does.
    pub(super) fn stays(self) -> Option<Stays> {
        Some(match self {
            Known::AcceptEncoding
            | Known::ContentLength
            | Known::Cookie
            | Known::Expect
            | Known::Explain
            | Known::Host
            | Known::RequestId
            | Known::Retries => Stays::Ours,
            Known::ApiKey | Known::Authorization | Known::XApiKey | Known::XGoogApiKey => {
                Stays::Credential
            }
            Known::Connection | Known::HopByHop | Known::TransferEncoding | Known::Upgrade => {
                Stays::HopByHop
            }
            Known::Browser | Known::Origin | Known::SecFetchMode | Known::SecFetchSite => {
                Stays::Browser
            }
            Known::Front => Stays::Front,
            Known::Nothing
            | Known::Accept
            | Known::AnthropicVersion
            | Known::CacheControl
            | Known::ContentEncoding
            | Known::ContentType
            | Known::Location
            | Known::NamedModel
            | Known::OfOrigin
            | Known::XAccelBuffering => return None,
        })
    }

    /// Whether such a field of a response does not go on to the client: it belongs to the provider's
    /// connection (RFC 9110 §7.6.1), frames the body, or speaks for the provider's origin and would be
    /// taken for ours.
    pub(super) fn stays_of_response(self) -> bool {
        matches!(
            self,
            Known::Connection
                | Known::ContentLength
                | Known::HopByHop
                | Known::OfOrigin
                | Known::TransferEncoding
                | Known::Upgrade
        )
    }
}

/// The names by their length.
const NAMES: [&[(Name, Known)]; 26] = {
    use Known::*;
    const fn name(name: &str) -> Name {
        Name::new(name.as_bytes())
    }
    [
        &[],
        &[],
        &[(name("te"), HopByHop)],
        &[(name("dnt"), Browser), (name("nel"), OfOrigin), (name("via"), Front)],
        &[(name("host"), Host)],
        &[],
        &[
            (name("accept"), Accept),
            (name("cookie"), Cookie),
            (name("expect"), Expect),
            (name("origin"), Origin),
        ],
        &[
            (name("api-key"), ApiKey),
            (name("alt-svc"), OfOrigin),
            (name("referer"), Browser),
            (name("trailer"), HopByHop),
            (name("upgrade"), Upgrade),
        ],
        &[(name("cdn-loop"), Front), (name("location"), Location)],
        &[
            (name("forwarded"), Front),
            (name("report-to"), OfOrigin),
            (name("x-api-key"), XApiKey),
            (name("x-real-ip"), Front),
        ],
        &[(name("connection"), Connection), (name("keep-alive"), HopByHop)],
        &[(name("x-client-ip"), Front), (name("x-azure-ref"), Front)],
        &[
            (name("content-type"), ContentType),
            (name("x-request-id"), RequestId),
            (name("x-azure-fdid"), Front),
        ],
        &[(name("authorization"), Authorization), (name("cache-control"), CacheControl)],
        &[
            (name("content-length"), ContentLength),
            (name("sec-fetch-mode"), SecFetchMode),
            (name("sec-fetch-site"), SecFetchSite),
            (name("true-client-ip"), Front),
            (name("x-goog-api-key"), XGoogApiKey),
        ],
        &[(name("accept-encoding"), AcceptEncoding), (name("clear-site-data"), OfOrigin)],
        &[
            (name("content-encoding"), ContentEncoding),
            (name("proxy-connection"), HopByHop),
            (name(super::NAMED_MODEL), NamedModel),
            (name("x-azure-clientip"), Front),
            (name("x-azure-socketip"), Front),
        ],
        &[
            (name("anthropic-version"), AnthropicVersion),
            (name("transfer-encoding"), TransferEncoding),
            (name("x-accel-buffering"), XAccelBuffering),
        ],
        &[
            (name("proxy-authenticate"), OfOrigin),
            (name("x-ai-proxy-explain"), Explain),
            (name("x-ai-proxy-retries"), Retries),
        ],
        &[
            (name("proxy-authorization"), HopByHop),
            (name("reporting-endpoints"), OfOrigin),
            (name("x-cluster-client-ip"), Front),
        ],
        &[],
        &[],
        &[],
        &[],
        &[],
        &[
            (name("strict-transport-security"), OfOrigin),
            (name("upgrade-insecure-requests"), Browser),
        ],
    ]
};

/// How other names begin that have these two as their first and third letter.
fn beginnings(first: u8, third: u8) -> &'static [(&'static str, Known)] {
    use Known::*;
    match (first, third) {
        (b'a', b'c') => &[("access-control-request-", Browser)],
        (b'c', b'-') => &[("cf-", Front)],
        (b'c', b'o') => &[("cloudfront-", Front)],
        (b'f', b'y') => &[("fly-", Front)],
        (b'f', b's') => &[("fastly-", Front)],
        (b'r', b'm') => &[("remote-", Front)],
        (b's', b'c') => &[("sec-", Browser)],
        (b't', b'i') => &[("tailscale-", Front)],
        (b'x', b'a') => &[
            ("x-appengine-", Front),
            ("x-amzn-oidc-", Front),
            ("x-auth-request-", Front),
            ("x-authentik-", Front),
        ],
        (b'x', b'e') => &[("x-envoy-", Front)],
        (b'x', b'f') => &[("x-forwarded", Front)],
        (b'x', b'g') => &[("x-goog-iap-", Front), ("x-goog-authenticated-", Front)],
        (b'x', b'm') => &[("x-ms-client-principal", Front), ("x-ms-token-", Front)],
        (b'x', b'o') => &[("x-original-", Front)],
        (b'x', b'v') => &[("x-vercel-", Front)],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Known {
        Known::by_name(name.len(), &Name::new(name.as_bytes()))
    }

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
    fn every_name_stands_where_it_is_looked_for() {
        for (length, names) in NAMES.iter().enumerate() {
            for (name, is) in *names {
                let bytes: Vec<u8> = name.0.iter().flat_map(|word| word.to_le_bytes()).collect();
                let text = std::str::from_utf8(&bytes).unwrap().trim_end_matches('\0');
                assert_eq!(text.len(), length, "{text}");
                assert_eq!(known(&text.to_ascii_uppercase()), *is, "{text}");
                assert_ne!(known(&format!("{text}-")), *is, "{text}");
            }
        }
        for (first, third) in (b'a'..=b'z').flat_map(|a| (b'-'..=b'z').map(move |b| (a, b))) {
            for (start, is) in beginnings(first, third) {
                assert_eq!(known(start), *is, "{start}");
                assert_eq!(known(&format!("{start}x")), *is, "{start}");
                assert_eq!(known(&start[..start.len() - 1]), Known::Nothing, "{start}");
            }
        }
    }

    #[test]
    fn what_a_response_says_of_its_connection_or_origin_stays() {
        let of_origin =
            ["Alt-Svc", "STRICT-TRANSPORT-SECURITY", "Clear-Site-Data", "NEL", "Report-To"];
        for name in HOP_BY_HOP.iter().chain(&of_origin).chain(&["Reporting-Endpoints"]) {
            assert!(known(name).stays_of_response(), "{name}");
        }
        for name in ["Retry-After", "Set-Cookie", "Server", "Alt-Svc-Used", "X-NEL", "anthropic-x"]
        {
            assert!(!known(name).stays_of_response(), "{name}");
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
                assert_eq!(known(name).stays(), Some(reason), "{name}");
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
            assert_eq!(known(name).stays(), None, "{name}");
        }
    }
}
