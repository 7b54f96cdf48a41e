//! What the terminal shows at the start, in its language.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use crate::config::Config;
use crate::language::{Language, Text, Words};
use crate::report::logging;
use crate::runtime::detach;
use crate::state::{Models, State};
use crate::{message, text};

use super::{auto, rlimit};

/// Shows where it listens, what it was told, and a command to try; says what is odd, there and in the
/// log.
pub fn announce(config: &Config, addresses: &[SocketAddr], file: Option<&Path>, is_demo: bool) {
    let language = Language::of_terminal();
    let text = language.speak(|| match file {
        None if is_demo => of_demo(config, addresses),
        _ => of_providers(config, addresses, file),
    });
    // A terminal or pipe that is gone, or that nobody reads, is no reason to stop.
    let _ = logging::tell(io::stdout(), &text, logging::PATIENCE);
    let version = env!("CARGO_PKG_VERSION");
    let started = Words("已启动", "started");
    log::warn!("ai_proxy {version} {started} {addresses:?}");
    let odd = config.warnings(addresses, rlimit::clients_max());
    let mut said = String::new();
    for warning in config.warnings.iter().chain(&odd) {
        log::warn!("{warning}");
        language.speak(|| {
            let _ = writeln!(said, "{}", message!("警告: {warning}", "warning: {warning}"));
        });
    }
    let _ = logging::tell(io::stderr(), &said, logging::PATIENCE);
}

fn of_providers(config: &Config, addresses: &[SocketAddr], file: Option<&Path>) -> String {
    let mut text = listening(addresses);
    let mut line = |line: &dyn std::fmt::Display| text.push_str(&format!("{line}\n"));
    let url = url(config, addresses);
    line(&message!("浏览器打开 {url} 可看状态页", "status page: open {url} in a browser"));
    match file.map(Path::display) {
        Some(file) => line(&message!("配置: {file}", "configuration: {file}")),
        None => line(&Words(
            "配置: 自动查找（ai_proxy --auto --print > config.json 可保存）",
            "configuration: what --auto found (ai_proxy --auto --print > config.json keeps it)",
        )),
    }
    let count = config.providers.len();
    line(&message!("提供商: {count}", "providers: {count}"));
    for provider in &config.providers {
        let (name, base, count) = (&provider.name, &provider.base, provider.model_list.len());
        match count {
            0 => line(&message!(
                "  {name} {base} 模型: 正在获取",
                "  {name} {base} models: being fetched"
            )),
            _ => line(&message!(
                "  {name} {base} 模型: {count} 个（已列出）",
                "  {name} {base} models: {count} (listed)"
            )),
        }
    }
    let count = config.tokens.len();
    match config.tokens.first().filter(|_| file.is_none()) {
        Some(token) => {
            let token = token.secret.expose();
            line(&message!(
                "客户端 token（每次启动都不同）: {token}",
                "token, another one at each start: {token}"
            ));
        }
        None => line(&message!("客户端 token: {count}", "tokens: {count}")),
    }
    if file.is_none() && config.providers.is_empty() {
        line(&nothing_found());
    }
    if let Some(log) = logging::name_if_writable() {
        line(&message!("日志: {log}", "log: {log}"));
    }
    line(&message!("试一试: curl {url}/v1/models", "try: curl {url}/v1/models"));
    text
}

fn nothing_found() -> Text {
    let variables = auto::variables().collect::<Vec<_>>().join(" ");
    text!(
        "没有找到提供商: 请启动 Ollama 等本机服务，或设置以下变量之一: {variables}",
        "no provider was found: start a local server such as Ollama, or set one of {variables}"
    )
}

fn listening(addresses: &[SocketAddr]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let line = |address: &SocketAddr| {
        message!(
            "ai_proxy {version} 正在监听 http://{address}\n",
            "ai_proxy {version} listening on http://{address}\n"
        )
        .to_string()
    };
    addresses.iter().map(line).collect()
}

/// The address that somebody on this machine can type.
fn url(config: &Config, addresses: &[SocketAddr]) -> String {
    let port = addresses.first().map_or(config.port, SocketAddr::port);
    let here =
        addresses.iter().any(|address| address.ip().is_loopback() || address.ip().is_unspecified());
    match addresses.first() {
        Some(address) if !here => format!("http://{address}"),
        _ => format!("http://localhost:{port}"),
    }
}

fn of_demo(config: &Config, addresses: &[SocketAddr]) -> String {
    let url = url(config, addresses);
    let token = config.tokens.first().map_or("", |token| token.secret.expose());
    let hello = message!("演示程序你好", "Hello from the demo").to_string();
    let chat = |stream: &str, flag: &str| {
        format!(
            "curl {flag}{url}/v1/chat/completions -H 'Authorization: Bearer {token}' \
             -H 'Content-Type: application/json' \
             -d '{{\"model\":\"demo/echo\",{stream}\"messages\":[{{\"role\":\"user\",\"content\":\"{hello}\"}}]}}'\n"
        )
    };
    let (whole, streamed) = (chat("", ""), chat("\"stream\":true,", "-N "));
    let mut text = listening(addresses);
    let help = &message!(
        "没有 config.json，使用内置演示。浏览器打开 {url}，或试一试:\n\n\
         curl {url}/v1/models\n\n{whole}\n{streamed}\n\
         正式使用: cp config.json.example config.json\n",
        "no config.json: running the demo. Open {url} in a browser, or try:\n\n\
         curl {url}/v1/models\n\n{whole}\n{streamed}\n\
         for real: cp config.json.example config.json\n"
    )
    .to_string();
    text.push_str(help);
    if let Some(log) = logging::name_if_writable() {
        text.push_str(&message!("日志: {log}\n", "log: {log}\n").to_string());
    }
    text
}

/// Says of each provider whose list is fetched how that went, as soon as it did.
pub async fn tell_of_lists(state: Rc<State>) {
    let mut waiting = state.catalogue.models.borrow().to_vec();
    while !waiting.is_empty() {
        let next = state.catalogue.waiting.listen();
        waiting.retain(|models| {
            let tried = models.tried_at.get().is_some();
            if tried {
                tell_of_list(models);
            }
            !tried
        });
        if !waiting.is_empty() {
            next.await;
        }
    }
}

fn tell_of_list(models: &Models) {
    let name = models.provider.name();
    let trouble = models.trouble.borrow();
    let line = match &*trouble {
        None => {
            let count = models.list.borrow().len();
            text!("{name}: 已获取 {count} 个模型", "{name}: {count} models fetched")
        }
        Some(cause) => {
            text!(
                "警告: {name} 的模型列表获取失败: {cause}",
                "warning: the models of {name} could not be fetched: {cause}"
            )
        }
    };
    let failed = trouble.is_some();
    // Another thread waits for whoever does not read this.
    let _ = detach(move || {
        let line = Language::of_terminal().speak(|| format!("{line}\n"));
        let _ = match failed {
            true => logging::tell(io::stderr(), &line, logging::PATIENCE),
            false => logging::tell(io::stdout(), &line, logging::PATIENCE),
        };
    });
}
