//! The one request that is not a client's: `GET baseurl/models`, for the list and as a probe, which
//! spends no tokens.

use std::time::Duration;

use async_h1::client::Encoder;
use futures_lite::future::block_on;
use futures_lite::io::AsyncReadExt;
use http_types::{Method, Request, Url};

use crate::routing::first_key;
use crate::runtime::{label, Share, Wait};
use crate::state::State;
use crate::upstream::{self, authorization, exchange, Message, Provider, Timeouts};
use crate::wire::fields;

/// How long a provider may take for its model list or a probe.
pub const QUERY_MAX: Duration = Duration::from_secs(5);
/// The longest list that is read: thousands of models, described at length.
pub const LIST_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// UTF-8's; some write it in front of a text.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Anthropic wants fields of its own for `/models`, and lists few models unless asked for more.
const ANTHROPIC_HOST: &str = "api.anthropic.com";
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// A provider's response.
pub struct Listing {
    /// Its status.
    pub status: u16,
    /// Its body, as it came.
    pub body: Vec<u8>,
    /// Whether it is an HTML page.
    pub is_page: bool,
    /// The memory of its body.
    pub share: Share,
}

/// Asks a provider for its models.
///
/// # Errors
/// See [`upstream::Error`]; all of it takes [`QUERY_MAX`] at most.
pub async fn models(state: &State, provider: &Provider) -> Result<Listing, upstream::Error> {
    let key = first_key(provider, state.clock().now());
    let mut message = Message::new(request_head(provider, key), Vec::new(), None);
    let mut share = state.memory.held.share();
    let (outer, inner) = (state.timer(), state.timer());
    let wait = Wait::new(label::WHOLE_ANSWER, outer.now(), QUERY_MAX);
    let timeouts = Timeouts::query(QUERY_MAX);
    outer
        .within(wait, async {
            let response =
                exchange(&state.pool, &provider.origin, &mut message, &timeouts, &inner).await?;
            let (status, html) = (response.head.status, says_html(&response.head.relayed));
            let body = match response.collect(LIST_BYTES_MAX, &mut share).await {
                // The status tells enough.
                Err(upstream::Error::Memory(_)) if status != 200 => Vec::new(),
                body => body?,
            };
            Ok(Listing { status, is_page: html || looks_like_html(&body), body, share })
        })
        .await
        .map_err(upstream::Error::Timeout)?
}

/// Whether a response is a page for people and not an answer.
pub fn is_page(head: &[u8], body: &[u8]) -> bool {
    says_html(head) || looks_like_html(body)
}

/// Whether a head names `text/html` as the type of its body.
fn says_html(head: &[u8]) -> bool {
    let media = fields(head, "content-type")
        .next()
        .and_then(|value| value.split(|byte| *byte == b';').next());
    media.is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(b"text/html"))
}

fn looks_like_html(body: &[u8]) -> bool {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii_start().starts_with(b"<")
}

/// The head of the request for a provider's models with its key of this number, which has no body.
pub fn request_head(provider: &Provider, key: usize) -> Vec<u8> {
    let (config, base) = (&provider.config, &provider.config.base);
    let anthropic = base.host == ANTHROPIC_HOST;
    let scheme = if base.https { "https" } else { "http" };
    let mut target = base.target("/models", "");
    if anthropic {
        target.push_str(if target.contains('?') { "&limit=1000" } else { "?limit=1000" });
    }
    let Ok(url) = Url::parse(&format!("{scheme}://{}{target}", base.authority())) else {
        // The configuration was checked to hold a URL.
        return Vec::new();
    };
    let mut request = Request::new(Method::Get, url);
    request.insert_header("accept", "application/json");
    request.insert_header("accept-encoding", "identity");
    request.insert_header("user-agent", concat!("ai_proxy/", env!("CARGO_PKG_VERSION")));
    match (config.keys.get(key), &base.credentials) {
        (Some(token), _) if anthropic => {
            request.insert_header("x-api-key", token.expose());
            request.insert_header("anthropic-version", ANTHROPIC_VERSION);
        }
        (token, credentials) => {
            if let Some(value) = authorization(token, credentials.as_ref()) {
                request.insert_header("authorization", value);
            }
        }
    }
    let mut head = Vec::new();
    // From memory to memory: ready at once, and it cannot fail.
    let _ = block_on(Encoder::new(request).read_to_end(&mut head));
    head
}
