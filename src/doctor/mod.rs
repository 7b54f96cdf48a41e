//! `ai_proxy --doctor`: what works between this machine and each provider, what does not, who is to
//! blame, and what to do.
//!
//! Everything is asked over the product's own connections and read by its own readers, all
//! providers at the same time, each within `ALL_MAX`. Without `--spend` nothing is sent but
//! `GET …/models`. Keys are in no word of it.
//!
//! Small comes before fast here: helpers that are called from many places are kept from being
//! inlined, which makes the program 16 KB smaller.

mod baseurl;
mod certificate;
mod examine;
mod json;
mod keys;
mod progress;
mod reading;
mod record;
mod report;
mod show;
mod spend;
mod talk;
mod text;
mod verdict;
mod way;
mod words;

use std::future::{poll_fn, Future};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_lite::future::or;

use self::record::Record;
use self::talk::Examination;
use crate::config::Config;
use crate::runtime::{Reactor, Timer};
use crate::upstream::{Provider, Tls};

pub use self::json::render as to_json;
pub use self::report::Report;
pub use self::show::render as to_text;

/// An examination is over after this, whatever it waits for.
const ALL_MAX: Duration = Duration::from_millis(9_500);

/// Examines all providers of a configuration, which was read from `file`. `spend` allows chats of
/// one token; `shows_progress` tells on standard error, a terminal, how far it is.
///
/// # Errors
/// When the kernel refuses an event loop.
pub fn examine(
    config: &Config,
    file: &str,
    spend: bool,
    shows_progress: bool,
) -> io::Result<Report> {
    let begun = Instant::now();
    let reactor = Reactor::new()?;
    let providers: Vec<_> = config.providers.iter().cloned().map(Provider::new).collect();
    let records: Vec<_> = providers.iter().map(|_| Record::new()).collect();
    let timer = Timer::new(&reactor.clock);
    let ticking = Box::pin(progress::tell(shows_progress, &providers, &records, timer));
    reactor.block_on(or(all(config, &reactor, &providers, &records, spend), ticking));
    let mut report = Report::new((file, spend), &providers, &records);
    report.took = begun.elapsed();
    Ok(report)
}

type Run<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Examines all of them at the same time.
async fn all(
    config: &Config,
    reactor: &Rc<Reactor>,
    providers: &[Rc<Provider>],
    records: &[Rc<Record>],
    spend: bool,
) {
    let tls = Rc::new(Tls::default());
    // Read once, before anything is timed.
    let wanted = providers.iter().any(|provider| provider.origin.https);
    let without_ca = wanted && tls.connector().await.is_err();
    let limits = (without_ca, reactor.clock.now() + ALL_MAX);
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (provider, record) in providers.iter().zip(records) {
        let what = (config, provider, spend);
        runs.push(Box::pin(Examination::new(what, (reactor, &tls), record, limits).run()));
    }
    poll_fn(|context| {
        runs.retain_mut(|run| run.as_mut().poll(context).is_pending());
        if runs.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
