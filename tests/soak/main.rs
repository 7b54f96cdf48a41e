//! A soak: mixed traffic for minutes, every answer checked to its last byte, and nothing left behind.
//!
//! ```bash
//! cargo build --release
//! AI_PROXY_BIN=target/release/ai_proxy SOAK_MINUTES=20 CARGO_PROFILE_DEV_OPT_LEVEL=2 \
//!     cargo test --target-dir target/soak --test soak -- --ignored --nocapture
//! ```
//!
//! The clients check every byte, so that they too are better built optimised.
//!
//! `SOAK_MINUTES` (1) may be a fraction; the number may also stand behind the test's name: `-- --ignored soak 20`.
//! `AI_PROXY_BIN` names the program to test, else it is the one that cargo built for the tests. `SOAK_SEED` repeats a
//! run's choices, though not its timing.

mod checks;
mod client;
mod habits;
mod plan;
mod provider;
mod scenarios;
#[path = "../support/mod.rs"]
mod support;
mod traffic;
mod watch;

use std::time::Duration;

use serde_json::{json, Value};
use support::{Launch, TestProxy};

use plan::{ANONYMOUS_KEYS, SILENCE_MAX};
use provider::Provider;
use traffic::Field;
use watch::Watch;

/// Configurations that follow each other; what one lacks, requests may not find for a while.
fn configs(provider: &Provider) -> Vec<Value> {
    let at = |name: &str, key: &str| {
        let url = format!("http://{}/{key}/v1", provider.addr());
        json!({"provider": name, "baseurl": url, "token": key, "model_list": ["m"]})
    };
    let dead = json!({"provider": "dead", "baseurl": "http://127.0.0.1:1/v1", "model_list": ["m"]});
    let [a, b, other_b] = ANONYMOUS_KEYS;
    let base = json!({
        "host": "127.0.0.1",
        "port": 0,
        "log_level": "INFO",
        "tokens": [format!("tester|{}", support::TOKEN)],
        "providers": [at("a", a), dead],
        "max_connections": 64,
        "max_client_connections": 500,
        "keepalive_expiry": 2,
        "stream_timeout": SILENCE_MAX.as_secs(),
        "non_stream_timeout": SILENCE_MAX.as_secs(),
        "max_request_size": plan::REQUEST_BYTES_MAX,
        "max_response_size": plan::ANSWER_BYTES_MAX,
    });
    let with = |changes: Value| support::with(base.clone(), changes);
    vec![
        base.clone(),
        with(json!({"providers": [at("a", a), at("b", b), dead], "sse_keepalive": 0.02})),
        with(json!({"log_level": "DEBUG", "max_connections": 80, "max_keepalive_connections": 5})),
        with(json!({"providers": [at("b", other_b), dead, at("a", a)], "tokens":
            [format!("tester|{}", support::TOKEN), "more|sk-more"]})),
    ]
}

fn start(config: &Value) -> TestProxy {
    let shell = std::env::var("AI_PROXY_BIN").ok().map(|path| {
        let path =
            std::fs::canonicalize(&path).unwrap_or_else(|e| panic!("AI_PROXY_BIN={path}: {e}"));
        println!("testing {}", path.display());
        format!("exec '{}' \"$@\"", path.display())
    });
    TestProxy::launch(Launch { config: Some(config.to_string()), shell, ..Launch::default() })
}

fn duration() -> Duration {
    let argument = std::env::args().skip(1).find(|argument| argument.parse::<f64>().is_ok());
    let text = argument.or_else(|| std::env::var("SOAK_MINUTES").ok());
    let minutes = text.map_or(1.0, |text| text.parse().expect("SOAK_MINUTES is a number"));
    Duration::from_secs_f64(minutes * 60.0)
}

#[test]
#[ignore = "takes minutes: see the head of this file"]
fn soak() {
    let seed = std::env::var("SOAK_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let length = duration();
    println!("SOAK_SEED={seed}, {:.1} minutes", length.as_secs_f64() / 60.0);
    let provider = Provider::start();
    let configs = configs(&provider);
    let proxy = start(&configs[0]);
    // The first of everything: connections, a reload, an idle moment.
    let field = Field::new(proxy.addr(), seed);
    field.warm_up();
    proxy.reload(&configs[0]);
    let mut watch = Watch::new(&proxy);
    watch.settle("at the start, idle");
    std::thread::scope(|scope| {
        field.begin(scope);
        scope.spawn(|| traffic::reload_for_ever(&field, &proxy, &configs));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            watch.run(length, &field);
        }));
        field.stop();
        if let Err(panic) = panicked {
            std::panic::resume_unwind(panic);
        }
    });
    watch.settle("at the end, idle");
    watch.read_log();
    field.print();
    watch.print();
    let mut wrong = [field.failures(), provider.failures(), watch.failures(length)].concat();
    if wrong.is_empty() {
        wrong = field.disagreements(&proxy.get("/").json()["stats"]);
    }
    let shown = wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} wrong:\n{shown}", wrong.len());
}
