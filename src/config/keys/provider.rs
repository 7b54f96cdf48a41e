//! The keys of a provider that is an object, in the order in which they are read and shown.

use super::Kind::{List, StringOrList, SwitchOrUrl, Text, Word};
use super::Shown::{Elsewhere, Plain, Titled};
use super::{key, required, Key, Presence, Shown, Value};
use crate::config::endpoints::read_endpoints;
use crate::config::provider_key::{check_name, read_token_file};
use crate::config::Provider;
use crate::language::Words;

pub(in crate::config) const PROVIDER_KEYS: &[Key<Provider>] = &[
    required(key! { "provider" => name, Text(check_name), Elsewhere,
    "its name, which stands before the first slash of a model id: unique, without slashes",
    "名称，即模型 id 第一个斜杠之前的部分：不可重复，不含斜杠",
    "Its name: what stands before the first slash of a model id. Unique, without slashes.",
    r##""type": "string", "minLength": 1, "anyOf": [{"pattern": "^[^/]+$"}, {"$ref": "#/$defs/reference"}]"## }),
    required(key! { "baseurl" => base, Word, Elsewhere,
    "`http://` or `https://`. Chat goes to `baseurl/chat/completions`, listing to `baseurl/models`, and so on. A query is kept behind the path, before the client's own; a dot at the end of the host is for the resolver only (TLS goes by the name without it); `user:password@` is sent as Basic credentials when there is no token",
    "`http://` 或 `https://`。聊天发往 `baseurl/chat/completions`，列表取自 `baseurl/models`，其余接口类推。查询串保留在路径之后、客户端的查询串之前；主机名末尾的点只用于域名解析（TLS 使用去掉点的名字）；没有 token 时，`user:password@` 作为 Basic 凭据发送",
    "http or https URL without a fragment; a dot at the end of the host is for the resolver only. Chat goes to baseurl/chat/completions, listing to baseurl/models, and so on.",
    r##""type": "string", "anyOf": [{"pattern": "^\\s*[Hh][Tt][Tt][Pp][Ss]?://[^\\s#]+\\s*$"}, {"$ref": "#/$defs/reference"}]"## }),
    key! { "token" => keys, StringOrList, Titled(Words("密钥", "key")),
    "its key, sent as `Authorization: Bearer`, or a list of [several](#several-keys). Empty or absent: none is sent; a key of the client's own, in any field but the one with its token, then passes",
    "密钥，以 `Authorization: Bearer` 发送；也可以是[多个密钥](#多个密钥)的列表。为空或缺省：不发送；这时客户端自己的密钥可以通过，只要不在存放 token 的那个头里",
    "Its key, or several of them, visible ASCII; empty or absent: none is sent.",
    r##""anyOf": [{"type": "null"}, {"$ref": "#/$defs/key"}, {"type": "array", "items": {"$ref": "#/$defs/key"}}]"## },
    key! { "token_file" => with read_token_file, Word,
    "a file that holds the key, or one key a line, instead of `token`; a relative path starts at the directory of the configuration file",
    "存放密钥的文件（可以有多个密钥，每行一个），用来代替 `token`；相对路径从配置文件所在目录算起",
    "A file that holds the key, or one key a line, instead of token; a relative path starts at the directory of config.json." },
    key! { key_order, Word, Plain,
    "which of several keys a request uses: `\"sticky\"` (all requests of a conversation the same one, for the provider's cache), `\"round_robin\"` (each in turn) or `\"in_order\"` (the first, and others only while it cannot be used)",
    "有多个密钥时请求使用哪一个：`\"sticky\"`（同一对话的请求都用同一个，以利用提供商的缓存）、`\"round_robin\"`（依次轮流）或 `\"in_order\"`（用第一个，不可用时才用后面的）",
    "Which of several keys a request uses: sticky (all requests of a conversation the same one, for the provider's cache), round_robin (each in turn) or in_order (the first, and others only while it cannot be used).",
    r##""default": "sticky", "anyOf": [{"enum": ["sticky", "round_robin", "in_order", null]}, {"$ref": "#/$defs/reference"}]"## },
    key! { model_list, List(Words("启动时获取", "asked for at the start")), Titled(Words("模型", "models")),
    "the only models it offers. Empty or absent: its own list is fetched",
    "只提供这些模型。为空或缺省：获取提供商自己的列表",
    "The only models it offers; empty or absent: models are fetched from it." },
    Key {
        read: read_endpoints,
        ..key! { endpoints, List(Words("全部", "all")), Plain,
        "the only paths behind `/v1/` that it answers, such as `\"chat/completions\"` and `\"embeddings\"`; requests for others do not go to it. Empty or absent: all",
        "它只提供这些接口（`/v1/` 之后的路径，如 `\"chat/completions\"`、`\"embeddings\"`）；其他接口的请求不会发给它。为空或缺省：全部",
        "The only paths behind /v1/ that it answers, such as chat/completions and embeddings; requests for others do not go to it. Empty or absent: all." }
    },
    key! { passthrough, SwitchOrUrl, Plain,
    "`true`: requests of any kind to `/p/{provider}/…` go on below its `baseurl`, unread, with its key; a URL: below that one. Absent or `false`: there is no such path",
    "`true`：发往 `/p/{provider}/…` 的任何请求原样转发到其 `baseurl` 之下，带上它的密钥；填网址：转发到该网址之下。缺省或 `false`：没有这个路径",
    "true: requests of any kind to /p/{provider}/… go on below its baseurl, unread, with its key; a URL: below that one. Absent or false: there is no such path.",
    r##""type": ["boolean", "string", "null"], "default": false, "anyOf": [{"type": ["boolean", "null"]}, {"pattern": "^\\s*[Hh][Tt][Tt][Pp][Ss]?://[^\\s#]+\\s*$"}, {"$ref": "#/$defs/reference"}]"## },
];
