//! What comes from outside the text: variables, key files, and the file itself.

use super::{Config, ConfigError, LogLevel};
use crate::config::Secret;

/// A directory of its own for one test, removed when dropped.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ai_proxy-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }

    fn write(&self, name: &str, content: &str) -> std::path::PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("the temporary directory is writable");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse_with(text, "config.json", &lookup)
}

fn lookup(name: &str) -> Option<String> {
    match name {
        "URL" => Some("https://env.example/v1".to_owned()),
        "KEY" => Some("sk-env".to_owned()),
        "MODEL" => Some("m1".to_owned()),
        _ => None,
    }
}

#[test]
fn variables_are_expanded_in_every_kind_of_string() {
    let config = parse(
        r#"{"host": "${HOST:-0.0.0.0}", "log_level": "${LEVEL:-error}",
        "providers": [
            {"provider": "a${SUFFIX:-1}", "baseurl": "${URL}", "token": "${KEY}",
             "model_list": ["${MODEL}", "$${MODEL}"]},
            "b|${URL}/x|${KEY}"],
        "tokens": ["x|${KEY}"], "supported_models": ["^a1/${MODEL}$"]}"#,
    )
    .expect("all variables are set or have a default");
    assert_eq!((config.host.as_str(), config.log_level), ("0.0.0.0", LogLevel::Error));
    assert_eq!(config.providers[0].name, "a1");
    assert_eq!(config.providers[0].model_list, ["m1", "${MODEL}"]);
    assert_eq!(config.providers[1].base.to_string(), "https://env.example/v1/x");
    assert!(config.providers.iter().all(|p| p.keys == [Secret::new("sk-env")]));
    assert!(config.token(b"sk-env").is_some() && config.allows("a1/m1"));
}

#[test]
fn an_unset_variable_is_named_with_its_key_path() {
    let text = r#"{"providers": [{"provider": "p", "baseurl": "${NOPE}"}]}"#;
    let line = parse(text).expect_err("NOPE is not set").to_string();
    assert!(line.contains("providers[0].baseurl: 环境变量 NOPE 未设置"), "{line}");
}

#[test]
fn a_token_file_is_read_and_trimmed_from_the_directory_of_the_configuration() {
    let directory = Directory::new("token-file");
    directory.write("key", "\n  sk-from-file \r\n");
    directory.write("blank", " \n");
    let file = directory.0.join("config.json").display().to_string();
    let load = |token: &str| {
        let text = format!(
            r#"{{"tokens": [], "providers": [{{"provider": "p", "baseurl": "http://h", {token}}}]}}"#
        );
        Config::parse(&text, &file).map(|config| config.providers[0].keys.first().cloned())
    };
    let key = Ok(Some(Secret::new("sk-from-file")));
    assert_eq!(load(r#""token_file": "key""#), key);
    assert_eq!(load(r#""token_file": "key", "token": """#), key);
    assert_eq!(load(r#""token_file": "", "token": "sk""#), Ok(Some(Secret::new("sk"))));
    for (token, wanted) in [
        (r#""token_file": "key", "token": "sk-2""#, "与 token 同时"),
        (r#""token_file": "missing""#, "无法读取 missing"),
        (r#""token_file": ".""#, "无法读取 ."),
        (r#""token_file": "blank""#, "文件 blank 是空的"),
    ] {
        let line = load(token).expect_err(token).to_string();
        assert!(line.contains("providers[0].token_file: ") && line.contains(wanted), "{line}");
    }
}

#[test]
fn a_token_file_may_hold_a_key_a_line() {
    let directory = Directory::new("token-lines");
    let file = directory.0.join("config.json").display().to_string();
    let load = |content: &str| {
        directory.write("keys", content);
        let text = r#"{"tokens": [], "providers": [{"provider": "p", "baseurl": "http://h", "token_file": "keys"}]}"#;
        Config::parse(text, &file)
    };
    for (content, keys, places) in [
        ("sk-1", &["sk-1"][..], &[][..]),
        ("\r\n sk-1\r\n\n\tsk-2 \n", &["sk-1", "sk-2"], &[]),
        ("sk-1\nsk-2\nsk-1\n\nsk-1", &["sk-1", "sk-2"], &["token_file:3: ", "token_file:5: "]),
        ("'sk-1'\n", &["'sk-1'"], &["token_file: "]),
        ("sk-1\n$KEY", &["sk-1", "$KEY"], &["token_file:2: "]),
    ] {
        let config = load(content).unwrap_or_else(|error| panic!("{content:?}: {error}"));
        let keys: Vec<_> = keys.iter().copied().map(Secret::new).collect();
        assert!(config.providers[0].keys == keys, "{content:?}");
        assert_eq!(config.warnings.len(), places.len(), "{:?}", config.warnings);
        for (warning, place) in config.warnings.iter().zip(places) {
            assert!(warning.contains(place) && !warning.contains("sk-"), "{warning}");
        }
    }
    let long = "sk-1\n".repeat(20_000);
    for (content, wanted) in [
        ("sk-1\nsk 2", "token_file:2: 含有空格"),
        ("sk 1", "token_file: 含有空格"),
        (&*long, "token_file: 无法读取 keys: 超过 64 KB (cannot read keys: is over 64 KB)"),
    ] {
        let line = load(content).expect_err(content).to_string();
        assert!(line.contains(wanted) && !line.contains("sk"), "{line}");
    }
}

#[test]
fn unreadable_oversized_and_non_utf8_files_are_refused_in_one_line() {
    let directory = Directory::new("files");
    let bad = directory.0.join("bad");
    std::fs::write(&bad, b"{\n\"host\": \"\xff\"}").expect("the temporary directory is writable");
    let huge = directory.write("huge", &" ".repeat(16 * 1024 * 1024 + 1));
    for (path, wanted) in [
        (directory.0.join("none"), "无法读取"),
        (directory.0.clone(), "无法读取"),
        (bad, "第 2 行不是 UTF-8"),
        (huge, "超过 16 MB"),
    ] {
        let line = Config::load(&path).expect_err("must be refused").to_string();
        assert!(line.contains(wanted) && line.contains(&path.display().to_string()), "{line}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_with_secrets_that_everybody_can_read_gives_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new("mode");
    for (tokens, mode, warns) in [
        (r#"["a|sk-1"]"#, 0o644, true),
        (r#"["a|sk-1"]"#, 0o640, false),
        (r#"["a|${AI_PROXY_TEST_UNSET:-from-elsewhere}"]"#, 0o644, false),
        ("[]", 0o644, false),
    ] {
        let text = format!(r#"{{"providers": ["p|http://h|"], "tokens": {tokens}}}"#);
        let path = directory.write("config.json", &text);
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).expect("the file is ours");
        let warnings = Config::load(&path).expect("valid").warnings;
        let found = warnings.iter().any(|warning| warning.contains("chmod 600"));
        assert_eq!(found, warns, "{mode:o} {tokens} {warnings:?}");
    }
}
