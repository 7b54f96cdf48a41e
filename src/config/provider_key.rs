//! A provider's name and keys: what they may hold, and where the keys come from.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

use super::node::{Node, Source};
use super::regular_file::{is_replaced, open_regular, REPLACED};
use super::secret::Secret;
use super::{odd, ConfigError, Provider};
use crate::language::{System, Text, Words};
use crate::{message, text};

/// No list of keys is longer; a path given by mistake must not fill the memory.
const TOKEN_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A provider's name, which stands before a slash.
pub(super) fn check_name(name: &str) -> Result<String, Words> {
    if name.is_empty() || name.contains(|c: char| c == '/' || c.is_control()) {
        return Err(Words(
            "不能为空，也不能含有 / 或控制字符",
            "must not be empty or contain a slash or control characters",
        ));
    }
    Ok(name.to_owned())
}

/// A provider's keys, each once.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) list: Vec<Secret>,
    /// Where each stands, by its element or line.
    places: HashMap<String, usize>,
}

impl Keys {
    /// Adds a key that is not there yet; an empty one counts as absent.
    pub(super) fn add(
        &mut self,
        text: &str,
        place: usize,
        node: &Node<'_>,
        same: fn(usize) -> Text,
    ) -> Result<(), ConfigError> {
        match (key(text, node)?, self.places.get(text)) {
            (None, _) => {}
            (Some(_), Some(first)) => node.warn(same(*first)),
            (Some(key), None) => {
                self.places.insert(text.to_owned(), place);
                self.list.push(key);
            }
        }
        Ok(())
    }
}

/// The keys from the file that `token_file` names, one a line, read after `token`; an empty name
/// counts as absent.
pub(super) fn read_token_file(provider: &mut Provider, node: &Node<'_>) -> Result<(), ConfigError> {
    let path = node.string()?;
    if path.is_empty() {
        return Ok(());
    }
    if !provider.keys.is_empty() {
        return Err(node.error(Words("不能与 token 同时给出", "must not be given beside `token`")));
    }
    let (text, replaced) = token_file(node.source, &path).map_err(|error| {
        let error = System(&error);
        node.error(message!("无法读取 {path}: {error}", "cannot read {path}: {error}"))
    })?;
    if replaced {
        node.warn(REPLACED);
    }
    let mut keys = Keys::default();
    let lines: Vec<_> = text.lines().map(str::trim).enumerate().collect();
    let several = lines.iter().filter(|(_, line)| !line.is_empty()).count() > 1;
    let same = |line| text!("与第 {line} 行相同，已忽略", "the same as line {line}, ignored");
    for (index, line) in lines {
        let place = index + 1;
        let node = if several { node.at_line(place) } else { node.clone() };
        keys.add(line, place, &node, same)?;
    }
    provider.keys = keys.list;
    if provider.keys.is_empty() {
        return Err(node.error(message!("文件 {path} 是空的", "the file {path} is empty")));
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
    file.take(TOKEN_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TOKEN_FILE_BYTES_MAX {
        return Err(io::Error::other(Words("超过 64 KB", "is over 64 KB")));
    }
    Ok((text, replaced))
}

/// A provider's key as it will stand behind `Bearer` (RFC 9110 §5.5: visible ASCII only).
pub(super) fn key(text: &str, node: &Node<'_>) -> Result<Option<Secret>, ConfigError> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(node.error(Words(
            "含有空格、控制字符或非 ASCII 字符，不能放进 HTTP 头",
            "has spaces, control or non-ASCII characters: unfit for an HTTP header",
        )));
    }
    odd::about(text).for_each(|reason| node.warn(reason));
    Ok((!text.is_empty()).then(|| Secret::new(text)))
}
