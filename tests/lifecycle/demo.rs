//! Without a configuration: the demo, and the three commands it prints. The one test with a fixed port.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use crate::support::*;

/// The `curl` commands in this text, continued lines joined.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let from_curl = |line: &str| line.find("curl ").map(|at| line[at..].trim().to_owned());
    joined.lines().filter_map(from_curl).collect()
}

/// Keeps other runs of this test off the port. The name is no file, and the same in all checkouts, older ones too.
fn alone() -> UnixListener {
    let name = SocketAddr::from_abstract_name("ai_proxy tests/demo.rs").expect("a short name");
    let mut listener = None;
    eventually("another run of this test ends", || {
        listener = UnixListener::bind_addr(&name).ok();
        listener.is_some()
    });
    listener.expect("just bound")
}

fn is_taken(addr: &str) -> bool {
    TcpListener::bind(addr).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[test]
fn the_three_printed_commands_work_as_printed() {
    let _alone = alone();
    for addr in ["127.0.0.1:8001", "[::1]:8001"] {
        let end = "ends (the demo knows no other port; `ss -ltnp sport = :8001` shows who it is)";
        eventually(&format!("whoever listens on {addr} {end}"), || !is_taken(addr));
    }
    let mut proxy = TestProxy::launch(Launch::default());
    assert_eq!(proxy.addr().port(), 8001);
    demo_answers(&proxy);
    if Command::new("curl").arg("--version").output().is_err() {
        println!("the commands were not run: no curl here");
        return;
    }
    eventually("three commands are printed", || commands(&proxy.stdout()).len() >= 3);
    let commands = commands(&proxy.stdout());
    assert_eq!(commands.len(), 3, "{}", proxy.stdout());
    let outputs: Vec<_> = commands.iter().map(|line| shell(line)).collect();
    assert!(outputs[0].contains("demo/echo"), "{outputs:?}");
    assert!(
        outputs[1].contains("chat.completion") && outputs[1].contains("content"),
        "{outputs:?}"
    );
    assert!(outputs[2].contains("data: ") && outputs[2].contains("data: [DONE]"), "{outputs:?}");
    assert_eq!(proxy.terminate().code(), Some(0));
}

/// Runs a printed command the way a user pastes it.
fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().expect("sh");
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What the demo promises: it says the last user message back, whole or word by word.
fn demo_answers(proxy: &TestProxy) {
    let ask = |body: &str| {
        let request = String::from_utf8(chat_request("", body.as_bytes())).expect("ASCII");
        proxy.raw(request.replace(TOKEN, "sk-test-123456").as_bytes())
    };
    let messages = r#""messages":[{"role":"user","content":"first"},{"role":"assistant","content":"x"},
        {"role":"user","content":"one two three"}]"#;
    let plain = ask(&format!(r#"{{"model":"demo/echo",{messages}}}"#)).json();
    assert_eq!(plain["object"], "chat.completion", "{plain}");
    assert_eq!(plain["choices"][0]["message"]["role"], "assistant");
    let said = plain["choices"][0]["message"]["content"].as_str().expect("content").to_owned();
    assert!(said.contains("one two three"), "{said}");
    let stream = ask(&format!(
        r#"{{"model":"demo/echo","stream":true,"stream_options":{{"include_usage":true}},{messages}}}"#
    ));
    assert!(stream.complete);
    let text = stream.text();
    let events: Vec<_> = text.split_terminator("\n\n").map(|e| &e["data: ".len()..]).collect();
    assert_eq!(events.last(), Some(&"[DONE]"), "{text}");
    let events = events[..events.len() - 1].iter();
    let events: Vec<serde_json::Value> =
        events.map(|e| serde_json::from_str(e).expect("JSON")).collect();
    let words: Vec<_> = events
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["content"].as_str())
        .filter(|w| !w.is_empty())
        .collect();
    assert!(words.len() >= 3, "word by word: {words:?}");
    assert_eq!(words.concat(), said);
    assert!(events.iter().any(|event| event["usage"]["total_tokens"].is_number()), "{text}");
    let answer = proxy.chat(r#"{"model":"demo/echo","messages":[]}"#);
    assert!(answer.error(401).contains("API token无效"), "only the demo token is known");
    let listed = proxy.get("/v1/models").json();
    assert_eq!(listed["data"][0]["id"], "demo/echo", "{listed}");
    assert_eq!(proxy.get("/health").json()["status"], "healthy");
}
