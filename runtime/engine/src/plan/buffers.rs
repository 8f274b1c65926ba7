//! Memory of a graph's tensors, and which of them share it.

/// What a tensor starts at a multiple of: a cache line.
const ALIGNMENT: usize = 64;

/// Bytes that start at a cache line.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    words: Vec<u64>,
}

impl Buffer {
    pub(super) fn new(bytes: usize) -> Self {
        let words = (bytes + ALIGNMENT).div_ceil(size_of::<u64>());
        Self {
            words: vec![0; words],
        }
    }

    /// Another of the same size.
    pub(super) fn like(&self) -> Self {
        Self {
            words: vec![0; self.words.len()],
        }
    }

    /// The first `bytes` bytes.
    pub(super) fn bytes(&self, bytes: usize) -> &[u8] {
        let all: &[u8] = bytemuck::cast_slice(&self.words);
        &all[skipped(all)..][..bytes]
    }

    /// The first `bytes` bytes.
    pub(super) fn bytes_mut(&mut self, bytes: usize) -> &mut [u8] {
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

/// A tensor that needs memory from the step that writes it to the last one that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) bytes: usize,
    pub(super) written: usize,
    /// `usize::MAX` where it must outlive the run.
    pub(super) last_read: usize,
}

/// Gives each tensor, in the order in which they are written, the number of a buffer; the second list has the buffers' sizes.
/// Tensors share a buffer only where the one is not read any more when the other is written.
pub(super) fn share(needs: &[Need]) -> (Vec<usize>, Vec<usize>) {
    let mut sizes: Vec<usize> = vec![];
    let mut busy_until: Vec<usize> = vec![];
    let mut chosen = vec![];
    for need in needs {
        let free = (0..sizes.len()).filter(|&buffer| busy_until[buffer] < need.written);
        // The tightest that is large enough, else the largest, which then grows.
        let best = free.min_by_key(|&buffer| match sizes[buffer] >= need.bytes {
            true => (0, sizes[buffer]),
            false => (1, usize::MAX - sizes[buffer]),
        });
        let buffer = best.unwrap_or_else(|| {
            sizes.push(0);
            busy_until.push(0);
            sizes.len() - 1
        });
        sizes[buffer] = sizes[buffer].max(need.bytes);
        busy_until[buffer] = need.last_read;
        chosen.push(buffer);
    }
    (chosen, sizes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buffers_start_at_a_line_and_hold_what_was_asked() {
        for bytes in [0, 1, 63, 64, 1000] {
            let mut buffer = Buffer::new(bytes);
            assert_eq!(buffer.bytes_mut(bytes).len(), bytes);
            assert_eq!(buffer.bytes(bytes).as_ptr().addr() % ALIGNMENT, 0);
        }
    }

    #[test]
    fn a_chain_needs_two() {
        let need = |step: usize, bytes| Need {
            bytes,
            written: step,
            last_read: step + 1,
        };
        let (chosen, sizes) = share(&[need(0, 10), need(1, 20), need(2, 5), need(3, 30)]);
        assert_eq!((chosen, sizes), (vec![0, 1, 0, 1], vec![10, 30]));
    }

    proptest! {
        #[test]
        fn no_two_tensors_of_one_time_share(
            tensors in prop::collection::vec((0_usize..100, 0_usize..12, 0_u8..10), 1..60),
        ) {
            let needs: Vec<Need> = (0..)
                .zip(&tensors)
                .map(|(written, &(bytes, lives, forever))| Need {
                    bytes,
                    written,
                    last_read: if forever == 0 { usize::MAX } else { written + lives },
                })
                .collect();
            let (chosen, sizes) = share(&needs);
            for (i, a) in needs.iter().enumerate() {
                prop_assert!(sizes[chosen[i]] >= a.bytes);
                for (j, b) in needs.iter().enumerate().skip(i + 1) {
                    prop_assert!(chosen[i] != chosen[j] || b.written > a.last_read);
                }
            }
        }
    }
}
