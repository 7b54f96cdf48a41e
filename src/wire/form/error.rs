//! Why a form is refused.

use crate::language::Words;
use std::fmt;

/// Why a form is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormError {
    /// There are two `Content-Type`, or one of a form that holds no files.
    Type,
    /// `Content-Type` names no boundary, or none that can be one.
    Boundary,
    /// The fields of a part are too long.
    PartHead,
    /// Some readers would find another part `model` in it than others.
    Ambiguous,
    /// There is more than one part `model`.
    TwoModels,
    /// The model's name is too long.
    ModelTooLong,
    /// The model's name is not UTF-8.
    ModelNotUtf8,
    /// The new name is longer, and the length of the body was announced.
    NameLonger,
    /// The body has no closing delimiter, behind which it could be made as long as announced.
    Unclosed,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormError::Type => Words(
                "Content-Type 应为一个 multipart/form-data 或 application/json",
                "Content-Type must be one \
                 multipart/form-data or application/json",
            ),
            FormError::Boundary => {
                Words("Content-Type 中的 boundary 缺失或无效", "boundary is missing or invalid")
            }
            FormError::PartHead => Words("表单某部分的头部过长", "a part's head is too long"),
            FormError::Ambiguous => {
                Words("表单中的 model 有歧义", "the form can be read in two ways as to model")
            }
            FormError::TwoModels => Words("表单中有多个 model", "the form has more than one model"),
            FormError::ModelTooLong => Words("表单中的 model 过长", "the form's model is too long"),
            FormError::ModelNotUtf8 => {
                Words("表单中的 model 不是 UTF-8", "the form's model is not UTF-8")
            }
            FormError::NameLonger => Words(
                "模型名变长，但 model 在文件之后，长度已无法更改",
                "the model's name gets longer, and the length was \
                 announced: send model before file",
            ),
            FormError::Unclosed => Words("表单缺少结束分隔符", "the form has no closing delimiter"),
        }
        .fmt(f)
    }
}

impl std::error::Error for FormError {}
