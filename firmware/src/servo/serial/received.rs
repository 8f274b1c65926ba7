//! What came in answer to one instruction.

use super::packet::{MAX_DATA, MAX_SERVOS};

/// The longest answer, a sync read's, and room for as much noise again.
const CAPACITY: usize = MAX_SERVOS * (MAX_DATA + 11);

/// Bytes in the order they came. Once full it stays so: that much noise in one answer is no answer.
#[derive(Debug, Clone)]
pub(super) struct Received {
    bytes: [u8; CAPACITY],
    /// Those before this are dealt with.
    start: usize,
    end: usize,
}

impl Received {
    pub const fn new() -> Self {
        Self {
            bytes: [0; CAPACITY],
            start: 0,
            end: 0,
        }
    }

    pub const fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// What is not dealt with yet.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub fn discard(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Room for `count` more bytes, or for as many as there is room for.
    pub fn free(&mut self, count: usize) -> &mut [u8] {
        let end = self.end.saturating_add(count).min(CAPACITY);
        self.bytes.get_mut(self.end..end).unwrap_or_default()
    }

    /// `count` bytes were put into the room.
    pub fn grow(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(CAPACITY);
    }
}
