//! Feeds an input to our parsers, in the order in which the proxy calls them.

use super::{Case, Outcome};
use crate::memory::End;
use crate::ours::{Decoder, HeadError, HeadScanner, RequestHead, ResponseHead};

/// A head's short form, its body's decoder, and whether another head follows.
type Parsed = (String, Decoder, bool);

/// What becomes of a request.
pub fn request(case: &Case) -> Outcome {
    run(case, |bytes| {
        let (head, _) = RequestHead::parse(bytes, &|_| false)?;
        let fields = String::from_utf8_lossy(&head.relayed).trim_end().replace("\r\n", ", ");
        let text = format!("{} {} [{fields}]", head.method, head.path);
        Ok((text, Decoder::new(head.framing), false))
    })
}

/// What becomes of an answer.
pub fn answer(case: &Case) -> Outcome {
    run(case, |bytes| {
        let (head, _) = ResponseHead::parse(bytes)?;
        let relayed = String::from_utf8_lossy(&head.relayed);
        let text = relayed.trim_start_matches("HTTP/1.1 ").trim_end().replace("\r\n", ", ");
        // Interim answers are skipped (RFC 9110 §15.2).
        Ok((text, Decoder::new(head.framing), head.status < 200))
    })
}

fn run(case: &Case, parse: impl Fn(&[u8]) -> Result<Parsed, HeadError>) -> Outcome {
    let mut input = Vec::new();
    let mut scanner = HeadScanner::default();
    let mut parsed: Option<(String, Decoder)> = None;
    let mut body = Vec::new();
    for piece in &case.pieces {
        input.extend_from_slice(piece);
        while parsed.is_none() {
            let head = match scanner.scan(&input) {
                Ok(Some(length)) => {
                    let head: Vec<u8> = input.drain(..length).collect();
                    parse(&head)
                }
                Ok(None) => break,
                Err(error) => Err(error),
            };
            match head {
                Ok((text, decoder, false)) => parsed = Some((text, decoder)),
                Ok((_, _, true)) => scanner = HeadScanner::default(),
                Err(error) => return Outcome::Refuses(error.to_string()),
            }
        }
        let Some((text, decoder)) = &mut parsed else { continue };
        match decoder.decode(&mut input) {
            Ok(piece) => {
                body.extend_from_slice(&input[piece.data]);
                input.drain(..piece.consumed);
            }
            Err(error) => {
                return Outcome::Takes { head: text.clone(), body: Err(error.to_string()) }
            }
        }
    }
    let Some((head, mut decoder)) = parsed else {
        return match case.end {
            End::Silence => Outcome::Waits,
            End::Close => Outcome::Refuses("closed within the head".to_owned()),
        };
    };
    if !decoder.is_done() {
        match case.end {
            End::Silence => return Outcome::Waits,
            End::Close => {
                if let Err(error) = decoder.end() {
                    return Outcome::Takes { head, body: Err(error.to_string()) };
                }
            }
        }
    }
    Outcome::Takes { head, body: Ok(String::from_utf8_lossy(&body).into()) }
}
