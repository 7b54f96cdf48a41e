//! Forms with files, such as audio to be transcribed: a part of the form names the model, and so the
//! provider. What comes behind that part goes through; what comes before it is held.

use std::cell::Cell;
use std::rc::Rc;

use super::asking::{
    admit, call, conversation_of, names, routed, take_named_model, without_tokens,
};
use super::draft::{Draft, Once, Place, Request};
use super::sending::{send, Way};
use super::table::Row;
use super::{chat, models};
use crate::downstream::{self, Connection, Incoming, UPLOAD_BYTES};
use crate::language::Words;
use crate::relay::{Response, Terms};
use crate::report::{Entry, Error};
use crate::routing::{Names, Route};
use crate::runtime::Share;
use crate::state::{Settings, State};
use crate::upstream::{Call, Message, Provider};
use crate::wire::{fields, Form, FormError, Framing, RequestHead};

/// So much is read before an upload begins to go on, unless a file begins: parts that say how the
/// answer is to come may stand behind the model.
const BEGINNING_BYTES: usize = 64 * 1024;

/// Relays one form, or begins to. A body of another type is read as JSON.
///
/// # Errors
/// Whatever keeps a response from being begun.
pub async fn respond(
    state: &Rc<State>,
    row: &'static Row,
    mut head: Box<RequestHead>,
    connection: &mut Connection,
    entry: &mut Entry,
) -> Result<Response, Error> {
    let Some(form) = form(&head) else {
        return chat::respond(state, row, head, connection, entry).await;
    };
    let settings = state.settings();
    let token = admit(&settings, &head, entry)?;
    if let Some(coding) = head.coding.take() {
        return Err(Error::CodedForm(coding));
    }
    let form = Box::new(form.map_err(downstream::Error::Form)?);
    connection.raise_read_ahead();
    let named = take_named_model(&mut head);
    let mut upload =
        Box::pin(begin(state, &settings, form, named.as_deref(), &head, connection)).await?;
    let conversation = conversation_of(&settings, token, &head, None);
    let lists = |provider: &Provider, model: &str| models::lists(state, provider, model);
    let names = names(&settings, row.suffix, conversation, &lists);
    let route = upload.route(&names, named, entry)?;
    if head.retries != Some(0) && matches!(&route, Route::Plan(plan) if plan.retries() > 0) {
        upload.hold(&settings, &head, connection).await?;
    }
    let way = Way { route, conversation, creator: None };
    let terms = Terms {
        dialect: row.dialect,
        provider: way.route.provider(),
        timeouts: settings.timeouts(upload.form.streams()),
        body_bytes_max: settings.max_response_size,
        budget: &state.memory.held,
        watch: Cell::default(),
    };
    let request = upload.request(row, &settings, head);
    send(state, &way, request, connection, &terms, entry).await
}

/// The form that a head announces, if it does.
fn form(head: &RequestHead) -> Option<Result<Form, FormError>> {
    let mut types = fields(&head.relayed, "content-type");
    let media = types.next()?;
    let is_url_encoded =
        media.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded");
    // The provider may go by another type, or read as a form what is JSON to us.
    if types.next().is_some() || is_url_encoded {
        return Some(Err(FormError::Type));
    }
    Form::of_type(media)
}

/// A form whose beginning is here.
struct Upload {
    form: Box<Form>,
    /// The provider's name of the model, once that is known.
    name: String,
    incoming: Incoming,
    /// Whether the beginning is all of it.
    whole: bool,
    /// Whether the way to the provider is known, but not whether a part has to be changed.
    length_is_open: bool,
    share: Share,
}

/// Reads a form until it is known where it goes.
async fn begin(
    state: &State,
    settings: &Settings,
    mut form: Box<Form>,
    named: Option<&str>,
    head: &RequestHead,
    connection: &mut Connection,
) -> Result<Upload, Error> {
    let limit = settings.max_request_size;
    let mut share = state.memory.bodies.share();
    let is_long = matches!(head.framing, Framing::Length(length) if length > limit);
    let may_grow = head.framing == Framing::Chunked || is_long;
    let incoming = connection.begin_body(head.framing, limit).await?;
    let mut incoming = incoming.without_limit();
    loop {
        let whole = connection.take_more(&mut incoming, &mut share)?;
        form.scan(&incoming.body, whole).map_err(downstream::Error::Form)?;
        let length = incoming.body.len();
        let (is_known, begun) =
            (form.model().is_some(), form.file_begun() || length > BEGINNING_BYTES);
        let must_be_whole = named.is_none() && form.file_comes_first();
        let held = if must_be_whole { length } else { form.model_end().unwrap_or(length) };
        let held_max = if must_be_whole { limit } else { limit.max(BEGINNING_BYTES as u64) };
        if named.is_none() && (held as u64 > held_max || must_be_whole && is_long) {
            return Err(Error::ModelBehindFile(limit));
        }
        let is_routed = is_known || named.is_some() && may_grow;
        if whole || begun && is_routed && !must_be_whole {
            let length_is_open = !is_known && !whole && is_long;
            let name = String::new();
            return Ok(Upload { form, name, incoming, whole, length_is_open, share });
        }
        connection.wait_for_more(&mut incoming).await?;
    }
}

impl Upload {
    /// Finds where it goes.
    fn route<'s>(
        &mut self,
        names: &Names<'s, '_>,
        named: Option<String>,
        entry: &mut Entry,
    ) -> Result<Route<'s>, Error> {
        let no_model = || {
            let reason = Words("表单缺少model字段", "the form has no part `model`");
            Error::BadRequest(reason.into())
        };
        let model = named.or_else(|| self.form.model().map(str::to_owned)).ok_or_else(no_model)?;
        let route = routed(names.route(&model, false), Some(&model), entry)?;
        // The provider must not read another model than the one that was checked.
        let is_checked = |provider: &Provider| {
            !(provider.config.model_list.is_empty() && names.config.supported_models.is_empty())
        };
        if route.providers().any(|provider| is_checked(provider)) {
            self.form.refuse_ambiguous().map_err(downstream::Error::Form)?;
        }
        self.name = model.split_once('/').map_or(String::new(), |(_, name)| name.to_owned());
        Ok(route)
    }

    /// Reads the rest, so that it can be sent more than once, unless it is too long or memory is used up.
    async fn hold(
        &mut self,
        settings: &Settings,
        head: &RequestHead,
        connection: &mut Connection,
    ) -> Result<(), Error> {
        let limit = settings.max_request_size;
        if matches!(head.framing, Framing::Length(length) if length > limit) {
            return Ok(());
        }
        while !self.whole && self.incoming.body.len() as u64 <= limit {
            connection.wait_for_more(&mut self.incoming).await?;
            self.whole = match connection.take_more(&mut self.incoming, &mut self.share) {
                Err(downstream::Error::Overloaded(_)) => return Ok(()),
                taken => taken?,
            };
            let scanned = self.form.scan(&self.incoming.body, self.whole);
            scanned.map_err(downstream::Error::Form)?;
        }
        Ok(())
    }

    /// The request for a provider. What is not here yet follows as it comes.
    fn request<'r>(
        mut self,
        row: &'static Row,
        settings: &'r Settings,
        head: Box<RequestHead>,
    ) -> Request<'r> {
        if !self.whole {
            let retries = head.retries;
            let write: Once<'r> = Box::new(move |provider, key, model, connection, entry| {
                if let Some(model) = model {
                    self.name = model.to_owned();
                }
                let query = without_tokens(&head.query, settings);
                let call = call(&head, row.suffix, &query, entry);
                self.message(provider, key, &call, head.framing, connection)
            });
            return Request::Once(write, retries);
        }
        let framing = match head.framing {
            Framing::None => Framing::Length(0),
            framing => framing,
        };
        let body = std::mem::take(&mut self.incoming.body);
        Request::Draft(Draft {
            settings,
            head,
            path: row.suffix.into(),
            framing,
            body,
            share: Some(self.share),
            model: Place::Form(self.form, self.name),
        })
    }

    fn message(
        mut self,
        provider: &Provider,
        key: usize,
        call: &Call<'_>,
        framing: Framing,
        connection: &mut Connection,
    ) -> Result<Message, Error> {
        let mut body = std::mem::take(&mut self.incoming.body);
        let longer = self.form.rename(&self.name, &mut body).map_err(downstream::Error::Form)?;
        let framing = match framing {
            Framing::Length(length) => Framing::Length(length.saturating_add_signed(longer as i64)),
            framing => framing,
        };
        let chunked = framing == Framing::Chunked;
        let mut upstream_head = provider.head(call, framing, key);
        let settled = self.form.settled();
        self.incoming.body = body.split_off(settled);
        if chunked && settled > 0 {
            upstream_head.extend_from_slice(format!("{settled:x}\r\n").as_bytes());
            body.extend_from_slice(b"\r\n");
        }
        if self.length_is_open {
            self.form.keep_length();
        }
        let mut share = self.share.budget().share();
        if !share.resize(UPLOAD_BYTES) {
            return Err(downstream::Error::Overloaded(share.budget().limit()).into());
        }
        let rest = connection.stream_body(self.incoming, chunked, Some(self.form), share)?;
        Ok(Message::new(upstream_head, body, Some(self.share)).followed_by(rest))
    }
}
