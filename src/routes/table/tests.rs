//! Paths, their methods and their dialects.

use super::*;

fn status(method: &str, path: &str, fields: &str) -> Option<u16> {
    let text = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let (head, _) = RequestHead::parse(text.as_bytes(), &|_| false).ok().unwrap();
    endpoint(&head, find(&head.path)).err().and_then(|error| error.status())
}

#[test]
fn every_path_knows_its_methods_and_nothing_else_is_there() {
    for (method, path, expected) in [
        ("GET", "/", None),
        ("HEAD", "/health", None),
        ("POST", "/v1/chat/completions", None),
        ("POST", "/chat/completions?x=1", None),
        ("POST", "/v1/messages", None),
        ("POST", "/messages/count_tokens", None),
        ("GET", "/models", None),
        ("GET", "/v1/models/p/m", None),
        ("HEAD", "/models/p%2Fm", None),
        ("DELETE", "/v1/models/p/m", Some(405)),
        ("GET", "/v1/chat/completions", Some(405)),
        ("GET", "/v1/responses", Some(405)),
        ("get", "/", Some(405)),
        ("POST", "/v1/models", Some(405)),
        ("GET", "/v1/models/", Some(404)),
        ("GET", "/v1/models{id}", Some(404)),
        ("GET", "/v1/health", Some(404)),
        ("POST", "/reload", Some(404)),
        ("GET", "/v1", Some(404)),
        ("OPTIONS", "*", Some(404)),
        ("GET", "/v1/realtime", Some(404)),
    ] {
        assert_eq!(status(method, path, ""), expected, "{method} {path}");
    }
}

#[test]
fn who_asks_for_models_names_the_dialect() {
    for (path, plain, versioned) in [
        ("/v1/models", Dialect::OpenAi, Dialect::Anthropic),
        ("/models/p/m", Dialect::OpenAi, Dialect::Anthropic),
        ("/v1/models/", Dialect::OpenAi, Dialect::OpenAi),
        ("/v1/modelsx", Dialect::OpenAi, Dialect::OpenAi),
        ("/v1/chat/completions", Dialect::OpenAi, Dialect::OpenAi),
        ("/v1/responses", Dialect::Responses, Dialect::Responses),
        ("/messages", Dialect::Anthropic, Dialect::Anthropic),
    ] {
        for (fields, expected) in [("", plain), ("Anthropic-Version: 1\r\n", versioned)] {
            let text = format!("PUT {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let (head, _) = RequestHead::parse(text.as_bytes(), &|_| false).ok().unwrap();
            assert_eq!(dialect(&head, find(&head.path)), expected, "{path} {fields}");
        }
    }
}

#[test]
fn the_configuration_knows_every_endpoint_of_providers() {
    for row in &ROWS {
        let goes_on = [Endpoint::Relay, Endpoint::Responses, Endpoint::Upload, Endpoint::Models];
        let is_known = crate::config::ENDPOINTS.contains(&row.suffix.trim_start_matches('/'));
        assert_eq!(is_known, goes_on.contains(&row.endpoint), "{}", row.path);
    }
}

#[test]
fn the_documents_name_every_row() {
    let english = include_str!("../../../docs/endpoints.md");
    for text in [english, include_str!("../../../docs/zh-CN/endpoints.md")] {
        for row in &ROWS {
            let named = text
                .lines()
                .any(|line| line.starts_with('|') && line.contains(&format!("{}`", row.path)));
            assert!(named, "{}", row.path);
        }
    }
}

#[test]
fn the_help_names_every_row() {
    let words = crate::program::cli::HELP.1.split(|c: char| !c.is_alphanumeric() && c != '/');
    let words: Vec<_> = words.flat_map(|word| word.split('/')).collect();
    for row in &ROWS {
        let first = row.suffix.trim_start_matches('/').split('/').next();
        assert!(first.is_some_and(|first| words.contains(&first)), "{}", row.path);
    }
}

#[test]
fn a_models_name_is_decoded_once() {
    for (path, id) in [
        ("/v1/models/p/m", "p/m"),
        ("/models/p%2fm", "p/m"),
        ("/v1/models/p/a%20b%40c:d+e", "p/a b@c:d+e"),
        ("/models/p%252Fm", "p%2Fm"),
        ("/v1/models/%zz%E5%90%8D", "%zz名"),
        ("/models/v1/models/x", "v1/models/x"),
    ] {
        assert_eq!(model_id(path), id, "{path}");
    }
}

#[test]
fn a_client_that_wants_websocket_is_told_to_use_http() {
    let fields = "Upgrade: WebSocket\r\nConnection: Upgrade\r\n";
    for path in ["/v1/responses", "/v1/realtime?model=a", "/realtime"] {
        assert_eq!(status("GET", path, fields), Some(426), "{path}");
    }
    assert_eq!(status("GET", "/v1/models", fields), None);
    assert_eq!(status("GET", "/v1/responses", "Upgrade: h2c\r\n"), Some(405));
}

#[test]
fn a_path_that_stands_there_twice_is_told_as_that() {
    for path in [
        "/v1/v1/chat/completions",
        "/v1/chat/completions/chat/completions",
        "/chat/completions/chat/completions",
        "/v1/v1/models",
        "/v1/v1/models/p/m",
        "/v1/messages/messages",
        "/v1/messages/v1/messages",
        "/v1/v1/responses/resp_1",
        "/v1/v1/responses/resp_1/cancel",
        "/v1/v1/unknown",
        "/v1/v1",
        "/v1/v1/p/a/x",
    ] {
        let text = format!("POST {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let (head, _) = RequestHead::parse(text.as_bytes(), &|_| false).ok().unwrap();
        assert!(matches!(endpoint(&head, find(&head.path)), Err(Error::PathTwice(_))), "{path}");
    }
}
