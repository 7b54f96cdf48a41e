//! A form whose model gets another name: all other bytes pass as they came, in any split.
#![no_main]

use ai_proxy::wire::{Form, FormError};
use ai_proxy_fuzz::plan::Plan;
use libfuzzer_sys::fuzz_target;

const NAME: &str = "renamed";
/// What a form may keep: a head, a value, a delimiter, rounded up.
const KEPT_BYTES_MAX: usize = 24 * 1024;

#[derive(Debug, PartialEq, Eq)]
struct Passed {
    output: Vec<u8>,
    model: Option<String>,
    streams: bool,
}

// The first byte of the message chooses the boundary, the second how much of the body is held.
fuzz_target!(|input: &[u8]| {
    let Some(plan) = Plan::new(input) else { return };
    let Some((&[which, hold], body)) = plan.message.split_first_chunk() else { return };
    let boundary = ["b", "--", "-b-", "aab"][usize::from(which & 3)].as_bytes();
    let hold = body.len() * usize::from(hold) / 255;

    let whole = pass(boundary, body, hold, &[body.len()]);
    let ends: Vec<usize> = plan.ends().iter().map(|end| end.saturating_sub(2)).collect();
    assert_eq!(pass(boundary, body, hold, &ends), whole);
    let every: Vec<usize> = plan.every_byte().iter().map(|end| end.saturating_sub(2)).collect();
    assert_eq!(pass(boundary, body, 0, &every), whole);
    assert_eq!(pass(boundary, body, body.len(), &every), whole);

    let Ok(passed) = whole else { return };
    let Some(model) = passed.model else {
        assert_eq!(passed.output, body, "nothing is to be changed");
        return;
    };
    // A part's `Content-Length` follows the value.
    if body.windows(14).any(|text| text.eq_ignore_ascii_case(b"content-length")) {
        return;
    }
    // The value, which may be empty, lies between what both begin with and what both end with.
    let others = body.len() - model.len();
    let same =
        |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| pairs.take_while(|(a, b)| a == b).count();
    let prefix = same(&mut body.iter().zip(&passed.output)).min(others);
    let suffix = same(&mut body.iter().rev().zip(passed.output.iter().rev())).min(others);
    assert_eq!(passed.output.len(), others + NAME.len());
    let found = (others - suffix..=prefix).any(|at| {
        body[at..].starts_with(model.as_bytes()) && passed.output[at..].starts_with(NAME.as_bytes())
    });
    assert!(found, "other bytes changed");
    let again = pass(boundary, &passed.output, 0, &[passed.output.len()]);
    assert_eq!(again.map(|again| again.model), Ok(Some(NAME.to_owned())));
});

/// Scans what is held, then edits the rest; both in pieces with these ends.
fn pass(boundary: &[u8], body: &[u8], hold: usize, ends: &[usize]) -> Result<Passed, FormError> {
    let mut form = Form::new(boundary);
    form.refuse_ambiguous()?;
    for end in ends.iter().copied().filter(|end| *end < hold).chain([hold]) {
        form.scan(&body[..end], end == body.len())?;
    }
    let mut held = body[..hold].to_vec();
    let longer = form.rename(NAME, &mut held)?;
    assert_eq!(hold.checked_add_signed(longer), Some(held.len()));
    let mut output = held[..form.settled()].to_vec();
    let mut input = held[form.settled()..].to_vec();
    let (mut given, mut at) = (output.len(), hold);
    for end in ends.iter().copied().filter(|end| *end > hold).chain([body.len()]) {
        input.extend_from_slice(&body[at..end]);
        at = end;
        form.edit(&input, &mut output, false)?;
        given += input.len();
        let growth = NAME.len() + 8;
        assert!(given <= output.len() + KEPT_BYTES_MAX && output.len() <= given + growth);
        input.clear();
    }
    form.edit(&[], &mut output, true)?;
    Ok(Passed { output, model: form.model().map(str::to_owned), streams: form.streams() })
}
