//! nginx and HAProxy: where they are, and how they are told to do what ai_proxy does, each as cheaply as it
//! can: one process, one thread, nothing logged, connections kept, nothing held back.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::authority::HOST;
use crate::subject::Setup;

/// Finds a program where a shell, or root's shell, would find it.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(sbin).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// One process without a master: that is the cheapest that nginx can be.
pub fn nginx(setup: Setup, addr: SocketAddr) -> String {
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {kind};\n"))
        .concat();
    // Before 1.23.4 it would not offer TLS 1.3, which the others speak. It needs to be told to check.
    let tls = setup.roots.map_or_else(String::new, |roots| {
        format!(
            "proxy_ssl_verify on; proxy_ssl_verify_depth 3; proxy_ssl_trusted_certificate {roots};
             proxy_ssl_name {HOST}; proxy_ssl_protocols TLSv1.2 TLSv1.3;
             proxy_ssl_session_reuse {sessions};",
            roots = roots.display(),
            sessions = if setup.sessions { "on" } else { "off" },
        )
    });
    format!(
        "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr warn;
        events {{ worker_connections {connections}; }}
        http {{
            {temp}
            access_log off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s;
            upstream mock {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
            server {{
                listen {addr} backlog=4096;
                location = / {{ return 200 'ready'; }}
                location /v1/chat/completions {{
                    proxy_pass {scheme}://mock; {tls}
                    proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off;
                    proxy_read_timeout 300s;
                }}
            }}
        }}",
        // Both sides of every connection, the idle ones, and the sixteenth that nginx wants to see free.
        connections = 2 * setup.connections + setup.connections / 4 + 512,
        upstream = setup.upstream,
        scheme = setup.scheme(),
    )
}

/// It keeps idle connections as long as few descriptors are in use, and purges them every few seconds
/// unless told otherwise.
pub fn haproxy(setup: Setup, addr: SocketAddr) -> String {
    let tls = setup.roots.map_or_else(String::new, |roots| {
        let sessions = if setup.sessions { "" } else { " no-ssl-reuse" };
        format!(" ssl verify required verifyhost {HOST} ca-file {}{sessions}", roots.display())
    });
    format!(
        "global
    nbthread 1
    maxconn {connections}
defaults
    mode http
    timeout connect 10s
    timeout client 600s
    timeout server 300s
    timeout http-keep-alive 600s
    option http-no-delay
    http-reuse always
frontend clients
    bind {addr} backlog 4096
    http-request return status 200 content-type text/plain string ready if {{ path / }}
    default_backend mock
backend mock
    server mock 127.0.0.1:{upstream}{tls} pool-purge-delay 600s
",
        connections = 4 * setup.connections + 1024,
        upstream = setup.upstream,
    )
}
