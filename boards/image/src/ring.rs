//! Bytes between an interrupt and the loop.

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// A queue of `N` bytes (a power of two) for one producer and one consumer, without locks.
///
/// With two of either, bytes get mixed up, but nothing worse: everything in it is atomic, and only
/// loads and stores are used, which the smallest cores have.
pub struct ByteRing<const N: usize> {
    bytes: [AtomicU8; N],
    /// Bytes ever pushed and popped, wrapping.
    pushed: AtomicUsize,
    popped: AtomicUsize,
    lost: AtomicUsize,
}

impl<const N: usize> ByteRing<N> {
    const MASK: usize = {
        assert!(N.is_power_of_two(), "a ring's size must be a power of two");
        N - 1
    };

    /// An empty ring.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [const { AtomicU8::new(0) }; N],
            pushed: AtomicUsize::new(0),
            popped: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        }
    }

    /// Adds a byte, or counts it as lost and returns `false` where there is no room.
    pub fn push(&self, byte: u8) -> bool {
        let pushed = self.pushed.load(Ordering::Relaxed);
        let full = pushed.wrapping_sub(self.popped.load(Ordering::Acquire)) >= N;
        let slot = self.bytes.get(pushed & Self::MASK).filter(|_| !full);
        if let Some(slot) = slot {
            slot.store(byte, Ordering::Relaxed);
            self.pushed.store(pushed.wrapping_add(1), Ordering::Release);
            true
        } else {
            let lost = self.lost.load(Ordering::Relaxed);
            self.lost.store(lost.saturating_add(1), Ordering::Relaxed);
            false
        }
    }

    /// The next byte, left where it is.
    pub fn peek(&self) -> Option<u8> {
        let popped = self.popped.load(Ordering::Relaxed);
        if popped == self.pushed.load(Ordering::Acquire) {
            return None;
        }
        let slot = self.bytes.get(popped & Self::MASK)?;
        Some(slot.load(Ordering::Relaxed))
    }

    /// Takes the next byte.
    pub fn pop(&self) -> Option<u8> {
        let byte = self.peek()?;
        let popped = self.popped.load(Ordering::Relaxed);
        self.popped.store(popped.wrapping_add(1), Ordering::Release);
        Some(byte)
    }

    /// Drops everything that waits. For the consumer.
    pub fn clear(&self) {
        self.popped
            .store(self.pushed.load(Ordering::Acquire), Ordering::Release);
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.pushed
            .load(Ordering::Acquire)
            .wrapping_sub(self.popped.load(Ordering::Acquire))
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes for which there is room.
    pub fn room(&self) -> usize {
        N.saturating_sub(self.len())
    }

    /// Bytes that found no room since the start.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }
}

impl<const N: usize> Default for ByteRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_through_many_wraps() {
        let ring = ByteRing::<8>::new();
        let (mut next_in, mut next_out) = (0_u8, 0_u8);
        for round in 0..200_usize {
            for _ in 0..round % 9 {
                if ring.push(next_in) {
                    next_in = next_in.wrapping_add(1);
                }
            }
            for _ in 0..round % 7 {
                if let Some(byte) = ring.pop() {
                    assert_eq!(byte, next_out);
                    next_out = next_out.wrapping_add(1);
                }
            }
            assert_eq!(ring.len() + ring.room(), 8);
        }
    }

    #[test]
    fn a_full_ring_keeps_what_it_has_and_counts_what_it_lost() {
        let ring = ByteRing::<4>::new();
        let taken = (0..6).filter(|&byte| ring.push(byte)).count();
        assert_eq!((taken, ring.lost(), ring.room()), (4, 2, 0));
        assert_eq!(ring.peek(), Some(0));
        ring.clear();
        assert!(ring.is_empty());
        assert_eq!(ring.pop(), None);
    }

    #[test]
    fn one_thread_may_push_while_another_pops() {
        static RING: ByteRing<64> = ByteRing::new();
        let writer = std::thread::spawn(|| {
            for byte in 0..5_000_u32 {
                while !RING.push(byte as u8) {
                    std::thread::yield_now();
                }
            }
        });
        for byte in 0..5_000_u32 {
            let popped = loop {
                match RING.pop() {
                    Some(byte) => break byte,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(popped, byte as u8);
        }
        writer.join().unwrap();
    }
}
