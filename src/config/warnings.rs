//! What the operator should know though it is allowed: said at the start, at each reload and by
//! `--check`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::config::{Config, Token};

/// One line for each thing that is odd; `addresses` are those listened on, as far as known,
/// `clients_max` the connections from clients for which there are descriptors.
pub fn of(config: &Config, addresses: &[SocketAddr], clients_max: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.tokens.is_empty() {
        warnings.push(
            "tokens 为空，所有聊天请求都会被拒绝 (no tokens: every chat will be refused)"
                .to_owned(),
        );
    }
    if config.providers.is_empty() {
        warnings
            .push("providers 为空，没有可用的模型 (no providers: there are no models)".to_owned());
    }
    if let Some(address) = addresses.iter().find(|address| !address.ip().is_loopback()) {
        warnings.push(format!(
            "监听在 {address}，其他机器可以访问 (listening beyond loopback: other machines can connect)"
        ));
    }
    let published = |token: &Token| token.secret.matches(Config::DEMO_TOKEN.as_bytes());
    if addresses.iter().any(|address| !address.ip().is_loopback())
        && config.tokens.iter().any(published)
    {
        warnings.push(format!(
            "tokens 含有公开的示例token {} (holds the published example token)",
            Config::DEMO_TOKEN
        ));
    }
    for provider in &config.providers {
        let base = &provider.base;
        if base.path.ends_with("/chat/completions") {
            warnings.push(format!(
                "提供商 {} 的 baseurl 应止于 /chat/completions 之前 (baseurl of {} must end before /chat/completions)",
                provider.name, provider.name
            ));
        }
        let local =
            base.host == "localhost" || base.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if !base.https && !local && (provider.token.is_some() || base.credentials.is_some()) {
            warnings.push(format!(
                "提供商 {} 通过明文 http 发送密钥 (provider {} gets its key over plain http)",
                provider.name, provider.name
            ));
        }
    }
    let (wanted, fit) = (config.max_client_connections, clients_max);
    if fit < wanted {
        warnings.push(format!(
            "文件描述符上限只够 {fit} 个客户端连接 (max_client_connections lowered from {wanted} to {fit}: file descriptor limit)"
        ));
    }
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !Path::new(file).exists()) {
        let file = file.to_string_lossy().into_owned();
        warnings.push(format!("SSL_CERT_FILE 不存在 (does not exist): {file}"));
    }
    warnings
}
