//! `--auto`: a configuration from what is there, known variables and servers on this machine.

use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use serde::Serialize;
use smol::LocalExecutor;

use crate::config::{BaseUrl, Config, Provider};
use crate::language::{System, Text};
use crate::routes::{model_list, query};
use crate::runtime::{label, Reactor, Wait};
use crate::server;
use crate::state::State;

/// How long a server on this machine may take to say what it has.
const ANSWER_MAX: Duration = Duration::from_millis(300);
/// Where servers are looked for, and nowhere else.
const LOOPBACK: &str = "127.0.0.1";
/// As the demo's.
const PORT: u16 = 8001;
/// Random bytes of the token.
const TOKEN_BYTES: usize = 24;

/// A variable that holds a key, the name that its provider gets, and where that is.
const KEYS: [(&str, &str, &str); 18] = [
    ("OPENAI_API_KEY", "openai", "https://api.openai.com/v1"),
    ("ANTHROPIC_API_KEY", "anthropic", "https://api.anthropic.com/v1"),
    ("DEEPSEEK_API_KEY", "deepseek", "https://api.deepseek.com/v1"),
    ("ZHIPUAI_API_KEY", "zhipu", "https://open.bigmodel.cn/api/paas/v4"),
    ("MOONSHOT_API_KEY", "moonshot", "https://api.moonshot.cn/v1"),
    ("DASHSCOPE_API_KEY", "dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
    ("SILICONFLOW_API_KEY", "siliconflow", "https://api.siliconflow.cn/v1"),
    ("OPENROUTER_API_KEY", "openrouter", "https://openrouter.ai/api/v1"),
    ("GROQ_API_KEY", "groq", "https://api.groq.com/openai/v1"),
    ("MISTRAL_API_KEY", "mistral", "https://api.mistral.ai/v1"),
    ("GEMINI_API_KEY", "gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
    ("XAI_API_KEY", "xai", "https://api.x.ai/v1"),
    ("ARK_API_KEY", "ark", "https://ark.cn-beijing.volces.com/api/v3"),
    ("MINIMAX_API_KEY", "minimax", "https://api.minimax.io/v1"),
    ("TOGETHER_API_KEY", "together", "https://api.together.xyz/v1"),
    ("FIREWORKS_API_KEY", "fireworks", "https://api.fireworks.ai/inference/v1"),
    ("CEREBRAS_API_KEY", "cerebras", "https://api.cerebras.ai/v1"),
    ("NVIDIA_API_KEY", "nvidia", "https://integrate.api.nvidia.com/v1"),
];

/// The port on which a program listens unless it is told otherwise, and the name that it gets.
const SERVERS: [(u16, &str); 5] =
    [(11434, "ollama"), (1234, "lmstudio"), (8000, "vllm"), (8080, "llamacpp"), (1337, "jan")];

/// The variables that are looked for.
pub fn variables() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(variable, ..)| *variable)
}

/// The text of a configuration with all that is there. Keys stay in their variables.
///
/// # Errors
/// The kernel has no epoll to give, or no random bytes.
pub fn text() -> Result<String, Text> {
    let failed = |what: &str, error: &io::Error| Text::at(format!("{what}: "), &System(error));
    let reactor = Reactor::new().map_err(|error| failed("epoll", &error))?;
    let executor = Rc::new(LocalExecutor::new());
    let is_set = |name: &str| std::env::var(name).is_ok_and(|key| !key.trim().is_empty());
    let with_key = |(variable, provider, base): &(&str, &'static str, &str)| Found {
        provider,
        baseurl: (*base).to_owned(),
        token: Some(format!("${{{variable}}}")),
    };
    let mut providers: Vec<_> =
        KEYS.iter().filter(|(variable, ..)| is_set(variable)).map(with_key).collect();
    providers.extend(servers(&reactor, &executor));
    let token = random_token().map_err(|error| failed("/dev/urandom", &error))?;
    let tokens = [format!("auto|{token}")];
    let config = FoundConfig { host: "localhost", port: PORT, providers, tokens };
    // Strings and numbers only: it cannot fail.
    Ok(serde_json::to_string_pretty(&config).unwrap_or_default() + "\n")
}

#[derive(Serialize)]
struct FoundConfig {
    host: &'static str,
    port: u16,
    providers: Vec<Found>,
    tokens: [String; 1],
}

/// A provider, in the order in which people read its keys.
#[derive(Serialize)]
struct Found {
    provider: &'static str,
    baseurl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Found {
    fn server(port: u16, provider: &'static str) -> Found {
        Found { provider, baseurl: format!("http://{LOOPBACK}:{port}/v1"), token: None }
    }
}

/// Those that answer, all asked at once, in the order of [`SERVERS`].
fn servers(reactor: &Rc<Reactor>, executor: &Rc<LocalExecutor<'static>>) -> Vec<Found> {
    let provider = |(port, name): (u16, &str)| {
        let (host, path) = (LOOPBACK.to_owned(), "/v1".to_owned());
        let base = BaseUrl { host, port, path, ..BaseUrl::default() };
        Provider { name: name.to_owned(), base, ..Provider::default() }
    };
    let config = Config { providers: SERVERS.map(provider).into(), ..Config::default() };
    let state = State::new(reactor.clone(), executor, config, None, 0);
    let settings = state.settings();
    let asked = settings.providers.iter().map(|provider| {
        let (state, provider) = (state.clone(), provider.clone());
        executor.spawn(async move {
            let timer = state.timer();
            let wait = Wait::new(label::WHOLE_ANSWER, timer.now(), ANSWER_MAX);
            let listing = timer.within(wait, query::models(&state, &provider)).await;
            matches!(listing, Ok(Ok(list)) if is_server(list.status, &list.body))
        })
    });
    let asked: Vec<_> = asked.collect();
    let found = async {
        let mut found = Vec::new();
        for ((port, name), answers) in SERVERS.into_iter().zip(asked) {
            if answers.await {
                found.push(Found::server(port, name));
            }
        }
        found
    };
    let driven = async {
        server::drive(executor).await;
        Vec::new()
    };
    reactor.block_on(or(found, driven))
}

/// Whether that is what a model server answers, and not some other program that has the port.
fn is_server(status: u16, body: &[u8]) -> bool {
    status == 200 && model_list::read(body, body.len()).is_ok()
}

fn random_token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(format!("sk-{hex}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_documents_name_every_variable_and_every_port() {
        for text in
            [include_str!("../../docs/providers.md"), include_str!("../../docs/zh-CN/providers.md")]
        {
            for (variable, provider, _) in KEYS {
                assert!(text.contains(&format!("| `{variable}` | `{provider}` |")), "{variable}");
            }
            for (port, provider) in SERVERS {
                let is_row = |line: &str| {
                    line.starts_with(&format!("| {port} | "))
                        && line.contains(&format!("`{provider}`"))
                };
                assert!(text.lines().any(is_row), "{port}");
            }
        }
    }

    #[test]
    fn only_a_list_of_models_shows_a_server() {
        for (status, body, shows) in [
            (200, &br#"{"object":"list","data":[{"id":"m"}]}"#[..], true),
            (200, br#"{"object":"list","data":[]}"#, true),
            (401, br#"{"data":[{"id":"m"}]}"#, false),
            (200, b"<html>a page</html>", false),
            (200, br#"{"status":"ok"}"#, false),
            (200, b"", false),
        ] {
            assert_eq!(is_server(status, body), shows, "{status} {body:?}");
        }
    }

    #[test]
    fn what_is_written_is_a_configuration_whatever_is_set() {
        let all = KEYS.map(|(variable, provider, base)| {
            json!({
                "provider": provider, "baseurl": base, "token": format!("${{{variable}:-x}}"),
            })
        });
        let text = json!({"providers": all, "tokens": []}).to_string();
        let config = Config::parse(&text, "f").expect("valid");
        assert!(config.advice().is_empty() && config.providers.len() == KEYS.len());
    }
}
