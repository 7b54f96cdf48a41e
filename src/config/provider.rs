//! A provider, in both of its forms, and where its key comes from.

use std::io::{self, Read};
use std::path::Path;

use super::keys::{self, Kind, Value, PROVIDER_KEYS};
use super::load::{is_replaced, open_regular, REPLACED};
use super::node::{shorten, Node, Source};
use super::secret::Secret;
use super::{odd, BaseUrl, ConfigError};

/// No key is longer; a path given by mistake must not fill the memory.
const TOKEN_FILE_BYTES_MAX: u64 = 64 * 1024;

/// One upstream service. Equality includes its key, so that a reload can say what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    /// What stands before the first slash of a model id; not empty, without slashes.
    pub name: String,
    /// Where its endpoints are.
    pub base: BaseUrl,
    /// Its key, visible ASCII; `None`: no `Authorization` is sent.
    pub token: Option<Secret>,
    /// The only models it offers; empty: those that it lists itself.
    pub model_list: Vec<String>,
}

impl Value for Provider {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        if node.is_string() {
            return from_string(node);
        }
        if !node.is_object() {
            return Err(node.wrong_type("对象或字符串", "an object or a string"));
        }
        let mut provider = Self::default();
        keys::read(PROVIDER_KEYS, node, &mut provider)?;
        Ok(provider)
    }

    fn show(&self, _: &Kind) -> String {
        format!("{}: {}{}", self.name, self.base, keys::show(PROVIDER_KEYS, self))
    }

    fn stands_beside(&self, earlier: &[Self], node: &Node<'_>) -> Result<(), ConfigError> {
        let Some(index) = earlier.iter().position(|other| other.name == self.name) else {
            return Ok(());
        };
        let name = shorten(&self.name);
        let reason =
            format!("与 providers[{index}] 重名: {name} (providers[{index}] is named {name}, too)");
        Err(node.part("provider").error(&reason))
    }
}

/// The old form `name|baseurl|token`; the token may be empty and may hold further bars.
fn from_string(node: &Node<'_>) -> Result<Provider, ConfigError> {
    let text = node.string()?;
    let mut parts = text.splitn(3, '|');
    let (Some(name), Some(url), Some(token)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(node.error(
            "必须形如 \"名称|baseurl|token\"，要有两个竖线，token 可以为空 \
             (must look like \"name|baseurl|token\", with both bars; the token may be empty)",
        ));
    };
    let base = base_url(url, &node.part("baseurl"))?;
    let token = key(token, &node.part("token"))?;
    if token.is_some() {
        node.note_secret();
    }
    let name = check_name(name).map_err(|reason| node.part("provider").error(reason))?;
    Ok(Provider { name, base, token, ..Provider::default() })
}

pub(super) fn check_name(name: &str) -> Result<String, &'static str> {
    if name.is_empty() || name.contains(|c: char| c == '/' || c.is_control()) {
        return Err("不能为空，也不能含有 / 或控制字符 \
                    (must not be empty or contain a slash or control characters)");
    }
    Ok(name.to_owned())
}

impl Value for BaseUrl {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        base_url(&node.string()?, node)
    }

    fn show(&self, _: &Kind) -> String {
        self.to_string()
    }
}

/// A provider's key; an empty string counts as absent.
impl Value for Option<Secret> {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        let token = key(&node.string()?, node)?;
        if token.is_some() {
            node.note_secret();
        }
        Ok(token)
    }

    fn show(&self, _: &Kind) -> String {
        if self.is_some() { "set" } else { "none" }.to_owned()
    }
}

/// The key from the file that `token_file` names, read after `token`; an empty name counts as
/// absent.
pub(super) fn read_token_file(provider: &mut Provider, node: &Node<'_>) -> Result<(), ConfigError> {
    let path = node.string()?;
    if path.is_empty() {
        return Ok(());
    }
    if provider.token.is_some() {
        return Err(node.error("不能与 token 同时给出 (must not be given beside `token`)"));
    }
    let (text, replaced) = token_file(node.source, &path)
        .map_err(|error| node.error(&format!("无法读取 {path}: {error} (cannot read {path})")))?;
    if replaced {
        node.warn(REPLACED);
    }
    provider.token = key(text.trim(), node)?;
    if provider.token.is_none() {
        return Err(node.error(&format!("文件 {path} 是空的 (the file {path} is empty)")));
    }
    Ok(())
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

fn base_url(text: &str, node: &Node<'_>) -> Result<BaseUrl, ConfigError> {
    let base = BaseUrl::parse(text).map_err(|reason| node.error(&reason))?;
    if base.credentials.is_some() {
        node.note_secret();
    }
    Ok(base)
}

/// A provider's key as it will stand behind `Bearer` (RFC 9110 §5.5: visible ASCII only).
fn key(text: &str, node: &Node<'_>) -> Result<Option<Secret>, ConfigError> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(node.error(
            "含有空格、控制字符或非 ASCII 字符，不能放进 HTTP 头 \
             (has spaces, control or non-ASCII characters: unfit for an HTTP header)",
        ));
    }
    odd::about(text).for_each(|reason| node.warn(reason));
    Ok((!text.is_empty()).then(|| Secret::new(text)))
}
