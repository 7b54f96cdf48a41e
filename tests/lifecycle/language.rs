//! The terminal speaks one language; with `"language": "en"` nothing else is spoken anywhere.

use serde_json::{json, Value};

use crate::support::*;

fn is_chinese(text: &str) -> bool {
    text.contains(|c: char| ('\u{3000}'..='\u{9fff}').contains(&c) || c >= '\u{ff00}')
}

/// Words of lower-case letters in a row, as a sentence has them; a command that is to be typed is none.
fn is_english_sentence(line: &str) -> bool {
    let is_word = |word: &str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let bare = |word: &str| is_word(word.trim_matches(|c: char| c.is_ascii_punctuation()));
    let words: Vec<bool> = line.split(' ').map(bare).collect();
    !is_typed(line) && words.windows(4).any(|four| four.iter().all(|word| *word))
}

fn is_typed(line: &str) -> bool {
    let line = line.trim_start();
    ["ai_proxy -", "cp ", "curl ", "-H", "--json", "/v1/", "images/"]
        .iter()
        .any(|start| line.contains(start))
}

/// A file with as many mistakes and oddities as fit into one.
fn odd_configurations() -> [Value; 3] {
    let odd = json!({"api_key": "x", "port": 0, "providers": [
        {"provider": "p", "baseurl": "http://name.invalid/chat/completions", "token": "'your-key'"},
        {"provider": "q", "baseurl": "https://name.invalid", "models": ["m"]},
    ], "tokens": ["a| sk-test-123456"]});
    let wrong = json!({"port": "x", "host": "", "log_level": "LOUD", "language": "fr", "explain": 1,
        "providers": [{"name": "p"}, "p|h", 1, {"provider": "a/b", "baseurl": "ftp://h"}],
        "tokens": ["a", 1], "supported_models": ["("], "stream_timeout": 0, "cors_origins": ["null"]});
    let missing = json!({"tokens": [], "providers": ["p|http://h|${NOT_SET_ANYWHERE}"]});
    [odd, wrong, missing]
}

/// What the terminal shows of all that ends by itself.
fn said(language: &str) -> String {
    let directory = TempDir::new();
    let mut said = String::new();
    let mut run = |arguments: &[&str]| {
        let output = command(directory.path()).env("LC_ALL", language).args(arguments).output();
        let output = output.expect("it runs");
        for bytes in [output.stdout, output.stderr] {
            said.push_str(&String::from_utf8(bytes).expect("UTF-8"));
        }
    };
    for arguments in
        [&["--help"][..], &["--nonsense"], &["-c"], &["more"], &["--check=1"], &["--print"]]
    {
        run(arguments);
    }
    run(&["--check", "-c", "nowhere.json"]);
    run(&["-c", "."]);
    for (index, config) in odd_configurations().iter().enumerate() {
        let name = format!("{index}.json");
        directory.write(&name, config.to_string());
        run(&["--check", "-c", &name]);
    }
    for (index, text) in
        ["{", "{\"port\": 1,}}", "[1]", "{\"a\" /x}", "{\"a\": \"\\ud800\"}"].iter().enumerate()
    {
        let name = format!("text{index}.json");
        directory.write(&name, text);
        run(&["--check", "-c", &name]);
    }
    said
}

#[test]
fn the_terminal_speaks_english_alone_or_chinese_alone() {
    for language in ["C", "en_US.UTF-8", ""] {
        let said = said(language);
        assert!(said.lines().count() > 60, "{said}");
        // The token's form in the documentation has no other language either.
        assert!(!is_chinese(&said), "{said}");
    }
    for line in said("zh_CN.UTF-8").lines() {
        assert!(!is_english_sentence(line), "{line}");
    }
}

#[test]
fn the_banner_and_the_news_of_lists_are_in_the_language_of_the_place() {
    let upstream = Upstream::json("200 OK", r#"{"data":[{"id":"m"}]}"#);
    let dead = json!({"provider": "dead", "baseurl": "http://127.0.0.1:1/v1"});
    let config = config([auto_provider("p", &upstream), dead]);
    let start = |config: &Value, language: &str| {
        TestProxy::with_environment(config, &[("LC_ALL", language)])
    };
    let english = start(&config, "C");
    eventually("both lists are told", || {
        english.stdout().contains("p: 1 models fetched")
            && english.stderr().contains("models of dead")
    });
    assert!(!is_chinese(&english.output()), "{}", english.output());
    // The log is as promised.
    english.wait_for_log("已启动");
    let chosen = with(config, json!({"language": "zh"}));
    let chinese = start(&chosen, "C");
    eventually("both lists are told", || {
        chinese.stdout().contains("p: 已获取 1 个模型")
            && chinese.stderr().contains("dead 的模型列表")
    });
    for line in chinese.output().lines() {
        assert!(!is_english_sentence(line), "{line}");
    }
}

#[test]
fn with_english_there_is_no_chinese_in_the_log_and_in_answers() {
    let upstream = Upstream::each(|request, connection| match request.target.as_str() {
        "/v1/models" => connection.send("garbage\r\n\r\n"),
        _ if contains(&request.body, "cut") => {
            connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n");
            connection.half_close();
        }
        _ => connection
            .send("HTTP/1.1 307 Moved\r\nLocation: http://h/\r\nContent-Length: 0\r\n\r\n"),
    });
    let dead = json!({"provider": "dead", "baseurl": "http://127.0.0.1:1/v1", "model_list": ["m"]});
    let nowhere =
        json!({"provider": "nowhere", "baseurl": "https://name.invalid/v1", "model_list": ["m"]});
    let english = json!({"language": "en", "log_level": "DEBUG", "max_request_size": 4096});
    let config = with(config([auto_provider("p", &upstream), dead, nowhere]), english);
    let proxy = TestProxy::start(&config);
    let mut said = String::new();
    for body in [
        chat("p/m"),
        chat("dead/m"),
        chat("nowhere/m"),
        chat("none/m"),
        "{".to_owned(),
        "[]".to_owned(),
        r#"{"model":1}"#.to_owned(),
        "{}".to_owned(),
        "x".repeat(5000),
        chat_stream("p/cut"),
    ] {
        said.push_str(&proxy.chat(body).text());
    }
    for path in ["/", "/health", "/v1/models", "/nowhere", "/v1/v1/models", "/v1/models/none"] {
        said.push_str(&proxy.get(path).text());
    }
    said.push_str(&proxy.request("DELETE", "/v1/models", "").text());
    said.push_str(&proxy.chat_with("Content-Encoding: br\r\n", chat("p/m")).text());
    said.push_str(
        &proxy
            .raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}")
            .text(),
    );
    said.push_str(&proxy.raw(b"GET / HTTP/1.1\r\n\r\n").text());
    for changed in
        [json!({"max_connections": 7, "tokens": ["x|y"]}), json!({"port": "x", "host": ""})]
    {
        said.push_str(&proxy.reload(&with(config.clone(), changed)).text());
    }
    assert!(
        said.contains("no such model: none/m") && said.contains("provider dead failed"),
        "{said}"
    );
    let log = proxy.wait_for_log("reload refused");
    let line = log.lines().find(|line| line.contains("model: dead/m")).expect(&log);
    assert!(
        line.ends_with(" s") && line.contains(" duration: ") && line.contains(" status: 502 "),
        "{line}"
    );
    for (what, text) in [("answers", said), ("terminal", proxy.output()), ("log", log)] {
        let line = text.lines().find(|line| is_chinese(line));
        assert_eq!(line, None, "{what}");
    }
}

#[test]
fn a_reload_changes_the_language_of_answers() {
    let proxy = TestProxy::without_providers();
    let message = || proxy.get("/nowhere").error(404);
    assert_eq!(message(), "未找到路径 /nowhere (no such path)");
    let english = with(config([]), json!({"language": "en"}));
    let said = proxy.reload(&english).text();
    assert!(said.contains("configuration reloaded") && said.contains("language changed"), "{said}");
    assert_eq!(message(), "no such path: /nowhere");
    assert!(proxy.reload(&config([])).text().contains("配置重新加载成功"));
    assert_eq!(message(), "未找到路径 /nowhere (no such path)");
}
