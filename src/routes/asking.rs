//! What all requests for providers have in common: who asks, what of the request goes on, and the
//! request on its way.

use std::borrow::Cow;

use percent_encoding::{percent_decode, percent_decode_str};

use crate::config::Token;
use crate::downstream::Connection;
use crate::relay::{relay, Answer, Early, Response, Terms};
use crate::report::{Entry, Error};
use crate::routing::{conversation, Lists, Names, Refusal, Route, SESSION_FIELDS};
use crate::runtime::Timer;
use crate::state::{Settings, State};
use crate::upstream::{exchange, Call, Message, Provider};
use crate::wire::{fields, push_field, remove_field, RequestHead, NAMED_MODEL};

/// Some servers decode once more than they should.
pub const DECODINGS_MAX: usize = 3;

/// The client's token must be on the list.
///
/// # Errors
/// [`Error::NoToken`] or [`Error::BadToken`].
pub fn authorise<'s>(settings: &'s Settings, head: &RequestHead) -> Result<&'s Token, Error> {
    let token = head.token.as_deref().ok_or(Error::NoToken)?;
    settings.token(token).ok_or(Error::BadToken)
}

/// The same for a request for a provider, which counts as a chat from here on; its entry names the
/// client.
///
/// # Errors
/// As [`authorise`].
pub fn admit<'s>(
    settings: &'s Settings,
    head: &RequestHead,
    entry: &mut Entry,
) -> Result<&'s Token, Error> {
    entry.begin_chat();
    let token = authorise(settings, head)?;
    entry.client = Some(token.description.clone());
    if head.explain || settings.explain {
        entry.explain();
    }
    Ok(token)
}

/// Where the query's `model=`, else `x-ai-proxy-model`, wants a request to go. It is for us alone.
pub fn take_named_model(head: &mut RequestHead) -> Option<String> {
    let is_ours = |part: &&str| {
        part.split_once('=').is_some_and(|(name, _)| percent_decode_str(name).eq("model".bytes()))
    };
    let named = head.query.split('&').find(is_ours);
    remove_field(&mut head.relayed, NAMED_MODEL);
    let in_field = head.named_model.take().filter(|name| !name.is_empty());
    let Some(named) = named else { return in_field };
    let name = named.split_once('=').map_or("", |(_, value)| value);
    let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
    let kept: Vec<&str> = head.query.split('&').filter(|part| !is_ours(part)).collect();
    head.query = kept.join("&");
    Some(name).filter(|name| !name.is_empty()).or(in_field)
}

/// A query without the parts that are tokens of clients: `key`, and whatever else they call it.
pub fn without_tokens<'q>(query: &'q str, settings: &Settings) -> Cow<'q, str> {
    if query.is_empty() {
        return Cow::Borrowed(query);
    }
    if !query.split('&').any(|part| holds_token(part, settings)) {
        return Cow::Borrowed(query);
    }
    let parts: Vec<&str> = query.split('&').filter(|part| !holds_token(part, settings)).collect();
    Cow::Owned(parts.join("&"))
}

/// Whether a server could read a token of a client's from a part of a query, however it takes it apart
/// and however often it decodes it.
fn holds_token(part: &str, settings: &Settings) -> bool {
    let reads = |text: &str| {
        // Some servers part a query at semicolons, too.
        let pieces = text.split(';').chain(text.split([';', '=']));
        let pieces = pieces.filter(|piece| piece.len() < text.len());
        std::iter::once(text).chain(pieces).any(|text| is_read(text.as_bytes(), settings))
    };
    reads(part) || part.contains('+') && reads(&part.replace('+', " "))
}

fn is_read(text: &[u8], settings: &Settings) -> bool {
    let ends = |byte: &u8| b"=;,\"'&?#/:|()[]<>".contains(byte) || byte.is_ascii_control();
    let mut text = text.to_vec();
    for _ in 0..=DECODINGS_MAX {
        let name = text.iter().position(|byte| *byte == b'=').unwrap_or(0);
        let signs = text[name..].iter().take_while(|byte| **byte == b'=').count();
        let words = text.split(ends).chain([&text[..], &text[name + signs..]]);
        let mut words = words.flat_map(|word| [word, bare(word)]);
        let found = words.any(|word| settings.holds_token(word));
        drop(words);
        if found {
            return true;
        }
        let plain: Vec<u8> = percent_decode(&text).collect();
        if plain == text {
            return false;
        }
        text = plain;
    }
    false
}

/// Without the quotes, white space and controls around it.
fn bare(word: &[u8]) -> &[u8] {
    let counts = |byte: &u8| byte.is_ascii_graphic() && !b"\"'".contains(byte) || !byte.is_ascii();
    let start = word.iter().position(counts).unwrap_or(word.len());
    let end = word.iter().rposition(counts).map_or(start, |end| end + 1);
    &word[start..end]
}

/// The request as its provider gets it, but for its body: to `path` below `baseurl`.
pub fn call<'c>(
    head: &'c RequestHead,
    path: &'c str,
    query: &'c str,
    entry: &'c Entry,
) -> Call<'c> {
    Call {
        method: &head.method,
        path,
        query,
        relayed: &head.relayed,
        credentials: &head.credentials,
        id: &entry.id,
    }
}

/// Which conversation a request belongs to, where that decides about its key or target.
pub fn conversation_of(
    settings: &Settings,
    token: &Token,
    head: &RequestHead,
    of_body: Option<u64>,
) -> u64 {
    if !settings.by_conversation {
        return 0;
    }
    let mut sessions = SESSION_FIELDS.iter().flat_map(|name| fields(&head.relayed, name));
    let session = sessions.find(|value| !value.is_empty());
    conversation(token.secret.expose(), session, of_body)
}

/// What names can lead to for a request to `endpoint`.
pub fn names<'s, 'l>(
    settings: &'s Settings,
    endpoint: &'l str,
    conversation: u64,
    lists: &'l dyn Fn(&Provider, &str) -> Lists,
) -> Names<'s, 'l> {
    Names {
        config: settings.config(),
        providers: &settings.providers,
        turns: &settings.turns,
        endpoint: endpoint.strip_prefix('/').unwrap_or(endpoint),
        conversation,
        lists,
    }
}

/// Takes note of where a request goes, which asked for `model`.
///
/// # Errors
/// It goes nowhere.
pub fn routed<'s>(
    route: Result<Route<'s>, Refusal>,
    model: Option<&str>,
    entry: &mut Entry,
) -> Result<Route<'s>, Error> {
    let model = model.unwrap_or_default();
    if !matches!(route, Err(Refusal::LongName(_))) {
        entry.model.push_str(model);
    }
    if let Ok(Route::Direct(provider, _)) = &route {
        entry.go_to(provider);
    }
    route.map_err(|refusal| match refusal {
        Refusal::NoSuchModel => Error::ModelNotFound(model.to_owned()),
        Refusal::LongName(start) => Error::ModelNotFound(start),
        Refusal::BadRequest(reason) => Error::BadRequest(reason),
        Refusal::UnknownStored(id) => Error::UnknownStored(id),
        Refusal::NotOffered { provider, endpoint } => Error::NotOffered { provider, endpoint },
        Refusal::Several { model, providers } => Error::SeveralProviders { model, providers },
        Refusal::NotYetKnown(model) => Error::NotYetKnown(model),
    })
}

/// Sends a request to its provider and relays the response, or begins to.
///
/// # Errors
/// Whatever keeps a response from being begun.
pub async fn ask(
    state: &State,
    mut message: Message,
    connection: &mut Connection,
    terms: &Terms<'_>,
    entry: &mut Entry,
) -> Result<Response, Error> {
    let Terms { provider, timeouts, .. } = terms;
    // Boxed, like all that is over before the response streams: an open stream stays small.
    let timer = Timer::new(state.clock());
    message.measure(entry.timings());
    let exchange =
        Box::pin(exchange(&state.pool, &provider.origin, &mut message, timeouts, &timer));
    let mut early =
        timeouts.early_after.map(|after| Box::new(Early::new(after, terms, connection)));
    let response = match &mut early {
        None => connection.unless_gone(exchange).await,
        Some(early) => Box::pin(early.wait(exchange, connection, entry)).await,
    };
    // Nothing of the request is kept while the response comes.
    drop(message);
    let response = response
        .map_err(Error::from)
        .and_then(|response| response.map_err(|error| Error::of_exchange(provider, error)));
    if let Ok(response) = &response {
        entry.note_provider_head(response.lease.reused);
    }
    if let Some(early) = early.filter(|early| early.opened) {
        let open = |response| Answer::Open(Box::new(response), Vec::new(), terms.budget.share());
        let answer = response.map(open);
        return Ok(Box::pin(early.relay(answer, connection, entry)).await);
    }
    let mut response = response?;
    if !response.head.has_request_id {
        push_field(&mut response.head.relayed, "x-request-id", entry.id.as_bytes());
    }
    let held = (Vec::new(), terms.budget.share());
    relay::<false>(response, held, connection, terms, entry).await
}
