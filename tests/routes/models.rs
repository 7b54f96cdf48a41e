//! `GET /v1/models`: manual and fetched lists, what survives a provider that is down.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

use serde_json::{json, Value};

use crate::support::*;

/// The ids that `/v1/models` lists, after a check of each entry's shape.
fn ids(proxy: &TestProxy) -> Vec<String> {
    let answer = proxy.get("/v1/models");
    assert_eq!(answer.status, 200);
    let list = answer.json();
    assert_eq!(list["object"], "list");
    let entry = |entry: &Value| {
        let id = entry["id"].as_str().expect("an id");
        assert_eq!(entry["object"], "model", "{entry}");
        let owner = id.split_once('/').expect("provider/model").0;
        assert_eq!(entry["owned_by"], owner, "{entry}");
        id.to_owned()
    };
    list["data"].as_array().expect("data").iter().map(entry).collect()
}

fn sorted_ids(proxy: &TestProxy) -> Vec<String> {
    let mut ids = ids(proxy);
    ids.sort();
    ids
}

/// The list of a proxy whose one provider answers `/models` with `body`.
fn fetched(body: &str) -> Vec<String> {
    let upstream = Upstream::json("200 OK", body);
    let proxy = TestProxy::start(&config([auto_provider("p", &upstream)]));
    sorted_ids(&proxy)
}

#[test]
fn manual_lists_are_listed_without_asking_the_provider() {
    let upstream = Upstream::json("200 OK", r#"{"data":[{"id":"fetched"}]}"#);
    let mut listed = provider("p", &upstream);
    listed["model_list"] = json!(["b", "vendor/a"]);
    let proxy = TestProxy::start(&config([listed]));
    assert_eq!(sorted_ids(&proxy), ["p/b", "p/vendor/a"]);
    assert!(upstream.requests().is_empty(), "a manual list must not be fetched");
}

#[test]
fn both_kinds_of_lists_stand_side_by_side() {
    let manual = Upstream::json("200 OK", "{}");
    let auto =
        Upstream::json("200 OK", r#"{"object":"list","data":[{"id":"x","object":"model"}]}"#);
    let proxy = TestProxy::start(&config([provider("p", &manual), auto_provider("q", &auto)]));
    assert_eq!(sorted_ids(&proxy), ["p/m", "q/x"]);
    let request = auto.request();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/v1/models"));
    assert_eq!(request.head.get("authorization"), Some(format!("Bearer {KEY}")));
    assert_eq!(request.head.get("host"), Some(auto.addr().to_string()));
}

#[test]
fn lists_of_every_known_shape_are_read() {
    assert_eq!(fetched(r#"{"data":[{"id":"a"},{"id":"b"}]}"#), ["p/a", "p/b"]);
    assert_eq!(fetched(r#"{"models":[{"name":"models/gemini-pro"}]}"#), ["p/gemini-pro"]);
    assert_eq!(fetched(r#"[{"id":"a"},{"name":"b"}]"#), ["p/a", "p/b"]);
    assert_eq!(fetched(r#"{"data":[{"id":"vendor/deep/a"}]}"#), ["p/vendor/deep/a"]);
}

#[test]
fn a_leading_models_prefix_is_stripped_once() {
    assert_eq!(
        fetched(r#"{"data":[{"id":"models/models/x"},{"id":"my-models/y"}]}"#),
        ["p/models/x", "p/my-models/y"]
    );
}

#[test]
fn models_named_twice_are_listed_once() {
    assert_eq!(
        fetched(r#"{"data":[{"id":"a"},{"id":"b"},{"id":"a"},{"id":"models/b"}]}"#),
        ["p/a", "p/b"]
    );
}

#[test]
fn entries_without_a_name_are_left_out_and_the_others_stay() {
    let odd = r#"{"data":[{"id":7},{"object":"model"},null,"text",{"id":"good","created":1e400}]}"#;
    let list = fetched(odd);
    assert!(list.iter().all(|id| id == "p/good"), "{list:?}");
    assert_eq!(fetched(r#"{"data":[{"id":7},{"object":"model"},{"id":"good"}]}"#), ["p/good"]);
}

#[test]
fn a_list_with_a_long_unknown_tail_is_read() {
    let many: Vec<_> =
        (0..3000).map(|i| json!({"id": format!("model-{i}"), "x": "y".repeat(200)})).collect();
    assert_eq!(fetched(&json!({ "data": many }).to_string()).len(), 3000);
}

#[test]
fn filtered_models_are_missing_from_both_kinds() {
    let auto = Upstream::json("200 OK", r#"{"data":[{"id":"keep-1"},{"id":"drop-1"}]}"#);
    let mut manual = provider("p", &auto);
    manual["model_list"] = json!(["keep-2", "drop-2"]);
    let both = config([manual, auto_provider("q", &auto)]);
    let proxy = TestProxy::start(&with(both, json!({"supported_models": ["^p/keep", "^q/keep"]})));
    assert_eq!(sorted_ids(&proxy), ["p/keep-2", "q/keep-1"]);
}

#[test]
fn a_provider_that_is_down_hides_no_other() {
    let good = Upstream::json("200 OK", r#"{"data":[{"id":"x"}]}"#);
    let broken = Upstream::json("500 Oops", r#"{"error":"x"}"#);
    let garbage = Upstream::script("SSH-2.0-OpenSSH\r\n\r\n");
    let not_json = Upstream::json("200 OK", "<html>");
    let gone = json!({"provider": "gone", "baseurl": "http://127.0.0.1:1/v1"});
    let proxy = TestProxy::start(&config([
        gone,
        auto_provider("broken", &broken),
        auto_provider("garbage", &garbage),
        auto_provider("not-json", &not_json),
        auto_provider("good", &good),
    ]));
    assert_eq!(ids(&proxy), ["good/x"]);
}

#[test]
fn a_silent_provider_costs_one_wait_and_hides_no_other() {
    let good = Upstream::json("200 OK", r#"{"data":[{"id":"x"}]}"#);
    let silent = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let proxy =
        TestProxy::start(&config([auto_provider("silent", &silent), auto_provider("good", &good)]));
    assert_eq!(ids(&proxy), ["good/x"]);
    let again = silent.requests().len();
    assert_eq!(ids(&proxy), ["good/x"]);
    assert_eq!(silent.requests().len(), again, "the silent provider is not waited for again");
}

#[test]
fn listening_does_not_wait_for_the_lists() {
    let silent = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let other = Upstream::json("200 OK", "{}");
    let proxy =
        TestProxy::start(&config([auto_provider("silent", &silent), provider("p", &other)]));
    silent.wait_requests(1);
    assert_eq!(proxy.chat(chat(MODEL)).status, 200);
    assert_eq!(silent.closed_by_proxy(), 0, "the fetch still waits");
}

#[test]
fn lists_are_fetched_in_the_background_at_start_and_kept() {
    let upstream = Upstream::json("200 OK", r#"{"data":[{"id":"x"}]}"#);
    let proxy = TestProxy::start(&config([auto_provider("p", &upstream)]));
    upstream.wait_requests(1);
    for _ in 0..3 {
        assert_eq!(ids(&proxy), ["p/x"]);
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn concurrent_callers_share_one_fetch() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::each(move |_, connection| {
        held.wait();
        connection.send(json_answer("200 OK", r#"{"data":[{"id":"x"}]}"#));
    });
    let proxy = TestProxy::start(&config([auto_provider("p", &upstream)]));
    let mut callers: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
    for caller in &mut callers {
        caller.send("GET /v1/models HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    upstream.wait_requests(1);
    pause(300);
    gate.open();
    for caller in &mut callers {
        assert_eq!(caller.response().json()["data"][0]["id"], "p/x");
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn reload_fetches_again() {
    let count = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::each(move |_, connection| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let body = format!(r#"{{"data":[{{"id":"list-{number}"}}]}}"#);
        connection.send(json_answer("200 OK", &body));
    });
    let one = config([auto_provider("p", &upstream)]);
    let proxy = TestProxy::start(&one);
    assert_eq!(ids(&proxy), ["p/list-0"]);
    proxy.reload(&one);
    upstream.wait_requests(2);
    eventually("the new list is served", || ids(&proxy) == ["p/list-1"]);
}

#[test]
fn the_last_good_list_is_kept_when_the_provider_goes_down() {
    let down = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&down);
    let upstream = Upstream::each(move |_, connection| {
        let good = json_answer("200 OK", r#"{"data":[{"id":"x"}]}"#);
        let bad = json_answer("500 Oops", "{}");
        connection.send(if state.load(Ordering::SeqCst) { bad } else { good });
    });
    let one = config([auto_provider("p", &upstream)]);
    let proxy = TestProxy::start(&one);
    assert_eq!(ids(&proxy), ["p/x"]);
    down.store(true, Ordering::SeqCst);
    assert_eq!(proxy.reload(&one).status, 200);
    upstream.wait_requests(2);
    pause(100);
    assert_eq!(ids(&proxy), ["p/x"]);
}

#[test]
fn a_provider_that_was_down_at_the_start_is_listed_as_soon_as_somebody_asks_again() {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = up.clone();
    let upstream = Upstream::each(move |_, connection| {
        let (status, body) = if is_up.load(Ordering::SeqCst) {
            ("200 OK", r#"{"data":[{"id":"x"}]}"#)
        } else {
            ("503 Service Unavailable", "{}")
        };
        connection.send(json_answer(status, body));
    });
    let proxy = TestProxy::start(&config([auto_provider("p", &upstream)]));
    assert!(ids(&proxy).is_empty());
    up.store(true, Ordering::SeqCst);
    pause(5500);
    assert_eq!(ids(&proxy), ["p/x"]);
}

#[test]
fn a_list_of_megabytes_is_not_read() {
    let filler = "x".repeat(5_000_000);
    assert!(fetched(&format!(r#"{{"data":[{{"id":"a","about":"{filler}"}}]}}"#)).is_empty());
    let filler = "x".repeat(500_000);
    assert_eq!(fetched(&format!(r#"{{"data":[{{"id":"a","about":"{filler}"}}]}}"#)), ["p/a"]);
}
