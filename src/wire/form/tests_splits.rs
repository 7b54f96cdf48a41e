//! The same body in many pieces.

use super::*;

/// How a body is given to a form.
#[derive(Clone)]
pub(super) struct Plan<'a> {
    /// Bytes that are scanned before the rest is edited.
    pub(super) hold: usize,
    /// Sizes of the pieces, over and over.
    pub(super) pieces: Vec<usize>,
    pub(super) name: Option<&'a str>,
    pub(super) keep: bool,
    /// Whether what is ambiguous is refused.
    pub(super) strict: bool,
}

impl Plan<'_> {
    pub(super) fn whole(name: &str) -> Plan<'_> {
        Plan {
            hold: usize::MAX,
            pieces: vec![usize::MAX],
            name: Some(name),
            keep: false,
            strict: true,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) output: Vec<u8>,
    pub(super) model: Option<String>,
    pub(super) streams: bool,
}

pub(super) fn pass_with(boundary: &str, body: &[u8], plan: &Plan) -> Result<Passed, FormError> {
    let mut form = Form::new(boundary.as_bytes());
    if plan.strict {
        form.refuse_ambiguous()?;
    }
    let hold = plan.hold.min(body.len());
    let mut sizes = plan.pieces.iter().copied().cycle();
    let mut at = 0_usize;
    loop {
        at = hold.min(at.saturating_add(sizes.next().unwrap()));
        form.scan(&body[..at], at == body.len())?;
        assert!(form.settled() <= at);
        if at == hold {
            break;
        }
    }
    let mut held = body[..hold].to_vec();
    if let Some(name) = plan.name {
        let longer = form.rename(name, &mut held)?;
        assert_eq!(signed(held.len()), signed(hold) + longer);
    }
    if plan.keep {
        form.keep_length();
    }
    let mut output = held[..form.settled()].to_vec();
    let rest = [&held[form.settled()..], &body[hold..]].concat();
    at = 0;
    loop {
        let end = rest.len().min(at.saturating_add(sizes.next().unwrap()));
        form.edit(&rest[at..end], &mut output, end == rest.len())?;
        assert!(form.kept.len() <= 24 * 1024);
        at = end;
        if at == rest.len() {
            let (model, streams) = (form.model().map(str::to_owned), form.streams());
            return Ok(Passed { output, model, streams });
        }
    }
}

/// Passes a body in several ways, all of which must come to the same.
pub(super) fn pass(boundary: &str, body: &[u8], name: &str) -> Result<Passed, FormError> {
    let whole = pass_with(boundary, body, &Plan::whole(name));
    let half = body.len() / 2;
    for (hold, piece) in [(0, usize::MAX), (half, 1), (body.len(), 1), (0, 1), (half, 7), (1, 1500)]
    {
        let plan = Plan { hold, pieces: vec![piece], ..Plan::whole(name) };
        let passed = pass_with(boundary, body, &plan);
        assert_eq!(passed, whole, "held {hold}, by {piece}: {:?}", String::from_utf8_lossy(body));
    }
    for _ in 0..4 {
        let hold = fastrand::usize(..=body.len());
        let pieces: Vec<usize> = (0..5).map(|_| fastrand::usize(1..40)).collect();
        let plan = Plan { hold, pieces, ..Plan::whole(name) };
        assert_eq!(pass_with(boundary, body, &plan), whole, "{:?}", String::from_utf8_lossy(body));
    }
    whole
}

/// Where the delimiter is that ends a section which begins at `start`, and where what follows it begins; whether
/// it is the closing one. Looks at each byte.
fn next_delimiter(
    body: &[u8],
    boundary: &str,
    start: usize,
    is_first: bool,
) -> Option<(usize, usize, bool)> {
    for at in start..body.len() {
        let line = if is_first && at == 0 && body.starts_with(b"--") {
            Some(body)
        } else {
            body[at..].strip_prefix(b"\r\n")
        };
        let Some(rest) = line.and_then(|line| line.strip_prefix(b"--")) else { continue };
        let Some(rest) = rest.strip_prefix(boundary.as_bytes()) else { continue };
        if let Some(behind) = rest.strip_prefix(b"--") {
            return Some((at, body.len() - behind.len(), true));
        }
        let mut behind = rest;
        while let [b' ' | b'\t', more @ ..] = behind {
            behind = more;
        }
        if let Some(behind) = behind.strip_prefix(b"\r\n") {
            return Some((at, body.len() - behind.len(), false));
        }
    }
    None
}

/// The values of the parts whose head has the line that a plain part `model` has.
fn models(body: &[u8], boundary: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut section = next_delimiter(body, boundary, 0, true);
    while let Some((_, start, false)) = section {
        let head = &body[start..];
        let length = if head.starts_with(b"\r\n") {
            Some(2)
        } else {
            head.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
        };
        let Some(length) = length else { break };
        section = next_delimiter(body, boundary, start + length, false);
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        if let Some((end, _, _)) = section {
            if head.split("\r\n").any(|line| line == LINE) {
                found.push(start + length..end);
            }
        }
    }
    found
}

const LINE: &str = "Content-Disposition: form-data; name=\"model\"";

/// Random texts of what forms are made of.
fn soup(random: &mut fastrand::Rng, boundary: &str) -> Vec<u8> {
    let part = format!("\r\n--{boundary}\r\n{LINE}\r\n\r\nvalue");
    let other = format!("\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n");
    let file = other.replace("\"x\"", "\"f\"; filename=\"model.wav\"");
    let stream = format!("{}true", other.replace("\"x\"", "\"stream\""));
    let delimiter = format!("\r\n--{boundary}");
    let tokens = [
        &part, &other, &file, &stream, &other, &file, &delimiter, boundary, "\r\n", "\r\n", "\r",
        "\n", "--", "-", " ", "x", "\0", "model", LINE, "--\r\n",
    ];
    let mut body = other.trim_start().as_bytes()[..].to_vec();
    if random.u8(..8) == 0 {
        body.clear();
    }
    for _ in 0..random.usize(..12) {
        body.extend_from_slice(tokens[random.usize(..tokens.len())].as_bytes());
    }
    if random.bool() {
        body.extend_from_slice(format!("{delimiter}--\r\n").as_bytes());
    }
    body
}

#[test]
fn any_split_passes_what_a_slow_reader_finds() {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut with_model, mut without, mut refused) = (0, 0, 0);
    for round in 0..2000 {
        let boundary = ["b", "--", "-b-", "----WebKitFormBoundaryAa0"][round % 4];
        let body = soup(&mut random, boundary);
        let Ok(passed) = pass(boundary, &body, "renamed") else {
            refused += 1;
            continue;
        };
        let text = String::from_utf8_lossy(&body);
        match &models(&body, boundary)[..] {
            [] => {
                assert_eq!((passed.model, passed.output), (None, body.clone()), "{text:?}");
                without += 1;
            }
            [value] => {
                let mut wanted = body.clone();
                wanted.splice(value.clone(), b"renamed".iter().copied());
                assert_eq!(passed.model.unwrap().as_bytes(), &body[value.clone()], "{text:?}");
                assert_eq!(passed.output, wanted, "{text:?}");
                with_model += 1;
            }
            _ => panic!("two models passed: {text:?}"),
        }
    }
    assert!(with_model > 200 && without > 200 && refused > 200, "{with_model} {without} {refused}");
}

#[test]
fn nothing_changes_without_a_new_name() {
    let body = format!("--b\r\n{LINE}\r\n\r\np/m\r\n--b--\r\n");
    for hold in 0..body.len() {
        let plan = Plan { hold, pieces: vec![3], name: None, keep: true, strict: true };
        let passed = pass_with("b", body.as_bytes(), &plan).unwrap();
        assert_eq!(
            (passed.output, passed.model.as_deref()),
            (body.clone().into_bytes(), Some("p/m"))
        );
    }
}

#[test]
fn hostile_bodies_take_no_longer_than_others() {
    let part = "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n";
    let dashes = "-".repeat(70);
    for (boundary, body) in [
        ("b", "\r\n--".repeat(30_000)),
        ("b", part.repeat(3_000)),
        ("b", format!("{part}{}", "\r\n--b x".repeat(20_000))),
        (&dashes, "-".repeat(100_000)),
        (&dashes, format!("--{dashes}\r\n\r\nx{}", "-".repeat(100_000))),
        (&dashes, format!("--{dashes}\r\n\r\n{}", format!("\r\n{dashes}-").repeat(1_000))),
    ] {
        for (hold, piece) in [(body.len(), 1), (0, 1), (0, 64 * 1024)] {
            let plan = Plan { hold, pieces: vec![piece], ..Plan::whole("x") };
            let passed = pass_with(boundary, body.as_bytes(), &plan);
            // A boundary of hyphens stands in the middle of lines of hyphens: data.
            assert_eq!(passed.map(|passed| passed.output.len()), Ok(body.len()));
        }
    }
}
