//! `retry_on`: after which answers there is another attempt, beside those after which there is one
//! anyway.

use std::ops::RangeInclusive;

use super::keys::{Kind, Value};
use super::node::Node;
use super::{ConfigError, Mistakes};
use crate::language::Words;

const STATUSES: RangeInclusive<u64> = 400..=599;
/// No provider's code is longer.
const CODE_BYTES_MAX: usize = 64;

const WANTED: Words = Words(
    "必须是 400 到 599 的状态码、\"timeout\" 或错误代码（字母、数字、_ . -，不超过 64 字节）",
    "must be a status from 400 to 599, \"timeout\" or an error code (letters, digits, _ . -, up to 64 bytes)",
);

/// What is tried again although it would be final.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// Whether the provider took too long.
    pub timeout: bool,
    /// Statuses, 400 to 599, each once.
    pub statuses: Vec<u16>,
    /// Values of `error.code`, each once.
    pub codes: Vec<String>,
}

impl Value for RetryOn {
    fn read(node: &Node<'_>, _: &Kind) -> Result<Self, ConfigError> {
        let (mut retry_on, mut mistakes) = (Self::default(), Mistakes::default());
        for entry in node.array()? {
            mistakes.note(retry_on.add(&entry));
        }
        mistakes.none()?;
        Ok(retry_on)
    }

    fn show(&self, _: &Kind) -> String {
        let statuses = self.statuses.iter().map(u16::to_string);
        let timeout = self.timeout.then(|| "timeout".to_owned());
        statuses.chain(timeout).chain(self.codes.iter().cloned()).collect::<Vec<_>>().join(", ")
    }
}

impl RetryOn {
    fn add(&mut self, entry: &Node<'_>) -> Result<(), ConfigError> {
        if !entry.is_string() {
            let status = entry
                .integer(*STATUSES.start(), *STATUSES.end())
                .map_err(|_| entry.error(WANTED))?;
            if !self.statuses.contains(&status) {
                self.statuses.push(status);
            }
            return Ok(());
        }
        let code = entry.string()?;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !(1..=CODE_BYTES_MAX).contains(&code.len()) || !code.bytes().all(is_part) {
            return Err(entry.error(WANTED));
        }
        if code.parse().is_ok_and(|number| STATUSES.contains(&number)) {
            entry.warn(Words(
                "是错误代码，不是状态码；状态码请不加引号",
                "is an error code and no status: a status has no quotes",
            ));
        }
        match &*code {
            "timeout" => self.timeout = true,
            _ if !self.codes.contains(&code) => self.codes.push(code),
            _ => {}
        }
        Ok(())
    }
}
