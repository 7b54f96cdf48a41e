//! A client's request as it is written for a provider: for one after the other, if need be.

use std::borrow::Cow;

use super::asking::without_tokens;
use crate::downstream::{self, Connection};
use crate::report::{Entry, Error};
use crate::routing::{ChatRequest, Plan};
use crate::runtime::Share;
use crate::state::Settings;
use crate::upstream::{Call, Message, Provider};
use crate::wire::{Form, Framing, RequestHead, LAST_CHUNK};

/// Writes a request that cannot be sent twice: for this provider and its key of this number, which calls the
/// model so.
pub type Once<'o> = Box<
    dyn FnOnce(&Provider, usize, Option<&str>, &mut Connection, &Entry) -> Result<Message, Error>
        + 'o,
>;

/// A request, as it can be sent.
pub enum Request<'r> {
    /// All of it is here.
    Draft(Draft<'r>),
    /// It goes on as it comes; how many more attempts the client would allow.
    Once(Once<'r>, Option<u8>),
}

impl<'r> Request<'r> {
    /// How many more attempts the client allows.
    pub fn retries_max(&self) -> Option<u8> {
        match self {
            Request::Draft(draft) => draft.head.retries,
            Request::Once(..) => Some(0),
        }
    }

    /// Whether there could be more attempts than this can make.
    pub fn is_lost_for_another_attempt(&self, plan: &Plan) -> bool {
        matches!(self, Request::Once(_, retries) if *retries != Some(0)) && plan.retries() > 0
    }

    /// What further messages are made from.
    pub fn into_draft(self) -> Option<Draft<'r>> {
        match self {
            Request::Draft(draft) => Some(draft),
            Request::Once(..) => None,
        }
    }

    /// The first message, and what further ones are made from.
    ///
    /// # Errors
    /// A request that cannot be written for this provider.
    pub fn begin(
        self,
        provider: &Provider,
        key: usize,
        model: Option<&str>,
        connection: &mut Connection,
        entry: &Entry,
    ) -> Result<(Message, Option<Self>), Error> {
        match self {
            Request::Draft(mut draft) => {
                let message = draft.message(provider, key, model, &entry.id)?;
                Ok((message, Some(Request::Draft(draft))))
            }
            Request::Once(write, _) => Ok((write(provider, key, model, connection, entry)?, None)),
        }
    }
}

/// A request whose body is all here.
pub struct Draft<'s> {
    /// The configuration under which it came.
    pub settings: &'s Settings,
    /// Its head.
    pub head: Box<RequestHead>,
    /// The path behind `baseurl`.
    pub path: Cow<'static, str>,
    /// How the body is framed; a length follows the body.
    pub framing: Framing,
    /// Its body.
    pub body: Vec<u8>,
    /// The body's memory.
    pub share: Option<Share>,
    /// Where the model stands.
    pub model: Place,
}

/// Where in a body the model's name stands.
pub enum Place {
    /// Nowhere.
    Nowhere,
    /// In JSON.
    Json(ChatRequest),
    /// In a form; the name behind the slash.
    Form(Box<Form>, String),
}

impl Draft<'_> {
    /// The request for `provider` with its key of this number, which calls the model by this name; `None`: by
    /// what stands behind the slash. The body goes with it. `id` is the request's.
    ///
    /// # Errors
    /// A name that cannot stand in the form.
    pub fn message(
        &mut self,
        provider: &Provider,
        key: usize,
        model: Option<&str>,
        id: &str,
    ) -> Result<Message, Error> {
        let (mut body, share) = (std::mem::take(&mut self.body), self.share.take());
        match (&mut self.model, model) {
            (Place::Json(request), None) => request.splice(&mut body),
            (Place::Json(request), Some(name)) => request.rename(&mut body, name),
            (Place::Form(form, bare), name) => {
                let renamed = form.rename(name.unwrap_or(bare), &mut body);
                renamed.map_err(downstream::Error::Form)?;
            }
            (Place::Nowhere, _) => {}
        }
        let framing = match self.framing {
            Framing::Length(_) => Framing::Length(body.len() as u64),
            framing => framing,
        };
        let query = without_tokens(&self.head.query, self.settings);
        let call = Call {
            method: &self.head.method,
            path: &self.path,
            query: &query,
            relayed: &self.head.relayed,
            credentials: &self.head.credentials,
            id,
        };
        let mut head = provider.head(&call, framing, key);
        if framing == Framing::Chunked {
            if !body.is_empty() {
                head.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(LAST_CHUNK);
        }
        Ok(Message::new(head, body, share))
    }

    /// Takes the body back, for another message.
    pub fn take_back(&mut self, message: Message) {
        let (mut body, share) = message.into_body();
        if self.framing == Framing::Chunked {
            body.truncate(body.len().saturating_sub(LAST_CHUNK.len()));
            body.truncate(body.len().saturating_sub(b"\r\n".len()));
        }
        (self.body, self.share) = (body, share);
    }
}
