//! What shows only when decoding and encoding, or two messages, come together.

use std::thread;
use std::time::Duration;

use async_h1::{client, server};
use futures_lite::AsyncReadExt;
use http_types::{Method, Response, StatusCode};

use super::crates::{drive, memory};
use super::{proxy, Case, Claim, Outcome, Seen};
use crate::memory::{End, Memory};
use crate::{child, Result};
use Claim::Takes;

/// All of them. The last two leave threads behind.
pub fn all() -> Result<Vec<Seen>> {
    Ok(vec![
        date(),
        order(),
        pipelined(
            "two requests in one read: the second one",
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
            Claim::Waits,
        ),
        pipelined(
            "the same, the first with a chunked body: the first one",
            "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            Claim::BodyFails,
        ),
        expect()?,
        accept()?,
    ])
}

fn seen(name: &'static str, crates: (Outcome, bool), ours: Outcome, ours_listed: bool) -> Seen {
    Seen { name, crates: crates.0, ours, listed: crates.1 && ours_listed }
}

fn case(name: &'static str, input: &str) -> Case {
    Case::new(name, input, Claim::Waits, Claim::Waits)
}

/// An answer without `Date`, relayed.
fn date() -> Seen {
    let name = "an answer without `Date`, relayed";
    let case = case(name, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Last: 1\r\n\r\nab");
    let memory = memory(&case);
    let relayed = drive(&memory, async {
        let response = client::decode(memory.clone()).await.map_err(|error| error.to_string())?;
        first_bytes(server::Encoder::new(response, Method::Post)).await
    });
    let (outcome, listed) = match relayed {
        Ok(Ok(bytes)) => {
            let (head, rest) = bytes.split_once("\r\n\r\n").unwrap_or((&bytes, ""));
            let head = format!("head ends with {:?}", head.lines().last().unwrap_or_default());
            let listed = head.contains("date: date: ") && rest.contains("x-last: 1");
            (Outcome::Takes { head, body: Ok(rest.to_owned()) }, listed)
        }
        Ok(Err(error)) => (Outcome::Refuses(error), false),
        Err(outcome) => (outcome, false),
    };
    let ours = proxy::answer(&case);
    let ours_listed = Takes("200 OK, X-Last: 1", "ab").holds(&ours);
    seen(name, (outcome, listed), ours, ours_listed)
}

async fn first_bytes(
    mut encoder: impl futures_lite::AsyncRead + Unpin,
) -> std::result::Result<String, String> {
    let mut bytes = vec![0; 16 * 1024];
    let count = encoder.read(&mut bytes).await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes[..count]).into())
}

/// A request's fields, relayed.
fn order() -> Seen {
    let name = "order and spelling of fields, relayed";
    let fields = "Zeta: 1\r\nalpha: 2\r\nBeta: 3\r\nALPHA: 4";
    let case = case(name, &format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
    let memory = memory(&case);
    let relayed = drive(&memory, async {
        let decoded = server::decode(memory.clone()).await.map_err(|error| error.to_string())?;
        let (request, _) = decoded.ok_or("no request")?;
        first_bytes(client::Encoder::new(request)).await
    });
    let (outcome, listed) = match relayed {
        Ok(Ok(bytes)) => {
            let kept = bytes.contains(fields);
            let lines: Vec<&str> = bytes.lines().skip(2).filter(|line| !line.is_empty()).collect();
            (Outcome::Takes { head: lines.join(", "), body: Ok(String::new()) }, !kept)
        }
        Ok(Err(error)) => (Outcome::Refuses(error), false),
        Err(outcome) => (outcome, false),
    };
    let ours = proxy::request(&case);
    let ours_listed = Takes("[Zeta: 1, alpha: 2, Beta: 3, ALPHA: 4]", "").holds(&ours);
    seen(name, (outcome, listed), ours, ours_listed)
}

/// Two requests that come in one read. Ours is handed what the first one left.
fn pipelined(name: &'static str, first: &str, claim: Claim) -> Seen {
    let second = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let both = case(name, &format!("{first}{second}"));
    let outcome = match super::crates::request(&both) {
        whole @ Outcome::Takes { body: Ok(_), .. } => {
            let memory = memory(&both);
            let again = drive(&memory, async {
                drop(server::decode(memory.clone()).await);
                server::decode(memory.clone()).await.map(|decoded| decoded.is_some())
            });
            again.map_or_else(|outcome| outcome, |_| whole)
        }
        other => other,
    };
    let listed = claim.holds(&outcome);
    let (first, second) = (proxy::request(&both), proxy::request(&case(name, second)));
    let both_taken =
        matches!(first, Outcome::Takes { body: Ok(_), .. }) && Takes("GET /2", "").holds(&second);
    seen(name, (outcome, listed), if both_taken { second } else { first }, both_taken)
}

/// Threads that are there after `work` and were not before.
fn new_threads(work: impl FnOnce()) -> Result<Vec<String>> {
    let before = child::threads()?;
    work();
    // A new thread gives itself its name.
    thread::sleep(Duration::from_millis(100));
    let mut now = child::threads()?;
    for name in before {
        if let Some(at) = now.iter().position(|other| *other == name) {
            now.remove(at);
        }
    }
    Ok(now)
}

fn threads(name: &'static str, theirs: Vec<String>, input: &str) -> Result<Seen> {
    let ours = new_threads(|| drop(proxy::request(&case(name, input))))?;
    let (listed, ours_listed) = (!theirs.is_empty(), ours.is_empty());
    Ok(seen(name, (Outcome::Starts(theirs), listed), Outcome::Starts(ours), ours_listed))
}

/// A client that waits for `100 Continue`.
fn expect() -> Result<Seen> {
    let name = "`Expect: 100-continue`";
    let input =
        "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab";
    let theirs = new_threads(|| drop(super::crates::request(&case(name, input))))?;
    threads(name, theirs, input)
}

/// async-h1's own loop over the requests of a connection, with its deadline for heads.
fn accept() -> Result<Seen> {
    let name = "any request, by `async_h1::accept`";
    let input = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let memory = Memory::new(&[input.as_bytes()], End::Silence);
    let served = async_h1::accept(memory.clone(), |_| async { Ok(Response::new(StatusCode::Ok)) });
    let theirs = new_threads(|| drop(drive(&memory, served)))?;
    threads(name, theirs, input)
}
