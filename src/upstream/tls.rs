//! TLS to providers: one OpenSSL context for all connections, made when the first one needs it.
//!
//! async-native-tls 0.6.0 builds a context, and parses the whole CA bundle twice, for every
//! connection (40 ms and 0.85 MB each) and offers no way to share one. native-tls, on which it
//! stands, does: a handshake over a socket that returns `WouldBlock` is all that is missing.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

use native_tls::{Certificate, HandshakeError, TlsConnector, TlsStream};
use smol::lock::Mutex;

use crate::language::{System, Text};
use crate::runtime::{offload, UnderTls, Watched};
use crate::upstream::roots;
use crate::{message, text};

/// The shared TLS context.
pub struct Tls {
    /// The context, and the reload for which the CA files were last read. Locked while it is made:
    /// connections that need it meanwhile wait for the same one.
    current: Mutex<Option<(u64, TlsConnector)>>,
    /// Reloads so far.
    reloads: Cell<u64>,
    make: fn() -> Result<TlsConnector, Text>,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls::with(make)
    }
}

impl Tls {
    /// A context that `make`, on a thread of its own, makes when it is needed.
    fn with(make: fn() -> Result<TlsConnector, Text>) -> Tls {
        Tls { current: Mutex::default(), reloads: Cell::default(), make }
    }

    /// Has the next connection read the CA files again.
    pub fn reload(&self) {
        self.reloads.set(self.reloads.get() + 1);
    }

    /// Speaks TLS with the server `host` on `stream`, and believes it only when its certificate is
    /// signed by a trusted root (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured) and names `host`.
    ///
    /// # Errors
    /// What OpenSSL found wrong, in one line.
    pub async fn handshake(
        &self,
        host: &str,
        stream: Watched,
    ) -> Result<TlsStream<UnderTls>, Text> {
        shake_hands(&self.connector().await?, host, stream).await
    }

    /// The same without a look at who signed the certificate and for whom. It proves nothing: for
    /// what wants to see the certificate and says nothing.
    ///
    /// # Errors
    /// What OpenSSL found wrong, in one line.
    pub async fn handshake_untrusted(
        &self,
        host: &str,
        stream: Watched,
    ) -> Result<TlsStream<UnderTls>, Text> {
        let mut builder = TlsConnector::builder();
        builder.danger_accept_invalid_certs(true).disable_built_in_roots(true);
        let connector = builder.build().map_err(|error| cause(&error))?;
        shake_hands(&connector, host, stream).await
    }

    /// The context, made now if it was not needed before.
    ///
    /// # Errors
    /// What keeps OpenSSL from making one.
    pub async fn connector(&self) -> Result<TlsConnector, Text> {
        let mut current = self.current.lock().await;
        // Read before the context is made: another reload may come meanwhile.
        let reload = self.reloads.get();
        let known = match current.as_ref() {
            Some((made_for, connector)) if *made_for == reload => return Ok(connector.clone()),
            known => known.map(|(_, connector)| connector.clone()),
        };
        // Off the event loop: reading the CA bundle takes tens of milliseconds.
        let made = offload(self.make).await.map_err(|error| Text::new(System(&error)));
        let connector = match (made.and_then(|made| made), known) {
            (Ok(made), _) => made,
            (Err(cause), Some(known)) => {
                log::error!(
                    "{}",
                    message!(
                        "{cause}: 沿用原来的CA证书",
                        "{cause}: the CA certificates stay as they were"
                    )
                );
                known
            }
            (Err(cause), None) => return Err(cause),
        };
        // Stored only now: when the client that waits for this leaves, the next one begins again.
        Ok(current.insert((reload, connector)).1.clone())
    }
}

async fn shake_hands(
    connector: &TlsConnector,
    host: &str,
    stream: Watched,
) -> Result<TlsStream<UnderTls>, Text> {
    let mut state = match connector.connect(host, UnderTls::new(stream)) {
        Ok(stream) => return Ok(stream),
        Err(HandshakeError::Failure(error)) => return Err(cause(&error)),
        Err(HandshakeError::WouldBlock(middle)) => Some(middle),
    };
    let mut fresh = true;
    poll_fn(move |context| {
        let Some(middle) = state.take() else { return Poll::Pending };
        if fresh {
            fresh = false;
            middle.get_ref().wake_on_any(context);
            state = Some(middle);
            return Poll::Pending;
        }
        match middle.handshake() {
            Ok(stream) => Poll::Ready(Ok(stream)),
            Err(HandshakeError::Failure(error)) => Poll::Ready(Err(cause(&error))),
            Err(HandshakeError::WouldBlock(middle)) => {
                middle.get_ref().wake_on_any(context);
                state = Some(middle);
                Poll::Pending
            }
        }
    })
    .await
}

/// Reads the CA files.
fn make() -> Result<TlsConnector, Text> {
    roots::expect_some()?;
    let mut builder = TlsConnector::builder();
    if let Some(pem) = roots::missing()? {
        for root in Certificate::stack_from_pem(&pem).map_err(|error| cause(&error))? {
            builder.add_root_certificate(root);
        }
    }
    let connector = builder.build().map_err(|error| cause(&error))?;
    roots::expect_some()?;
    Ok(connector)
}

fn cause(error: &native_tls::Error) -> Text {
    plain(&error.to_string())
}

/// What OpenSSL says most often.
const REASONS: [(&str, &str); 10] = [
    ("certificate verify failed", "证书验证失败"),
    ("self-signed certificate", "自签名证书"),
    ("self-signed certificate in certificate chain", "证书链中有自签名证书"),
    ("unable to get local issuer certificate", "找不到签发者的证书"),
    ("certificate has expired", "证书已过期"),
    ("certificate is not yet valid", "证书尚未生效"),
    ("hostname mismatch", "证书与主机名不符"),
    ("IP address mismatch", "证书与IP地址不符"),
    ("wrong version number", "对方使用的不是TLS"),
    ("unexpected eof while reading", "对方断开了连接"),
];

/// OpenSSL's words, or any other library's, without the place in its sources and in one line.
pub fn plain(text: &str) -> Text {
    let mut reasons: Vec<&str> = Vec::new();
    for part in text.split(", ") {
        // "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify
        // failed:../ssl/statem/statem_clnt.c:1889: (self-signed certificate)"
        match part.strip_prefix("error:") {
            Some(rest) => {
                reasons.push(rest.split(':').nth(3).unwrap_or(rest).trim());
                if let Some((_, detail)) = rest.split_once(" (") {
                    reasons.push(detail.trim_end_matches(')'));
                }
            }
            None => reasons.push(part.trim()),
        }
    }
    reasons.retain(|reason| !reason.is_empty());
    let english = reasons.join(": ").replace(char::is_control, " ");
    for reason in &mut reasons {
        let known = REASONS.iter().find(|(english, _)| english == reason);
        *reason = known.map_or(*reason, |(_, chinese)| chinese);
    }
    let chinese = reasons.join(": ").replace(char::is_control, " ");
    text!("{chinese}", "{english}")
}

#[cfg(test)]
mod tests;
