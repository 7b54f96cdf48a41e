//! The keys of an alias that is an object, and of one of its targets.

use super::Kind::{Integer, Mixed, Targets, Word};
use super::Shown::{Elsewhere, Plain};
use super::{key, required, Key, Presence, Shown, Value, RETRIES_MAX};
use crate::config::{Alias, AliasTarget};

const WEIGHT_MAX: u64 = 1000;

pub(in crate::config) const ALIAS_KEYS: &[Key<Alias>] = &[
    required(key! { targets, Targets, Elsewhere,
    "what is asked in its place, at most 64: `provider/model` or another alias, or `{\"model\": …, \"weight\": …}` with a weight from 0 to 1000, by default 1",
    "实际请求的模型，最多 64 个：`提供商/模型` 或另一个别名，或者 `{\"model\": …, \"weight\": …}`，权重为 0 到 1000，默认 1",
    "What is asked in its place, at most 64: provider/model or another alias, or an object with a weight.",
    r##""$ref": "#/$defs/targets""## }),
    key! { order, Word, Plain,
    "`\"in_order\"` (the first, and others only when it fails), `\"weights\"` (by weight, one conversation always the same; weight 0 only when the others fail) or `\"round_robin\"` (each in turn)",
    "`\"in_order\"`（用第一个，失败时才用后面的）、`\"weights\"`（按权重，同一对话总用同一个；权重 0 仅在其他都失败时使用）或 `\"round_robin\"`（依次轮流）",
    "in_order (the first, and others only when it fails), weights (by weight, one conversation always the same; weight 0 only when the others fail) or round_robin (each in turn).",
    r##""default": "in_order", "anyOf": [{"enum": ["in_order", "weights", "round_robin", null]}, {"$ref": "#/$defs/reference"}]"## },
    key! { retries, Integer(0, RETRIES_MAX), Plain,
    "additional attempts, 0 to 10, in place of the file's",
    "额外尝试次数，0 到 10，代替全局的设置",
    "Additional attempts, in place of the file's.",
    r##""type": ["integer", "null"], "minimum": 0, "maximum": 10"## },
    key! { retry_on, Mixed, Plain,
    "as the file's, added to it",
    "同全局的 `retry_on`，与之合并",
    "As the file's, added to it.",
    r##""type": ["array", "null"], "default": [], "items": {"$ref": "#/$defs/retryOn"}"## },
];

pub(in crate::config) const TARGET_KEYS: &[Key<AliasTarget>] = &[
    required(key! { model, Word, Elsewhere, "", "" }),
    key! { weight, Integer(0, WEIGHT_MAX), Elsewhere, "", "" },
];
