//! One exchange with a provider: a connection from the pool or a new one, the request out, the answer in.
//! It must not know clients, routes or the configuration file.

pub mod connect;
pub mod dns;
pub mod error;
pub mod exchange;
mod message;
pub mod pool;
pub mod provider;
mod response;
pub mod timeouts;
pub mod tls;

#[cfg(test)]
mod testing;
