//! A provider, in both of its forms.

use super::keys::{self, Kind, Value, PROVIDER_KEYS};
use super::node::{shorten, Node};
use super::provider_key::{check_name, key, Keys};
use super::secret::Secret;
use super::{BaseUrl, ConfigError, KeyOrder, Mistakes, Passthrough};
use crate::language::Words;
use crate::{message, text};

/// One upstream service. Equality includes its key, so that a reload can say what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    /// What stands before the first slash of a model id; not empty, without slashes.
    pub name: String,
    /// Where its endpoints are.
    pub base: BaseUrl,
    /// Its keys, visible ASCII, each once; none: no `Authorization` is sent.
    pub keys: Vec<Secret>,
    /// Which of them a request uses.
    pub key_order: KeyOrder,
    /// Paths behind `/v1/` that it answers; empty: all.
    pub endpoints: Vec<String>,
    /// The only models it offers; empty: those that it lists itself.
    pub model_list: Vec<String>,
    /// Where requests of any kind go to it.
    pub passthrough: Passthrough,
}

impl Value for Provider {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        if node.is_string() {
            return from_string(node);
        }
        if !node.is_object() {
            return Err(node.wrong_type(Words("对象或字符串", "an object or a string")));
        }
        let mut provider = Self::default();
        keys::read(PROVIDER_KEYS, node, &mut provider)?;
        Ok(provider)
    }

    fn show(&self, _: &Kind) -> String {
        format!("{}: {}{}", self.name, self.base, keys::show(PROVIDER_KEYS, self))
    }

    fn stands_beside(&self, earlier: &[(usize, Self)], node: &Node<'_>) -> Result<(), ConfigError> {
        let same = |(_, other): &&(usize, Self)| other.name == self.name;
        let Some((index, _)) = earlier.iter().find(same) else {
            return Ok(());
        };
        let name = shorten(&self.name);
        let reason =
            text!("与 providers[{index}] 重名: {name}", "providers[{index}] is named {name}, too");
        Err(node.part("provider").error(reason))
    }
}

/// The old form `name|baseurl|token`; the token may be empty and may hold further bars.
fn from_string(node: &Node<'_>) -> Result<Provider, ConfigError> {
    let text = node.string()?;
    let mut parts = text.splitn(3, '|');
    let (Some(name), Some(url), Some(token)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(node.error(Words(
            "必须形如 \"名称|baseurl|token\"，要有两个竖线，token 可以为空",
            "must look like \"name|baseurl|token\", with both bars; the token may be empty",
        )));
    };
    let base = base_url(url, &node.part("baseurl"))?;
    let token = key(token, &node.part("token"))?;
    if token.is_some() {
        node.note_secret();
    }
    let name = check_name(name).map_err(|reason| node.part("provider").error(reason))?;
    Ok(Provider { name, base, keys: token.into_iter().collect(), ..Provider::default() })
}

impl Value for BaseUrl {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        base_url(&node.string()?, node)
    }

    fn show(&self, _: &Kind) -> String {
        self.to_string()
    }
}

/// A provider's keys, one or a list of them; an empty string counts as absent.
impl Value for Vec<Secret> {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        let (mut keys, mut mistakes) = (Keys::default(), Mistakes::default());
        let is_list = node.is_array();
        let nodes = match () {
            () if is_list => node.array()?,
            () if node.is_string() => vec![node.clone()],
            () => {
                let wanted = Words("字符串或字符串数组", "a string or an array of strings");
                return Err(node.wrong_type(wanted));
            }
        };
        let same =
            |place| text!("与 token[{place}] 相同，已忽略", "the same as token[{place}], ignored");
        for (place, node) in nodes.iter().enumerate() {
            mistakes.note(node.string().and_then(|text| {
                match (text.is_empty(), is_list) {
                    (true, true) => node.warn(Words("为空，已忽略", "empty, ignored")),
                    (true, false) => {}
                    (false, _) => node.note_secret(),
                }
                keys.add(&text, place, node, same)
            }));
        }
        mistakes.none()?;
        Ok(keys.list)
    }

    fn show(&self, _: &Kind) -> String {
        match self.len() {
            0 => Words("无", "none").to_string(),
            1 => Words("已设置", "set").to_string(),
            count => message!("已设置 {count} 个", "{count} set").to_string(),
        }
    }
}

fn base_url(text: &str, node: &Node<'_>) -> Result<BaseUrl, ConfigError> {
    let base = BaseUrl::parse(text).map_err(|reason| node.error(reason))?;
    if base.credentials.is_some() {
        node.note_secret();
    }
    Ok(base)
}
