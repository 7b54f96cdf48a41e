//! Faults that the response to `GET /models` shows, and those that the configuration has already.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::Compression;
use serde_json::{json, Value};

use crate::support::*;
use crate::{answer_well, assert_found, assert_free, codes, examine, run_doctor, well, Case, LIST};

/// Asserts that a provider with this response has a fault, and its neighbour none. `provider` changes
/// what the configuration says.
#[track_caller]
fn assert_fault(
    case: &str,
    sick: &Upstream,
    provider: impl FnOnce(&mut Value),
    fault: (&str, &str, &str),
) -> Value {
    let neighbour = well();
    let mut one = auto_provider("sick", sick);
    provider(&mut one);
    let providers = [one, auto_provider("well", &neighbour)];
    let (run, report) = examine(&providers, &[], &[]);
    assert_found(case, &run, &report, fault);
    assert_free(sick);
    assert_free(&neighbour);
    report
}

fn same(_: &mut Value) {}

fn page(status: &str) -> Vec<u8> {
    answer(status, "Content-Type: text/html\r\n", b"<!doctype html><title>Hi</title>")
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("in memory");
    encoder.finish().expect("in memory")
}

#[test]
fn every_answer_that_is_not_as_it_should_be_is_named() {
    let error = r#"{"error":{"message":"no such thing","code":7}}"#;
    let list = |body: &[u8]| answer("200 OK", "Content-Type: application/json\r\n", body);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n";
    let cases: &[Case] = &[
        ("401", json_answer("401 Unauthorized", error), ("key", "fail", "unauthorized")),
        ("403", json_answer("403 Forbidden", error), ("key", "fail", "forbidden")),
        ("403 page", page("403 Forbidden"), ("key", "fail", "forbidden")),
        ("404", json_answer("404 Not Found", error), ("list", "ok", "no_list")),
        ("405", json_answer("405 Method Not Allowed", "{}"), ("list", "ok", "no_list")),
        ("418", json_answer("418 Teapot", "{}"), ("http", "warn", "unexpected_status")),
        ("429", json_answer("429 Slow Down", error), ("list", "warn", "rate_limited")),
        ("500", json_answer("500 Oops", error), ("http", "fail", "server_error")),
        ("529", json_answer("529 Overloaded", error), ("http", "fail", "server_error")),
        ("page", page("200 OK"), ("list", "fail", "html_page")),
        ("error", list(error.as_bytes()), ("list", "fail", "error_in_200")),
        ("gateway", list(br#"{"code":1002,"msg":"bad"}"#), ("list", "fail", "error_in_200")),
        ("gzip", list(&gzipped(LIST)), ("list", "ok", "gzip_list")),
        ("empty", list(br#"{"data":[]}"#), ("models", "warn", "empty_list")),
        ("none", list(b"7"), ("list", "warn", "not_a_list")),
        ("cut", [head.as_bytes(), LIST.as_bytes()].concat(), ("list", "warn", "cut_list")),
    ];
    for (case, bytes, fault) in cases {
        let sick = Upstream::script(bytes.clone());
        assert_fault(case, &sick, same, *fault);
    }
}

#[test]
fn a_redirect_is_named_with_where_to() {
    for (location, advice) in [
        ("https://api.other.test/v2/models", "Change baseurl to https://api.other.test/v2"),
        ("/v2/models/?k=secret", "/v2"),
        ("https://u:secret@h/login?k=secret", "the API's address"),
        ("\x1b[31mhttps://h/x", "the API's address"),
    ] {
        let head = format!("HTTP/1.1 301 Moved\r\nLocation: {location}\r\n");
        let sick = Upstream::script(format!("{head}Content-Length: 0\r\n\r\n"));
        let fault = if location.starts_with('\x1b') {
            ("http", "fail", "bad_answer")
        } else {
            ("http", "fail", "redirect")
        };
        let report = assert_fault(location, &sick, same, fault).to_string();
        assert!(fault.2 != "redirect" || report.contains(advice), "{report}");
        assert!(!report.contains("secret"), "{report}");
    }
}

#[test]
fn a_slow_list_is_named_and_not_waited_for() {
    let slow = Upstream::each(|request, connection| {
        pause(2_200);
        answer_well(request, connection);
    });
    assert_fault("slow", &slow, same, ("list", "warn", "slow_list"));
}

#[test]
fn a_list_without_end_is_named_and_not_waited_for() {
    let endless = Upstream::each(|_, connection| {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"data\":[");
        connection.wait_for_close();
    });
    assert_fault("endless", &endless, same, ("list", "warn", "slow_list"));
    assert_eq!(endless.closed_by_proxy(), 1);
}

#[test]
fn a_list_over_the_limit_is_named() {
    let large = Upstream::script(json_answer("200 OK", &" ".repeat(5 << 20)));
    assert_fault("large", &large, same, ("list", "warn", "list_too_large"));
}

#[test]
fn a_clock_that_is_off_is_named_and_one_that_is_right_is_not() {
    let date = |ago: i64| {
        let time = chrono::Utc::now() - chrono::TimeDelta::seconds(ago);
        let date = time.format("%a, %d %b %Y %H:%M:%S GMT");
        answer("200 OK", &format!("Date: {date}\r\n"), LIST.as_bytes())
    };
    for ago in [3_600, -3_600, 130] {
        let sick = Upstream::keep_alive(date(ago));
        let report = assert_fault("clock", &sick, same, ("clock", "warn", "clock_skew"));
        let skew = report["providers"][0]["facts"]["clock_skew_seconds"].as_i64();
        assert!(skew.is_some_and(|skew| (skew + ago).abs() < 60), "{report:#}");
    }
    let (run, report) = examine(&[auto_provider("p", &Upstream::keep_alive(date(60)))], &[], &[]);
    assert_eq!((run.code, codes(&report["providers"][0])), (Some(0), Vec::new()), "{report:#}");
    // Two that agree are right.
    let off = [Upstream::keep_alive(date(3_600)), Upstream::keep_alive(date(3_610))];
    let providers = [auto_provider("one", &off[0]), auto_provider("two", &off[1])];
    let (_, report) = examine(&providers, &[], &[]);
    assert_eq!(report["machine"][0]["code"], "clock_skew", "{report:#}");
    assert_eq!(report["providers"][1]["culprit"]["is"], "machine", "{report:#}");
}

#[test]
fn a_key_in_quotes_is_named_and_what_follows_from_it_is_not() {
    for status in ["200 OK", "401 Unauthorized"] {
        let sick = Upstream::script(json_answer(status, LIST));
        let neighbour = well();
        let mut one = auto_provider("sick", &sick);
        one["token"] = json!(format!("\"{KEY}\""));
        let (run, report) = examine(&[one, auto_provider("well", &neighbour)], &[], &[]);
        let mut found = codes(&report["providers"][0]);
        found.dedup_by(|one, other| one.2 == other.2);
        let quoted = ("config".to_owned(), "fail".to_owned(), "quoted_key".to_owned());
        assert_eq!(found, [quoted], "{report:#}");
        assert_eq!(report["providers"][1]["ok"], true);
        assert_eq!(run.code, Some(1));
    }
    let sick = well();
    let name = |one: &mut Value| one["token"] = json!("$MY_KEY");
    assert_fault("name", &sick, name, ("config", "fail", "unexpanded_key"));
}

#[test]
fn a_baseurl_with_an_endpoint_is_named_and_the_rest_examined_where_it_was_meant() {
    for endpoint in ["/chat/completions", "/models", "/chat/completions/"] {
        let sick = well();
        let longer = |one: &mut Value| one["baseurl"] = json!(sick.base_url() + endpoint);
        let fault = ("config", "fail", "baseurl_has_endpoint");
        let report = assert_fault(endpoint, &sick, longer, fault);
        let advice = format!("Change baseurl to {}", sick.base_url());
        assert!(report.to_string().contains(&advice), "{report:#}");
        assert_eq!(report["providers"][0]["facts"]["models"], 2, "{report:#}");
        assert_eq!(sick.request().target, "/v1/models");
    }
}

#[test]
fn a_baseurl_that_lacks_v1_is_named_when_v1_works() {
    for elsewhere in [json_answer("404 Not Found", "{}"), page("200 OK")] {
        let sick = Upstream::each(move |request, connection| match &*request.target {
            "/v1/models" => answer_well(request, connection),
            _ => connection.send(&elsewhere),
        });
        let bare = |one: &mut Value| one["baseurl"] = json!(format!("http://{}", sick.addr()));
        let fault = ("list", "fail", "baseurl_needs_v1");
        let report = assert_fault("bare", &sick, bare, fault);
        let advice = format!("Add /v1: change baseurl to {}", sick.base_url());
        assert!(report.to_string().contains(&advice), "{report:#}");
    }
    // Where neither works there is no list, and /v4 is a version, too.
    let none = Upstream::json("404 Not Found", "{}");
    for (path, tries) in [("", 2), ("/api/v4", 3)] {
        let at = |one: &mut Value| one["baseurl"] = json!(format!("http://{}{path}", none.addr()));
        assert_fault(path, &none, at, ("list", "ok", "no_list"));
        assert_eq!(none.requests().len(), tries);
    }
}

#[test]
fn what_is_wrong_with_a_list_does_not_matter_where_models_are_given() {
    for bytes in [json_answer("404 Not Found", "{}"), json_answer("200 OK", r#"{"data":[]}"#)] {
        let sick = Upstream::script(bytes);
        let (run, report) = examine(&[provider("p", &sick)], &[], &[]);
        assert_eq!((run.code, codes(&report["providers"][0])), (Some(0), Vec::new()), "{report:#}");
        assert_eq!(report["providers"][0]["facts"]["models"], 1);
    }
    let sick = well();
    let given = |one: &mut Value| one["model_list"] = json!(["chatty", "typo"]);
    let report = assert_fault("typo", &sick, given, ("models", "ok", "model_not_listed"));
    assert!(report.to_string().contains("does not have typo of model_list"), "{report:#}");
}

#[test]
fn a_missing_key_is_told_from_a_wrong_one() {
    let sick = Upstream::script(json_answer("401 Unauthorized", "{}"));
    let without = |one: &mut Value| drop(one.as_object_mut().expect("one").remove("token"));
    let report = assert_fault("no key", &sick, without, ("key", "fail", "unauthorized"));
    assert!(report.to_string().contains("none is configured"), "{report:#}");
}

#[test]
fn a_filter_that_lets_no_model_pass_is_named() {
    let upstream = well();
    let config =
        with(config([auto_provider("p", &upstream)]), json!({"supported_models": ["^other/"]}));
    let run = run_with_config(&config.to_string(), &["--doctor", "--json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let fault = ("models".to_owned(), "warn".to_owned(), "all_filtered".to_owned());
    assert_eq!(codes(&report["providers"][0]), [fault], "{report:#}");
    assert_eq!(report["providers"][0]["culprit"]["is"], "configuration");
}

#[test]
fn nothing_that_a_provider_says_reaches_the_terminal_as_it_is_and_no_key_does() {
    let hostile = |request: &Request, connection: &mut Connection| {
        let key = request.head.get("authorization").unwrap_or_default();
        let text = format!(
            r#"{{"error":{{"message":"\u001b[2J\u202e{key} is bad\r\n\u0007 {}"}}}}"#,
            "x".repeat(9_999)
        );
        connection.send(json_answer("401 Unauthorized", &text));
    };
    let sick = Upstream::each(hostile);
    let providers = [auto_provider("sick", &sick)];
    for language in ["C", "zh_CN.UTF-8"] {
        let text = run_doctor(&providers, &[], &[("LC_ALL", language)]).output();
        let odd = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(odd), "{text:?}");
        assert!(text.contains("Bearer *** is bad") && text.len() < 2_000, "{text}");
    }
    let (_, report) = examine(&providers, &[], &[]);
    let said = report["providers"][0]["stages"][7]["said"].as_str().expect("words");
    assert!(said.trim().starts_with("[2J Bearer *** is bad"), "{said}");
}
