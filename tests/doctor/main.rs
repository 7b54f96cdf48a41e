//! `ai_proxy --doctor`: every fault is named at its stage, nobody else is blamed, nothing but `GET` is sent
//! without `--spend`, and no key is printed.

mod answers;
mod chats;
mod keys;
mod network;
mod program;
#[path = "../support/mod.rs"]
mod support;
mod tls;

use serde_json::{json, Value};

use support::*;

/// What it is about, the bytes of a response, and what is to be found: stage, status, code.
type Case<'c> = (&'c str, Vec<u8>, (&'c str, &'c str, &'c str));

/// A provider that does all as it should.
fn well() -> Upstream {
    Upstream::each(answer_well)
}

fn answer_well(request: &Request, connection: &mut Connection) {
    match &*request.method {
        "GET" => connection.send(json_answer("200 OK", LIST)),
        _ if contains(&request.body, "\"stream\":true") => connection.send(stream(&EVENTS)),
        _ => connection.send(json_answer("200 OK", COMPLETION)),
    }
}

const LIST: &str = r#"{"object":"list","data":[{"id":"text-embedding-x"},{"id":"chatty"}]}"#;
const COMPLETION: &str =
    r#"{"choices":[{"message":{"role":"assistant","content":"Hi"}}],"usage":{"total_tokens":9}}"#;
const ROLE: &str = r#"{"choices":[{"delta":{"role":"assistant"}}]}"#;
const WORD: &str = r#"{"choices":[{"delta":{"content":"Hi"}}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"total_tokens":9}}"#;
const EVENTS: [&str; 4] = [ROLE, WORD, USAGE, "[DONE]"];

/// A stream whose events come in a chunk each.
fn stream(events: &[&str]) -> Vec<u8> {
    let events = events.iter().flat_map(|data| event(data));
    SSE_HEAD.bytes().chain(events).chain(LAST_CHUNK.iter().copied()).collect()
}

/// Examines these providers, for a program.
fn examine(
    providers: &[Value],
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (Finished, Value) {
    let run = run_doctor(providers, &[arguments, &["--json"]].concat(), variables);
    let report =
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    (run, report)
}

/// The same for people.
fn run_doctor(providers: &[Value], arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let directory = TempDir::new();
    directory.write("config.json", config(providers.to_vec()).to_string());
    let arguments = [&["--doctor"], arguments].concat();
    let run = run_with_environment(directory.path(), &arguments, variables);
    assert!(!run.output().contains(KEY), "a key is printed: {}", run.output());
    assert!(!run.output().contains(TOKEN), "a token is printed: {}", run.output());
    run
}

/// The codes of a provider, each with its stage and status.
fn codes(provider: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let stages = provider["stages"].as_array().expect("stages").iter();
    let coded = stages.filter(|stage| !stage["code"].is_null());
    coded
        .map(|stage| (text(&stage["stage"]), text(&stage["status"]), text(&stage["code"])))
        .collect()
}

/// A fault: which stage shows it, how bad it is, and its code.
type Fault<'a> = (&'a str, &'a str, &'a str);

/// Asserts that of two providers the first has this fault and no other, and the second has none.
#[track_caller]
fn assert_found(case: &str, run: &Finished, report: &Value, (stage, status, code): Fault<'_>) {
    let [sick, well] = &report["providers"].as_array().expect("two")[..] else {
        panic!("{case}: {report}")
    };
    let expected = (stage.to_owned(), status.to_owned(), code.to_owned());
    assert_eq!(codes(sick), [expected], "{case}: {report:#}");
    assert_eq!(codes(well), [], "{case}: {report:#}");
    let is_ill = status != "ok";
    assert_eq!(well["ok"], true, "{case}: {report:#}");
    assert_eq!(sick["ok"], !is_ill, "{case}: {report:#}");
    assert_eq!(report["ok"], !is_ill, "{case}");
    assert_eq!(well["culprit"], Value::Null, "{case}: {report:#}");
    let culprit = if is_ill { json!(code) } else { Value::Null };
    assert_eq!(sick["culprit"]["code"], culprit, "{case}: {report:#}");
    assert_eq!(report["machine"], json!([]), "{case}: {report:#}");
    assert_eq!(run.code, Some(i32::from(is_ill)), "{case}");
    let found = sick["stages"].as_array().expect("stages").iter().find(|one| one["stage"] == stage);
    for text in ["what", "advice"] {
        for language in ["zh", "en"] {
            let text = found.expect("the stage")[text][language].as_str().unwrap_or_default();
            assert!(
                text.len() > 5 && !text.replace("${NAME}", "").contains(['{', '}']),
                "{case}: {text:?}"
            );
        }
    }
}

/// Asserts that only models were asked for.
#[track_caller]
fn assert_free(upstream: &Upstream) {
    for request in upstream.requests() {
        assert_eq!(request.method, "GET");
        assert!(request.target.ends_with("/models"), "{}", request.target);
        assert!(request.body.is_empty());
    }
}
