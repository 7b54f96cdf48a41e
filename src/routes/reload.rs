//! `POST /v1/reload` and SIGHUP: the configuration file is read again and put in force, or nothing
//! changes. It is read by another thread: a mount that hangs holds up only those that wait for
//! this.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use smol::channel::bounded;

use super::asking::authorise;
use super::models;
use crate::config::Config;
use crate::downstream::Connection;
use crate::language::{pick, Joined, System, Text, Words};
use crate::report::{logging, to_json, Error};
use crate::routing::keep_rate_limits;
use crate::runtime::{label, offload, Wait};
use crate::state::{Settings, State};
use crate::text;
use crate::wire::{Reply, RequestHead};

/// How long a caller waits for the file, and for reloads that were asked for before.
const RELOAD_MAX: Duration = Duration::from_secs(30);

/// Reloads that may wait for others: each would close idle connections and fetch all lists again.
const WAITING_MAX: usize = 64;

/// Open to this machine; others need a token, and so does a reverse proxy on this machine.
///
/// # Errors
/// No token, or [`Error::ReloadRefused`].
pub async fn respond(
    state: &Rc<State>,
    head: &RequestHead,
    connection: &mut Connection,
) -> Result<Reply, Error> {
    if head.forwarded || !connection.peer.ip().to_canonical().is_loopback() {
        authorise(&state.settings(), head)?;
    }
    let reloaded = connection.unless_gone(Box::pin(reload(state))).await?;
    let changes = reloaded.map_err(Error::ReloadRefused)?;
    #[derive(Serialize)]
    struct Reloaded {
        message: &'static str,
        providers_count: usize,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        changes: Vec<String>,
    }
    let providers_count = state.settings().providers.len();
    let reloaded = Reloaded {
        message: pick("配置重新加载成功", "configuration reloaded"),
        providers_count,
        changes: changes.iter().map(Text::to_string).collect(),
    };
    // Promised to the byte, and so without a line feed.
    Ok(Reply::shared_json(Rc::new(to_json(&reloaded).into_bytes())))
}

/// Reads the configuration file again and puts it in force, or changes nothing. Goes on when its
/// caller has left; reloads that overlap run one after the other. Returns what changed, one line
/// each.
///
/// # Errors
/// What is wrong with the file, that it could not be read in time, or that too many wait for that.
pub async fn reload(state: &Rc<State>) -> Result<Vec<Text>, Vec<Text>> {
    if state.reloads.get() >= WAITING_MAX {
        return Err(vec![text!(
            "已有 {WAITING_MAX} 次重新加载在等待",
            "{WAITING_MAX} reloads are waiting"
        )]);
    }
    let (sender, receiver) = bounded(1);
    let in_time = Rc::new(Cell::new(true));
    let (theirs, still_in_time) = (state.clone(), in_time.clone());
    state.reloads.set(state.reloads.get() + 1);
    state.spawn(async move {
        let permit = theirs.reloading.take().await;
        let reloaded = read_and_apply(&theirs, &still_in_time).await;
        drop(permit);
        theirs.reloads.set(theirs.reloads.get() - 1);
        if let Err(mistakes) = &reloaded {
            let cause = Joined(mistakes);
            log::error!("{}: {cause}", Words("配置重新加载失败", "reload refused"));
        }
        let _ = sender.try_send(reloaded);
    });
    let timer = state.timer();
    let wait = Wait::new(label::RELOAD, timer.now(), RELOAD_MAX);
    match timer.within(wait, receiver.recv()).await {
        Ok(Ok(reloaded)) => reloaded,
        Ok(Err(_)) => Err(vec![Words("程序正在停止", "the program is ending").into()]),
        Err(wait) => {
            // What was refused must not come into force later.
            in_time.set(false);
            Err(too_late(wait))
        }
    }
}

fn too_late(wait: Wait) -> Vec<Text> {
    let (label, seconds) = (wait.label, wait.length.as_secs());
    vec![text!("{label}超时，{seconds} s", "{label}: timed out after {seconds} s")]
}

async fn read_and_apply(state: &Rc<State>, in_time: &Cell<bool>) -> Result<Vec<Text>, Vec<Text>> {
    let Some(file) = state.file.clone() else { return Ok(Vec::new()) };
    let refused = || too_late(Wait::new(label::RELOAD, state.clock().now(), RELOAD_MAX));
    if !in_time.get() {
        return Err(refused());
    }
    let read = offload(move || Config::load_again(&file)).await;
    let read = read.map_err(|error| vec![Text::new(System(&error))])?;
    let new = read.map_err(|error| error.lines().to_vec())?;
    if !in_time.get() {
        return Err(refused());
    }
    Ok(apply(state, &state.settings().followed_by(new)))
}

/// Puts a configuration in force.
fn apply(state: &Rc<State>, new: &Rc<Settings>) -> Vec<Text> {
    let keys = new.providers.iter().flat_map(|provider| &provider.keys);
    keys.for_each(|key| keep_rate_limits(&key.rests));
    let old = state.replace_settings(new);
    let changes = old.diff(new, &state.started);
    new.set_language();
    logging::set_level(new.log_level);
    state.pool.tls.reload();
    prepare_tls(state);
    models::refresh(state);
    for warning in new.warnings.iter().chain(&new.warnings(&[], state.clients_max)) {
        log::warn!("{warning}");
    }
    let unchanged = [Words("无变化", "no change").into()];
    let summary = Joined(if changes.is_empty() { &unchanged } else { &changes });
    log::info!("{}: {summary}", Words("配置重新加载成功", "configuration reloaded"));
    changes
}

/// Reads the CA files in the background when a provider needs them, so that no request waits for
/// it, and while there are descriptors for it.
pub fn prepare_tls(state: &Rc<State>) {
    if state.settings().providers.iter().any(|provider| provider.origin.https) {
        let theirs = state.clone();
        state.spawn(async move {
            if let Err(cause) = theirs.pool.tls.connector().await {
                log::error!("TLS: {cause}");
            }
        });
    }
}

#[cfg(test)]
mod tests;
