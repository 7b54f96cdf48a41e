//! Every key of the file and its rule, from JSON text to a checked [`Config`]; after this, nothing
//! needs checking again. It knows what keys mean, and nothing about sockets.

use std::net::Ipv6Addr;
use std::time::Duration;

use regex::Regex;

use super::node::{Fields, Node, Source};
use super::providers::providers;
use super::{json, odd, Config, ConfigError, LogLevel, Token};
use crate::config::Secret;

/// The keys of the file. `$schema` is for editors and otherwise ignored.
pub(super) const KEYS: [&str; 18] = [
    "$schema",
    "host",
    "port",
    "log_level",
    "providers",
    "tokens",
    "supported_models",
    "max_connections",
    "max_keepalive_connections",
    "keepalive_expiry",
    "stream_timeout",
    "non_stream_timeout",
    "max_response_size",
    "max_request_size",
    "max_client_connections",
    "sse_keepalive",
    "early_keepalive",
    "reuse_port",
];

const PORT_MAX: u64 = u16::MAX as u64;
const UPSTREAM_CONNECTIONS_MAX: u64 = 100_000;
const CLIENT_CONNECTIONS_MAX: u64 = 10_000;
/// Sizes are bounded only so that sums of two of them cannot overflow.
const SIZE_BYTES_MAX: u64 = i64::MAX as u64;

/// Reads a whole file's text.
///
/// # Errors
///
/// The first thing that breaks a rule, with its key path.
pub(super) fn config(text: &str, source: &Source<'_>) -> Result<Config, ConfigError> {
    let stripped = json::strip(text).map_err(|reason| source.error("", &reason))?;
    let json = json::parse(&stripped, text).map_err(|reason| source.error("", &reason))?;
    let fields = Node::root(source, json).fields(&KEYS)?;

    let mut config = Config::default();
    fields.read("host", &mut config.host, host)?;
    fields.read("port", &mut config.port, |node| node.integer(0, PORT_MAX))?;
    fields.read("log_level", &mut config.log_level, log_level)?;
    config.providers = providers(&fields)?;
    config.tokens = tokens(&fields)?;
    fields.read("supported_models", &mut config.supported_models, supported_models)?;
    limits(&fields, &mut config)?;
    fields.read("reuse_port", &mut config.reuse_port, Node::boolean)?;

    if source.exposed && source.holds_secret.get() {
        source.warn(
            "",
            "含有密钥，却可被本机所有用户读取，请 chmod 600 \
             (holds secrets but every user of this machine can read it: chmod 600)",
        );
    }
    config.warnings = source.warnings.take();
    Ok(config)
}

fn limits(fields: &Fields<'_>, config: &mut Config) -> Result<(), ConfigError> {
    fields.read("max_connections", &mut config.max_connections, |node| {
        node.integer(1, UPSTREAM_CONNECTIONS_MAX)
    })?;
    fields.read("max_keepalive_connections", &mut config.max_keepalive_connections, |node| {
        node.integer(0, UPSTREAM_CONNECTIONS_MAX)
    })?;
    fields.read("max_client_connections", &mut config.max_client_connections, |node| {
        node.integer(1, CLIENT_CONNECTIONS_MAX)
    })?;
    let size = |node: &Node<'_>| node.integer(1, SIZE_BYTES_MAX);
    fields.read("max_response_size", &mut config.max_response_size, size)?;
    fields.read("max_request_size", &mut config.max_request_size, size)?;
    fields.read("keepalive_expiry", &mut config.keepalive_expiry, Node::seconds_or_zero)?;
    fields.read("stream_timeout", &mut config.stream_timeout, Node::seconds)?;
    fields.read("non_stream_timeout", &mut config.non_stream_timeout, Node::seconds)?;
    fields.read("sse_keepalive", &mut config.sse_keepalive, seconds_or_never)?;
    fields.read("early_keepalive", &mut config.early_keepalive, seconds_or_never)
}

/// A time; 0 is never.
fn seconds_or_never(node: &Node<'_>) -> Result<Option<Duration>, ConfigError> {
    let interval = node.seconds_or_zero()?;
    Ok((!interval.is_zero()).then_some(interval))
}

fn host(node: &Node<'_>) -> Result<String, ConfigError> {
    let text = node.string()?;
    let host = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(
            node.error("不能为空，也不能含有空白 (must not be empty or contain white space)")
        );
    }
    let address = host.split('%').next().unwrap_or_default();
    if host.contains(':') && address.parse::<Ipv6Addr>().is_err() {
        return Err(node.error(
            "只写主机名或地址，端口写在 port (a name or an address only; the port goes into `port`)",
        ));
    }
    Ok(host.to_owned())
}

fn log_level(node: &Node<'_>) -> Result<LogLevel, ConfigError> {
    LogLevel::from_name(&node.string()?).ok_or_else(|| {
        node.error(
            "必须是 DEBUG、INFO、WARNING、ERROR 或 CRITICAL \
             (must be DEBUG, INFO, WARNING, ERROR or CRITICAL)",
        )
    })
}

fn supported_models(node: &Node<'_>) -> Result<Vec<Regex>, ConfigError> {
    let regex = |node: Node<'_>| {
        Regex::new(&node.string()?).map_err(|error| {
            // A syntax error shows the pattern and a caret first, its reason last.
            let text = error.to_string();
            let reason = text.rsplit("error: ").next().unwrap_or_default();
            node.error(&format!("正则表达式无效: {reason} (not a valid regex)"))
        })
    };
    node.array()?.into_iter().map(regex).collect()
}

fn tokens(fields: &Fields<'_>) -> Result<Vec<Token>, ConfigError> {
    let Some(node) = fields.get("tokens") else {
        fields.object.source.warn("tokens", "缺少，按空列表处理 (missing, taken as an empty list)");
        return Ok(Vec::new());
    };
    node.array()?.iter().map(token).collect()
}

fn token(node: &Node<'_>) -> Result<Token, ConfigError> {
    let text = node.string()?;
    let Some((description, secret)) = text.split_once('|') else {
        return Err(node.error("必须形如 \"说明|token\" (must look like \"description|token\")"));
    };
    if secret.trim().is_empty() {
        return Err(node.error("| 后面缺少 token (has no token behind the |)"));
    }
    if secret != secret.trim() || secret.contains(char::is_control) {
        node.warn(
            "token 首尾有空白或含控制字符，客户端无法使用 \
             (white space around the token or control characters in it: no client can send it)",
        );
    }
    odd::about(secret).for_each(|reason| node.warn(reason));
    node.note_secret();
    Ok(Token { description: description.to_owned(), secret: Secret::new(secret) })
}
