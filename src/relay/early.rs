//! A head that goes out before the provider's: reverse proxies give up on a connection that is
//! silent while a model thinks. What the provider then says can only be told within the event
//! stream.

use std::future::{poll_fn, Future};
use std::pin::pin;
use std::time::Duration;

use serde_json::value::RawValue;

use super::response::Response;
use super::{end_head, framing_for, turns_out_to_stream, Answer, Stream, Terms};
use crate::downstream::{self, Connection};
use crate::language::Words;
use crate::message;
use crate::report::{Entry, Error, Outcome};
use crate::runtime::{label, Share, Timer, Wait};
use crate::upstream::{self, UpstreamResponse};
use crate::wire::{
    looks_like_events, push_chunk, push_field, Content, Framing, HeadError, LAST_CHUNK,
};

/// How much of a refusal is read, in case that it is JSON.
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;
/// How much of a refusal that is no JSON is told.
const REFUSAL_BYTES_SHOWN: usize = 4 * 1024;

/// A response that may begin before its provider's.
pub struct Early<'t> {
    terms: &'t Terms<'t>,
    /// After so much silence a sign of life goes out.
    after: Duration,
    /// How the client is told where the stream ends.
    framing: Framing,
    /// Whether our head is out.
    pub opened: bool,
}

impl<'t> Early<'t> {
    /// Nothing has gone out yet.
    pub fn new(after: Duration, terms: &'t Terms<'t>, connection: &Connection) -> Early<'t> {
        Early { terms, after, framing: framing_for(connection), opened: false }
    }

    /// The same, whose response is relayed under other terms.
    pub fn under<'u>(self, terms: &'u Terms<'u>) -> Early<'u> {
        let Early { after, framing, opened, .. } = self;
        Early { terms, after, framing, opened }
    }

    /// Waits for `future` while the client is there. Whenever it has been silent for long, the
    /// client gets a comment, and before the first one the head of an event stream: the one case in
    /// which something of a response goes out before all that is known of it.
    ///
    /// # Errors
    /// [`downstream::Error::Gone`], also for a client that does not read; an upload that cannot go on.
    pub async fn wait<T>(
        &mut self,
        future: impl Future<Output = T>,
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> Result<T, downstream::Error> {
        let mut future = pin!(future);
        loop {
            let silence = Wait::new(label::FIRST_BYTE, connection.timer().now(), self.after);
            if let Ok(result) = connection.unless_gone_within(silence, future.as_mut()).await? {
                return Ok(result);
            }
            // What waits for the response begins to count when the request is sent.
            if connection.is_uploading() {
                continue;
            }
            let mut bytes = Vec::new();
            if !std::mem::replace(&mut self.opened, true) {
                self.push_head(&mut bytes, connection, &entry.id);
                entry.status = 200;
                // Until the end is in order, that of the connection must not look like it.
                connection.reset_on_close(self.framing == Framing::UntilClose);
            }
            self.push_framed(&mut bytes, self.terms.dialect.keep_alive());
            let written = connection.write_all(&bytes).await;
            written.map_err(|_| downstream::Error::Gone)?;
        }
    }

    fn push_head(&self, bytes: &mut Vec<u8>, connection: &Connection, id: &str) {
        bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        push_field(bytes, "content-type", b"text/event-stream");
        push_field(bytes, "cache-control", b"no-cache");
        push_field(bytes, "x-accel-buffering", b"no");
        push_field(bytes, "x-request-id", id.as_bytes());
        end_head(bytes, self.framing, self.may_persist(connection), connection);
    }

    fn may_persist(&self, connection: &Connection) -> bool {
        self.framing != Framing::UntilClose && connection.may_persist()
    }

    fn push_framed(&self, bytes: &mut Vec<u8>, data: &[u8]) {
        match self.framing {
            Framing::Chunked => push_chunk(bytes, data),
            _ => bytes.extend_from_slice(data),
        }
    }

    /// What follows the head that the client has had already.
    pub async fn relay(
        mut self,
        response: Result<Answer, Error>,
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> Response {
        let relayed = match response {
            Err(error) => Err(error),
            Ok(mut answer) => {
                let (status, relayed) = answer.head();
                *relayed = Vec::new();
                match (status, answer) {
                    (200..300, Answer::Open(response, begun, share)) => {
                        self.success(*response, (begun, share), connection, entry).await
                    }
                    (status, Answer::Open(response, begun, share)) => {
                        let begun = (begun, share);
                        let body = self.refusal(*response, begun, connection, entry).await;
                        body.map(|body| self.refused(status, &body, connection, entry))
                    }
                    (status, Answer::Whole(whole)) => {
                        Ok(self.refused(status, &whole.body, connection, entry))
                    }
                }
            }
        };
        entry.status = 200;
        relayed.unwrap_or_else(|error| match error {
            Error::Client(downstream::Error::Gone) => Response::Nothing,
            error => {
                let event = error.event(self.terms.dialect, &entry.id);
                self.last(&event, Outcome::Cut(Box::new(error)), connection, entry)
            }
        })
    }

    fn upstream(&self, error: upstream::Error) -> Error {
        Error::of_exchange(self.terms.provider, error)
    }

    /// One event, and the end.
    fn last(
        &self,
        event: &str,
        outcome: Outcome,
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> Response {
        entry.bytes = event.len() as u64;
        let mut bytes = Vec::new();
        self.push_framed(&mut bytes, event.as_bytes());
        if self.framing == Framing::Chunked {
            bytes.extend_from_slice(LAST_CHUNK);
        }
        Response::last(bytes, outcome, self.may_persist(connection))
    }

    /// A response that is a stream goes on as one; a whole one becomes one event.
    async fn success(
        &mut self,
        mut response: UpstreamResponse,
        (mut body, mut share): (Vec<u8>, Share),
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> Result<Response, Error> {
        if response.head.encoded {
            let reason = &Words(
                "已开始的事件流中不能有压缩的响应",
                "an encoded answer in a stream that has begun",
            );
            return Err(self.upstream(upstream::Error::Head(HeadError::Malformed(reason))));
        }
        if response.head.content == Content::Whole {
            let limit = self.terms.body_bytes_max;
            let timer = Timer::new(connection.timer().clock());
            let read = read(&mut response, &mut body, &mut share, limit, self.terms, &timer);
            let whole = self.wait(read, connection, entry).await?;
            if whole.map_err(|error| self.upstream(error))? {
                if let Some(mut watch) = self.terms.watch_of(&response.head) {
                    watch(&body, true);
                }
                response.finish();
                let text = String::from_utf8_lossy(&body);
                let events = looks_like_events(&body);
                let text = if events { text.into_owned() } else { data_event(&text) };
                return Ok(self.last(&text, Outcome::Complete, connection, entry));
            }
            if body.len() as u64 > limit {
                return Err(self.upstream(upstream::Error::TooLarge(limit)));
            }
        } else {
            body.append(&mut response.take_buffer().map_err(|error| self.upstream(error))?);
        }
        response.head.content = Content::Events;
        let stream = Stream::new(response, body, connection, self.terms, entry, true);
        Ok(Response::Stream(stream.with_share(share)))
    }

    /// What a provider says that refuses.
    async fn refusal(
        &mut self,
        mut response: UpstreamResponse,
        (mut body, mut share): (Vec<u8>, Share),
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> Result<Vec<u8>, Error> {
        // Whatever it begins with, it is no stream.
        response.head.content = Content::Other;
        let timer = Timer::new(connection.timer().clock());
        let read =
            read(&mut response, &mut body, &mut share, REFUSAL_BYTES_MAX, self.terms, &timer);
        // What has come is told, however it ended.
        let _ = self.wait(read, connection, entry).await?;
        response.discard();
        Ok(body)
    }

    /// The provider's refusal as an error event.
    fn refused(
        &self,
        status: u16,
        body: &[u8],
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> Response {
        let provider = self.terms.provider.name();
        let message = message!(
            "提供商 {provider} 拒绝了请求: 状态 {status}",
            "provider {provider} refused: status {status}"
        )
        .to_string();
        let event = self.terms.dialect.error_event(&message, status, &entry.id, Some(&told(body)));
        self.last(&event, Outcome::Refused(status), connection, entry)
    }
}

/// Reads a body to its end, which is `true`, beyond `limit` bytes, or until it shows that it
/// streams or memory is used up.
async fn read(
    response: &mut UpstreamResponse,
    body: &mut Vec<u8>,
    share: &mut Share,
    limit: u64,
    terms: &Terms<'_>,
    timer: &Timer,
) -> Result<bool, upstream::Error> {
    loop {
        let wait = terms.timeouts.next_bytes(timer.now());
        let piece =
            timer.within(wait, poll_fn(|context| response.poll_body(context, body, limit))).await;
        let done = match piece.map_err(upstream::Error::Timeout)? {
            Err(upstream::Error::Io(error))
                if response.accept_if_whole_json(&error, body).await =>
            {
                true
            }
            other => other?,
        };
        // White space may be a sign of life before a document.
        let begun = body.trim_ascii_start();
        let streams = response.head.content == Content::Whole
            && turns_out_to_stream(response.head.framing, begun, true);
        if body.len() as u64 > limit || streams {
            return Ok(false);
        }
        if !share.resize(body.capacity()) {
            return Err(upstream::Error::Memory(share.budget().limit()));
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
