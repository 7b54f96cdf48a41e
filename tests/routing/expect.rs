//! Sends a row's request and holds everything that can be seen against what the row says.

use percent_encoding::{utf8_percent_encode, AsciiSet, CONTROLS};

use crate::row::Ask;
use crate::support::*;
use crate::world::{Call, World};

/// What a name in the trail cannot hold.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b',').add(b'=').add(b'#').add(b'%');
/// Attempts that end so have reached no provider.
const BEFORE_A_CALL: [&str; 4] = ["dns", "connect", "tls", "proxy"];

/// One attempt of a course.
struct Attempt<'a> {
    /// `anna#1`.
    label: &'a str,
    model: &'a str,
    outcome: &'a str,
}

fn attempts(course: &str) -> Vec<Attempt<'_>> {
    let entries = course.split(", ").filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (place, outcome) = entry.rsplit_once('=').expect("an outcome");
            let (label, model) = place.split_once('/').unwrap_or((place, "m"));
            Attempt { label, model, outcome }
        })
        .collect()
}

/// The trail as it stands in a field.
fn trail(attempts: &[Attempt<'_>]) -> String {
    let entries: Vec<String> = attempts
        .iter()
        .map(|Attempt { label, outcome, .. }| {
            let (name, key) = label.split_once('#').map_or((*label, None), |(n, k)| (n, Some(k)));
            let key = key.map(|key| format!("#{key}")).unwrap_or_default();
            format!("{}{key}={outcome}", utf8_percent_encode(name, ENCODED))
        })
        .collect();
    entries.join(", ")
}

/// All that is not as it must be, gathered.
struct Wrong(String);

impl Wrong {
    fn add(&mut self, what: impl AsRef<str>) {
        self.0 += "\n    ";
        self.0 += what.as_ref();
    }

    fn unless_equal(&mut self, what: &str, is: &str, must: &str) {
        if is != must {
            self.add(format!("{what}: {is:?}, must be {must:?}"));
        }
    }
}

/// Sends the request and compares.
///
/// # Errors
/// What is wrong.
pub fn ask(world: &World, ask: &Ask) -> Result<(), String> {
    let before = world.calls().len();
    let body = ask.body.clone().unwrap_or_else(|| {
        if ask.stream {
            chat_stream(&ask.model)
        } else {
            chat(&ask.model)
        }
    });
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{body}",
        ask.path,
        ask.fields,
        body.len()
    );
    let answer = world.proxy.raw(request.as_bytes());
    let calls = world.calls().split_off(before);
    let attempts = attempts(&ask.course);
    let mut wrong = Wrong(String::new());
    wrong.unless_equal("status", &answer.status.to_string(), &ask.status.to_string());
    check_calls(ask, &body, &attempts, &calls, &mut wrong);
    check_fields(world, ask, &answer, &attempts, &mut wrong);
    check_body(ask, &answer, &calls, &mut wrong);
    check_log(world, ask, &answer, &attempts, &mut wrong);
    if let Some(leak) = world.leak(Some(&answer)) {
        wrong.add(format!("a key: {leak}"));
    }
    if wrong.0.is_empty() {
        return Ok(());
    }
    wrong.add(format!("answer: {}", show(&[&answer.head.raw[..], &answer.body].concat())));
    Err(wrong.0)
}

/// Who was asked, and with what.
fn check_calls(ask: &Ask, body: &str, attempts: &[Attempt<'_>], calls: &[Call], wrong: &mut Wrong) {
    let place = |label: &str, model: &str| {
        if model == "m" {
            label.to_owned()
        } else {
            format!("{label}/{model}")
        }
    };
    let called = attempts.iter().filter(|attempt| !BEFORE_A_CALL.contains(&attempt.outcome));
    let expected: Vec<String> = called.map(|at| place(at.label, at.model)).collect();
    let seen: Vec<String> = calls.iter().map(Call::place).collect();
    wrong.unless_equal("calls", &seen.join(" "), &expected.join(" "));
    for call in calls {
        let own = format!("\"model\":\"{}\"", call.model.as_deref().unwrap_or_default());
        let expected = body.replace(&format!("\"model\":\"{}\"", ask.model), &own);
        if call.request.body != expected.as_bytes() {
            wrong.add(format!("{} got {}", call.label, show(&call.request.body)));
        }
        if !call.request.target.ends_with(&ask.path) {
            wrong.add(format!("{} was asked for {}", call.label, call.request.target));
        }
        let head = call.request.head.raw.to_ascii_lowercase();
        for ours in ["x-ai-proxy", TOKEN] {
            if contains(&head, ours) {
                wrong.add(format!("{ours} reached {}", call.label));
            }
        }
    }
}

fn check_fields(
    world: &World,
    ask: &Ask,
    answer: &Response,
    attempts: &[Attempt<'_>],
    wrong: &mut Wrong,
) {
    let told = answer.head.all("x-ai-proxy-attempts").join(" + ");
    let many = attempts.len() > 1 && !ask.early;
    let trail = if many { trail(attempts) } else { String::new() };
    wrong.unless_equal("x-ai-proxy-attempts", &told, &trail);
    for expected in &ask.has {
        let (name, expected) = expected.split_once(": ").expect("a field");
        let values = answer.head.all(name);
        if values.len() != 1 || !field(&values[0], expected, world) {
            wrong.add(format!("{name}: {values:?}, must be {expected}"));
        }
    }
    for name in &ask.lacks {
        let values = answer.head.all(name);
        if !values.is_empty() {
            wrong.add(format!("{name}: {values:?}, must not be there"));
        }
    }
}

/// Whether a field's value is as expected: `*` any, `3..5` a number between, `7~` seconds that were 7 when
/// the row began, `4500~ms` milliseconds, else the value itself.
fn field(value: &str, expected: &str, world: &World) -> bool {
    let passed = world.started.elapsed();
    let between = |low: f64, high: f64| {
        value.bytes().all(|byte| byte.is_ascii_digit())
            && value.parse().is_ok_and(|value: f64| (low..=high).contains(&value))
    };
    if expected == "*" {
        true
    } else if let Some(from) = expected.strip_suffix("~ms") {
        let from: f64 = from.parse().expect("milliseconds");
        between((from - passed.as_secs_f64() * 1000.0).floor().max(1.0), from)
    } else if let Some(from) = expected.strip_suffix('~') {
        let from: f64 = from.parse().expect("seconds");
        between((from - passed.as_secs_f64()).ceil().max(1.0), from.ceil())
    } else if let Some((low, high)) = expected.split_once("..") {
        between(low.parse().expect("a number"), high.parse().expect("a number"))
    } else {
        value == expected
    }
}

fn check_body(ask: &Ask, answer: &Response, calls: &[Call], wrong: &mut Wrong) {
    if answer.complete == ask.cut {
        wrong.add(format!("complete: {}", answer.complete));
    }
    if let Some(words) = &ask.ours {
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let message = json["error"]["message"].as_str().unwrap_or_default();
        for word in words.iter().filter(|word| !message.contains(*word)) {
            wrong.add(format!("no {word:?} in the message {message:?}"));
        }
        let anthropic = ask.path.contains("/messages");
        if (json["type"] == "error") != anthropic
            || (json["error"]["code"] == ask.status) == anthropic
        {
            wrong.add("an error of another dialect");
        }
        return;
    }
    let from = ask.from.unwrap_or(calls.len().saturating_sub(1));
    let Some(call) = calls.get(from) else { return wrong.add("no call gave the answer") };
    let body = String::from_utf8_lossy(&answer.body).replace(": keep-alive\n\n", "");
    let same = if ask.early {
        body.as_bytes() == call.answer
    } else if ask.cut {
        answer.body.starts_with(&call.answer)
    } else {
        answer.body == call.answer
    };
    if !same {
        wrong.add(format!("body: {}, must be {}", show(&answer.body), show(&call.answer)));
    }
}

fn check_log(
    world: &World,
    ask: &Ask,
    answer: &Response,
    attempts: &[Attempt<'_>],
    wrong: &mut Wrong,
) {
    let Some(id) = answer.header("x-request-id") else { return wrong.add("no x-request-id") };
    let log = world.proxy.wait_for_log(&format!("请求 {id} "));
    let line = log.lines().rfind(|line| line.contains(&id)).unwrap_or_default();
    let told = line.split_once(" 尝试: ").map(|(_, rest)| rest);
    let told = told.and_then(|rest| rest.split_once(" 结束:")).map_or("", |(told, _)| told);
    let plain: Vec<String> =
        attempts.iter().map(|at| format!("{}={}", at.label, at.outcome)).collect();
    let plain = plain.join(", ");
    if is_plural(world, ask, attempts) || attempts.len() > 1 {
        if told != plain && told != trail(attempts) {
            wrong.add(format!("the log's trail: {told:?}, must be {plain:?}"));
        }
    } else if !told.is_empty() {
        wrong.add(format!("a trail where there is one way: {told:?}"));
    }
    for words in ask.logged.iter().filter(|words| !line.contains(*words)) {
        wrong.add(format!("no {words:?} in the log's line"));
    }
    if !wrong.0.is_empty() {
        wrong.add(format!("log: {line}"));
    }
}

/// Whether the request had more than one way to go.
fn is_plural(world: &World, ask: &Ask, attempts: &[Attempt<'_>]) -> bool {
    let alias = &world.config["aliases"][&ask.model];
    let targets = alias.as_array().or_else(|| alias["targets"].as_array());
    if ask.single {
        return false;
    }
    let numbered = attempts.iter().any(|attempt| attempt.label.contains('#'));
    numbered || targets.is_some_and(|targets| targets.len() > 1)
}
