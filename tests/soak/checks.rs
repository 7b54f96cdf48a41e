//! Requests as bytes, and what their answers must be. Pure functions.

use serde_json::Value;

use crate::client::{Answer, End, Wrong};
use crate::plan::{Ask, Kind};
use crate::support::TOKEN;

const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Says `what` is wrong with an answer unless it `holds`.
pub fn expect(holds: bool, what: &str, answer: &Answer) -> Result<(), Wrong> {
    if holds {
        Ok(())
    } else {
        Err(format!("{what}: {}", answer.show()))
    }
}

pub fn head(headers: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: soak\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\n{headers}\r\n"
    )
    .into_bytes()
}

pub fn post(body: &[u8], headers: &str) -> Vec<u8> {
    let mut request = head(&format!("{headers}Content-Length: {}\r\n", body.len()));
    request.extend_from_slice(body);
    request
}

pub fn chat(model: &str, ask: &Ask, headers: &str) -> Vec<u8> {
    post(&ask.request(model), headers)
}

pub fn json(answer: &Answer) -> Result<Value, Wrong> {
    expect(answer.status == 200 && answer.end == End::Whole, "no answer", answer)?;
    serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {}", answer.show()))
}

/// An answer that must be whole and right.
pub fn check_good(ask: &Ask, answer: &Answer) -> Result<u64, Wrong> {
    expect(answer.status == 200, "status", answer)?;
    expect(answer.end == End::Whole, "not whole", answer)?;
    expect(answer.field("x-request-id").is_some(), "no id", answer)?;
    if ask.streams() {
        let body = without_comments(answer)?;
        expect(body == ask.stream(), "events", answer)?;
    } else {
        expect(answer.body == ask.answer(), "body", answer)?;
    }
    Ok(1)
}

/// An error of ours in the promised shape.
pub fn check_error(answer: &Answer, status: u16, word: &str) -> Result<u64, Wrong> {
    expect(answer.status == status, "status", answer)?;
    expect(answer.end == End::Whole, "not whole", answer)?;
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("{error}: {}", answer.show()))?;
    let error = &body["error"];
    let shape = error["code"] == status && error["type"] == "http_error";
    let message = error["message"].as_str().unwrap_or_default();
    expect(shape && message.contains(word), "error", answer)?;
    Ok(1)
}

/// A stream that the provider broke off: cut, with an error event where one can stand.
pub fn check_cut(ask: &Ask, answer: &Answer, code: u16) -> Result<u64, Wrong> {
    expect(answer.status == 200, "status", answer)?;
    expect(answer.end == End::Cut, "a cut that looks whole", answer)?;
    let body = without_comments(answer)?;
    let events = ask.events(ask.size);
    if ask.kind == Kind::CutInside {
        let inside = body.len() < events.len() && body.len() + 32 > events.len();
        expect(inside && events.starts_with(&body), "events", answer)?;
        return Ok(1);
    }
    let event = body.strip_prefix(events.as_slice()).and_then(|rest| rest.strip_prefix(b"data: "));
    let event = event.and_then(|rest| rest.strip_suffix(b"\n\n"));
    let event: Option<Value> = event.and_then(|event| serde_json::from_slice(event).ok());
    expect(event.is_some_and(|event| event["error"]["code"] == code), "error event", answer)?;
    Ok(1)
}

/// The body without our comments, which may stand between events only.
pub fn without_comments(answer: &Answer) -> Result<Vec<u8>, Wrong> {
    let mut body = Vec::with_capacity(answer.body.len());
    let mut rest = answer.body.as_slice();
    while let Some(at) = memchr::memmem::find(rest, KEEP_ALIVE) {
        body.extend_from_slice(&rest[..at]);
        expect(body.is_empty() || body.ends_with(b"\n\n"), "a comment in an event", answer)?;
        rest = &rest[at + KEEP_ALIVE.len()..];
    }
    body.extend_from_slice(rest);
    Ok(body)
}
