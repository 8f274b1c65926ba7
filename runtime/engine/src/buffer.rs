//! Bytes that start at a cache line.

/// What a tensor starts at a multiple of: a cache line.
const ALIGNMENT: usize = 64;

/// Bytes that start at a cache line.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    words: Vec<u64>,
}

impl Buffer {
    pub(crate) fn new(bytes: usize) -> Self {
        let words = (bytes + ALIGNMENT).div_ceil(size_of::<u64>());
        Self {
            words: vec![0; words],
        }
    }

    /// As [`Buffer::new`]; `None` where there is no memory.
    pub(crate) fn try_new(bytes: usize) -> Option<Self> {
        let count = bytes.checked_add(ALIGNMENT)?.div_ceil(size_of::<u64>());
        let mut words = vec![];
        words.try_reserve_exact(count).ok()?;
        words.resize(count, 0);
        Some(Self { words })
    }

    /// Another of the same size.
    pub(crate) fn like(&self) -> Self {
        Self {
            words: vec![0; self.words.len()],
        }
    }

    /// The first `bytes` bytes.
    pub(crate) fn bytes(&self, bytes: usize) -> &[u8] {
        let all: &[u8] = bytemuck::cast_slice(&self.words);
        &all[skipped(all)..][..bytes]
    }

    /// The first `bytes` bytes.
    pub(crate) fn bytes_mut(&mut self, bytes: usize) -> &mut [u8] {
        let all: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words);
        let skipped = skipped(all);
        &mut all[skipped..][..bytes]
    }
}

/// Bytes before the first cache line.
fn skipped(all: &[u8]) -> usize {
    // The system may decline to say; any multiple of 8 is right, only slower.
    match all.as_ptr().align_offset(ALIGNMENT) {
        skipped if skipped < ALIGNMENT => skipped,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_at_a_line_and_hold_what_was_asked() {
        for bytes in [0, 1, 63, 64, 1000] {
            let mut buffer = Buffer::new(bytes);
            assert_eq!(buffer.bytes_mut(bytes).len(), bytes);
            assert_eq!(buffer.bytes(bytes).as_ptr().addr() % ALIGNMENT, 0);
        }
    }
}
