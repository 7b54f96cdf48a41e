//! `ai_proxy`: one small proxy between OpenAI clients and many OpenAI-compatible providers.

pub mod config;
pub mod downstream;
pub mod program;
pub mod relay;
pub mod report;
pub mod routes;
pub mod routing;
pub mod runtime;
pub mod server;
pub mod state;
pub mod upstream;
pub mod wire;
