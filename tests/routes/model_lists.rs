//! What a provider's list of models may look like, and what `/v1/models` says of each model.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::write::GzEncoder;
use flate2::Compression;
use serde_json::{json, Value};

use crate::support::*;

const JSON: &str = "Content-Type: application/json\r\n";

fn entries(proxy: &TestProxy) -> Vec<Value> {
    proxy.get("/v1/models").json()["data"].as_array().expect("data").clone()
}

fn ids(proxy: &TestProxy) -> Vec<String> {
    entries(proxy).iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect()
}

/// A proxy whose one provider answers its listings with these, one after the other, and the last for ever.
fn listing(answers: Vec<Vec<u8>>) -> (TestProxy, Upstream, Value) {
    let count = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::each(move |_, connection| {
        let number = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        connection.send(&answers[number]);
    });
    let one = config([auto_provider("p", &upstream)]);
    (TestProxy::start(&one), upstream, one)
}

fn ids_of(headers: &str, body: &[u8]) -> Vec<String> {
    let (proxy, _upstream, _) = listing(vec![answer("200 OK", headers, body)]);
    ids(&proxy)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("to memory");
    encoder.finish().expect("to memory")
}

#[test]
fn lists_of_strings_and_of_objects_with_id_name_or_model_are_read() {
    for body in [
        r#"["a","b"]"#,
        r#"{"data":["a","b"]}"#,
        r#"{"models":["a","models/b"]}"#,
        r#"{"data":[{"model":"a"},{"model":"models/b"}]}"#,
        r#"{"models":[{"name":"a"},{"id":"b","name":"x","model":"y"}]}"#,
        r#"{"data":[{"id":"","name":"a"},{"id":null,"name":7,"model":"b"}]}"#,
        r#"{"data":["a","","b"," "]}"#,
        r#"{"data":[],"models":["a","b"]}"#,
        r#"{"data":[{"x":1}],"models":["a","b"]}"#,
        r#"{"models":["x"],"data":["a","b"]}"#,
    ] {
        assert_eq!(ids_of(JSON, body.as_bytes()), ["p/a", "p/b"], "{body}");
    }
}

#[test]
fn compressed_lists_and_those_with_a_byte_order_mark_are_read() {
    let list = br#"{"data":[{"id":"a"},{"id":"b"}]}"#;
    let marked = ["\u{feff}".as_bytes(), list].concat();
    let coded = format!("{JSON}Content-Encoding: gzip\r\n");
    let halves = [gzip(&list[..9]), gzip(&list[9..])].concat();
    for (headers, body) in [
        (JSON, marked.clone()),
        (&*coded, gzip(list)),
        (JSON, gzip(list)),
        (&*coded, gzip(&marked)),
        (&*coded, halves),
        // Some say so and do not do it.
        (&*coded, list.to_vec()),
    ] {
        assert_eq!(ids_of(headers, &body), ["p/a", "p/b"], "{headers} {}", show(&body));
    }
    let many: Vec<_> = (0..5000).map(|i| json!({"id": format!("model-{i}")})).collect();
    assert_eq!(ids_of(&coded, &gzip(json!(many).to_string().as_bytes())).len(), 5000);
}

#[test]
fn an_id_that_is_an_address_gives_way_to_the_name() {
    let body = r#"[{"id":"azureml://registries/azure-openai/models/gpt-4o/versions/2","name":"gpt-4o"},
        {"id":"azureml://registries/x/models/y","name":""},{"id":"vendor/model","name":"A Name"}]"#;
    assert_eq!(
        ids_of(JSON, body.as_bytes()),
        ["p/gpt-4o", "p/azureml://registries/x/models/y", "p/vendor/model"]
    );
}

/// What is no list, and a piece of the warning.
fn no_lists() -> Vec<(Vec<u8>, &'static str)> {
    let plain = |body: &str| answer("200 OK", JSON, body.as_bytes());
    let mut bomb = br#"{"data":["x"]}"#.to_vec();
    bomb.resize(20_000_000, b' ');
    let coded = |body: &[u8]| answer("200 OK", "Content-Encoding: gzip\r\n", body);
    let whole = gzip(br#"{"data":["x"]}"#);
    vec![
        (plain(r#"{"data":[{"x":1},{"id":7}]}"#), "不是模型列表"),
        (plain(r#"{"data":["",null]}"#), "不是模型列表"),
        (plain(r#"{"data":[7],"models":[]}"#), "不是模型列表"),
        (plain(r#"{"data":{"id":"x"}}"#), "不是模型列表"),
        (plain(r#"{"error":"x"}"#), "不是模型列表"),
        (plain("<html>"), "不是模型列表"),
        (coded(&whole[..whole.len() - 9]), "不是模型列表"),
        (coded(b"\x1f\x8bnothing of the kind"), "不是模型列表"),
        (coded(&gzip(&bomb)), "响应过大"),
    ]
}

#[test]
fn what_is_no_list_gives_a_warning_and_the_last_good_one_stays() {
    for (body, cause) in no_lists() {
        let good = answer("200 OK", JSON, br#"{"data":[{"id":"good"}]}"#);
        let (proxy, _upstream, one) = listing(vec![good, body]);
        assert_eq!(ids(&proxy), ["p/good"]);
        assert_eq!(proxy.reload(&one).status, 200);
        let log = proxy.wait_for_log("models not fetched");
        let line = log.lines().find(|line| line.contains("models not fetched")).expect("it is");
        assert!(line.contains("WARNING") && line.contains(cause), "{line}");
        assert_eq!(ids(&proxy), ["p/good"], "{line}");
    }
}

#[test]
fn an_empty_list_is_a_list() {
    for body in ["[]", r#"{"data":[]}"#, r#"{"models":[ ]}"#] {
        let good = answer("200 OK", JSON, br#"{"data":[{"id":"good"}]}"#);
        let (proxy, _upstream, one) = listing(vec![good, answer("200 OK", JSON, body.as_bytes())]);
        assert_eq!(ids(&proxy), ["p/good"]);
        assert_eq!(proxy.reload(&one).status, 200);
        eventually("the empty list is served", || ids(&proxy).is_empty());
        assert!(!proxy.log().contains("models not fetched"), "{}", proxy.log());
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("before the end of time")
}

#[test]
fn each_model_says_when_it_was_created_in_its_last_key() {
    let before = now();
    let list = br#"{"data":[{"id":"a","created":1686935002},{"id":"b","created":1712361441.9},
        {"id":"c","created":"2024"},{"id":"d"},{"id":"e","created":1e400},{"id":"f","created":0},
        {"created":7,"id":"g"}]}"#;
    let upstream = Upstream::keep_alive(answer("200 OK", JSON, list));
    let mut manual = provider("q", &upstream);
    manual["model_list"] = json!(["m", "n"]);
    let proxy = TestProxy::start(&config([auto_provider("p", &upstream), manual]));
    let text = proxy.get("/v1/models").text();
    let first = r#"{"object":"list","data":[{"id":"p/a","object":"model","owned_by":"p","created":1686935002},{"#;
    assert!(text.starts_with(first), "{text}");
    let created: Vec<i64> =
        entries(&proxy).iter().map(|entry| entry["created"].as_i64().expect("whole")).collect();
    let loaded = created[3];
    assert!((before..=now()).contains(&loaded), "{loaded} is not when it was loaded");
    assert_eq!(
        created,
        [1_686_935_002, 1_712_361_441, loaded, loaded, loaded, 0, 7, loaded, loaded],
        "{text}"
    );
}
