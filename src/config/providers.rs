//! The `providers` list, in both of its forms, and where a provider's key comes from. It knows what
//! a provider needs, and nothing about the other keys of the file.

use std::io::{self, Read};
use std::path::Path;

use super::node::{shorten, Fields, Node, Source};
use super::{is_replaced, odd, open_regular, BaseUrl, ConfigError, Provider, REPLACED};
use crate::config::Secret;

/// The keys of a provider that is an object.
pub(super) const PROVIDER_KEYS: [&str; 5] =
    ["provider", "baseurl", "token", "token_file", "model_list"];

/// No key is longer; a path given by mistake must not fill the memory.
const TOKEN_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads the list.
///
/// # Errors
///
/// It is missing, or the first thing in it that breaks a rule.
pub(super) fn providers(fields: &Fields<'_>) -> Result<Vec<Provider>, ConfigError> {
    let Some(node) = fields.get("providers") else {
        return Err(fields.object.part_error("providers", "缺少此项 (is missing)"));
    };
    let mut providers: Vec<Provider> = Vec::new();
    for (index, node) in node.array()?.into_iter().enumerate() {
        let source = node.source;
        let provider = if node.is_string() {
            provider_from_string(&node)?
        } else {
            provider_from_object(node)?
        };
        if let Some(earlier) = providers.iter().position(|other| other.name == provider.name) {
            let name = shorten(&provider.name);
            return Err(source.error(
                &format!("providers[{index}].provider"),
                &format!(
                    "与 providers[{earlier}] 重名: {name} (providers[{earlier}] is named {name}, too)"
                ),
            ));
        }
        providers.push(provider);
    }
    Ok(providers)
}

/// The old form `name|baseurl|token`; the token may be empty and may hold further bars.
fn provider_from_string(node: &Node<'_>) -> Result<Provider, ConfigError> {
    let text = node.string()?;
    let mut parts = text.splitn(3, '|');
    let (Some(name), Some(url), Some(token)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(node.error(
            "必须形如 \"名称|baseurl|token\"，要有两个竖线，token 可以为空 \
             (must look like \"name|baseurl|token\", with both bars; the token may be empty)",
        ));
    };
    let part_error = |part: &'static str| move |reason: String| node.part_error(part, &reason);
    let base = BaseUrl::parse(url).map_err(part_error("baseurl"))?;
    let token = key(token).map_err(part_error("token"))?;
    warn_of_oddities(token.as_ref(), |reason| node.part_warn("token", reason));
    if token.is_some() || base.credentials.is_some() {
        node.note_secret();
    }
    let name = provider_name(name).map_err(part_error("provider"))?;
    Ok(Provider { name, base, token, model_list: Vec::new() })
}

fn provider_from_object(node: Node<'_>) -> Result<Provider, ConfigError> {
    if !node.is_object() {
        return Err(node.wrong_type("对象或字符串", "an object or a string"));
    }
    let fields = node.fields(&PROVIDER_KEYS)?;
    let required =
        |key| fields.get(key).ok_or_else(|| fields.object.part_error(key, "缺少此项 (is missing)"));
    let node = required("provider")?;
    let name = provider_name(&node.string()?).map_err(|reason| node.error(&reason))?;
    let node = required("baseurl")?;
    let base = BaseUrl::parse(&node.string()?).map_err(|reason| node.error(&reason))?;
    if base.credentials.is_some() {
        node.note_secret();
    }
    let token = provider_token(&fields)?;
    let mut model_list = Vec::new();
    fields.read("model_list", &mut model_list, |node| {
        node.array()?.iter().map(model_name).collect()
    })?;
    Ok(Provider { name, base, token, model_list })
}

fn provider_name(name: &str) -> Result<String, String> {
    if name.is_empty() || name.contains(|c: char| c == '/' || c.is_control()) {
        return Err("不能为空，也不能含有 / 或控制字符 \
                    (must not be empty or contain a slash or control characters)"
            .to_owned());
    }
    Ok(name.to_owned())
}

fn model_name(node: &Node<'_>) -> Result<String, ConfigError> {
    let name = node.string()?;
    if name.is_empty() {
        return Err(node.error("不能为空 (must not be empty)"));
    }
    Ok(name)
}

/// The key from `token` or from the file that `token_file` names; an empty string counts as absent.
fn provider_token(fields: &Fields<'_>) -> Result<Option<Secret>, ConfigError> {
    let mut token = None;
    fields.read("token", &mut token, |node| {
        let token = key(&node.string()?).map_err(|reason| node.error(&reason))?;
        if token.is_some() {
            node.note_secret();
        }
        warn_of_oddities(token.as_ref(), |reason| node.warn(reason));
        Ok(token)
    })?;
    let Some(node) = fields.get("token_file") else {
        return Ok(token);
    };
    let path = node.string()?;
    if path.is_empty() {
        return Ok(token);
    }
    if token.is_some() {
        return Err(node.error("不能与 token 同时给出 (must not be given beside `token`)"));
    }
    let (text, replaced) = token_file(node.source, &path)
        .map_err(|error| node.error(&format!("无法读取 {path}: {error} (cannot read {path})")))?;
    if replaced {
        node.warn(REPLACED);
    }
    let token = key(text.trim()).map_err(|reason| node.error(&reason))?;
    if token.is_none() {
        return Err(node.error(&format!("文件 {path} 是空的 (the file {path} is empty)")));
    }
    warn_of_oddities(token.as_ref(), |reason| node.warn(reason));
    Ok(token)
}

/// The text, and whether another file has its name by now. A relative path is taken from the
/// directory of the configuration file.
fn token_file(source: &Source<'_>, path: &str) -> io::Result<(String, bool)> {
    let directory = Path::new(source.file).parent().unwrap_or(Path::new(""));
    let file = open_regular(&directory.join(path))?;
    let replaced = is_replaced(&file.metadata()?);
    let mut text = String::new();
    file.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok((text, replaced))
}

fn warn_of_oddities(key: Option<&Secret>, warn: impl Fn(&str)) {
    key.into_iter().flat_map(|key| odd::about(key.expose())).for_each(warn);
}

/// A provider's key as it will stand behind `Bearer` (RFC 9110 §5.5: visible ASCII only).
fn key(text: &str) -> Result<Option<Secret>, String> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("含有空格、控制字符或非 ASCII 字符，不能放进 HTTP 头 \
                    (has spaces, control or non-ASCII characters: unfit for an HTTP header)"
            .to_owned());
    }
    Ok((!text.is_empty()).then(|| Secret::new(text)))
}
