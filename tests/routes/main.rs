//! What each endpoint answers, and to whom.

mod auth;
mod chat_bodies;
mod cors;
mod endpoints;
mod health;
mod model_lists;
mod models;
mod models_dialects;
mod request_ids;
mod stats;
mod status;
mod status_page;
mod stored;
#[path = "../support/mod.rs"]
mod support;
