//! The dialects of those who ask: what an error of ours looks like, and what else we say in them.

use serde::Serialize;
use serde_json::value::RawValue;

use super::json::to_json;
use crate::wire::FinalEvent;

/// How a client wants to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's, in which streams end with `[DONE]`.
    OpenAi,
    /// OpenAI's `responses`, whose streams end with an event that says how.
    Responses,
    /// Anthropic's.
    Anthropic,
}

impl Dialect {
    /// The JSON of an error of ours. `id` is the request's; `upstream` what the provider said.
    pub fn error(
        self,
        message: &str,
        status: u16,
        id: &str,
        upstream: Option<&RawValue>,
    ) -> String {
        match self {
            Dialect::OpenAi | Dialect::Responses => to_json(&OpenAiError {
                error: OpenAiDetail { message, r#type: "http_error", code: status, upstream },
            }),
            Dialect::Anthropic => to_json(&AnthropicError {
                r#type: "error",
                error: AnthropicDetail { r#type: anthropic_type(status), message, upstream },
                request_id: id,
            }),
        }
    }

    /// The same as a server-sent event, for a client whose response has begun.
    pub fn error_event(
        self,
        message: &str,
        status: u16,
        id: &str,
        upstream: Option<&RawValue>,
    ) -> String {
        // Within a JSON document line ends are white space, and an event's data is one line.
        let json = self.error(message, status, id, upstream).replace(['\r', '\n'], " ");
        match self {
            Dialect::OpenAi | Dialect::Responses => format!("data: {json}\n\n"),
            Dialect::Anthropic => format!("event: error\ndata: {json}\n\n"),
        }
    }

    /// What clients skip in a stream.
    pub fn keep_alive(self) -> &'static [u8] {
        match self {
            Dialect::OpenAi | Dialect::Responses => b": keep-alive\n\n",
            Dialect::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
        }
    }

    /// How a stream says that it is complete.
    pub fn final_event(self) -> FinalEvent {
        match self {
            Dialect::OpenAi => FinalEvent::Done,
            Dialect::Responses => FinalEvent::Response,
            Dialect::Anthropic => FinalEvent::Message,
        }
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        400 | 405 | 415 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        _ => "api_error",
    }
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    error: OpenAiDetail<'a>,
}

#[derive(Serialize)]
struct OpenAiDetail<'a> {
    message: &'a str,
    r#type: &'static str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    error: AnthropicDetail<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicDetail<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_own_shape_of_an_error() {
        let openai = r#"{"error":{"message":"m","type":"http_error","code":404}}"#;
        assert_eq!(Dialect::OpenAi.error("m", 404, "i", None), openai);
        assert_eq!(
            Dialect::Responses.error_event("m", 404, "i", None),
            format!("data: {openai}\n\n")
        );
        let anthropic =
            r#"{"type":"error","error":{"type":"not_found_error","message":"m"},"request_id":"i"}"#;
        assert_eq!(Dialect::Anthropic.error("m", 404, "i", None), anthropic);
        assert_eq!(
            Dialect::Anthropic.error_event("m", 404, "i", None),
            format!("event: error\ndata: {anthropic}\n\n")
        );
    }

    #[test]
    fn anthropic_knows_a_type_for_every_status() {
        for (status, kind) in [
            (400, "invalid_request_error"),
            (405, "invalid_request_error"),
            (415, "invalid_request_error"),
            (401, "authentication_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (503, "overloaded_error"),
            (504, "timeout_error"),
            (500, "api_error"),
            (502, "api_error"),
            (408, "api_error"),
        ] {
            assert_eq!(anthropic_type(status), kind, "{status}");
        }
    }
}
