//! Choices made by the fuzzer's bytes.

use crate::script::Source;
use arbitrary::Unstructured;

/// Zeros when the bytes are used up.
pub(crate) struct Bytes<'a, 'b>(pub(crate) &'b mut Unstructured<'a>);

impl Source for Bytes<'_, '_> {
    fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    fn word(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or_default()
    }
}
