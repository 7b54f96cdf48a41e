//! The inputs that async-h1 2.3.4 and http-types 2.12.0 get wrong, each fed to them and to our parser in
//! memory. What is seen is printed; where it is not what the documentation lists, that is said, and the
//! exit code is 1.

mod answers;
mod crates;
mod program;
mod proxy;
mod requests;

use std::fmt;
use std::process::ExitCode;

use crate::memory::End;
use crate::Result;

/// The longest text shown of anything.
const SHOWN_MAX: usize = 90;

/// What somebody does with an input.
#[derive(Debug)]
enum Outcome {
    Panics(String),
    Refuses(String),
    /// Waits for nothing: all has been delivered or can be read, but no waker is kept.
    Hangs,
    /// Waits for bytes that never come.
    Waits,
    Takes {
        head: String,
        body: std::result::Result<String, String>,
    },
    /// Answers, and starts threads of these names.
    Starts(Vec<String>),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Outcome::Panics(message) => format!("panics: {message}"),
            Outcome::Refuses(reason) => format!("refuses it: {reason}"),
            Outcome::Hangs => "returns Pending and keeps no waker: hangs".to_owned(),
            Outcome::Waits => "waits for more".to_owned(),
            Outcome::Takes { head, body: Ok(body) } => {
                format!("takes it: {head}; body {body:?}, complete")
            }
            Outcome::Takes { head, body: Err(error) } => {
                format!("takes it: {head}; then an error: {error}")
            }
            Outcome::Starts(names) if names.is_empty() => "starts no thread".to_owned(),
            Outcome::Starts(names) => format!("starts {}: {}", names.len(), names.join(", ")),
        };
        let mut plain: String = text.replace('|', "/").escape_debug().collect();
        plain = plain.replace("\\\\", "\\").replace("\\\"", "\"").replace("\\'", "'");
        let shown: String = plain.chars().take(SHOWN_MAX).collect();
        let more = if shown.len() < plain.len() { "…" } else { "" };
        write!(f, "{shown}{more}")
    }
}

/// What is expected of somebody.
#[derive(Debug)]
enum Claim {
    Panics,
    Refuses,
    Hangs,
    Waits,
    /// Takes a head that says this, and a body that is this and complete.
    Takes(&'static str, &'static str),
    /// Takes the head and finds the body wrong.
    BodyFails,
}

impl Claim {
    fn holds(&self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Claim::Panics, Outcome::Panics(_))
            | (Claim::Refuses, Outcome::Refuses(_))
            | (Claim::Hangs, Outcome::Hangs)
            | (Claim::Waits, Outcome::Waits)
            | (Claim::BodyFails, Outcome::Takes { body: Err(_), .. }) => true,
            (Claim::Takes(part, wanted), Outcome::Takes { head, body: Ok(body) }) => {
                head.contains(part) && body == wanted
            }
            _ => false,
        }
    }
}

/// An input, and what is expected of both.
struct Case {
    name: &'static str,
    /// Each is read on its own.
    pieces: Vec<Vec<u8>>,
    end: End,
    crates: Claim,
    ours: Claim,
}

impl Case {
    /// A case whose input comes at once, and whose peer then stays.
    fn new(name: &'static str, input: impl AsRef<[u8]>, crates: Claim, ours: Claim) -> Case {
        let pieces = vec![input.as_ref().to_vec()];
        Case { name, pieces, end: End::Silence, crates, ours }
    }

    /// The same, but the peer then closes.
    fn closed(self) -> Case {
        Case { end: End::Close, ..self }
    }

    /// The same, cut into two reads.
    fn cut(mut self, at_from_end: usize) -> Case {
        let at = self.pieces[0].len() - at_from_end;
        let rest = self.pieces[0].split_off(at);
        self.pieces.push(rest);
        self
    }
}

/// What was seen of one input.
struct Seen {
    name: &'static str,
    crates: Outcome,
    ours: Outcome,
    /// Whether both are what the documentation says.
    listed: bool,
}

/// Feeds every case to both and prints what they do.
pub fn show() -> Result<ExitCode> {
    // Panics are caught and shown in the table.
    std::panic::set_hook(Box::new(|_| {}));
    let mut surprises = 0;
    for (side, seen) in [
        ("A request", requests::all().into_iter().map(request).collect::<Vec<_>>()),
        ("An answer", answers::all().into_iter().map(answer).collect()),
        ("The two together", program::all()?),
    ] {
        println!("\n| {side} | async-h1 2.3.4, http-types 2.12.0 | ours |\n| --- | --- | --- |");
        for Seen { name, crates, ours, listed } in seen {
            let mark = if listed { "" } else { " **(not what is listed)**" };
            surprises += usize::from(!listed);
            println!("| {name} | {crates}{mark} | {ours} |");
        }
    }
    println!("\n{surprises} not as listed");
    Ok(if surprises == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn request(case: Case) -> Seen {
    judge(&case, crates::request(&case), proxy::request(&case))
}

fn answer(case: Case) -> Seen {
    judge(&case, crates::answer(&case), proxy::answer(&case))
}

fn judge(case: &Case, crates: Outcome, ours: Outcome) -> Seen {
    let listed = case.crates.holds(&crates) && case.ours.holds(&ours);
    Seen { name: case.name, crates, ours, listed }
}
