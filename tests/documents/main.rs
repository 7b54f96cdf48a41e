//! The documents: links lead somewhere, both languages have the same parts in the same order, keys and
//! endpoints are named, nothing is claimed without its test, and the marked shell blocks run.

mod page;
mod recipes;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use page::{code, is_chinese, pages, twin, RUN};
use regex::Regex;
use serde_json::Value;
use support::{TempDir, Upstream, PROGRAM};

const README_LINES_MAX: usize = 200;
/// What a claim about all clients, or about all times, looks like.
const CLAIMS: [&str; 6] = [
    r"(?i)\b(every|any|all)( \S+)? (clients?|sdks?|tools?|apps?)\b",
    r"(?i)\balways works?\b|\bjust works\b|\bworks (everywhere|with (any|every|all))\b",
    r"(?i)\bguarantee|\bfully compatible\b|\b100 ?%",
    r"(任何|所有|每个)[^，。；]{0,12}(客户端|SDK)[^，。；]{0,4}(都|均|可|能)",
    r"(总是|始终|永远)(可用|有效|能用|可以)",
    r"完全兼容|完美|保证|开箱即用",
];
/// Words of OpenSSL and the system, which stand in our messages.
const OF_OTHERS: [&str; 3] =
    ["certificate verify failed", "wrong version number", "Address already in use"];
/// Claims that hold: words of the line, the test file and the test.
const PROVEN: [(&str, &str, &str); 0] = [];

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = pages();
    let anchors: BTreeMap<_, _> = pages.iter().map(|page| (&*page.path, &page.anchors)).collect();
    let root = Path::new(".").canonicalize().unwrap();
    let mut broken = Vec::new();
    for page in &pages {
        for link in page.links().into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let beside = Path::new(&page.path).parent().unwrap().join(file).canonicalize();
            let target = match (file, beside) {
                ("", _) => page.path.clone(),
                (_, Ok(path)) => path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
                (_, Err(_)) => String::new(),
            };
            let there = anchor.is_empty()
                || anchors.get(&*target).is_some_and(|anchors| anchors.contains(anchor));
            // A page leads to pages of its language, but for its own twin.
            let understood = is_chinese(&target) == is_chinese(&page.path)
                || twin(&target).is_none_or(|twin| twin == page.path);
            if target.is_empty() || !there || !understood {
                broken.push(format!("{}: {link}", page.path));
            }
        }
    }
    assert!(broken.is_empty(), "no such place, or one in the other language: {broken:#?}");
}

#[test]
fn both_languages_have_the_same_parts_in_the_same_order() {
    let pages = pages();
    for page in &pages {
        let Some(twin) = twin(&page.path) else { continue };
        let other = pages.iter().find(|other| other.path == twin);
        let other = other.unwrap_or_else(|| panic!("{} has no {twin}", page.path));
        for (number, (one, two)) in page.parts.iter().zip(&other.parts).enumerate() {
            assert_eq!(one, two, "part {number} of {} and of {twin}", page.path);
        }
        assert_eq!(page.parts.len(), other.parts.len(), "parts of {} and {twin}", page.path);
    }
}

#[test]
fn the_readmes_are_short_and_lead_to_every_page() {
    let pages = pages();
    for readme in pages.iter().filter(|page| page.path.starts_with("README")) {
        assert!(readme.lines <= README_LINES_MAX, "{}: {} lines", readme.path, readme.lines);
        let links = readme.links();
        for page in pages.iter().filter(|page| twin(&page.path).is_some()) {
            let other =
                page.path == readme.path || is_chinese(&page.path) != is_chinese(&readme.path);
            let leads = links.iter().any(|link| link.split('#').next() == Some(&page.path));
            assert!(other || leads, "{} has no link to {}", readme.path, page.path);
        }
    }
}

#[test]
fn the_documents_name_every_key_and_every_endpoint() {
    let schema = fs::read_to_string("src/config/schema.json").unwrap();
    let mut names = BTreeSet::new();
    collect_keys(&serde_json::from_str(&schema).unwrap(), &mut names);
    let table = fs::read_to_string("src/routes/table.rs").unwrap();
    let path = Regex::new(r#""(/[a-z0-9_/{}]*)""#).unwrap();
    let paths = path.captures_iter(&table).map(|found| found[1].to_owned());
    let paths: BTreeSet<_> = paths.filter(|path| !path.ends_with('/') || path == "/").collect();
    assert!(names.len() > 20 && paths.len() > 20, "{names:?} {paths:?}");
    let pages = pages();
    for chinese in [false, true] {
        let pages = pages.iter().filter(|page| is_chinese(&page.path) == chinese);
        let pages = pages.filter(|page| twin(&page.path).is_some());
        let text: String = pages.map(|page| page.prose.join("\n")).collect();
        let named = names.iter().map(|name| format!("`{name}`"));
        for words in named.chain(paths.iter().map(|path| format!("{path}`"))) {
            assert!(text.contains(&words), "no {words} in the pages; Chinese: {chinese}");
        }
    }
}

fn collect_keys(schema: &Value, names: &mut BTreeSet<String>) {
    for (name, value) in schema.as_object().into_iter().flatten() {
        if name == "properties" {
            names.extend(value.as_object().unwrap().keys().cloned());
        }
        collect_keys(value, names);
    }
}

#[test]
fn the_messages_that_the_documents_explain_are_those_of_the_program() {
    let mut sources = String::new();
    read_sources(Path::new("src"), &mut sources);
    for page in pages().iter().filter(|page| page.path.ends_with("errors.md")) {
        let messages: Vec<_> = page.subjects.iter().flat_map(|cell| code(cell)).collect();
        assert!(messages.len() > 60, "{}: {messages:?}", page.path);
        for message in messages {
            let said = sources.contains(message) || OF_OTHERS.contains(&message);
            assert!(said, "{}: the program does not say {message}", page.path);
        }
    }
}

fn read_sources(folder: &Path, sources: &mut String) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *sources += &fs::read_to_string(&path).unwrap();
        }
    }
}

#[test]
fn no_claim_stands_without_its_test() {
    let claims = CLAIMS.map(|claim| Regex::new(claim).unwrap());
    for (words, file, test) in PROVEN {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(&format!("fn {test}(")), "{words}: no test {test} in {file}");
    }
    for page in pages() {
        for line in &page.prose {
            let proven = PROVEN.iter().any(|(words, ..)| line.contains(words));
            let claim = claims.iter().find_map(|claim| claim.find(line));
            assert!(proven || claim.is_none(), "{}: {:?} in {line}", page.path, claim.unwrap());
        }
    }
}

/// The marked blocks of a page are one script, in an empty directory. Its proxy listens on a free port, and
/// its providers are a scripted one on this machine.
#[test]
fn the_marked_shell_blocks_run() {
    let answer =
        r#"{"data":[{"id":"m"}],"choices":[{"message":{"role":"assistant","content":"Hi"}}]}"#;
    let provider = Upstream::json("200 OK", answer);
    let away = Regex::new(r"https://[\w.-]+|http://localhost:11434").unwrap();
    let programs = Path::new(PROGRAM).parent().unwrap().to_str().unwrap();
    let search = format!("{programs}:{}", std::env::var("PATH").unwrap());
    for page in pages().iter().filter(|page| page.blocks.iter().any(|block| block.runs())) {
        let blocks = page.blocks.iter().filter(|block| block.runs()).map(|block| &*block.code);
        let port = support::free_address("127.0.0.1").port().to_string();
        let code = blocks.collect::<String>().replace("8001", &port);
        let code = away.replace_all(&code, format!("http://{}", provider.addr()));
        let end = "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT";
        let script = format!("set -eu\n{end}\n{code}");
        let directory = TempDir::new();
        let mut bash = Command::new("timeout");
        bash.args(["60", "bash", "-c", &script]).current_dir(directory.path()).env_clear();
        let output = bash.env("PATH", &search).env("HOME", directory.path()).output().unwrap();
        assert!(output.status.success(), "{}: {output:#?}\n{script}", page.path);
    }
    assert!(provider.requests().len() > 1, "the READMEs' blocks are marked {RUN}");
}
