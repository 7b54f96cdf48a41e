//! Feeds an input to async-h1.

use std::future::Future;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::AsyncReadExt;
use http_types::Body;

use super::{Case, Outcome};
use crate::memory::Memory;

/// Polls after which something that wakes itself for ever counts as hanging.
const POLLS_MAX: u32 = 10_000;

/// Notes that it was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs `future` as long as somebody wakes it.
pub fn drive<T>(memory: &Memory, future: impl Future<Output = T>) -> Result<T, Outcome> {
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let run = AssertUnwindSafe(|| {
        for _ in 0..POLLS_MAX {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return Some(value);
            }
            if !flag.0.swap(false, Ordering::SeqCst) {
                return None;
            }
        }
        None
    });
    match catch_unwind(run) {
        Ok(Some(value)) => Ok(value),
        Ok(None) if memory.is_starved() => Err(Outcome::Waits),
        Ok(None) => Err(Outcome::Hangs),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(Outcome::Panics(text.unwrap_or_default()))
        }
    }
}

/// The case's connection.
pub fn memory(case: &Case) -> Memory {
    let pieces: Vec<&[u8]> = case.pieces.iter().map(Vec::as_slice).collect();
    Memory::new(&pieces, case.end)
}

/// What becomes of a request.
pub fn request(case: &Case) -> Outcome {
    let memory = memory(case);
    let decoded = drive(&memory, async_h1::server::decode(memory.clone()));
    let (mut request, _reader) = match decoded {
        Ok(Ok(Some(decoded))) => decoded,
        Ok(Ok(None)) => return Outcome::Refuses("no request, no answer".to_owned()),
        Ok(Err(error)) => return Outcome::Refuses(error.to_string()),
        Err(outcome) => return outcome,
    };
    let head = format!("{} {}", request.method(), request.url().path());
    take(&memory, head, request.take_body())
}

/// What becomes of an answer.
pub fn answer(case: &Case) -> Outcome {
    let memory = memory(case);
    let mut response = match drive(&memory, async_h1::client::decode(memory.clone())) {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Outcome::Refuses(error.to_string()),
        Err(outcome) => return outcome,
    };
    take(&memory, response.status().to_string(), response.take_body())
}

/// Reads the body as a relay does, which knows no size beforehand.
fn take(memory: &Memory, head: String, mut body: Body) -> Outcome {
    let mut bytes = Vec::new();
    match drive(memory, body.read_to_end(&mut bytes)) {
        Ok(Ok(_)) => Outcome::Takes { head, body: Ok(String::from_utf8_lossy(&bytes).into()) },
        Ok(Err(error)) => Outcome::Takes { head, body: Err(error.to_string()) },
        Err(outcome) => outcome,
    }
}
