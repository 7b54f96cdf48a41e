//! The head of a client's request, checked.

use std::borrow::Cow;

use memchr::memchr;

use super::credentials::Rank;
use super::cross_origin::CrossOrigin;
use super::fields::{Known, Stays};
use super::grammar::{Field, Fields, NO_PLACES};
use super::host::{check_host, may_be_local};
use super::start_line::request_line;
use super::{list, trim, Control, HeadError};
use crate::language::Words;
use crate::wire::body::Framing;

/// Names the model beside the body.
pub const NAMED_MODEL: &str = "x-ai-proxy-model";
/// The longest request id that is taken over.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// How much of a content coding's name stands in the error.
const CODING_BYTES_SHOWN: usize = 64;

/// What the program needs to know of a request head; nothing in it borrows from the wire.
pub struct RequestHead {
    /// As sent: methods are case-sensitive.
    pub method: Cow<'static, str>,
    /// The path of the target, without query; percent-encoding is left as it is, so that no
    /// encoded name can stand for another path.
    pub path: String,
    /// The query of the target, without its `?`, as it was sent; empty when there is none.
    pub query: String,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub minor: u8,
    /// How the body is framed; `None` when there is none.
    pub framing: Framing,
    /// Whether the client wants another exchange on this connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// What the client shows to be let in: what stands behind `Bearer ` in `Authorization`, else
    /// `x-api-key`, else `api-key`, else `x-goog-api-key`.
    pub token: Option<Vec<u8>>,
    /// The lines of these fields, but for those that hold a secret: for providers without a key.
    pub credentials: Vec<u8>,
    /// The client's own request id, when it is plain.
    pub request_id: Option<String>,
    /// The coding of a body that is compressed or otherwise encoded (RFC 9110 §8.4).
    pub coding: Option<String>,
    /// What [`NAMED_MODEL`] says, whose line goes on nevertheless.
    pub named_model: Option<String>,
    /// Whether the client wants to be told where the time went (`x-ai-proxy-explain`).
    pub explain: bool,
    /// How many attempts more than one the client wants at most (`x-ai-proxy-retries`).
    pub retries: Option<u8>,
    /// Whether the client would rather speak WebSocket (RFC 6455 §4.1).
    pub wants_websocket: bool,
    /// Whether an `anthropic-version` says which dialect the client speaks.
    pub is_anthropic: bool,
    /// Whether fields say that a reverse proxy asks for a client of its own, or a browser for a
    /// page.
    pub forwarded: bool,
    /// Whether a safe request (RFC 9110 §9.2.1) may be one of this machine's own user, as far as its
    /// fields tell. Not looked at for others: a chat need not pay for it.
    pub may_be_local: bool,
    /// What a browser says of a page from elsewhere.
    pub cross_origin: Option<Box<CrossOrigin>>,
    /// Whether the client asks for `/` and names `text/html` in `Accept`, and would not rather have
    /// JSON.
    pub prefers_html: bool,
    /// The end-to-end field lines for the provider.
    pub relayed: Vec<u8>,
}

impl RequestHead {
    /// Reads the head at the beginning of `bytes`, all of which must be there, and tells its length. Fields
    /// whose value `is_secret` stay here: some clients send their token in several.
    ///
    /// # Errors
    /// See [`HeadError`]; after any of them what follows on the connection cannot be trusted to be
    /// a request.
    pub fn parse(
        bytes: &[u8],
        is_secret: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(RequestHead, usize), HeadError> {
        let (method, target, minor, start) = request_line(bytes)?;
        let mut places = NO_PLACES;
        let fields = &Fields::read(bytes, start, false, &mut places)?;
        let control = Control::read(fields)?;
        check_host(fields, minor)?;
        let (path, query) = path_of(method, target)?;
        let mut head = RequestHead {
            method: method_of(method),
            path: path.to_owned(),
            query: query.to_owned(),
            minor,
            framing: control.framing(minor)?.unwrap_or(Framing::None),
            keep_alive: control.persists(minor),
            expects_continue: false,
            token: None,
            credentials: Vec::new(),
            request_id: None,
            coding: None,
            named_model: None,
            explain: false,
            retries: None,
            wants_websocket: false,
            is_anthropic: false,
            forwarded: false,
            may_be_local: false,
            cross_origin: None,
            prefers_html: false,
            relayed: Vec::with_capacity(fields.length),
        };
        head.prefers_html = head.path == "/" && prefers_html(fields);
        // nginx speaks 1.0 to what is behind it, unless it is told otherwise.
        head.may_be_local =
            minor > 0 && matches!(&*head.method, "GET" | "HEAD") && may_be_local(fields);
        head.take_fields(fields, &control, is_secret)?;
        head.request_id = head.request_id.filter(|id| !is_secret(id.as_bytes()));
        Ok((head, fields.length))
    }

    /// Takes note of what the fields say, and keeps the lines of those that go on.
    fn take_fields(
        &mut self,
        fields: &Fields<'_>,
        control: &Control<'_>,
        is_secret: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), HeadError> {
        for field in fields.of(|known| known != Known::Nothing) {
            self.take_note(&field)?;
        }
        let is_credential = |known: Known| known.stays() == Some(Stays::Credential);
        let (mut rank, mut shown) = (Rank::NONE, 0);
        for field in fields.of(is_credential) {
            rank.take_token(&mut self.token, &field);
            shown += 1;
        }
        let may_go_on = |field: &Field<'_>| {
            !control.names(*field) && field.value().is_ascii() && !is_secret(field.value())
        };
        fields.push_lines(&mut self.relayed, |known| known.stays().is_none(), may_go_on);
        // The one that lets the client in goes no further.
        if shown > usize::from(self.token.is_some()) {
            fields.push_lines(&mut self.credentials, is_credential, may_go_on);
        }
        Ok(())
    }

    fn take_note(&mut self, field: &Field<'_>) -> Result<(), HeadError> {
        let value = field.value();
        match field.known() {
            Known::Nothing => {}
            Known::AnthropicVersion => self.is_anthropic = true,
            Known::NamedModel => self.named_model = String::from_utf8(value.to_vec()).ok(),
            Known::ContentEncoding => self.take_coding(value),
            Known::Front => self.forwarded = true,
            // Node's `fetch` says no more than this one; a browser says others, too.
            Known::SecFetchMode => {}
            Known::Browser | Known::Origin | Known::SecFetchSite => {
                self.forwarded = true;
                CrossOrigin::note(&mut self.cross_origin, field.name(), value);
            }
            Known::Upgrade => {
                let websocket = |protocol: &[u8]| protocol.eq_ignore_ascii_case(b"websocket");
                self.wants_websocket |= list(value).any(websocket);
            }
            Known::Expect => {
                // HTTP/1.0 knows no expectations (RFC 9110 §10.1.1).
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(HeadError::Expectation);
                }
                self.expects_continue = self.minor > 0;
            }
            Known::RequestId => {
                let plain = !value.is_empty()
                    && value.len() <= REQUEST_ID_BYTES_MAX
                    && value.iter().all(u8::is_ascii_graphic);
                let text = std::str::from_utf8(value).ok().filter(|_| plain);
                self.request_id = text.map(str::to_owned);
            }
            Known::Explain => {
                self.explain = value == b"1" || value.eq_ignore_ascii_case(b"true");
            }
            Known::Retries => {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                // Whoever on the way has a say can only lower it.
                self.retries = number.into_iter().chain(self.retries).min();
            }
            _ => {}
        }
        Ok(())
    }

    fn take_coding(&mut self, value: &[u8]) {
        if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
            return;
        }
        let shown = &value[..value.len().min(CODING_BYTES_SHOWN)];
        let coding = String::from_utf8_lossy(shown).into_owned();
        self.coding = Some(match self.coding.take() {
            Some(first) if first.len() < CODING_BYTES_SHOWN => format!("{first}, {coding}"),
            Some(first) => first + ", …",
            None => coding,
        });
    }
}

/// Whether `Accept` names `text/html` and ranks it no lower than `application/json`. A wildcard
/// names nothing: curl and the SDKs send those.
fn prefers_html(fields: &Fields<'_>) -> bool {
    let accept = fields.of(|known| known == Known::Accept);
    let (mut html, mut json) = (0.0, 0.0);
    for media in accept.flat_map(|field| list(field.value())) {
        let mut parts = media.split(|byte| *byte == b';').map(trim);
        let name = parts.next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"text/html") {
            html = quality(parts);
        } else if name.eq_ignore_ascii_case(b"application/json") {
            json = quality(parts);
        }
    }
    html > 0.0 && html >= json
}

/// The weight among the parameters (RFC 9110 §12.4.2); 0 when it is malformed.
fn quality<'v>(mut parameters: impl Iterator<Item = &'v [u8]>) -> f32 {
    let weight = parameters.find_map(|part| {
        let (name, value) = part.split_at_checked(b"q=".len())?;
        name.eq_ignore_ascii_case(b"q=").then_some(value)
    });
    let Some(weight) = weight else { return 1.0 };
    let weight = std::str::from_utf8(weight).ok().and_then(|text| text.parse().ok());
    weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0)
}

/// The usual ones are borrowed.
fn method_of(method: &str) -> Cow<'static, str> {
    match method {
        "POST" => Cow::Borrowed("POST"),
        "GET" => Cow::Borrowed("GET"),
        _ => Cow::Owned(method.to_owned()),
    }
}

/// Path and query of an origin-form or absolute-form target (RFC 9112 §3.2).
fn path_of<'t>(method: &str, target: &'t str) -> Result<(&'t str, &'t str), HeadError> {
    let whole = if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        target
    } else {
        let (scheme, rest) = target.split_once("://").unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(HeadError::Malformed(&Words("请求目标无效", "malformed request target")));
        }
        match rest.find(['/', '?', '#']) {
            Some(end) if rest[end..].starts_with('/') => &rest[end..],
            _ => "/",
        }
    };
    let whole = memchr(b'#', whole.as_bytes()).map_or(whole, |end| &whole[..end]);
    let end = memchr(b'?', whole.as_bytes());
    Ok(end.map_or((whole, ""), |end| (&whole[..end], &whole[end + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RequestHead, HeadError> {
        RequestHead::parse(text.as_bytes(), &|_| false).map(|(head, _)| head)
    }

    #[test]
    fn conflicting_lengths_are_refused() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: +2",
            "Content-Length: 1, 2",
            "Content-Length:",
            "Content-Length: 99999999999999999999999",
            "Content-Length: 2\r\nTransfer-Encoding: chunked",
        ] {
            let head = parse(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
            assert!(matches!(head, Err(HeadError::Malformed(_))), "{fields}");
        }
    }

    #[test]
    fn only_chunked_is_a_known_coding() {
        for (coding, known) in [
            ("Chunked", true),
            ("gzip, chunked", false),
            ("gzip", false),
            ("chunked, chunked", false),
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n");
            assert_eq!(parse(&head).is_ok(), known, "{coding}");
        }
    }

    #[test]
    fn hop_by_hop_and_private_fields_stay_here() {
        let head = parse(
            "POST / HTTP/1.1\r\nHost: a\r\nX-Keep: 1\r\nConnection: x-drop, close\r\nX-Drop: 1\r\n\
             Cookie: a\r\nAuthorization: Bearer t\r\nTE: trailers\r\nX-Name: \u{e4}\r\n\r\n",
        );
        let head = head.ok().unwrap();
        assert_eq!(head.relayed, b"X-Keep: 1\r\n");
        assert_eq!(head.token.as_deref(), Some(&b"t"[..]));
        assert!(!head.keep_alive);
    }

    #[test]
    fn fields_that_hold_a_secret_stay_here() {
        let text =
            "POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key:  t \r\nX-One: 1\r\nX-Request-Id: t\r\n\r\n";
        let (head, _) = RequestHead::parse(text.as_bytes(), &|value| value == b"t").ok().unwrap();
        assert_eq!(head.relayed, b"X-One: 1\r\n");
        assert_eq!(head.request_id, None);
        assert_eq!(parse(text).ok().unwrap().request_id.as_deref(), Some("t"));
    }

    #[test]
    fn targets_lose_query_and_authority_but_are_not_decoded() {
        for (target, path) in [
            ("/v1/models?x=1", "/v1/models"),
            ("http://h/health", "/health"),
            ("http://h", "/"),
            ("http://h?x=/y", "/"),
            ("/v1/%2e%2e/health", "/v1/%2e%2e/health"),
        ] {
            let head = parse(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(head.ok().unwrap().path, path);
        }
    }
}
