//! stub
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormError {
    X,
}
impl std::fmt::Display for FormError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x")
    }
}
pub fn form_boundary(_content_type: &[u8]) -> Option<Result<Vec<u8>, FormError>> {
    None
}
pub struct Form;
impl Form {
    pub fn new(_boundary: &[u8]) -> Form {
        Form
    }
    pub fn scan(&mut self, _body: &[u8], _whole: bool) -> Result<(), FormError> {
        Ok(())
    }
    pub fn model(&self) -> Option<&str> {
        None
    }
    pub fn streams(&self) -> bool {
        false
    }
    pub fn file_begun(&self) -> bool {
        false
    }
    pub fn rename(&mut self, _name: &str, _body: &mut Vec<u8>) -> Result<isize, FormError> {
        Ok(0)
    }
    pub fn held(&self) -> usize {
        0
    }
    pub fn settled(&self) -> usize {
        0
    }
    pub fn keep_length(&mut self) {}
    pub fn edit(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        _ended: bool,
    ) -> Result<(), FormError> {
        output.extend_from_slice(input);
        Ok(())
    }
}
