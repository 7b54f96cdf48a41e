//! `--auto`: what is there becomes the configuration.

use std::process::Command;

use serde_json::{json, Value};

use crate::support::*;

/// Runs a line of shell where nobody else listens: a network of its own, with a loopback interface.
/// `None` where there is none to be had.
fn in_a_network_of_its_own(directory: &TempDir, line: &str) -> Option<String> {
    let own = ["--net", "--map-root-user"];
    let up = "ip link set lo up";
    let can = Command::new("unshare").args(own).args(["sh", "-c", up]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no network of its own here (unshare --net)");
        return None;
    }
    let plain = command(directory.path());
    let mut command = Command::new("unshare");
    command.args(own).args(["sh", "-c", &format!("{up} && {line}"), PROGRAM]);
    command.current_dir(directory.path());
    for (name, _) in plain.get_envs() {
        command.env_remove(name);
    }
    for name in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY"] {
        command.env_remove(name);
    }
    let output = command.env("DEEPSEEK_API_KEY", "sk-not-to-be-shown").output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn known_variables_and_servers_on_this_machine_become_a_configuration_that_passes_the_check() {
    let directory = TempDir::new();
    // A program of ours looks like any other server.
    let server = json!({"host": "127.0.0.1", "port": 11434, "tokens": [],
        "providers": [{"provider": "p", "baseurl": "http://127.0.0.1:1", "model_list": ["m"]}]});
    directory.write("server.json", server.to_string());
    let line = "umask 077; \"$0\" -c server.json >server.log 2>&1 & server=$!; \
        until grep -q listening server.log; do sleep 0.01; done; \
        \"$0\" --auto --print >found.json && \"$0\" --check -c found.json >check.log; code=$?; \
        kill $server; wait $server; cat found.json check.log; exit $code";
    let Some(said) = in_a_network_of_its_own(&directory, line) else { return };
    let mut found = serde_json::Deserializer::from_str(&said).into_iter::<Value>();
    let config = found.next().expect("a document").expect("JSON");
    let key = "${DEEPSEEK_API_KEY}";
    assert_eq!(
        config["providers"],
        json!([
            {"provider": "deepseek", "baseurl": "https://api.deepseek.com/v1", "token": key},
            {"provider": "ollama", "baseurl": "http://127.0.0.1:11434/v1"},
        ])
    );
    assert!(said.contains("\nwarnings: 0\n") && !said.contains("sk-not-to-be-shown"), "{said}");
}

#[test]
fn a_token_is_made_for_each_start() {
    let directory = TempDir::new();
    let line = "\"$0\" --auto --print && \"$0\" --auto --print";
    let Some(said) = in_a_network_of_its_own(&directory, line) else { return };
    let tokens: Vec<_> = said.lines().filter(|line| line.contains("auto|sk-")).collect();
    assert_eq!(tokens.len(), 2, "{said}");
    assert_ne!(tokens[0], tokens[1]);
    assert!(tokens.iter().all(|token| token.trim().len() > 48), "{said}");
}
