//! A log that cannot be written stops nothing; what it could not take is counted, and the count is logged.

mod disk;
mod pipes;
mod streams;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{json, Value};

use crate::support::*;

/// More than the pipe and the program hold together: each of these chats leaves a line of some 2.5 KiB.
const CHATS: usize = 1000;

/// The log is a pipe whose reader never reads: the program itself, which inherits that end.
const UNREAD_PIPE: &str = "mkfifo pipe && ln -s pipe ai_proxy.log && exec 9<>pipe";

/// A configuration at a level where nothing but the chats of [`refused_chats`] is logged.
fn warnings_only(upstream: &Upstream) -> Value {
    with(config_for(upstream), json!({"log_level": "WARNING"}))
}

/// Chats for models that nobody has, with long names that begin with their number: a long line each.
fn refused_chats(proxy: &TestProxy, numbers: std::ops::Range<usize>) {
    let mut client = proxy.connect();
    for number in numbers {
        let body = chat(&format!("nobody/#{number}#{}", "模".repeat(380)));
        let answer = client.send(chat_request("", body.as_bytes())).response();
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
}

/// Waits until the log file holds `text` and no line is on its way.
fn whole_log(proxy: &TestProxy, text: &str) -> String {
    let mut log = String::new();
    eventually(&format!("{text:?} in the log"), || {
        log = proxy.log();
        log.contains(text) && log.ends_with('\n')
    });
    log
}

/// The numbers of the refused chats that stand in `log`. Every line has to be whole.
fn numbers(log: &str) -> Vec<usize> {
    assert!(log.is_empty() || log.ends_with('\n'), "a torn end: {:?}", log.lines().last());
    let mut numbers = Vec::new();
    for line in log.lines() {
        assert!(line.starts_with("20") && line.matches(",").count() >= 1, "a torn line: {line}");
        if line.contains("模型: nobody/#") {
            assert!(line.ends_with(" 秒"), "a torn line: {line}");
            let number = line.split('#').nth(1).and_then(|number| number.parse().ok());
            numbers.push(number.unwrap_or_else(|| panic!("no number in {line}")));
        }
    }
    numbers
}

/// Which lines of `log` say how many were lost, and how many.
fn lost(log: &str) -> Vec<(usize, usize)> {
    let said = |(at, line): (usize, &str)| {
        let (_, rest) = line.split_once(" WARNING 日志曾无法写入，丢失 ")?;
        assert!(rest.ends_with(" log lines were lost)"), "{line}");
        Some((at, rest.split(' ').next()?.parse().expect("a count")))
    };
    log.lines().enumerate().filter_map(said).collect()
}

/// Streams, deadlines, reloads and the end work as if there were no log.
fn assert_everything_works(proxy: &mut TestProxy, upstream: &Upstream) {
    let answer = proxy.chat(chat_stream(MODEL));
    assert!(answer.complete);
    assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
    let patience = json!({"non_stream_timeout": 0.5});
    let changed = with(config([provider("p", upstream), provider("q", upstream)]), patience);
    assert_eq!(proxy.chat(chat("q/m")).status, 404);
    proxy.write_config(changed.to_string());
    proxy.signal("HUP");
    eventually("the new provider is known", || proxy.chat(chat_stream("q/m")).status == 200);
    assert_eq!(proxy.chat(chat(MODEL)).status, 504);
    assert_eq!(proxy.terminate().code(), Some(0));
}

/// Streams two events; to whoever does not ask for a stream it says nothing.
fn talkative() -> Upstream {
    Upstream::each(|request, connection| {
        if request.json()["stream"] != true {
            connection.run(&Step::WaitForClose);
            return;
        }
        connection.send([SSE_HEAD.as_bytes(), &event("one")].concat());
        pause(50);
        connection.send([&event("two"), LAST_CHUNK].concat());
    })
}

/// Whoever reads a pipe from now on.
struct Reader(Arc<Mutex<String>>);

impl Reader {
    fn new(path: &Path) -> Self {
        let path: PathBuf = path.to_owned();
        let text = Arc::new(Mutex::new(String::new()));
        let target = Arc::clone(&text);
        std::thread::spawn(move || {
            let mut source = BufReader::new(File::open(path).expect("the pipe"));
            let mut line = String::new();
            while source.read_line(&mut line).is_ok_and(|count| count > 0) {
                target.lock().expect("no poison").push_str(&line);
                line.clear();
            }
        });
        Self(text)
    }

    fn text(&self) -> String {
        self.0.lock().expect("no poison").clone()
    }

    fn wait_for(&self, needle: &str) -> String {
        eventually(&format!("{needle:?} in the pipe"), || self.text().contains(needle));
        self.text()
    }
}
