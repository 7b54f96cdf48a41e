//! Answers of our own, written by async-h1. Knows nothing of sockets.

use async_h1::server::Encoder;
use futures_lite::future::block_on;
use futures_lite::io::AsyncReadExt;
use http_types::{Method, Mime, Response, StatusCode};

use crate::report::error::Error;

/// An answer that does not come from a provider.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    fields: Vec<(&'static str, String)>,
}

/// How the answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Whether the request was `HEAD`: the body is left out, its length is told.
    pub head_only: bool,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
    /// The client's minor HTTP version.
    pub minor: u8,
}

impl Reply {
    /// A JSON document.
    pub fn json(status: u16, body: Vec<u8>) -> Reply {
        Reply { status, content_type: "application/json", body, fields: Vec::new() }
    }

    /// A page for a browser.
    pub fn html(body: Vec<u8>) -> Reply {
        let content_type = "text/html; charset=utf-8";
        Reply { status: 200, content_type, body, fields: Vec::new() }
    }

    /// The error body of the contract; `None` when nobody is there to read it.
    pub fn error(error: &Error) -> Option<Reply> {
        let status = error.status()?;
        let mut reply = Reply::json(status, error.body(status));
        match error {
            Error::MethodNotAllowed(allowed) => reply = reply.with("allow", *allowed),
            Error::Busy(..) | Error::Overloaded(_) => reply = reply.with("retry-after", "1"),
            // What can be read (RFC 9110 §12.5.3).
            Error::UnknownCoding(_) => reply = reply.with("accept-encoding", "identity"),
            Error::NoToken | Error::BadToken => reply = reply.with("www-authenticate", "Bearer"),
            _ => {}
        }
        Some(reply)
    }

    /// Adds a field.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.fields.push((name, value.into()));
        self
    }

    /// The bytes for the wire.
    pub fn encode(self, manner: Manner) -> Vec<u8> {
        let status = StatusCode::try_from(self.status).unwrap_or(StatusCode::InternalServerError);
        let mut response = Response::new(status);
        response.set_body(self.body);
        response.set_content_type(Mime::from(self.content_type));
        for (name, value) in self.fields {
            response.insert_header(name, value);
        }
        if let Some(option) = connection_option(manner.keep_alive, manner.minor) {
            response.insert_header("connection", option);
        }
        let method = if manner.head_only { Method::Head } else { Method::Get };
        let mut bytes = Vec::new();
        // From memory to memory: ready at once, and it cannot fail.
        let _ = block_on(Encoder::new(response, method).read_to_end(&mut bytes));
        bytes
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
