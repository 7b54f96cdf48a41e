//! `GET /` for browsers: who gets the page, and how it is fenced in. tests/browser/ opens it.

use openssl::base64::encode_block;
use openssl::sha::sha256;

use crate::support::*;

const BROWSER: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
const PAGE: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
/// The head of the answer included.
const ANSWER_BYTES_MAX: usize = 32 * 1024;

fn get(proxy: &TestProxy, accept: &str) -> Response {
    proxy.request("GET", "/", &format!("Accept: {accept}\r\n"))
}

fn page(proxy: &TestProxy) -> Response {
    get(proxy, BROWSER)
}

fn kind(answer: &Response) -> String {
    answer.header("content-type").expect("a content type").replace(";charset", "; charset")
}

#[test]
fn browsers_get_the_page_and_programs_get_json() {
    let proxy = TestProxy::start(&config([]));
    for (headers, expected) in [
        (format!("Accept: {BROWSER}\r\n").as_str(), PAGE),
        ("Accept: text/html\r\n", PAGE),
        ("accept:TEXT/HTML ; level=1; Q=0.001\r\n", PAGE),
        ("Accept: text/html, */*\r\n", PAGE),
        ("Accept: image/png\r\nAccept: text/html;q=0.4\r\n", PAGE),
        ("Accept: application/json, text/html\r\n", PAGE),
        ("Accept: application/json;q=0.5, text/html;q=0.6\r\n", PAGE),
        ("", JSON),
        ("Accept:\r\n", JSON),
        ("Accept: */*\r\n", JSON),
        ("Accept: text/*\r\n", JSON),
        ("Accept: application/json\r\n", JSON),
        ("Accept: application/json, text/plain, */*\r\n", JSON),
        ("Accept: application/json, text/html;q=0.9\r\n", JSON),
        ("Accept: text/html;q=0\r\n", JSON),
        ("Accept: text/html; q=0.000, */*\r\n", JSON),
        ("Accept: text/html;q=no\r\n", JSON),
        ("Accept: text/html;q=-1\r\n", JSON),
        ("Accept: text/html;q=NaN\r\n", JSON),
        ("Accept: text/htmlx, x-text/html\r\n", JSON),
        ("X-Accept: text/html\r\n", JSON),
    ] {
        let answer = proxy.request("GET", "/", headers);
        assert_eq!(answer.status, 200, "{headers}");
        assert_eq!(kind(&answer), expected, "{headers}");
        assert_eq!(answer.header("vary").as_deref(), Some("accept"), "{headers}");
        assert_eq!(answer.text().starts_with("<!doctype html>\n"), expected == PAGE, "{headers}");
    }
}

#[test]
fn other_paths_do_not_care_for_accept() {
    let proxy = TestProxy::start(&config([]));
    let headers = format!("Accept: {BROWSER}\r\n");
    for path in ["/health", "/v1/models"] {
        assert_eq!(kind(&proxy.request("GET", path, &headers)), JSON, "{path}");
    }
    proxy.request("GET", "/index.html", &headers).error(404);
    proxy.request("POST", "/", &headers).error(405);
}

#[test]
fn head_tells_the_page_s_length() {
    let proxy = TestProxy::start(&config([]));
    let page = page(&proxy);
    let mut client = proxy.connect();
    let request = format!("HEAD / HTTP/1.1\r\nHost: t\r\nAccept: {BROWSER}\r\n\r\n");
    let head = client.send(request).response_to("HEAD");
    for name in ["content-length", "content-type", "content-security-policy", "vary"] {
        assert!(head.header(name).is_some(), "{name}");
        assert_eq!(head.header(name), page.header(name), "{name}");
    }
    assert_eq!(head.header("content-length"), Some(page.body.len().to_string()));
    assert_eq!(client.send(GET).response().status, 200);
}

#[test]
fn the_answer_stays_under_32_kib_and_needs_nothing_else() {
    let proxy = TestProxy::start(&config([]));
    let page = page(&proxy);
    let length = page.head.raw.len() + page.body.len();
    assert!(length <= ANSWER_BYTES_MAX, "{length}");
    let text = page.text();
    // The namespace of the icon is a name, and the other one stands in an example to be copied.
    for known in ["http://www.w3.org/2000/svg", "https://api.openai.com/v1"] {
        assert_eq!(text.matches(known).count(), 1, "{known}");
    }
    for (address, known) in
        [("src=", 0), ("http://", 1), ("https://", 1), ("url(", 0), ("@import", 0), ("import(", 0)]
    {
        assert_eq!(text.matches(address).count(), known, "{address}");
    }
    for unsafe_sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!text.contains(unsafe_sink), "{unsafe_sink}");
    }
}

/// What stands between `<tag>` and `</tag>`, which both stand there once.
fn inside<'t>(text: &'t str, tag: &str) -> &'t str {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    assert_eq!((text.matches(&open).count(), text.matches(&close).count()), (1, 1), "{tag}");
    text.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).expect("both").0
}

#[test]
fn the_policy_allows_this_script_and_this_style_alone() {
    let proxy = TestProxy::start(&config([]));
    let page = page(&proxy);
    let policy = page.header("content-security-policy").expect("a policy");
    let directives: Vec<_> = policy.split(';').map(str::trim).collect();
    let hash = |tag| encode_block(&sha256(inside(&page.text(), tag).as_bytes()));
    let script = format!("script-src 'sha256-{}'", hash("script"));
    let style = format!("style-src 'sha256-{}'", hash("style"));
    for expected in [
        "default-src 'none'",
        &script,
        &style,
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(directives.contains(&expected), "{expected} is not in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"));
    assert_eq!(page.header("referrer-policy").as_deref(), Some("no-referrer"));
    assert_eq!(page.header("cache-control").as_deref(), Some("no-cache"));
}

#[test]
fn nothing_of_the_request_or_the_configuration_stands_in_the_page() {
    let upstream = Upstream::json("200 OK", "{}");
    let plain = page(&TestProxy::start(&config([]))).text();
    let proxy = TestProxy::start(&config([provider("<img src=x onerror=alert(1)>", &upstream)]));
    let headers =
        "Accept: text/html\r\nReferer: http://<b>\r\nX-Request-Id: <script>x</script>\r\n";
    assert_eq!(proxy.request("GET", "/?q=<script>alert(1)</script>", headers).text(), plain);
}
