//! Which fields stay here, by name: the list that the program promises, written down a second time.

/// What a client may show to be let in, in the order in which they count.
pub const CREDENTIALS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// For the proxy alone, or said anew to the provider.
const OURS: [&str; 8] = [
    "accept-encoding",
    "content-length",
    "cookie",
    "expect",
    "host",
    "x-ai-proxy-explain",
    "x-ai-proxy-retries",
    "x-request-id",
];

/// What a browser says of a page.
const BROWSER: [&str; 4] = ["dnt", "origin", "referer", "upgrade-insecure-requests"];
const BROWSER_BEGIN: [&str; 2] = ["access-control-request-", "sec-"];

/// What a reverse proxy says of its clients.
const FRONT: [&str; 11] = [
    "cdn-loop",
    "forwarded",
    "true-client-ip",
    "via",
    "x-azure-clientip",
    "x-azure-fdid",
    "x-azure-ref",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
];
const FRONT_BEGIN: [&str; 18] = [
    "cf-",
    "cloudfront-",
    "fastly-",
    "fly-",
    "remote-",
    "tailscale-",
    "x-amzn-oidc-",
    "x-appengine-",
    "x-auth-request-",
    "x-authentik-",
    "x-envoy-",
    "x-forwarded",
    "x-goog-authenticated-",
    "x-goog-iap-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-original-",
    "x-vercel-",
];

/// What a provider says for its own origin, and what frames its body.
const OF_ORIGIN: [&str; 8] = [
    "alt-svc",
    "clear-site-data",
    "content-length",
    "nel",
    "proxy-authenticate",
    "report-to",
    "reporting-endpoints",
    "strict-transport-security",
];

/// Whether such a field of a request, its name in lower case, stays here.
pub fn is_private(name: &str) -> bool {
    OURS.contains(&name) || CREDENTIALS.contains(&name) || is_of_front(name) || is_of_browser(name)
}

/// Whether such a field of an answer stays here.
pub fn is_private_of_answer(name: &str) -> bool {
    OF_ORIGIN.contains(&name)
}

/// Whether a reverse proxy or a browser asks for somebody. Node's `fetch` says `Sec-Fetch-Mode`, too.
pub fn is_of_others(name: &str) -> bool {
    is_of_front(name) || (is_of_browser(name) && name != "sec-fetch-mode")
}

/// Whether a reverse proxy says it.
pub fn is_of_front(name: &str) -> bool {
    FRONT.contains(&name) || FRONT_BEGIN.iter().any(|begin| name.starts_with(begin))
}

fn is_of_browser(name: &str) -> bool {
    BROWSER.contains(&name) || BROWSER_BEGIN.iter().any(|begin| name.starts_with(begin))
}
