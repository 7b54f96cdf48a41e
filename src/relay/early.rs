//! A head that goes out before the provider's: fronts give up on a connection that says nothing while a
//! model thinks. What the provider then says can only be told within the event stream.

use std::future::{poll_fn, Future};
use std::pin::pin;
use std::time::Duration;

use serde_json::value::RawValue;

use super::stream::KEEP_ALIVE_COMMENT;
use super::{end_head, streams_all_the_same, Manner, RelayError, Relayed, Stream};
use crate::downstream::Connection;
use crate::report::entry::{Ending, Record};
use crate::report::error::{error_event, Error};
use crate::runtime::timer::{label, Timer, Wait};
use crate::upstream::exchange::{ExchangeError, UpstreamResponse};
use crate::wire::body::Framing;
use crate::wire::chunks::{push_chunk, LAST_CHUNK};
use crate::wire::events::looks_like_events;
use crate::wire::head::{push_field, Content, HeadError};

/// How much of a refusal is read, in case that it is JSON.
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;
/// How much of one is told that is no JSON.
const REFUSAL_BYTES_SHOWN: usize = 4 * 1024;

/// An answer that may begin before its provider's.
pub struct Early<'m> {
    manner: &'m Manner<'m>,
    /// The request's id, for our head.
    id: String,
    /// After so much silence a sign of life goes out.
    after: Duration,
    /// What is waited for has another one.
    timer: Timer,
    /// Whether our head is out.
    pub opened: bool,
}

/// What is left to tell a client.
enum Told {
    /// The rest, as it comes.
    Streams(Box<Stream>),
    /// One event, and the end.
    Last(String),
}

impl<'m> Early<'m> {
    /// Nothing has gone out yet.
    pub fn new(after: Duration, manner: &'m Manner<'m>, id: &str, timer: &Timer) -> Early<'m> {
        let timer = Timer::new(timer.clock());
        Early { manner, id: id.to_owned(), after, timer, opened: false }
    }

    /// Waits for `future` while the client is there. Whenever it has been silent for long, the client
    /// gets a comment, and before the first one the head of an event stream.
    ///
    /// # Errors
    /// [`Error::ClientGone`], also for a client that does not read.
    pub async fn wait<T>(
        &mut self,
        future: impl Future<Output = T>,
        client: &mut Connection,
    ) -> Result<T, Error> {
        let mut future = pin!(future);
        loop {
            let silence = Wait::new(label::FIRST_BYTE, self.timer.now(), self.after);
            let waited = self.timer.within(silence, client.unless_gone(future.as_mut())).await;
            if let Ok(result) = waited {
                return result;
            }
            let mut bytes = Vec::new();
            if !std::mem::replace(&mut self.opened, true) {
                self.push_head(&mut bytes);
                // Until the end is in order, that of the connection must not look like it.
                client.reset_on_close(self.ends_with_connection());
            }
            self.push_framed(&mut bytes, KEEP_ALIVE_COMMENT);
            client.write_all(&self.timer, &bytes).await.map_err(|_| Error::ClientGone)?;
        }
    }

    fn push_head(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        push_field(bytes, "content-type", b"text/event-stream");
        push_field(bytes, "cache-control", b"no-cache");
        push_field(bytes, "x-accel-buffering", b"no");
        push_field(bytes, "x-request-id", self.id.as_bytes());
        end_head(bytes, framing(self.manner), self.may_keep_alive(), self.manner.minor);
    }

    fn ends_with_connection(&self) -> bool {
        framing(self.manner) == Framing::UntilClose
    }

    fn may_keep_alive(&self) -> bool {
        !self.ends_with_connection() && (self.manner.keep_alive)()
    }

    fn push_framed(&self, bytes: &mut Vec<u8>, data: &[u8]) {
        if self.ends_with_connection() {
            bytes.extend_from_slice(data);
        } else {
            push_chunk(bytes, data);
        }
    }

    /// Relays what came of the exchange to a client that has had its head already.
    pub async fn relay(
        mut self: Box<Self>,
        answer: Result<UpstreamResponse, ExchangeError>,
        client: &mut Connection,
        timer: &Timer,
        record: &mut Record,
    ) -> Relayed {
        let told = match answer {
            Err(error) => Err(RelayError::Upstream(error)),
            Ok(mut answer) => {
                answer.head.relayed = Vec::new();
                match answer.head.status {
                    200..300 => self.success(answer, client, timer).await,
                    status => {
                        record.ending = Ending::Refused(status);
                        self.refusal(answer, client, timer).await
                    }
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
                let error = Error::of_exchange(self.manner.provider, error);
                let event = error_event(&error.to_string(), error.status().unwrap_or(502), None);
                record.ending = Ending::Cut(error);
                event
            }
        };
        Relayed::Whole(self.end(&event, client, record).await)
    }

    /// Sends one event and the end. Returns whether the client's connection is in step.
    async fn end(&self, event: &str, client: &mut Connection, record: &mut Record) -> bool {
        record.bytes = event.len() as u64;
        let mut bytes = Vec::new();
        self.push_framed(&mut bytes, event.as_bytes());
        if !self.ends_with_connection() {
            bytes.extend_from_slice(LAST_CHUNK);
        }
        if client.write_all(&self.timer, &bytes).await.is_err() {
            record.ending = Ending::ClientGone;
            return false;
        }
        if matches!(record.ending, Ending::Open) {
            record.ending = Ending::Complete;
        }
        client.reset_on_close(false);
        self.may_keep_alive()
    }

    /// An answer that is a stream goes on as one; a whole one becomes one event.
    async fn success(
        &mut self,
        mut answer: UpstreamResponse,
        client: &mut Connection,
        timer: &Timer,
    ) -> Result<Told, RelayError> {
        if answer.head.encoded {
            let reason =
                "已开始的事件流中不能有压缩的响应 (an encoded answer in a stream that has begun)";
            return Err(RelayError::Upstream(ExchangeError::Head(HeadError::Malformed(reason))));
        }
        let mut body = Vec::new();
        if answer.head.content == Content::Whole {
            let limit = self.manner.body_bytes_max;
            let silence_max = self.manner.stream.silence_max;
            let read = read(&mut answer, &mut body, limit, silence_max, timer);
            let whole = self.wait(read, client).await.map_err(RelayError::Client)?;
            if whole.map_err(RelayError::Upstream)? {
                answer.finish();
                let text = String::from_utf8_lossy(&body);
                let events = looks_like_events(&body);
                return Ok(Told::Last(if events { text.into_owned() } else { data_event(&text) }));
            }
            if body.len() as u64 > limit {
                return Err(RelayError::Upstream(ExchangeError::TooLarge(limit)));
            }
        } else {
            body = answer.take_buffer().map_err(RelayError::Upstream)?;
        }
        answer.head.content = Content::Events;
        Ok(Told::Streams(Box::new(Stream::new(answer, body, timer, self.manner, true))))
    }

    /// The provider's refusal as an error event.
    async fn refusal(
        &mut self,
        mut answer: UpstreamResponse,
        client: &mut Connection,
        timer: &Timer,
    ) -> Result<Told, RelayError> {
        let status = answer.head.status;
        let mut body = Vec::new();
        // Whatever it begins with, it is no stream.
        answer.head.content = Content::Other;
        let silence_max = self.manner.stream.silence_max;
        let read = read(&mut answer, &mut body, REFUSAL_BYTES_MAX, silence_max, timer);
        // What has come is told, however it ended.
        let _ = self.wait(read, client).await.map_err(RelayError::Client)?;
        answer.finish();
        let provider = self.manner.provider;
        let message = format!(
            "提供商 {provider} 拒绝了请求: 状态 {status} (provider {provider} refused: status {status})"
        );
        Ok(Told::Last(error_event(&message, status, Some(&told(&body)))))
    }
}

/// How the client is told where a stream ends whose length nobody knows: HTTP/1.0 has no chunks.
pub(super) fn framing(manner: &Manner<'_>) -> Framing {
    if manner.minor > 0 {
        Framing::Chunked
    } else {
        Framing::UntilClose
    }
}

/// Reads a body to its end, which is `true`, beyond `limit` bytes, or until it shows that it streams.
async fn read(
    answer: &mut UpstreamResponse,
    body: &mut Vec<u8>,
    limit: u64,
    silence_max: Duration,
    timer: &Timer,
) -> Result<bool, ExchangeError> {
    loop {
        let wait = Wait::new(label::NEXT_BYTES, timer.now(), silence_max);
        let piece = timer.within(wait, poll_fn(|context| answer.poll_body(context, body))).await;
        let done = match piece.map_err(ExchangeError::Timeout)? {
            Err(ExchangeError::Io(error)) if answer.ends_whole(&error, body).await => true,
            other => other?,
        };
        // White space may be a sign of life before a document.
        let begun = body.trim_ascii_start();
        let streams =
            answer.head.content == Content::Whole && streams_all_the_same(answer, begun, true);
        if body.len() as u64 > limit || streams {
            return Ok(false);
        }
        if done {
            return Ok(true);
        }
    }
}

fn data_event(text: &str) -> String {
    let text = text.trim_end().replace("\r\n", "\n");
    if text.is_empty() {
        return text;
    }
    let lines = text.split(['\n', '\r']).map(|line| format!("data: {line}\n"));
    lines.chain(["\n".to_owned()]).collect()
}

/// A body as JSON: what is no JSON becomes a string.
fn told(body: &[u8]) -> Box<RawValue> {
    let raw = if body.len() as u64 <= REFUSAL_BYTES_MAX {
        serde_json::from_slice(body).ok()
    } else {
        None
    };
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
        for text in ["{\n \"a\": 1\n}\n", "{\r\n \"a\": 1\r}"] {
            assert_eq!(data_event(text), "data: {\ndata:  \"a\": 1\ndata: }\n\n");
        }
    }
}
