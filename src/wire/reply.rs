//! Responses of our own. async-h1 writes their heads.

use std::ops::Deref;
use std::rc::Rc;

use async_h1::server::Encoder;
use futures_lite::future::block_on;
use futures_lite::io::{empty, AsyncReadExt};
use http_types::{Body, Method, Mime, Response, StatusCode};
use memchr::memmem;

const NO_CONTENT: u16 = 204;

/// A body that may be shared: a thousand clients that read one slowly keep it once.
pub enum ReplyBody {
    /// One client's.
    Owned(Vec<u8>),
    /// Shared by all clients that are sent it.
    Shared(Rc<Vec<u8>>),
    /// Part of the program.
    Static(&'static [u8]),
}

impl Deref for ReplyBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            ReplyBody::Owned(bytes) => bytes,
            ReplyBody::Shared(bytes) => bytes,
            ReplyBody::Static(bytes) => bytes,
        }
    }
}

/// A response that does not come from a provider.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    content_type: &'static str,
    /// The body.
    pub content: ReplyBody,
    fields: Vec<(&'static str, String)>,
}

impl Reply {
    /// A JSON document; a line feed behind it keeps a terminal's prompt on a line of its own.
    pub fn json(status: u16, mut body: Vec<u8>) -> Reply {
        body.push(b'\n');
        Reply::new(status, "application/json", ReplyBody::Owned(body))
    }

    /// A JSON document, its line feed included, that others are sent, too; its status is 200.
    pub fn shared_json(body: Rc<Vec<u8>>) -> Reply {
        Reply::new(200, "application/json", ReplyBody::Shared(body))
    }

    /// A page for a browser; its status is 200.
    pub fn html(body: &'static [u8]) -> Reply {
        Reply::new(200, "text/html; charset=utf-8", ReplyBody::Static(body))
    }

    /// One that says all in its head; its status is 204.
    pub fn no_content() -> Reply {
        Reply::new(NO_CONTENT, "", ReplyBody::Static(b""))
    }

    fn new(status: u16, content_type: &'static str, content: ReplyBody) -> Reply {
        Reply { status, content_type, content, fields: Vec::new() }
    }

    /// Adds a field.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.fields.push((name, value.into()));
        self
    }

    /// The bytes of the head, for an HTTP/1.1 or 1.0 client as `minor` says, and the body behind
    /// it.
    pub fn encode(self, keep_alive: bool, minor: u8) -> (Vec<u8>, ReplyBody) {
        let status = StatusCode::try_from(self.status).unwrap_or(StatusCode::InternalServerError);
        let mut response = Response::new(status);
        if self.status != NO_CONTENT {
            response.set_body(Body::from_reader(empty(), Some(self.content.len())));
            response.set_content_type(Mime::from(self.content_type));
        }
        // `Upgrade` belongs to this connection, and says so (RFC 9110 §7.8).
        let upgrade = self.fields.iter().any(|(name, _)| *name == "upgrade").then_some("Upgrade");
        for (name, value) in self.fields {
            response.insert_header(name, value);
        }
        let options = [connection_option(keep_alive, minor), upgrade];
        let options: Vec<&str> = options.into_iter().flatten().collect();
        if !options.is_empty() {
            response.insert_header("connection", options.join(", "));
        }
        let mut head = Vec::new();
        // From memory to memory: ready at once, and it cannot fail. As if for `HEAD`: the head
        // alone.
        let _ = block_on(Encoder::new(response, Method::Head).read_to_end(&mut head));
        // async-h1 counts a body that is not there; no 204 may (RFC 9110 §8.6).
        let counted = b"content-length: 0\r\n";
        if self.status == NO_CONTENT {
            if let Some(at) = memmem::find(&head, counted) {
                head.drain(at..at + counted.len());
            }
        }
        (head, self.content)
    }
}

/// What `Connection` must say, when silence would be misread (RFC 9112 §9.3).
pub fn connection_option(keep_alive: bool, minor: u8) -> Option<&'static str> {
    match (keep_alive, minor) {
        (false, _) => Some("close"),
        (true, 0) => Some("keep-alive"),
        (true, _) => None,
    }
}
