//! Bytes that start at a cache line, in huge pages where there are many of them.

use wink_kernels::Pages;

/// Bytes that start at a cache line; by default none, without memory.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Option<Pages>);

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
        Some(Self(Some(Pages::alone(bytes)?)))
    }

    /// Another of the same size.
    pub(crate) fn like(&self) -> Self {
        Self::new(self.all().len())
    }

    /// The first `bytes` bytes.
    pub(crate) fn bytes(&self, bytes: usize) -> &[u8] {
        &self.all()[..bytes]
    }

    /// The first `bytes` bytes.
    pub(crate) fn bytes_mut(&mut self, bytes: usize) -> &mut [u8] {
        let all = self.0.as_mut().map(Pages::bytes_mut).unwrap_or_default();
        &mut all[..bytes]
    }

    fn all(&self) -> &[u8] {
        self.0.as_ref().map(Pages::bytes).unwrap_or_default()
    }
}
