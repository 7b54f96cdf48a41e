//! What is reported, in the order of the table, and the bars of the issue "Close to nginx in speed, far
//! below it in memory".

/// How a row is judged: the bar first, the stretch second.
#[derive(Clone, Copy)]
pub enum Judge {
    /// For information.
    Not,
    /// Our median, in the row's unit.
    AtMost(f64, f64),
    /// Our median divided by the other's, at most.
    RatioAtMost(f64, f64),
    /// Our median divided by the other's, at least.
    RatioAtLeast(f64, f64),
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
pub const ROWS: [Row; 27] = [
    row("rps_core_64", "requests per CPU second, 64 connections", 0, Judge::RatioAtLeast(0.65, 1.0)),
    row("cpu_us_64", "CPU per request, 64 connections, µs", 2, Judge::Not),
    row("rps_64", "requests/s on the clock, 64 connections", 0, Judge::Not),
    row("busy_64", "  share of its CPU used meanwhile, %", 0, Judge::Not),
    row("cpu_us_1", "CPU per request, 1 connection, µs", 2, Judge::Not),
    row("rps_1", "requests/s on the clock, 1 connection", 0, Judge::Not),
    row("p50_us", "added latency p50, 1 connection, µs", 1, Judge::RatioAtMost(0.9, 0.6)),
    row("p99_us", "added latency p99, 1 connection, µs", 1, Judge::Not),
    row("info_percent", "INFO logging, % of requests per CPU second", 1, Judge::AtMost(10.0, 5.0)),
    row("events_core", "stream events per CPU second, 32 streams", 0, Judge::RatioAtLeast(1.0, 1.3)),
    row("events_wall", "stream events/s on the clock, 32 streams", 0, Judge::Not),
    row("paced_us", "CPU per event, 100 streams, 10 ms apart, µs", 2, Judge::RatioAtMost(1.1, 0.8)),
    row("rss_idle", "RSS idle, MB", 2, Judge::AtMost(3.5, 2.5)),
    row("rss_idle_own", "  of it not from files (programs, libraries), MB", 2, Judge::Not),
    row("rss_1000", "RSS with 1,000 open streams, MB", 2, Judge::AtMost(7.0, 5.0)),
    row("rss_10000", "RSS with 10,000 open streams, MB", 2, Judge::AtMost(40.0, 30.0)),
    row("stream_kb", "  memory per open stream, KB", 2, Judge::Not),
    row("big_after", "RSS above idle after 32 answers of 10 MB, MB", 2, Judge::AtMost(5.0, 2.0)),
    row("big_peak", "  highest RSS above idle meanwhile, MB", 2, Judge::Not),
    row("big_mb_s", "  MB/s on the clock", 0, Judge::Not),
    row("start_ms", "start to first answer, ms", 2, Judge::AtMost(10.0, 4.0)),
    row("tls_first_ms", "CPU of the first 16 requests, at once, over TLS, ms", 1, Judge::Not),
    row("tls_s", "new TLS upstream connections/s on the clock", 0, Judge::Not),
    row("tls_ms", "CPU per request on a new TLS connection, ms", 3, Judge::Not),
    row("tls_own_ms", "  the same, crypto apart, ms", 3, Judge::AtMost(1.0, 0.1)),
    row("tls_kb", "RSS per open TLS upstream connection, KB", 1, Judge::AtMost(60.0, 40.0)),
    row("binary_mb", "binary, MB", 2, Judge::AtMost(3.5, 2.5)),
];
