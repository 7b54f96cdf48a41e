//! The completions and the manual page say what `--help` and the schema say. tests/shells/ tries the
//! completions in their shells.

use std::collections::BTreeSet;

use ai_proxy::program::cli::{HELP, SCHEMA};
use serde_json::{Map, Value};

const MANUAL: &str = include_str!("../../deploy/ai_proxy.1");
const BASH: &str = include_str!("../../deploy/completions/ai_proxy.bash");
const ZSH: &str = include_str!("../../deploy/completions/_ai_proxy");
const FISH: &str = include_str!("../../deploy/completions/ai_proxy.fish");

/// The options that the help lists, dashes included.
fn options() -> BTreeSet<&'static str> {
    let lines = HELP.1.lines().filter(|line| line.trim_start().starts_with('-'));
    let lines = lines.filter(|line| line.starts_with("  -") || line.starts_with("      --"));
    let words = |line: &'static str| line.split([' ', ',', ';', ':']);
    let options: BTreeSet<_> =
        lines.flat_map(|line| words(line).filter(|word| word.starts_with('-'))).collect();
    assert!(options.len() >= 8 && options.contains("--check"), "{options:?}");
    options
}

/// The words of a text that start with a dash, `--config=` and `-c+` as `--config` and `-c`.
fn dashed(text: &'static str) -> BTreeSet<&'static str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = lines.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
    words.filter(|word| word.starts_with('-') && !word.trim_matches('-').is_empty()).collect()
}

#[test]
fn bash_completes_every_option() {
    let text = BASH.split_once("compgen -W '").expect("the words").1;
    let words = text.split('\'').next().unwrap_or_default();
    assert_eq!(words.split(' ').collect::<BTreeSet<_>>(), options());
}

#[test]
fn zsh_completes_every_option() {
    let mut words = dashed(ZSH);
    // Options of the shell's own commands.
    words.retain(|word| !["-S", "-g"].contains(word));
    assert_eq!(words, options());
}

#[test]
fn fish_completes_every_option() {
    let mut said = BTreeSet::new();
    for line in FISH.lines() {
        let mut words = line.split(' ');
        while let Some(word) = words.next() {
            match word {
                "-s" => drop(said.insert(format!("-{}", words.next().unwrap_or_default()))),
                "-l" => drop(said.insert(format!("--{}", words.next().unwrap_or_default()))),
                _ => {}
            }
        }
    }
    assert_eq!(said, options().into_iter().map(str::to_owned).collect());
}

/// The lines of a section of the manual.
fn section(name: &str) -> String {
    let start = format!("\n.Sh {name}\n");
    let rest = MANUAL.split_once(&start).unwrap_or_else(|| panic!("no section {name}")).1;
    rest.split("\n.Sh ").next().unwrap_or_default().to_owned()
}

#[test]
fn the_manual_has_every_option() {
    let mut said = BTreeSet::new();
    for line in section("OPTIONS").lines().filter_map(|line| line.strip_prefix(".It ")) {
        let mut words = line.split(' ').peekable();
        while let Some(word) = words.next() {
            if word == "Fl" {
                said.insert(format!("-{}", words.next().unwrap_or_default()));
            }
        }
    }
    assert_eq!(said, options().into_iter().map(str::to_owned).collect());
}

fn properties(value: &Value) -> Map<String, Value> {
    value["properties"].as_object().expect("an object").clone()
}

#[test]
fn the_manual_has_every_key_with_its_default() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let mut keys = properties(&schema);
    keys.extend(properties(&schema["$defs"]["provider"]));
    let section = section("CONFIGURATION");
    let (file, alias) = section.split_once("\nAn alias is").expect("its keys stand last");
    assert_entries(file, keys);
    assert_entries(alias, properties(&schema["$defs"]["alias"]));
}

/// Asserts that a part of the manual has each key once, with its default.
fn assert_entries(section: &str, keys: Map<String, Value>) {
    let entries: Vec<_> = section.lines().filter_map(|line| line.strip_prefix(".It Cm ")).collect();
    let name = |entry: &&str| entry.split(' ').next().unwrap_or_default().to_owned();
    let said: BTreeSet<_> = entries.iter().map(name).collect();
    assert_eq!(said, keys.keys().cloned().collect());
    assert_eq!(entries.len(), keys.len(), "each stands there once");
    for (key, property) in keys {
        let entry = entries.iter().find(|entry| name(entry) == key).expect("it is there");
        let default = match &property["default"] {
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
            Value::String(text) => text.clone(),
            Value::Number(number) => number.as_f64().expect("plain").to_string(),
            other => other.to_string(),
        };
        assert!(entry.ends_with(&format!(", {default} by default\"")), "{entry}: {default}");
    }
}

#[test]
fn the_manual_has_the_usual_sections() {
    let found: Vec<_> = MANUAL.lines().filter_map(|line| line.strip_prefix(".Sh ")).collect();
    let expected = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "CONFIGURATION",
        "ENVIRONMENT",
        "FILES",
        "SIGNALS",
        "EXIT STATUS",
        "EXAMPLES",
        "SEE ALSO",
    ];
    assert_eq!(found, expected);
    for signal in ["SIGTERM", "SIGINT", "SIGHUP"] {
        assert!(section("SIGNALS").contains(signal), "{signal}");
    }
}
