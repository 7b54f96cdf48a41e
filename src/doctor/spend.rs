//! Chats of one token each: whole, as a stream, and as a stream that is abandoned.

use std::time::Duration;

use serde_json::Value;

use super::reading::{End, Talk};
use super::record::Stage;
use super::talk::{Examination, Request, Step};
use super::text::{clean, is_error};
use super::verdict::{self, Streamed};
use super::words::Code;
use crate::upstream::{Call, Error};
use crate::wire::Framing;

/// For a chat.
const CHAT_MAX: Duration = Duration::from_millis(3_500);
/// Characters of a model's name that are shown.
const NAME_CHARS_MAX: usize = 60;
/// Models whose names hold one of these do not chat.
const NO_CHAT: [&str; 16] = [
    "asr",
    "audio",
    "babbage",
    "cogview",
    "dall-e",
    "davinci",
    "embed",
    "image",
    "moderation",
    "ocr",
    "realtime",
    "rerank",
    "speech",
    "tts",
    "video",
    "whisper",
];
const FIELDS: &str = concat!(
    "Content-Type: application/json\r\nUser-Agent: ai_proxy/",
    env!("CARGO_PKG_VERSION"),
    "\r\n"
);
/// What an OpenAI model says to `max_tokens` that wants another name for it.
const OTHER_LIMIT: &str = "max_completion_tokens";

impl Examination<'_> {
    /// Chooses the first model that is likely to chat, and rather one that clients may use. Returns
    /// whether there is one.
    pub fn begins_to_chat(&mut self) -> bool {
        let (mut first, mut allowed) = (None, None);
        self.each_model(&mut |name| {
            if allowed.is_none() && !verdict::mentions(name, &NO_CHAT) {
                first.get_or_insert_with(|| name.to_owned());
                allowed = self.allows(name).then(|| name.to_owned());
            }
        });
        let Some(model) = allowed.or(first) else {
            self.record.note(Stage::Chat, Duration::ZERO, Some(Code::NoChatModel));
            return false;
        };
        self.record.see("model", &clean(&model, NAME_CHARS_MAX));
        self.model = model;
        true
    }

    /// The next chat.
    pub fn next_chat(&mut self) -> Option<Request> {
        let (stage, streams) = match self.step {
            Step::Stream => (Stage::Stream, true),
            Step::Cancel => (Stage::Cancel, true),
            _ => (Stage::Chat, false),
        };
        self.begun = self.record.begin(stage);
        let limit = if self.renamed { OTHER_LIMIT } else { "max_tokens" };
        let stream =
            if streams { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
        let body = format!(
            r#"{{"model":{},"messages":[{{"role":"user","content":"Hi"}}],"{limit}":1{stream}}}"#,
            Value::from(&*self.model)
        );
        let call = Call {
            method: "POST",
            path: "/chat/completions",
            query: "",
            relayed: FIELDS.as_bytes(),
            credentials: b"",
            id: "ai-proxy-doctor",
        };
        let provider = self.provider.clone();
        let head = provider.head(&call, Framing::Length(body.len() as u64), self.key);
        let leaves = stage == Stage::Cancel;
        Some(Request { provider, head, body: body.into_bytes(), length: CHAT_MAX, leaves })
    }

    /// What comes of a chat, and what is tried next.
    pub fn judge_chat(&mut self, result: Result<Talk, Error>) -> Step {
        let stage = self.record.stage.get();
        let talk = match result {
            Ok(talk) => talk,
            // That a stream does not begin was seen before.
            Err(_) if stage == Stage::Cancel => return Step::Done,
            Err(error) => {
                let code = match verdict::of_exchange(&error) {
                    Code::AnswerTimeout => Code::SlowChat,
                    code => code,
                };
                self.record.note(stage, self.begun.elapsed(), Some(code));
                return self.after(stage, code);
            }
        };
        self.record.count("chat_status", talk.status.into());
        if let Some(code) = verdict::of_chat(talk.status, self.has_key()) {
            if verdict::mentions(&String::from_utf8_lossy(&talk.text), &[OTHER_LIMIT])
                && !self.renamed
            {
                self.renamed = true;
                return Step::Renamed;
            }
            self.note(stage, talk.took, Some(code), &talk.text);
            return self.after(stage, code);
        }
        match stage {
            Stage::Chat => self.judge_whole(&talk),
            Stage::Stream => self.judge_stream(&talk),
            _ => {
                let code = (talk.end == End::Late).then_some(Code::CancelIgnored);
                self.record.note(stage, talk.leaving, code);
                Step::Done
            }
        }
    }

    /// A chat that is only slow may be quicker as a stream.
    #[inline(never)]
    fn after(&self, stage: Stage, code: Code) -> Step {
        if stage == Stage::Chat && code == Code::SlowChat {
            Step::Stream
        } else {
            Step::Done
        }
    }

    fn judge_whole(&self, talk: &Talk) -> Step {
        let code = match () {
            () if talk.end == End::Late => Code::SlowChat,
            () if is_error(&talk.text) => Code::ErrorInChat,
            () if !is_completion(&talk.text) => Code::BadChat,
            () => {
                self.record.note(Stage::Chat, talk.took, None);
                // Where there is no list, this tells.
                if self.has_key() && !self.record.has(Stage::Key) {
                    self.record.note(Stage::Key, Duration::ZERO, None);
                }
                return Step::Stream;
            }
        };
        self.note(Stage::Chat, talk.took, Some(code), &talk.text);
        self.after(Stage::Chat, code)
    }

    fn judge_stream(&self, talk: &Talk) -> Step {
        let text = String::from_utf8_lossy(&talk.text);
        let (seen, error) = look(talk, &text);
        self.record.count("events", seen.events as i64);
        self.record.count("pieces", seen.pieces as i64);
        self.record.count("first_ms", talk.first.as_millis() as i64);
        if let Some(code) = verdict::of_stream(&seen) {
            self.note(Stage::Stream, talk.took, Some(code), error.as_bytes());
            return Step::Done;
        }
        let [came, end, usage] = verdict::of_stream_in_use(&seen);
        self.record.note(Stage::Stream, talk.took, came);
        self.record.note(Stage::End, talk.took, end);
        self.record.note(Stage::Usage, talk.took, usage);
        Step::Cancel
    }
}

fn is_completion(text: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(text).unwrap_or_default();
    value.get("choices").is_some_and(Value::is_array)
}

/// What there is in a stream, and the event that reports an error.
fn look<'t>(talk: &Talk, text: &'t str) -> (Streamed, &'t str) {
    let mut seen = Streamed {
        pieces: talk.pieces,
        cut: talk.end == End::Cut,
        late: talk.end == End::Late,
        ..Streamed::default()
    };
    let mut error = "";
    for line in text.lines() {
        // What is no stream may be an error.
        let data = line.strip_prefix("data:").map(str::trim);
        let data = data.unwrap_or(if text.starts_with('{') { text } else { "" });
        seen.done |= data == "[DONE]";
        let Ok(value) = serde_json::from_slice::<Value>(data.as_bytes()) else { continue };
        seen.events += usize::from(data.len() < text.len());
        seen.usage |= value.get("usage").is_some_and(Value::is_object);
        if error.is_empty() && is_error(data.as_bytes()) {
            error = data;
        }
    }
    seen.error = !error.is_empty();
    (seen, error)
}
