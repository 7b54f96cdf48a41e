//! A head that goes out before the provider's: fronts give up on a connection that says nothing while a
//! model thinks. What the provider then says can only be told within the event stream.

use std::future::{poll_fn, Future};
use std::pin::pin;

use serde_json::value::RawValue;

use super::framing::{push_chunk, LAST_CHUNK};
use super::stream::KEEP_ALIVE_COMMENT;
use super::{end_head, hold, streams_all_the_same, Manner, RelayError, Relayed, Stream};
use crate::body::Framing;
use crate::client::Client;
use crate::clock::{Alarm, Phase, Wait};
use crate::error::{error_event, Error};
use crate::head::{push_field, Content, HeadError};
use crate::record::{Ending, Record};
use crate::upstream::{Answer, ExchangeError};

/// How much of a refusal is read, in case that it is JSON.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// How much of one is told that is no JSON.
const REFUSAL_BYTES_SHOWN: usize = 4 * 1024;

/// Waits for `exchange`, which may use `alarm`, while the client is there. Whenever `manner.early` has passed in silence, the
/// client gets a comment, and before the first one the head of an event stream: `true` then.
///
/// # Errors
/// [`Error::ClientGone`], also for a client that does not read.
pub async fn wait<T>(
    exchange: impl Future<Output = T>,
    client: &mut Client,
    alarm: &Alarm,
    manner: &Manner<'_>,
    id: &str,
) -> Result<(T, bool), Error> {
    let Some(after) = manner.early else { return Ok((client.unless_gone(exchange).await?, false)) };
    let mut exchange = pin!(exchange);
    let mut opened = false;
    // The exchange waits under the other one.
    let alarm = &Alarm::new(alarm.reactor());
    loop {
        let silence = Wait::new(Phase::FirstByte, alarm.now(), after);
        let waited = alarm.within(silence, client.unless_gone(exchange.as_mut())).await;
        if let Ok(result) = waited {
            return Ok((result?, opened));
        }
        let mut bytes = Vec::new();
        if !std::mem::replace(&mut opened, true) {
            push_head(&mut bytes, manner, id);
        }
        push_framed(&mut bytes, KEEP_ALIVE_COMMENT, manner);
        client.write_all(alarm, &bytes).await.map_err(|_| Error::ClientGone)?;
    }
}

fn push_head(bytes: &mut Vec<u8>, manner: &Manner<'_>, id: &str) {
    bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    push_field(bytes, "content-type", b"text/event-stream");
    push_field(bytes, "cache-control", b"no-cache");
    push_field(bytes, "x-accel-buffering", b"no");
    push_field(bytes, "x-request-id", id.as_bytes());
    end_head(bytes, framing(manner), may_keep_alive(manner), manner.minor);
}

/// How the client is told where a stream ends whose length nobody knows: HTTP/1.0 has no chunks.
pub(super) fn framing(manner: &Manner<'_>) -> Framing {
    if manner.minor > 0 {
        Framing::Chunked
    } else {
        Framing::UntilClose
    }
}

fn may_keep_alive(manner: &Manner<'_>) -> bool {
    manner.minor > 0 && (manner.keep_alive)()
}

fn push_framed(bytes: &mut Vec<u8>, data: &[u8], manner: &Manner<'_>) {
    match framing(manner) {
        Framing::Chunked => push_chunk(bytes, data),
        _ => bytes.extend_from_slice(data),
    }
}

/// Relays what came of the exchange to a client that has had its head already.
pub async fn relay(
    answer: Result<Answer, ExchangeError>,
    client: &mut Client,
    alarm: &Alarm,
    manner: &Manner<'_>,
    record: &mut Record,
) -> Relayed {
    let told = match answer {
        Err(error) => Err(RelayError::Upstream(error)),
        Ok(mut answer) => {
            answer.head.relayed = Vec::new();
            match answer.head.status {
                200..300 if answer.head.encoded => {
                    let reason = "已开始的事件流中不能有压缩的响应 (an encoded answer in a stream that has begun)";
                    Err(RelayError::Upstream(ExchangeError::Head(HeadError::Malformed(reason))))
                }
                200..300 => relay_success(answer, client, alarm, manner).await,
                _ => refusal(answer, client, alarm, manner, record).await.map(Told::Last),
            }
        }
    };
    let event = match told {
        Ok(Told::Streams(stream)) => return Relayed::Streams(stream),
        Ok(Told::Last(event)) => event,
        Err(RelayError::Client(_)) => {
            record.ending = Ending::ClientGone;
            return Relayed::Whole(false);
        }
        Err(RelayError::Upstream(error)) => {
            let error = Error::of_exchange(manner.provider, error);
            let event = error_event(&error.to_string(), error.status().unwrap_or(502), None);
            record.ending = Ending::Cut(error);
            event
        }
    };
    record.bytes = event.len() as u64;
    let mut bytes = Vec::new();
    push_framed(&mut bytes, event.as_bytes(), manner);
    if framing(manner) == Framing::Chunked {
        bytes.extend_from_slice(LAST_CHUNK);
    }
    if client.write_all(alarm, &bytes).await.is_err() {
        record.ending = Ending::ClientGone;
        return Relayed::Whole(false);
    }
    Relayed::Whole(may_keep_alive(manner))
}

/// What is left to tell a client.
enum Told {
    Streams(Box<Stream>),
    /// One event, and the end.
    Last(String),
}

/// An answer that is a stream goes on as one; a whole one becomes one event.
async fn relay_success(
    mut answer: Answer,
    client: &mut Client,
    alarm: &Alarm,
    manner: &Manner<'_>,
) -> Result<Told, RelayError> {
    let mut held = Vec::new();
    if answer.head.content == Content::Whole {
        let mut share = manner.held.share();
        if hold(&mut answer, &mut held, &mut share, client, alarm, manner).await? {
            answer.finish();
            return Ok(Told::Last(data_event(&String::from_utf8_lossy(&held))));
        }
        if !streams_all_the_same(&answer, &held, true) {
            return Err(RelayError::Upstream(ExchangeError::TooLarge(manner.body_bytes_max)));
        }
    } else {
        held = answer.take_buffer().map_err(RelayError::Upstream)?;
    }
    answer.head.content = Content::Events;
    Ok(Told::Streams(Box::new(Stream::new(answer, held, alarm, manner, true))))
}

fn data_event(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| format!("data: {line}\n"));
    lines.chain(["\n".to_owned()]).collect()
}

/// The provider's refusal as an error event.
async fn refusal(
    mut answer: Answer,
    client: &mut Client,
    alarm: &Alarm,
    manner: &Manner<'_>,
    record: &mut Record,
) -> Result<String, RelayError> {
    let status = answer.head.status;
    let mut body = Vec::new();
    let whole = async {
        while body.len() <= REFUSAL_BYTES_MAX {
            match poll_fn(|context| answer.poll_body(context, &mut body)).await {
                Ok(false) => {}
                // What has come is told, however it ended.
                Ok(true) | Err(_) => return,
            }
        }
    };
    let wait = Wait::new(Phase::NextBytes, alarm.now(), manner.stream.silence_max);
    if let Ok(gone) = alarm.within(wait, client.unless_gone(whole)).await {
        gone.map_err(RelayError::Client)?;
    }
    answer.finish();
    record.ending = Ending::Refused(status);
    let provider = manner.provider;
    let message =
        format!("提供商 {provider} 拒绝了请求: 状态 {status} (provider {provider} refused: status {status})");
    Ok(error_event(&message, status, Some(&told(&body))))
}

/// A body as JSON: what is no JSON becomes a string.
fn told(body: &[u8]) -> Box<RawValue> {
    let raw =
        if body.len() <= REFUSAL_BYTES_MAX { serde_json::from_slice(body).ok() } else { None };
    raw.unwrap_or_else(|| {
        let shown = &body[..body.len().min(REFUSAL_BYTES_SHOWN)];
        // A string is always a JSON value.
        serde_json::value::to_raw_value(&String::from_utf8_lossy(shown)).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_as_the_json_that_it_is_and_else_as_the_start_of_its_text() {
        for (body, expected) in [
            ("{\"b\":1.50, \"a\":[ ]}", "{\"b\":1.50, \"a\":[ ]}".to_owned()),
            ("<html>\"x\"", "\"<html>\\\"x\\\"\"".to_owned()),
            ("", "\"\"".to_owned()),
            (&"x".repeat(70_000), format!("\"{}\"", "x".repeat(4096))),
        ] {
            assert_eq!(told(body.as_bytes()).get(), expected);
        }
    }

    #[test]
    fn a_whole_answer_becomes_one_event_of_as_many_lines() {
        assert_eq!(data_event("{\n \"a\": 1\n}\n"), "data: {\ndata:  \"a\": 1\ndata: }\n\n");
    }
}
