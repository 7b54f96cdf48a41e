//! What the operator should know though it is allowed: said at the start, at each reload and by
//! `--check`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::{BaseUrl, Config, Passthrough, Provider, Token};
use crate::language::{Text, Words};
use crate::text;

impl Config {
    /// One line for each thing that is odd about the configuration as it is run; `addresses` are
    /// those listened on, as far as known, `clients_max` the connections from clients for which
    /// there are descriptors.
    pub fn warnings(&self, addresses: &[SocketAddr], clients_max: usize) -> Vec<Text> {
        let mut warnings = Vec::new();
        let mut warn = |line: Text| warnings.push(line);
        if self.tokens.is_empty() {
            warn(
                Words(
                    "tokens 为空，所有聊天请求都会被拒绝",
                    "no tokens: every chat will be refused",
                )
                .into(),
            );
        }
        if self.providers.is_empty() {
            warn(
                Words("providers 为空，没有可用的模型", "no providers: there are no models").into(),
            );
        }
        let published = |token: &Token| token.secret.matches(Self::DEMO_TOKEN.as_bytes());
        if let Some(address) = addresses.iter().find(|address| !address.ip().is_loopback()) {
            warn(text!(
                "监听在 {address}，其他机器可以访问",
                "listening beyond loopback: other machines can connect" => "listening on {address}, beyond loopback: other machines can connect"
            ));
            if self.tokens.iter().any(published) {
                let token = Self::DEMO_TOKEN;
                warn(text!(
                    "tokens 含有公开的示例token {token}",
                    "holds the published example token" => "tokens holds the published example token {token}"
                ));
            }
        }
        self.providers.iter().for_each(|provider| provider.warn(&mut warn));
        let (wanted, fit) = (self.max_client_connections, clients_max);
        if fit < wanted {
            warn(text!(
                "文件描述符上限只够 {fit} 个客户端连接",
                "max_client_connections lowered from {wanted} to {fit}: file descriptor limit"
            ));
        }
        let authorities = std::env::var_os("SSL_CERT_FILE");
        if let Some(file) = authorities.filter(|file| !Path::new(file).exists()) {
            warn(text!(
                "SSL_CERT_FILE 不存在: {}",
                "SSL_CERT_FILE does not exist: {}",
                file.to_string_lossy()
            ));
        }
        warnings
    }
}

impl Provider {
    fn warn(&self, mut warn: impl FnMut(Text)) {
        let (name, base) = (&self.name, &self.base);
        if base.path.ends_with("/chat/completions") {
            warn(text!(
                "提供商 {name} 的 baseurl 应止于 /chat/completions 之前",
                "baseurl of {name} must end before /chat/completions"
            ));
        }
        let is_bare = |url: &BaseUrl| {
            let is_local = url.host == "localhost"
                || url.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
            let has_key = [base, url].iter().any(|url| url.credentials.is_some());
            !url.https && !is_local && (!self.keys.is_empty() || has_key)
        };
        if is_bare(base) || matches!(&self.passthrough, Passthrough::At(url) if is_bare(url)) {
            warn(text!(
                "提供商 {name} 通过明文 http 发送密钥",
                "provider {name} gets its key over plain http"
            ));
        }
    }
}
