//! What is reported, in the order of the table, and the bars of the issues "Close to nginx in speed, far
//! below it in memory" and "The cost that real users have: TLS".

/// Name of the older ai_proxy in the report.
pub const BEFORE: &str = "before";
/// Name of nginx, in the report and of its file.
pub const NGINX: &str = "nginx";
/// Name of HAProxy, in the report and of its file.
pub const HAPROXY: &str = "haproxy";

/// How a row is judged: the bar first, the stretch second.
#[derive(Clone, Copy)]
pub enum Judge {
    /// For information.
    Not,
    /// Our median, in the row's unit.
    AtMost(f64, f64),
    /// Our median divided by the named one's, at most.
    RatioAtMost(&'static str, f64, f64),
    /// Our median divided by the named one's, at least.
    RatioAtLeast(&'static str, f64, f64),
}

pub struct Row {
    /// Its name in the JSON.
    pub key: &'static str,
    /// Its name in the table, with the unit.
    pub title: &'static str,
    /// Digits shown after the point.
    pub decimals: usize,
    /// Its bars.
    pub judge: Judge,
}

const fn row(key: &'static str, title: &'static str, decimals: usize, judge: Judge) -> Row {
    Row { key, title, decimals, judge }
}

/// The rows of the report.
#[rustfmt::skip]
pub const ROWS: [Row; 32] = [
    row("rps_core_64", "requests per CPU second, 64 connections", 0, Judge::RatioAtLeast(NGINX, 1.0, 1.15)),
    row("cpu_us_64", "CPU per request, 64 connections, µs", 2, Judge::Not),
    row("rps_64", "requests/s on the clock, 64 connections", 0, Judge::Not),
    row("busy_64", "  share of its CPU used meanwhile, %", 0, Judge::Not),
    row("cpu_us_1", "CPU per request, 1 connection, µs", 2, Judge::Not),
    row("rps_1", "requests/s on the clock, 1 connection", 0, Judge::Not),
    row("p50_us", "added latency p50, 1 connection, µs", 1, Judge::RatioAtMost(NGINX, 0.9, 0.6)),
    row("p99_us", "added latency p99, 1 connection, µs", 1, Judge::Not),
    row("info_percent", "INFO logging, % of requests per CPU second", 1, Judge::AtMost(10.0, 5.0)),
    row("events_core", "stream events per CPU second, 32 streams", 0, Judge::RatioAtLeast(NGINX, 1.0, 1.3)),
    row("events_wall", "stream events/s on the clock, 32 streams", 0, Judge::Not),
    row("paced_us", "CPU per event, 100 streams, 10 ms apart, µs", 2, Judge::RatioAtMost(NGINX, 1.1, 0.8)),
    row("rss_idle", "RSS idle, MB", 2, Judge::AtMost(3.5, 2.5)),
    row("rss_idle_own", "  of it not from files (programs, libraries), MB", 2, Judge::Not),
    row("rss_1000", "RSS with 1,000 open streams, MB", 2, Judge::AtMost(7.0, 5.0)),
    row("rss_10000", "RSS with 10,000 open streams, MB", 2, Judge::AtMost(40.0, 30.0)),
    row("stream_kb", "  memory per open stream, KB", 2, Judge::Not),
    row("big_after", "RSS above idle after 32 answers of 10 MB, MB", 2, Judge::AtMost(5.0, 2.0)),
    row("big_peak", "  highest RSS above idle meanwhile, MB", 2, Judge::Not),
    row("big_mb_s", "  MB/s on the clock", 0, Judge::Not),
    row("start_ms", "start to first answer, ms", 2, Judge::AtMost(10.0, 4.0)),
    row("tls_us", "CPU per request over kept TLS, 64 connections, µs", 2, Judge::RatioAtMost(HAPROXY, 1.0, 0.9)),
    row("tls_rps_core", "  requests per CPU second", 0, Judge::Not),
    row("tls_new_us", "CPU per request that opens a TLS connection, µs", 1, Judge::RatioAtMost(HAPROXY, 1.0, 0.9)),
    row("tls_full_us", "  the same without resumed sessions, µs", 1, Judge::RatioAtMost(HAPROXY, 1.0, 0.9)),
    row("tls_event_us", "CPU per event, 1,000 TLS streams, 100 ms apart, µs", 2, Judge::RatioAtMost(HAPROXY, 1.0, 0.9)),
    row("tls_start_ms", "CPU from start through the first TLS handshake, ms", 0, Judge::Not),
    row("tls_idle", "RSS idle after it, MB", 2, Judge::Not),
    row("tls_idle_own", "  of it not from files (programs, libraries), MB", 2, Judge::Not),
    row("tls_1000", "RSS with 1,000 open TLS streams, MB", 2, Judge::Not),
    row("tls_kb", "RSS per open TLS stream, KB", 1, Judge::AtMost(26.0, 20.0)),
    row("binary_mb", "binary, MB", 2, Judge::AtMost(3.5, 2.5)),
];
