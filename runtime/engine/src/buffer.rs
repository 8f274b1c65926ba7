//! Bytes that start at a cache line, in huge pages where there are many of them.

use wink_kernels::Pages;

/// Bytes that start at a cache line.
#[derive(Debug)]
pub(crate) struct Buffer(Pages);

impl Buffer {
    /// Zeros.
    ///
    /// # Panics
    /// Where there is no memory.
    pub(crate) fn new(bytes: usize) -> Self {
        Self::try_new(bytes).unwrap_or_else(|| panic!("no memory for {bytes} bytes"))
    }

    /// As [`Buffer::new`]; `None` where there is no memory.
    pub(crate) fn try_new(bytes: usize) -> Option<Self> {
        Some(Self(Pages::alone(bytes)?))
    }

    /// Another of the same size.
    pub(crate) fn like(&self) -> Self {
        Self::new(self.0.bytes().len())
    }

    /// The first `bytes` bytes.
    pub(crate) fn bytes(&self, bytes: usize) -> &[u8] {
        &self.0.bytes()[..bytes]
    }

    /// The first `bytes` bytes.
    pub(crate) fn bytes_mut(&mut self, bytes: usize) -> &mut [u8] {
        &mut self.0.bytes_mut()[..bytes]
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new(0)
    }
}
