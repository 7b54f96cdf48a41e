//! Work that would hold up the event loop: a thread for each piece, gone when it is done.
//!
//! Not `smol::unblock`: blocking 1.7.0 grows to 500 threads and keeps every one of them for ever,
//! awake twice a second.

use std::io;
use std::thread;

use smol::channel::bounded;

/// Text up to this is parsed on the event loop: some hundred microseconds.
pub const IN_PLACE_BYTES_MAX: usize = 64 * 1024;
/// Room for getaddrinfo(3) and OpenSSL; pages that are not touched cost nothing.
const STACK_BYTES: usize = 512 * 1024;

/// Runs `work` on a thread of its own. The thread finishes it even when the caller was dropped.
///
/// # Errors
/// When the system has no thread to give, or `work` panics.
pub async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = bounded(1);
    detach(move || drop(sender.try_send(work())))?;
    receiver.recv().await.map_err(io::Error::other)
}

/// Runs `work` on a thread of its own and does not wait for it.
///
/// # Errors
/// When the system has no thread to give; `work` is lost.
pub fn detach(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name("offload".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(work).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_comes_back_and_a_panic_is_an_error() {
        assert_eq!(smol::block_on(offload(|| 1 + 1)).unwrap(), 2);
        assert!(smol::block_on(offload(|| panic!("on purpose"))).is_err());
    }
}
