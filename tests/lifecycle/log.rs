//! `ai_proxy.log`: the lines that users grep for, and rotation.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::*;

/// Runs a shell line in the proxy's directory and returns what it printed.
fn shell(proxy: &TestProxy, line: &str) -> String {
    let output =
        Command::new("sh").args(["-c", line]).current_dir(proxy.directory().path()).output();
    String::from_utf8_lossy(&output.expect("sh").stdout).into_owned()
}

/// The log line of the one chat.
fn line_of(proxy: &TestProxy) -> String {
    let log = proxy.wait_for_log("耗时:");
    let lines: Vec<_> =
        log.lines().filter(|line| line.contains("耗时:") && line.contains("p/m")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    lines[0].to_owned()
}

#[test]
fn the_documented_pipeline_gives_sorted_seconds() {
    let upstream = Upstream::each(|request, connection| {
        pause(if contains(&request.body, "slow") { 120 } else { 0 });
        connection.send(json_answer("200 OK", "{}"));
    });
    let proxy = TestProxy::start(&config_for(&upstream));
    for content in ["slow", "fast", "fast"] {
        let body = format!(r#"{{"model":"{MODEL}","x":"{content}"}}"#);
        assert_eq!(proxy.chat(body).status, 200);
    }
    proxy.chat(chat("nobody/m"));
    eventually("the lines are written", || proxy.log().matches("耗时:").count() >= 4);
    let output = shell(&proxy, "grep \"耗时:\" ai_proxy.log | awk '{print $(NF-1)}' | sort -n");
    let numbers: Vec<f64> = output.lines().map(|n| n.parse().expect("seconds")).collect();
    assert!(numbers.len() >= 4, "{output}");
    assert!(numbers.is_sorted(), "{output}");
    assert!(numbers[0] < 0.12 && numbers[numbers.len() - 1] >= 0.12, "{output}");
    let log = proxy.log();
    assert!(log.lines().filter(|l| l.contains("耗时:")).all(|l| l.ends_with(" 秒")), "{log}");
}

#[test]
fn a_requests_line_tells_what_was_asked_and_what_came() {
    let upstream = Upstream::json("200 OK", r#"{"id":"x"}"#);
    let proxy = TestProxy::start(&config_for(&upstream));
    proxy.chat(chat(MODEL));
    let line = line_of(&proxy);
    for part in ["INFO", "p/m", "200", "大小:", "10", "tester"] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn a_streams_line_counts_its_chunks() {
    let upstream = Upstream::sse(&["one", "two", "[DONE]"]);
    let proxy = TestProxy::start(&config_for(&upstream));
    proxy.chat(chat_stream(MODEL));
    let line = line_of(&proxy);
    assert!(line.contains("数据块:") && line.contains("大小:"), "{line}");
}

#[test]
fn a_providers_own_error_is_logged_with_its_status() {
    let upstream = Upstream::json("429 Slow Down", r#"{"error":{}}"#);
    let proxy = TestProxy::start(&config_for(&upstream));
    proxy.chat(chat(MODEL));
    assert!(line_of(&proxy).contains("429"));
}

#[test]
fn a_failed_exchange_is_logged_with_provider_and_cause_at_every_usual_level() {
    for level in ["INFO", "WARNING", "ERROR"] {
        let gone = json!({"provider": "vanished", "baseurl": "http://127.0.0.1:1/v1", "model_list": ["m"]});
        let proxy = TestProxy::start(&with(config([gone]), json!({ "log_level": level })));
        proxy.chat(chat("vanished/m")).error(502);
        let log = proxy.wait_for_log("vanished");
        assert!(shell(&proxy, "grep ERROR ai_proxy.log").contains("vanished"), "{log}");
    }
}

#[test]
fn a_client_that_left_is_logged_as_gone() {
    let upstream = Upstream::steps(vec![Step::ReadRequest, Step::WaitForClose]);
    let proxy = TestProxy::start(&config_for(&upstream));
    let mut client = proxy.connect();
    client.send(chat_request("", chat(MODEL).as_bytes()));
    upstream.wait_requests(1);
    drop(client);
    line_of(&proxy);
}

#[test]
fn levels_are_spelled_in_full() {
    let upstream = Upstream::json("200 OK", "{}");
    let odd =
        with(config_for(&upstream), json!({"no_such_key": 1, "tokens": [], "log_level": "DEBUG"}));
    let proxy = TestProxy::start(&odd);
    let log = proxy.wait_for_log("WARNING");
    assert_eq!(log.matches("WARN").count(), log.matches("WARNING").count(), "{log}");
}

#[test]
fn critical_is_a_level_and_hides_errors() {
    let gone =
        json!({"provider": "vanished", "baseurl": "http://127.0.0.1:1/v1", "model_list": ["m"]});
    let proxy = TestProxy::start(&with(config([gone]), json!({"log_level": "CRITICAL"})));
    proxy.chat(chat("vanished/m")).error(502);
    pause(200);
    assert!(!proxy.log().contains("ERROR"), "{}", proxy.log());
}

#[test]
fn lines_begin_with_the_local_time() {
    let upstream = Upstream::json("200 OK", "{}");
    // A zone of its own: nine hours and a half before UTC's noon, written the POSIX way.
    let environment = vec![("TZ".to_owned(), "XYZ-9:30".to_owned())];
    let config = Some(config_for(&upstream).to_string());
    let proxy = TestProxy::launch(Launch { config, environment, ..Launch::default() });
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let minute = |seconds: u64| {
        let local = seconds + 9 * 3600 + 30 * 60;
        format!("{:02}:{:02}", local / 3600 % 24, local / 60 % 60)
    };
    let before = minute(now());
    proxy.chat(chat(MODEL));
    let line = line_of(&proxy);
    let after = minute(now());
    let time = line.get(..16).expect("a date and a time");
    assert!(time.ends_with(&before) || time.ends_with(&after), "{before} {after}: {line}");
    let date = &time.as_bytes()[..10];
    assert!(date.iter().enumerate().all(|(i, b)| if matches!(i, 4 | 7) {
        *b == b'-'
    } else {
        b.is_ascii_digit()
    }));
}

#[test]
fn after_a_rename_and_sighup_lines_go_to_the_new_file() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    proxy.chat(chat(MODEL));
    proxy.wait_for_log("耗时:");
    let old = proxy.directory().path().join("ai_proxy.log.1");
    std::fs::rename(proxy.log_path(), &old).expect("the log exists");
    proxy.signal("HUP");
    eventually("the log is opened anew", || proxy.log_path().exists());
    let size = |path: &std::path::Path| std::fs::metadata(path).expect("the file").len();
    let before = size(&old);
    proxy.chat(chat(MODEL));
    proxy.wait_for_log("耗时:");
    assert_eq!(size(&old), before, "the old file still grows");
}

#[test]
fn copytruncate_leaves_no_hole() {
    let upstream = Upstream::json("200 OK", "{}");
    let proxy = TestProxy::start(&config_for(&upstream));
    proxy.chat(chat(MODEL));
    proxy.wait_for_log("耗时:");
    let file =
        std::fs::OpenOptions::new().write(true).open(proxy.log_path()).expect("the log exists");
    file.set_len(0).expect("it can be truncated");
    proxy.chat(chat(MODEL));
    let log = proxy.wait_for_log("耗时:");
    assert!(!log.contains('\0'), "a hole: {log:?}");
}

#[test]
fn the_log_is_appended_to_and_never_overwritten() {
    let upstream = Upstream::json("200 OK", "{}");
    let directory = TempDir::new();
    let path = directory.write("c.json", config_for(&upstream).to_string());
    let mut proxy = TestProxy::launch(Launch {
        arguments: vec!["--config".to_owned(), path.to_string_lossy().into_owned()],
        shell: Some("echo earlier > ai_proxy.log".to_owned()),
        ..Launch::default()
    });
    proxy.chat(chat(MODEL));
    assert!(proxy.wait_for_log("耗时:").starts_with("earlier\n"));
    proxy.terminate();
}
