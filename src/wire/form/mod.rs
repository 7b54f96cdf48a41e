//! Uploads as multipart/form-data (RFC 7578, RFC 2046 §5.1): finds the part `model` and replaces its value; every
//! other byte passes as it came. First the body is held and scanned, then what comes is edited as it passes. It must
//! not know which model is which.
//!
//! ```text
//! scan ──▶ scan ──▶ … ──▶ rename ──▶ edit ──▶ edit ──▶ … ──▶ edit(ended)
//! held: model unknown         the rest streams; what may be a delimiter, a head or the value is kept
//! ```

mod delimiter;
mod doubts;
mod error;
mod part;
mod scanner;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_doubts;
#[cfg(test)]
mod tests_splits;

use std::mem;

pub use self::error::FormError;
use self::scanner::{Place, Scanner, Step};

/// Taken from the input at once where it continues what was kept.
const SEAM_BYTES: usize = 1024;

/// A form that passes. An error is terminal.
#[derive(Debug)]
pub struct Form {
    scanner: Scanner,
    settled: usize,
    model: Option<String>,
    /// Where the model stands in the held body.
    place: Option<Place>,
    /// Whether a file had begun before the model came.
    file_first: bool,
    streams: bool,
    /// The model's new name.
    name: Option<String>,
    keeps_length: bool,
    /// By how much the body became shorter although its length was announced.
    owed: usize,
    /// The last of the input, which waits for more.
    kept: Vec<u8>,
    failed: Option<FormError>,
}

impl Form {
    /// At the start of a body of this `Content-Type`; `None` when that is not `multipart/form-data`.
    ///
    /// # Errors
    /// [`FormError::Boundary`].
    pub fn of_type(content_type: &[u8]) -> Option<Result<Form, FormError>> {
        let found = part::form_boundary(content_type)?;
        Some(found.map(|(boundary, is_odd)| {
            let mut form = Form::new(&boundary);
            // Nothing is refused yet.
            let _ = form.scanner.doubts.check(is_odd);
            form
        }))
    }

    /// At the start of a body with this boundary.
    pub fn new(boundary: &[u8]) -> Form {
        Form {
            scanner: Scanner::new(boundary),
            settled: 0,
            model: None,
            place: None,
            file_first: false,
            streams: false,
            name: None,
            keeps_length: false,
            owed: 0,
            kept: Vec::new(),
            failed: None,
        }
    }

    /// Looks at what has newly come of `body`, which is all of it so far. `whole`: nothing more will come.
    ///
    /// # Errors
    /// When the form is refused.
    pub fn scan(&mut self, body: &[u8], whole: bool) -> Result<(), FormError> {
        self.failed.map_or(Ok(()), Err)?;
        let result = self.scan_on(body, whole);
        self.failed = result.err();
        result
    }

    fn scan_on(&mut self, body: &[u8], whole: bool) -> Result<(), FormError> {
        loop {
            let text = body.get(self.settled..).unwrap_or_default();
            match self.scanner.step(text, whole)? {
                Step::Wait => return Ok(()),
                Step::Pass(bytes) => self.settled += bytes,
                Step::Stream(value) => {
                    self.take_stream(&text[value.clone()]);
                    self.settled += value.end;
                }
                Step::Model(place) => {
                    self.take_model(&text[place.value.clone()])?;
                    self.file_first = self.scanner.file_begun();
                    let start = self.settled;
                    self.settled += place.value.end;
                    self.place = Some(place.moved(start));
                }
            }
        }
    }

    /// What the part `model` says, as the client sent it; `None` until all of it has come.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether a part `stream` has come that says yes.
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// Whether a part with a file name has begun.
    pub fn file_begun(&self) -> bool {
        self.scanner.file_begun()
    }

    /// Whether a file has begun before the model, as far as is known.
    pub fn file_comes_first(&self) -> bool {
        if self.model.is_some() {
            self.file_first
        } else {
            self.file_begun()
        }
    }

    /// Where the model ends in the held body.
    pub fn model_end(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.value.end)
    }

    /// From now on, a form in which some readers would find another part `model` than others is
    /// refused, and so is one that was like that before. Until then it is read as the standard says.
    ///
    /// # Errors
    /// [`FormError::Ambiguous`].
    pub fn refuse_ambiguous(&mut self) -> Result<(), FormError> {
        self.scanner.doubts.refuse()
    }

    /// Gives the part `model` this name. If it has been scanned, it is replaced in `body`, the same that was
    /// scanned; one that `edit` meets gets it there. Returns how much longer `body` became. May be called again,
    /// with another name or after more was scanned.
    ///
    /// # Errors
    /// When the name holds the boundary: it could then end the part and begin another.
    pub fn rename(&mut self, name: &str, body: &mut Vec<u8>) -> Result<isize, FormError> {
        if self.scanner.is_in(name.as_bytes()) {
            return Err(FormError::Ambiguous);
        }
        self.name = Some(name.to_owned());
        let Some(place) = self.place.as_mut().filter(|place| place.value.end <= body.len()) else {
            return Ok(0);
        };
        let before = body.len();
        body.splice(place.value.clone(), name.bytes());
        place.value.end = place.value.start + name.len();
        if let Some(length) = &mut place.length {
            let digits = name.len().to_string();
            body.splice(length.clone(), digits.bytes());
            let longer = signed(digits.len()) - signed(length.len());
            length.end = length.start + digits.len();
            place.value.start = place.value.start.saturating_add_signed(longer);
            place.value.end = place.value.end.saturating_add_signed(longer);
        }
        let longer = signed(body.len()) - signed(before);
        self.settled = self.settled.saturating_add_signed(longer);
        Ok(longer)
    }

    /// How much of the held body may go out as it is. What is behind it is the first input of `edit`.
    pub fn settled(&self) -> usize {
        self.settled
    }

    /// The body's length was announced and must stay. If `edit` makes the model's name shorter, white space behind
    /// the closing delimiter makes up for it, where readers ignore what stands there (RFC 2046 §5.1.1).
    pub fn keep_length(&mut self) {
        self.keeps_length = true;
    }

    /// Takes what follows the settled bytes and appends to `output` what may go out. `ended`: that was all.
    ///
    /// # Errors
    /// When the form is refused; what went to `output` before was good.
    pub fn edit(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        ended: bool,
    ) -> Result<(), FormError> {
        self.failed.map_or(Ok(()), Err)?;
        let result = self.edit_on(input, output, ended);
        self.failed = result.err();
        result
    }

    fn edit_on(
        &mut self,
        mut input: &[u8],
        output: &mut Vec<u8>,
        ended: bool,
    ) -> Result<(), FormError> {
        let mut kept = mem::take(&mut self.kept);
        while !kept.is_empty() && (ended || !input.is_empty()) {
            let old = kept.len();
            let (seam, rest) = input.split_at(input.len().min(SEAM_BYTES));
            kept.extend_from_slice(seam);
            let done = self.pass(&kept, output, ended && rest.is_empty())?;
            if done < old {
                kept.drain(..done);
                input = rest;
            } else {
                // What is left lies in the input alone.
                input = &input[done - old..];
                kept.clear();
            }
        }
        if kept.is_empty() {
            let done = self.pass(input, output, ended)?;
            kept.extend_from_slice(&input[done..]);
        }
        self.kept = kept;
        if ended && self.owed > 0 {
            if !self.scanner.is_closed() {
                return Err(FormError::Unclosed);
            }
            fill(output, mem::take(&mut self.owed));
        }
        Ok(())
    }

    /// Lets the beginning of `text` pass, as far as it can be decided, and says how much that was.
    fn pass(&mut self, text: &[u8], output: &mut Vec<u8>, ended: bool) -> Result<usize, FormError> {
        let mut at = 0;
        loop {
            let left = &text[at..];
            at += match self.scanner.step(left, ended)? {
                Step::Wait => return Ok(at),
                Step::Pass(bytes) => {
                    output.extend_from_slice(&left[..bytes]);
                    bytes
                }
                Step::Stream(value) => {
                    self.take_stream(&left[value.clone()]);
                    output.extend_from_slice(&left[..value.end]);
                    value.end
                }
                Step::Model(place) => {
                    self.take_model(&left[place.value.clone()])?;
                    self.push_model(&left[..place.value.end], &place, output)?;
                    place.value.end
                }
            }
        }
    }

    /// Appends a part `model` with its new name.
    fn push_model(
        &mut self,
        part: &[u8],
        place: &Place,
        output: &mut Vec<u8>,
    ) -> Result<(), FormError> {
        let Some(name) = &self.name else {
            output.extend_from_slice(part);
            return Ok(());
        };
        let mut head = part[..place.value.start].to_vec();
        if let Some(length) = &place.length {
            head.splice(length.clone(), name.len().to_string().bytes());
        }
        if self.keeps_length {
            let shorter = part.len().checked_sub(head.len() + name.len());
            self.owed += shorter.ok_or(FormError::NameLonger)?;
        }
        output.append(&mut head);
        output.extend_from_slice(name.as_bytes());
        Ok(())
    }

    fn take_model(&mut self, value: &[u8]) -> Result<(), FormError> {
        let model = std::str::from_utf8(value).map_err(|_| FormError::ModelNotUtf8)?;
        self.model = Some(model.to_owned());
        Ok(())
    }

    fn take_stream(&mut self, value: &[u8]) {
        self.streams |= matches!(value, b"true" | b"True" | b"1");
    }
}

/// Lengths of things in memory fit.
fn signed(length: usize) -> isize {
    isize::try_from(length).unwrap_or(isize::MAX)
}

/// Appends so many bytes of white space: line ends, and a space before them if the number is odd. The space may
/// stand directly behind a closing delimiter as well (`transport-padding`), which not all readers take a bare LF for.
fn fill(output: &mut Vec<u8>, bytes: usize) {
    output.extend_from_slice(&b" "[..bytes % 2]);
    output.extend(b"\r\n".iter().cycle().take(bytes - bytes % 2));
}
