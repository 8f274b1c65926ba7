//! Which tensors of a graph share memory.

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
