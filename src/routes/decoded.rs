//! Compressed request bodies, decoded on threads of their own: no body holds up the event loop, none takes
//! more memory than it was granted.

use std::io::ErrorKind;

use crate::downstream::{self, Connection};
use crate::report::Error;
use crate::runtime::{offload, Share};
use crate::state::{Settings, State};
use crate::text;
use crate::wire::{remove_field, Coding, CodingError, Decoding, Pause, RequestHead};

/// The first output is so many times as long as the body: about what JSON comes to.
const GROWTH: usize = 4;
/// And at least so long.
const OUTPUT_BYTES_MIN: usize = 16 * 1024;

/// Reads the body of the current request, and decodes it if it is compressed. Its memory comes out of
/// `share`.
///
/// # Errors
/// An unknown coding, what keeps a body from being read, or as `decoded`.
pub async fn plain_body(
    state: &State,
    settings: &Settings,
    head: &mut RequestHead,
    connection: &mut Connection,
    share: &mut Share,
) -> Result<Vec<u8>, Error> {
    connection.raise_read_ahead();
    let known = |name: String| Coding::of(&name).ok_or(Error::UnknownCoding(name));
    let coding = head.coding.take().map(known).transpose()?;
    let limit = settings.max_request_size;
    let body = connection.read_body(head.framing, limit, share).await?;
    let Some(coding) = coding else { return Ok(body) };
    remove_field(&mut head.relayed, "content-encoding");
    Box::pin(decoded(state, Decoding::new(coding, body, limit), connection, share)).await
}

/// The plain body, whose memory comes out of `share`, as did that of the encoded one. A few are decoded
/// at a time.
///
/// # Errors
/// A body that cannot be decoded or would be over its limit, a client that left, or a budget that is
/// used up.
async fn decoded(
    state: &State,
    decoding: Decoding,
    connection: &mut Connection,
    share: &mut Share,
) -> Result<Vec<u8>, Error> {
    let work = async {
        let _permit = state.parsers.take().await;
        let plain = decode(decoding, share).await;
        if let Ok(plain) = &plain {
            let _ = share.resize(plain.capacity());
        }
        plain
    };
    connection.unless_gone(Box::pin(work)).await?
}

/// Each round has room for twice as much as the one before.
async fn decode(decoding: Decoding, share: &mut Share) -> Result<Vec<u8>, Error> {
    let (coding, limit) = (decoding.coding(), decoding.limit());
    let overloaded = |limit| Error::Client(downstream::Error::Overloaded(limit));
    // One byte more tells a body that is too large from one that just fits.
    let length_max = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let guess = GROWTH.saturating_mul(decoding.encoded_length()).max(OUTPUT_BYTES_MIN);
    let mut room = guess.min(length_max);
    let (mut decoding, mut output) = (decoding, Vec::new());
    loop {
        // A long output is moved to its new room by the kernel, not copied (mremap(2)).
        let memory = decoding.memory().saturating_add(room);
        if !share.resize(memory) {
            return Err(overloaded(share.budget().limit()));
        }
        let round = offload(move || {
            output.reserve_exact(room - output.len());
            let pause = decoding.run(&mut output, room);
            (pause, decoding, output)
        });
        let pause;
        (pause, decoding, output) = match round.await {
            Ok(round) => round,
            // The decoder gave up in a way of its own.
            Err(error) if error.kind() == ErrorKind::Other => {
                return Err(refused(coding, &CodingError::Corrupt(error.to_string())));
            }
            // The system has no thread to give.
            Err(_) => return Err(overloaded(share.budget().limit())),
        };
        match pause {
            Ok(Pause::Done) => return Ok(output),
            Ok(Pause::Full) => room = room.saturating_mul(2).min(length_max),
            Ok(Pause::Memory) => {}
            Err(CodingError::TooLarge) => {
                return Err(Error::Client(downstream::Error::TooLarge(limit)));
            }
            Err(error) => return Err(refused(coding, &error)),
        }
    }
}

fn refused(coding: Coding, error: &CodingError) -> Error {
    let coding = coding.name();
    Error::BadRequest(text!(
        "请求体无法解压 {coding}: {error}",
        "the request body in {coding} cannot be decoded: {error}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::Bench;

    /// An empty frame of zstd with a window of 8 MiB.
    const WIDE_WINDOW: &[u8] = b"\x28\xb5\x2f\xfd\x00\x68\x01\x00\x00";
    /// 128 KiB of spaces, in 4 bytes behind the head.
    const SPACES: &[u8] = b"\x28\xb5\x2f\xfd\x00\x38\x03\x00\x10\x20";

    fn zstd(body: &[u8], limit: u64) -> Decoding {
        Decoding::new(Coding::Zstd, body.to_vec(), limit)
    }

    #[test]
    fn memory_is_granted_before_it_is_taken_and_given_back() {
        let bench = Bench::new();
        let (mut connection, _client) = bench.connect();
        let budget = &bench.state.memory.bodies;
        for (body, limit, expected) in [
            (WIDE_WINDOW, 9 << 20, None),
            (WIDE_WINDOW, 10 << 20, Some(0)),
            (SPACES, 1 << 20, None),
            (SPACES, 2 << 20, Some(128 << 10)),
        ] {
            budget.set_limit(limit);
            let mut share = budget.share();
            let work = decoded(&bench.state, zstd(body, 1 << 20), &mut connection, &mut share);
            let plain = bench.finish(work);
            match expected {
                Some(length) => {
                    let plain = plain.unwrap();
                    assert_eq!((plain.len(), budget.used()), (length, plain.capacity()));
                }
                None => {
                    let refused = plain.unwrap_err();
                    let busy = Error::Client(downstream::Error::Overloaded(limit));
                    assert_eq!(refused.to_string(), busy.to_string());
                }
            }
            drop(share);
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn a_few_are_decoded_at_a_time_and_a_client_that_leaves_meanwhile_is_noticed() {
        let bench = Bench::new();
        let state = &bench.state;
        let taken = [bench.finish(state.parsers.take()), bench.finish(state.parsers.take())];
        let (mut connection, client) = bench.connect();
        let mut share = state.memory.bodies.share();
        let work = decoded(state, zstd(SPACES, 1 << 20), &mut connection, &mut share);
        let mut work = Box::pin(work);
        assert!(bench.poll(&mut work).is_none());
        drop(client);
        let gone = bench.poll(&mut work).expect("nobody watches the client");
        assert!(matches!(gone, Err(Error::Client(downstream::Error::Gone))));
        drop(work);
        drop(taken);
        assert_eq!(state.parsers.taken(), 0);
    }
}
