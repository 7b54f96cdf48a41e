//! `ai_proxy`: one small proxy between OpenAI clients and many OpenAI-compatible providers.
//!
//! A request walks down through these rooms, and its answer walks back the same way:
//! [`server`] accepts, [`client`] reads, [`api`] dispatches, [`chat`] routes, [`upstream`]
//! exchanges, [`relay`] brings the answer. Imports point downward only.

pub mod api;
pub mod body;
pub mod budget;
pub mod changes;
pub mod chat;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod connect;
pub mod demo;
pub mod error;
pub mod head;
pub mod health;
pub mod limits;
pub mod logging;
pub mod models;
pub mod offload;
pub mod page;
pub mod pool;
pub mod proxy;
pub mod query;
pub mod reactor;
pub mod record;
pub mod relay;
pub mod reply;
pub mod request;
pub mod resolve;
pub mod seats;
pub mod secret;
pub mod server;
pub mod signals;
pub mod socket;
pub mod splice;
pub mod start;
pub mod stats;
pub mod tls;
pub mod turns;
pub mod upstream;
pub mod waiters;
pub mod warnings;
