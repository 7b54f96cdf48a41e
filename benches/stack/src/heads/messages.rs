//! A request as an SDK sends it and an answer as a provider behind a front gives it, names made up.

pub const REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\n\
Host: localhost:8001\r\n\
Accept-Encoding: gzip, deflate\r\n\
Connection: keep-alive\r\n\
Accept: application/json\r\n\
Content-Type: application/json\r\n\
User-Agent: OpenAI/Python 1.97.0\r\n\
X-Stainless-Lang: python\r\n\
X-Stainless-Package-Version: 1.97.0\r\n\
X-Stainless-OS: Linux\r\n\
X-Stainless-Arch: x64\r\n\
X-Stainless-Runtime: CPython\r\n\
X-Stainless-Runtime-Version: 3.12.3\r\n\
Authorization: Bearer a-token-of-a-client\r\n\
X-Stainless-Async: false\r\n\
x-stainless-retry-count: 0\r\n\
x-stainless-read-timeout: 600\r\n\
Content-Length: 187\r\n\r\n";

pub const KEY: &str = "Bearer a-key-for-a-provider";

pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
Date: Mon, 21 Jul 2025 10:00:00 GMT\r\n\
Content-Type: text/event-stream; charset=utf-8\r\n\
Transfer-Encoding: chunked\r\n\
Connection: keep-alive\r\n\
access-control-expose-headers: X-Request-ID\r\n\
openai-organization: example-organization\r\n\
openai-processing-ms: 312\r\n\
openai-project: proj_0123456789abcdef\r\n\
openai-version: 2020-10-01\r\n\
x-envoy-upstream-service-time: 316\r\n\
x-ratelimit-limit-requests: 10000\r\n\
x-ratelimit-limit-tokens: 200000\r\n\
x-ratelimit-remaining-requests: 9999\r\n\
x-ratelimit-remaining-tokens: 199970\r\n\
x-ratelimit-reset-requests: 8.64s\r\n\
x-ratelimit-reset-tokens: 9ms\r\n\
x-request-id: req_0123456789abcdef0123456789abcdef\r\n\
strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n\
cf-cache-status: DYNAMIC\r\n\
Set-Cookie: first=0123456789abcdef; path=/; HttpOnly; Secure; SameSite=None\r\n\
X-Content-Type-Options: nosniff\r\n\
Set-Cookie: second=0123456789abcdef; path=/; HttpOnly; Secure; SameSite=None\r\n\
Server: front\r\n\
CF-RAY: 0123456789abcdef-FRA\r\n\
alt-svc: h3=\":443\"; ma=86400\r\n\r\n";

pub const FIRST_CHUNK: &[u8] = b"1b\r\ndata: {\"choices\":[{\"a\":1}]}\r\n";

/// What `remove_header` takes out of a request: fewer names than our rules hold.
pub const NOT_IN_REQUESTS: &[&str] = &[
    "host",
    "authorization",
    "accept-encoding",
    "cookie",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-real-ip",
    "x-request-id",
];

/// And out of an answer. It would write `Transfer-Encoding` itself.
pub const NOT_IN_ANSWERS: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "alt-svc",
    "strict-transport-security",
    "clear-site-data",
    "nel",
    "report-to",
    "reporting-endpoints",
];
