//! The configuration: no text makes it panic, no message shows a secret or takes two lines, and
//! what is accepted keeps the promises of `Config`.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use ai_proxy::config::{Alias, Config, Name, Provider, RetryOn};
use ai_proxy_fuzz::json;
use http_types::Url;
use libfuzzer_sys::fuzz_target;

/// Stands in the text as `@@`. Its hyphen keeps it from being a variable's name, which messages do
/// show.
const MARKER: &str = "mk7-q9zx";
const YEAR: Duration = Duration::from_secs(31_536_000);

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // Devices and pipes can be read, too, but not by a fuzzer.
    if ["/dev", "/proc", "/sys", "\\"].iter().any(|part| text.contains(part))
        && text.contains("file")
    {
        return;
    }
    let text = text.replace("@@", MARKER);
    let file = file();
    match Config::parse(&text, file) {
        Err(error) => {
            let line = error.to_string();
            assert!(line.starts_with(&format!("{file}: ")), "{line}");
            check_line(&line, &text);
            check_line(&format!("{error:?}"), &text);
        }
        Ok(config) => {
            config.warnings.iter().for_each(|line| check_line(&line.to_string(), &text));
            check(&config);
        }
    }
});

/// In a directory with a `key.txt` that holds the marker.
fn file() -> &'static str {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| {
        let directory: PathBuf = std::env::temp_dir().join("ai_proxy_fuzz_config");
        std::fs::create_dir_all(&directory).expect("a directory for the fuzzer");
        std::fs::write(directory.join("key.txt"), MARKER).expect("a file for the fuzzer");
        directory.join("config.json").display().to_string()
    })
}

fn check_line(line: &str, text: &str) {
    assert!(!line.contains(char::is_control), "{line:?}");
    if line.contains(MARKER) {
        assert!(may_show(text), "{line}");
    }
}

/// Messages may show keys, file names, providers' names and pieces of regexes: whether the marker
/// stands in one.
/// A text that is no JSON may never be shown.
fn may_show(text: &str) -> bool {
    let mut stripped = text.trim_start_matches('\u{feff}').to_owned();
    json_strip_comments::strip(&mut stripped).is_ok() && shown_in(&stripped, "")
}

fn shown_in(json: &str, key: &str) -> bool {
    if let Some(string) = json::string(json) {
        let old_name = if key == "providers" { string.split('|').next() } else { None };
        return ["token_file", "supported_models", "provider"].contains(&key)
            && string.contains(MARKER)
            || old_name.is_some_and(|name| name.contains(MARKER));
    }
    if let Some(elements) = json::elements(json) {
        return elements.into_iter().any(|json| shown_in(json, key));
    }
    let entries = json::entries(json).unwrap_or_default();
    entries.into_iter().any(|(key, json)| key.contains(MARKER) || shown_in(json, &key))
}

fn check(config: &Config) {
    let shown = format!("{config:?}");
    let warnings: Vec<_> = config.warnings.iter().map(|line| line.to_string()).collect();
    let config_shows = [&config.host]
        .into_iter()
        .chain(&warnings)
        .chain(config.providers.iter().flat_map(shown_parts))
        .chain(config.aliases.iter().flat_map(alias_parts))
        .chain(&config.retry_on.codes)
        .map(String::as_str)
        .chain(config.tokens.iter().map(|token| &*token.description))
        .chain(config.supported_models.iter().map(|regex| regex.as_str()))
        .any(|part| part.contains(MARKER));
    assert!(config_shows || !shown.contains(MARKER), "{shown}");
    let told = config.describe("config.json");
    assert!(config_shows || !told.contains(MARKER), "{told}");

    assert!(!config.host.is_empty() && !config.host.contains(char::is_control));
    assert!(config.max_connections >= 1);
    assert!((1..=10_000).contains(&config.max_client_connections));
    assert!(config.max_response_size >= 1 && config.max_request_size >= 1);
    for timeout in [config.stream_timeout, config.non_stream_timeout] {
        assert!((Duration::from_millis(1)..=YEAR).contains(&timeout));
    }
    assert!(config.keepalive_expiry <= YEAR);
    for interval in [config.sse_keepalive, config.early_keepalive] {
        assert!(interval.is_none_or(|interval| !interval.is_zero() && interval <= YEAR));
    }
    for (index, provider) in config.providers.iter().enumerate() {
        check_provider(provider);
        let earlier = &config.providers[..index];
        assert!(earlier.iter().all(|other| other.name != provider.name));
        assert_eq!(config.provider(&provider.name), Some(provider));
    }
    assert!(config.retries.is_none_or(|retries| retries <= 10) && config.retry_wait_max <= YEAR);
    check_retry_on(&config.retry_on);
    config.aliases.iter().for_each(check_alias);
    for token in &config.tokens {
        let found = config.token(token.secret.expose().as_bytes()).expect("it is on the list");
        assert_eq!(found.secret, token.secret);
        assert!(!token.secret.expose().trim().is_empty());
    }
}

/// What `Debug` shows of a provider.
fn shown_parts(provider: &Provider) -> Vec<&String> {
    let mut parts = vec![&provider.name, &provider.base.host, &provider.base.path];
    parts.extend(provider.model_list.iter().chain(&provider.endpoints));
    parts
}

/// The same of an alias.
fn alias_parts(alias: &Alias) -> Vec<&String> {
    let targets = alias.targets.iter().map(|target| &target.model.text);
    targets.chain(&alias.retry_on.codes).chain([&alias.name.text]).collect()
}

/// Its targets are names of the kinds that it may have.
fn check_alias(alias: &Alias) {
    assert!(alias.retries.is_none_or(|retries| retries <= 10));
    check_retry_on(&alias.retry_on);
    assert!((1..=64).contains(&alias.targets.len()));
    for target in &alias.targets {
        let Name { text, starred } = &target.model;
        assert!(!text.is_empty() && !text.contains('*') && !text.contains(char::is_control));
        assert!(target.weight <= 1000 && (!starred || alias.name.starred && text.contains('/')));
    }
}

fn check_retry_on(retry_on: &RetryOn) {
    assert!(retry_on.statuses.iter().all(|status| (400..=599).contains(status)));
    assert!(retry_on.codes.iter().all(|code| (1..=64).contains(&code.len()) && code.is_ascii()));
}

/// Everything that goes on the wire is fit for it.
fn check_provider(provider: &Provider) {
    let base = &provider.base;
    assert!(!provider.name.is_empty() && !provider.name.contains('/'));
    assert!(!provider.name.contains(char::is_control));
    assert!(base.port > 0 && !base.host.is_empty());
    let target = base.target("/chat/completions", "");
    assert!(target.starts_with('/'), "{target}");
    for part in [&base.authority(), &target] {
        assert!(!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic()), "{part:?}");
    }
    for (index, key) in provider.keys.iter().enumerate() {
        assert!(!key.expose().is_empty());
        assert!(key.expose().bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!provider.keys[..index].contains(key));
    }
    if let Some(credentials) = &base.credentials {
        assert!(credentials.expose().contains(':') && !credentials.expose().contains('\n'));
    }
    assert!(provider.model_list.iter().all(|model| !model.is_empty()));

    // What is put together again is the URL that was checked.
    let scheme = if base.https { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{}{target}", base.authority()));
    let url = url.expect("authority and target make a URL");
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    assert_eq!((host, url.port_or_known_default()), (base.host.as_str(), Some(base.port)));
}
