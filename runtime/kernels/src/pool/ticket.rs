//! The counter from which threads take the numbers of a job's pieces.

use std::sync::atomic::Ordering;

use super::sync::AtomicU64;

/// Number of the job (32 bits), its pieces (16 bits) and how many of them are claimed (16 bits).
#[derive(Default)]
pub(super) struct Ticket(AtomicU64);

impl Ticket {
    const BITS: u32 = 16;

    /// Starts a job. Everything that was written before is visible to a thread that claims one of its pieces.
    ///
    /// # Panics
    /// Where there are more than 65535 pieces.
    pub fn issue(&self, pieces: usize) {
        let count = u16::try_from(pieces);
        let count = count.unwrap_or_else(|_| panic!("{pieces} pieces: at most 65535"));
        let job = (self.0.load(Ordering::Relaxed) >> (2 * Self::BITS)).wrapping_add(1);
        let ticket = (job << (2 * Self::BITS)) | (u64::from(count) << Self::BITS);
        self.0.store(ticket, Ordering::Release);
    }

    /// A piece of the current job that no other thread has. The job's number is part of the ticket, so a thread that read the
    /// ticket of an earlier job cannot claim a piece of this one by mistake.
    pub fn claim(&self) -> Option<usize> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let next = seen & u64::from(u16::MAX);
            if next >= (seen >> Self::BITS) & u64::from(u16::MAX) {
                return None;
            }
            let exchanged =
                self.0
                    .compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire);
            match exchanged {
                Ok(_) => return usize::try_from(next).ok(),
                Err(now) => seen = now,
            }
        }
    }
}
