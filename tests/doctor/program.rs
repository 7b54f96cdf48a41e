//! The doctor as a program: exit codes, languages, colours, and what it says without a configuration.

use serde_json::{json, Value};

use crate::support::*;
use crate::{examine, run_doctor, well};

const STAGES: [&str; 15] = [
    "config", "dns", "way", "tcp", "tls", "http", "clock", "key", "list", "models", "chat",
    "stream", "end", "usage", "cancel",
];

/// Two that are well and two that are not.
fn four() -> (Vec<Upstream>, Vec<Value>) {
    let refusing = Upstream::json("401 Unauthorized", r#"{"error":{"message":"no"}}"#);
    let empty = Upstream::json("200 OK", "[]");
    let upstreams = vec![well(), refusing, empty, well()];
    let provider = |(number, upstream)| auto_provider(&format!("p{number}"), upstream);
    let providers = upstreams.iter().enumerate().map(provider).collect();
    (upstreams, providers)
}

#[test]
fn all_stages_are_there_with_status_and_time() {
    let (_upstreams, providers) = four();
    for (arguments, count) in [(&[][..], 10), (&["--spend"], 15)] {
        let (run, report) = examine(&providers, arguments, &[]);
        assert_eq!((run.code, &*run.stderr), (Some(1), ""));
        assert_eq!((&report["doctor"], &report["ok"]), (&json!(1), &json!(false)));
        for provider in report["providers"].as_array().expect("four") {
            let stages = provider["stages"].as_array().expect("stages");
            let names: Vec<_> = stages.iter().map(|stage| stage["stage"].as_str()).collect();
            assert_eq!(names, STAGES[..count].iter().map(|name| Some(*name)).collect::<Vec<_>>());
            for stage in stages {
                let status = stage["status"].as_str().expect("a status");
                assert!(["ok", "warn", "fail", "skipped"].contains(&status), "{stage}");
                assert_eq!(stage["ms"].is_null(), status == "skipped", "{stage}");
            }
            assert_eq!(provider["facts"]["way"], "direct");
        }
    }
}

#[test]
fn people_read_one_language_within_80_columns() {
    let (upstreams, providers) = four();
    for (locale, chinese) in
        [("C", false), ("en_US.UTF-8", false), ("", false), ("zh_CN.UTF-8", true)]
    {
        let locale = [("LC_ALL", ""), ("LC_MESSAGES", ""), ("LANG", locale)];
        let run = run_doctor(&providers, &["--spend"], &locale);
        assert_eq!((run.code, &*run.stderr), (Some(1), ""));
        assert!(!run.stdout.contains('\u{1b}'), "a pipe takes no colours");
        let wide = |c: char| ('\u{2e80}'..'\u{ffef}').contains(&c);
        assert_eq!(run.stdout.contains(wide), chinese, "{}", run.stdout);
        for line in run.stdout.lines() {
            let columns: usize = line.chars().map(|c| if wide(c) { 2 } else { 1 }).sum();
            assert!(columns <= 80, "{columns}: {line}");
        }
        let words = ["accept", "empty", "stream", "providers", "direct"];
        assert!(!chinese || !words.iter().any(|word| run.stdout.contains(word)), "{}", run.stdout);
        for name in ["p0", "p1", "p2", "p3"] {
            assert!(run.stdout.contains(name), "{}", run.stdout);
        }
    }
    drop(upstreams);
}

#[test]
fn a_well_provider_is_told_in_a_few_lines_and_with_exit_code_0() {
    let upstream = well();
    let run = run_doctor(&[auto_provider("p", &upstream)], &[], &[("LC_ALL", "C")]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    assert!(run.stdout.contains("All is well"), "{}", run.stdout);
    assert!(run.stdout.contains("Chats were not tried"), "{}", run.stdout);
    assert!(run.stdout.lines().count() < 10, "{}", run.stdout);
    crate::assert_free(&upstream);
}

#[test]
fn without_a_configuration_it_says_what_to_do() {
    let directory = TempDir::new();
    for (locale, words) in [("C", "there is no configuration"), ("zh_CN", "没有配置文件")] {
        for arguments in [&["--doctor"][..], &["--doctor", "-c", "absent.json", "--json"]] {
            let run = run_with_environment(directory.path(), arguments, &[("LC_ALL", locale)]);
            assert_eq!((run.code, &*run.stdout), (Some(2), ""));
            assert!(run.stderr.contains(words), "{}", run.stderr);
            assert!(run.stderr.contains("cp config.json.example config.json"), "{}", run.stderr);
            assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        }
    }
    let run = run_with_config("{", &["--doctor"]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[test]
fn spend_and_json_go_with_doctor_alone() {
    for arguments in
        [&["--spend"][..], &["--json", "--check"], &["--doctor", "--schema", "--spend"]]
    {
        let run = run_with_config("{}", arguments);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains("--doctor"), "{}", run.stderr);
    }
}

#[test]
fn no_providers_are_not_well() {
    let (run, report) = examine(&[], &[], &[]);
    assert_eq!((run.code, &report["ok"]), (Some(1), &json!(false)));
    let run = run_doctor(&[], &[], &[("LC_ALL", "C")]);
    assert!(run.stdout.contains("no providers"), "{}", run.stdout);
}

#[test]
fn keys_in_addresses_are_not_printed() {
    let upstream = Upstream::json("401 Unauthorized", r#"{"error":"user:s3cr3t has no access"}"#);
    let address = upstream.base_url().replace("http://", "http://user:s3cr3t@") + "?key=s3cr3t";
    let one = json!({"provider": "p", "baseurl": address});
    let run = run_doctor(std::slice::from_ref(&one), &[], &[("LC_ALL", "C")]);
    assert!(!run.output().contains("s3cr3t"), "{}", run.output());
    let (run, report) = examine(&[one], &[], &[]);
    assert!(!run.output().contains("s3cr3t"), "{}", run.output());
    assert_eq!(report["providers"][0]["key"], "set");
}

#[test]
fn nothing_is_left_behind() {
    let directory = TempDir::new();
    directory.write("config.json", config([auto_provider("p", &well())]).to_string());
    run(directory.path(), &["--doctor"]);
    let files = std::fs::read_dir(directory.path()).expect("the directory");
    assert_eq!(files.count(), 1, "a log was begun");
}
