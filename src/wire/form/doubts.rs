//! Forms in which some readers would find another part `model` than others. Nothing is wrong with one, unless it
//! matters which model it is: then the provider must find the same one as the proxy.

use memchr::memmem;

use super::FormError;

/// What every part needs, in any case.
const DISPOSITION: &[u8] = b"content-disposition";

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    is_ambiguous: bool,
    refuses: bool,
    /// From where on, in the text, data may be parts to some readers: they took a boundary for a delimiter, or do
    /// not stop at the closing one.
    data_from: Option<usize>,
    /// The last bytes of such data: a name may lie across two pieces.
    tail: Vec<u8>,
}

impl Doubts {
    /// From now on what is ambiguous is an error; so is what was ambiguous before.
    pub(super) fn refuse(&mut self) -> Result<(), FormError> {
        self.refuses = true;
        self.check(false)
    }

    /// Takes note that readers may differ.
    pub(super) fn check(&mut self, is_ambiguous: bool) -> Result<(), FormError> {
        self.is_ambiguous |= is_ambiguous;
        if self.is_ambiguous && self.refuses {
            return Err(FormError::Ambiguous);
        }
        Ok(())
    }

    /// Takes note that what stands before `at` is a delimiter to some readers only.
    pub(super) fn doubt_data(&mut self, at: usize) {
        self.data_from.get_or_insert(at);
    }

    /// Looks at data that goes on: where it may be parts, one of them might be a model.
    pub(super) fn check_data(&mut self, data: &[u8]) -> Result<(), FormError> {
        let Some(start) = self.data_from else { return Ok(()) };
        let mut text = std::mem::take(&mut self.tail);
        text.extend_from_slice(&data[start.min(data.len())..]);
        text.make_ascii_lowercase();
        let is_ambiguous = memmem::find(&text, DISPOSITION).is_some();
        self.tail = text.split_off(text.len().saturating_sub(DISPOSITION.len() - 1));
        self.check(is_ambiguous)
    }

    /// So much of the text is settled.
    pub(super) fn settle(&mut self, bytes: usize) {
        self.data_from = self.data_from.map(|start| start.saturating_sub(bytes));
    }
}
