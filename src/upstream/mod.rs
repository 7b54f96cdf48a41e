//! One exchange with a provider: a connection from the pool or a new one, the request out, the
//! response in. It must not know clients or routes.

mod connect;
mod dns;
mod error;
mod exchange;
mod history;
mod message;
mod pool;
mod provider;
mod response;
mod rests;
mod roots;
mod strip;
mod timeouts;
mod timings;
mod tls;
mod trouble;

#[cfg(test)]
pub(crate) mod testing;

pub use self::connect::{
    Connect, ConnectError, Connected, Connecting, Network, Opened, Origin, Took, CONNECT_MAX,
};
pub use self::error::{shown_target, Error};
pub use self::exchange::exchange;
pub use self::history::{Check, Health, History, Verdict};
pub use self::message::Message;
pub use self::pool::{Pool, PoolLimits};
pub use self::provider::{authorization, is_stored_id, Call, Key, Past, Provider};
pub use self::response::UpstreamResponse;
pub use self::rests::{ModelRests, Reach, Rest, Rests};
pub use self::roots::defer_bundle;
pub use self::strip::{Samples, Strip};
pub use self::timeouts::Timeouts;
pub use self::timings::{Part, Timings};
pub use self::tls::Tls;
pub use self::trouble::{is_fault_of_provider, Trouble};
