//! Bodies written by hand.

use bytes::{Bytes, BytesMut};

use crate::generate::text::decimal;

/// Writes a body by hand: the client shares its CPUs with what it measures.
pub(super) struct Body<'a>(&'a mut BytesMut);

impl<'a> Body<'a> {
    /// Writes where `buffer` ends; what is taken leaves it.
    pub(super) fn new(buffer: &'a mut BytesMut) -> Self {
        // One allocation serves many bodies.
        if buffer.capacity() < 512 {
            buffer.reserve(1 << 16);
        }
        Self(buffer)
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.0.extend_from_slice(text);
    }

    pub(super) fn number(&mut self, number: u32) {
        decimal(u64::from(number), self.0);
    }

    pub(super) fn take(self) -> Bytes {
        self.0.split().freeze()
    }
}
