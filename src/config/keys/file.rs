//! The keys of the file, in the order in which they are read and shown.

use std::net::Ipv6Addr;

use super::Kind::{
    Boolean, Integer, Lines, List, Mixed, Named, Seconds, SecondsOrZero, Size, Text, Word,
};
use super::Shown::{Elsewhere, Given, Limit, Plain, Titled};
use super::{key, needs_restart, required, wanted, Key, Presence, Shown, Value, OFF, RETRIES_MAX};
use crate::config::Config;
use crate::language::Words;

const PORT_MAX: u64 = u16::MAX as u64;
const UPSTREAM_CONNECTIONS_MAX: u64 = 100_000;
const CLIENT_CONNECTIONS_MAX: u64 = 10_000;

/// `$schema` is for editors and otherwise ignored.
pub(in crate::config) const KEYS: &[Key<Config>] = &[
    key! { "$schema" => with |_, _| Ok(()), Word,
    "",
    "",
    "Ignored; lets editors find this schema." },
    needs_restart(key! { host, Text(check_host), Elsewhere,
    r#"name or address to listen on; every address that the name has is used (127.0.0.1 and ::1). `"0.0.0.0"` and `"::"` let other machines in; `"::"` takes IPv4, too"#,
    r#"监听的主机名或地址；主机名的所有地址都会监听（127.0.0.1 和 ::1）。`"0.0.0.0"` 和 `"::"` 让其他机器也能访问；`"::"` 也接受 IPv4"#,
    "Listen name or address, without a port; every address that the name resolves to is used, and :: takes IPv4, too. Changing it needs a restart.",
    r##""type": ["string", "null"], "anyOf": [{"type": "null"}, {"pattern": "^([^\\s:]+|\\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]+(%[^\\s:]+)?\\]?)$"}, {"$ref": "#/$defs/reference"}], "default": "localhost", "examples": ["localhost", "0.0.0.0", "::"]"## }),
    needs_restart(key! { port, Integer(0, PORT_MAX), Elsewhere,
    "port to listen on (the example file uses 8001); 0 picks a free one, printed at start",
    "监听端口（示例文件用 8001）；0 表示自动选一个空闲端口，启动时打印",
    "Listen port; 0 picks a free one, printed at start. Changing it needs a restart." }),
    key! { log_level, Word, Titled(Words("日志级别", "log_level")),
    "`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`. `INFO` writes a line for each chat",
    "`DEBUG`、`INFO`、`WARNING`、`ERROR` 或 `CRITICAL`。`INFO` 为每次聊天写一行",
    "The least severe level that is logged, in upper or lower case. INFO writes one line per request.",
    r##""default": "WARNING", "anyOf": [{"enum": ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", null]}, {"type": "string", "pattern": "^([Dd][Ee][Bb][Uu][Gg]|[Ii][Nn][Ff][Oo]|[Ww][Aa][Rr][Nn][Ii][Nn][Gg]|[Ee][Rr][Rr][Oo][Rr]|[Cc][Rr][Ii][Tt][Ii][Cc][Aa][Ll])$"}, {"$ref": "#/$defs/reference"}]"## },
    key! { language, Word, Plain,
    "`\"en\"` or `\"zh\"`: what the terminal speaks; without it `LC_ALL`, `LC_MESSAGES` or `LANG` decide: Chinese for `zh…`, else English. With `\"en\"` the log and the errors over HTTP are in English, too; otherwise they are in Chinese with the English meaning in brackets",
    "`\"en\"` 或 `\"zh\"`：终端信息的语言；缺省时由 `LC_ALL`、`LC_MESSAGES` 或 `LANG` 决定：`zh…` 为中文，否则为英文。设为 `\"en\"` 时，日志和 HTTP 错误信息也是英文；否则它们是中文，括号内附英文",
    "Language of the terminal, zh or en; without it the environment decides. With en the log and the errors over HTTP are in English, too.",
    r##""enum": ["en", "zh", null]"## },
    Key {
        show: Config::show_providers,
        ..required(key! { providers, Lines(Words("0", "0")), Titled(Words("提供商", "providers")),
        "the providers, see below. An empty list starts, with a warning",
        "提供商，见下文。空列表可以启动，但有警告",
        r#"The upstream services; their names must be unique. An object each, or the old string "name|baseurl|token" with both bars."#,
        r##""type": "array", "items": {"anyOf": [{"$ref": "#/$defs/provider"}, {"$ref": "#/$defs/providerString"}, {"$ref": "#/$defs/reference"}]}"## })
    },
    wanted(key! { tokens, Lines(Words("0", "0")), Titled(Words("客户端 token", "tokens")),
    r#"who may chat: `"description\|token"`, split at the first bar. The description appears in the log, the token never. Required by the schema; absent means an empty list, with a warning: nobody can chat"#,
    r#"谁可以聊天：`"说明\|token"`，在第一个竖线处分开。说明会出现在日志里，token 绝不会。Schema 要求写出此项；缺省即为空列表，并给出警告：谁都不能聊天"#,
    r#"Who may chat: "description|token" each, split at the first bar. The description appears in the log, the token never does. An empty list lets nobody chat."#,
    r##""type": ["array", "null"], "default": [], "items": {"type": "string", "anyOf": [{"pattern": "^[^|]*\\|(.|\\n)*\\S"}, {"$ref": "#/$defs/reference"}]}, "examples": [["测试|sk-test-123456"]]"## }),
    key! { supported_models, Lines(Words("全部放行", "all models pass")), Titled(Words("模型过滤", "supported_models")),
    "regular expressions over `provider/model`. A model passes when any of them finds a match anywhere in it (use `^` and `$`); an empty list lets all pass",
    "对 `provider/model` 的正则表达式。任意一条在其中任何位置匹配即放行（请用 `^` 和 `$`）；空列表放行全部",
    r#"Regular expressions over "provider/model". A model passes when any of them finds a match in it; an empty list lets all pass."#,
    r#""type": ["array", "null"], "default": [], "items": {"type": "string"}, "examples": [["^zhipu/", "deepseek"]]"# },
    Key {
        show: Config::show_aliases,
        ..key! { aliases, Named, Given(Words("别名", "aliases")),
        "names of your own for models, see below",
        "自定的模型名，见下文",
        "Names of your own for models: a target, a list of them, or an object. One * at the end of a name makes it a pattern.",
        r##""type": ["object", "null"], "default": {}, "propertyNames": {"minLength": 1, "pattern": "^[^*]*[*]?$"}, "additionalProperties": {"$ref": "#/$defs/aliasForm"}, "examples": [{"fast": "groq/llama-3.3-70b", "smart": ["a/x", "b/y"]}]"## }
    },
    key! { bare_models, Boolean, Given(Words("省略提供商的模型名", "bare_models")),
    "let clients leave out `provider/` where exactly one provider lists the model",
    "如果只有一个提供商列出某个模型，客户端可以省略 `提供商/`",
    "Whether a model may be asked for without provider/, if exactly one provider lists it." },
    key! { retries, Integer(0, RETRIES_MAX), Given(Words("重试次数", "retries")),
    "additional attempts for a request, 0 to 10, over all keys, targets and aliases together; `--check` prints how many attempts there are at most",
    "每个请求的额外尝试次数，0 到 10，所有密钥、目标和别名合计；`--check` 会打印最多有几次尝试",
    "Additional attempts for a request, over all keys, targets and aliases together; absent: by the number of keys and targets, at most 8.",
    r##""type": ["integer", "null"], "minimum": 0, "maximum": 10"## },
    key! { retry_on, Mixed, Given(Words("重试条件", "retry_on")),
    "what is tried again beside what always is: statuses from 400 to 599, `\"timeout\"`, and values of the `error.code` of a refusal",
    "除默认情况外，还在哪些情况下重试：400 到 599 的状态码、`\"timeout\"`，以及拒绝时的 `error.code`",
    "What is tried again beside what always is: statuses, timeout, and values of error.code.",
    r##""type": ["array", "null"], "default": [], "items": {"$ref": "#/$defs/retryOn"}, "examples": [["timeout", 500, "context_length_exceeded"]]"## },
    key! { retry_wait_max, SecondsOrZero, Given(Words("最长重试等待", "retry_wait_max")),
    "longest wait before the same provider is asked again with the same key",
    "用同一密钥再次请求同一提供商之前的最长等待时间",
    "Seconds: the longest wait before the same provider is asked again with the same key." },
    key! { max_connections, Integer(1, UPSTREAM_CONNECTIONS_MAX), Limit,
    "upstream connections at once, 1 to 100,000; further requests wait their turn",
    "同时的上游连接数，1 到 100,000；更多请求排队",
    "Upstream connections at once; more requests wait their turn." },
    key! { max_keepalive_connections, Integer(0, UPSTREAM_CONNECTIONS_MAX), Limit,
    "idle upstream connections kept; 0 keeps none",
    "保留的空闲上游连接数；0 表示不保留",
    "Idle upstream connections kept; 0 keeps none." },
    key! { max_client_connections, Integer(1, CLIENT_CONNECTIONS_MAX), Limit,
    "client connections at once, 1 to 10,000; at the limit an idle one is closed for each newcomer, and without an idle one newcomers wait in the kernel's queue",
    "同时的客户端连接数，1 到 10,000；达到上限后，每来一个新连接就关闭一个空闲连接，没有空闲连接时新连接在内核队列里等待",
    "Connections from clients at once; at the limit idle ones are closed for newcomers." },
    key! { max_response_size, Size, Limit,
    "largest response that does not stream",
    "非流式响应的最大字节数",
    "Non-streaming: the largest body of an answer, in bytes." },
    key! { max_request_size, Size, Limit,
    "largest request body",
    "请求体的最大字节数",
    "The largest body of a request, in bytes." },
    key! { keepalive_expiry, SecondsOrZero, Limit,
    "age at which an idle upstream connection is closed",
    "空闲上游连接到这个时长就关闭",
    "Seconds after which an idle upstream connection is closed." },
    key! { stream_timeout, Seconds, Limit,
    "streaming: longest wait for the response and then for its next bytes. A stream that keeps coming may last for hours",
    "流式：等待响应、以及之后等待后续数据的最长时间。只要不断有数据，流可以持续几个小时",
    "Streaming: the longest wait for the answer and for its next bytes, in seconds." },
    key! { non_stream_timeout, Seconds, Limit,
    "non-streaming: from sending the request to the end of the response. Also how long any request may wait for a free connection",
    "非流式：从发出请求到响应结束。也是任何请求等待空闲连接的最长时间",
    "Non-streaming: from sending the request to the end of the answer, in seconds." },
    key! { sse_keepalive, SecondsOrZero, Limit,
    "when a stream is silent that long after the provider's head, send `: keep-alive` between two events; 0 is off",
    "收到提供商的响应头之后，流在该时间内没有数据时，在两个事件之间发送 `: keep-alive`；0 表示关闭",
    "Seconds of silence, once the provider's head is there, after which a stream's client gets an SSE comment; 0 turns this off." },
    key! { early_keepalive, SecondsOrZero, Limit,
    "streaming: when the provider's head is not there after so long, send `200`, `text/event-stream` and `: keep-alive`, and another comment each time it has passed again; 0 is off. A later refusal is then an event and not a status, see [Silence](behaviour.md#silence-and-fronts-that-cut-it)",
    "流式：在该时间内没有收到提供商的响应头时，先返回 `200`、`text/event-stream` 和 `: keep-alive`，之后每隔同样时间再发一条注释；0 表示关闭。此后提供商若拒绝，客户端收到的是事件而不是状态码，见[静默](behaviour.md#静默与会切断连接的前置代理)",
    "Seconds of silence before the provider's head after which a stream's client gets 200 and SSE comments all the same; a later refusal is then an error event, not a status; 0 turns this off." },
    key! { cors_origins, List(OFF), Plain,
    "pages of browsers that may use the proxy from elsewhere (CORS): their origins, exactly as `https://chat.example` or `app://obsidian.md`, with any port as `http://localhost:*`, or `*` for every page. A page needs a token all the same. Empty: nothing is said to browsers",
    "允许跨域使用代理的网页（CORS）：写来源，如 `https://chat.example` 或 `app://obsidian.md`；任意端口写 `http://localhost:*`；`*` 表示所有网页。网页仍然需要 token。为空：不向浏览器说明任何事",
    "Origins of pages that browsers may let use the proxy (CORS): exact ones, ones with any port such as http://localhost:*, or * for every page. Empty: nothing is said to browsers.",
    r##""type": ["array", "null"], "default": [], "items": {"type": "string", "anyOf": [{"enum": ["*"]}, {"pattern": "^[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9._~-]+|\\[[0-9A-Fa-f:.]+\\])(:([1-9][0-9]*|\\*))?$"}, {"enum": ["file://"]}, {"$ref": "#/$defs/reference"}]}, "examples": [["https://chat.example", "http://localhost:*"]]"## },
    key! { explain, Boolean, Plain,
    "put where the time went, and the model, into the heads of all providers' responses (`Server-Timing`, `x-ai-proxy-model`), as the header [`x-ai-proxy-explain: 1`](endpoints.md#explain-a-request) does for one request",
    "在所有提供商响应的头中写明耗时去向和模型（`Server-Timing`、`x-ai-proxy-model`），等同于每个请求都带 [`x-ai-proxy-explain: 1`](endpoints.md#查看一次请求的耗时)",
    "Whether the heads of providers' responses say where the time went (Server-Timing) and which model answered (x-ai-proxy-model)." },
    needs_restart(key! { reuse_port, Boolean, Plain,
    "let several processes share the port (`SO_REUSEPORT`), one for each core for instance; give each its own working directory, for the log",
    "允许多个进程共用端口（`SO_REUSEPORT`），例如每个核心一个；请给每个进程自己的工作目录，以便放日志",
    "Whether several processes may share the port (SO_REUSEPORT)." }),
];

fn check_host(text: &str) -> Result<String, Words> {
    let host = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Words("不能为空，也不能含有空白", "must not be empty or contain white space"));
    }
    let address = host.split('%').next().unwrap_or_default();
    if host.contains(':') && address.parse::<Ipv6Addr>().is_err() {
        return Err(Words(
            "只写主机名或地址，端口写在 port",
            "a name or an address only; the port goes into `port`",
        ));
    }
    Ok(host.to_owned())
}
