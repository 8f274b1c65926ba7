//! The servo bus on a [`Port`].

use core::sync::atomic::{AtomicU32, Ordering};

use wink_firmware::servo::serial::BusPort;

use crate::port::Port;

/// So long between two bytes of a packet and the line is silent: ten bytes at 1 Mbaud.
const SILENCE_US: u64 = 100;

/// Longest that a byte may take to leave, at the slowest rate that a servo bus runs at.
const BYTE_US: u64 = 200;

/// A half-duplex line to servos, timed with the board's clock.
pub struct BusLine<const RX: usize, const TX: usize> {
    port: Port<RX, TX>,
    now_us: fn() -> u64,
    waited_us: &'static AtomicU32,
}

/// The line did not take what was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck;

impl<const RX: usize, const TX: usize> BusLine<RX, TX> {
    /// A bus on `port`. What it waits for the line is added to `waited_us`, which wraps.
    pub const fn new(
        port: Port<RX, TX>,
        now_us: fn() -> u64,
        waited_us: &'static AtomicU32,
    ) -> Self {
        Self {
            port,
            now_us,
            waited_us,
        }
    }

    fn note_wait(&self, start_us: u64) {
        let waited = (self.now_us)().saturating_sub(start_us) as u32;
        let sum = self.waited_us.load(Ordering::Relaxed).wrapping_add(waited);
        self.waited_us.store(sum, Ordering::Relaxed);
    }
}

impl<const RX: usize, const TX: usize> BusPort for BusLine<RX, TX> {
    type Error = Stuck;

    fn send(&mut self, bytes: &[u8]) -> Result<(), Stuck> {
        if !self.port.send(bytes) {
            return Err(Stuck);
        }
        let start_us = (self.now_us)();
        let patience_us = (bytes.len() as u64).saturating_mul(BYTE_US);
        while self.port.is_sending() {
            if (self.now_us)().saturating_sub(start_us) > patience_us {
                return Err(Stuck);
            }
        }
        self.note_wait(start_us);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], left_us: &mut u32) -> Result<usize, Stuck> {
        let start_us = (self.now_us)();
        let mut heard_us = start_us;
        let mut count = 0_usize;
        while let Some(free) = buffer.get_mut(count..).filter(|free| !free.is_empty()) {
            let arrived = self.port.take(free);
            let now_us = (self.now_us)();
            if arrived > 0 {
                count = count.saturating_add(arrived);
                heard_us = now_us;
                continue;
            }
            let silence_us = now_us.saturating_sub(heard_us);
            let patience_us = if count == 0 {
                u64::from(*left_us)
            } else {
                SILENCE_US
            };
            if silence_us >= patience_us {
                break;
            }
        }
        let waited_us = (self.now_us)().saturating_sub(start_us);
        *left_us = left_us.saturating_sub(waited_us.min(u32::MAX.into()) as u32);
        self.note_wait(start_us);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use super::*;
    use crate::ring::ByteRing;

    /// A test's own rings and clock: each look at the clock takes 5 us.
    macro_rules! line {
        () => {{
            static RX: ByteRing<16> = ByteRing::new();
            static TX: ByteRing<16> = ByteRing::new();
            static WAITED: AtomicU32 = AtomicU32::new(0);
            static NOW: AtomicU64 = AtomicU64::new(0);
            let now_us: fn() -> u64 = || NOW.fetch_add(5, Ordering::Relaxed);
            (
                BusLine::new(Port::new(&RX, &TX, || ()), now_us, &WAITED),
                &RX,
                &TX,
                &NOW,
            )
        }};
    }

    #[test]
    fn takes_what_is_there_and_waits_no_longer_than_it_may() {
        let (mut line, rx, _, now) = line!();
        let mut buffer = [0; 8];
        let mut left_us = 1_000;
        assert_eq!(line.receive(&mut buffer, &mut left_us), Ok(0));
        assert_eq!(left_us, 0);
        let waited_us = now.load(Ordering::Relaxed);
        assert!((1_000..1_100).contains(&waited_us), "{waited_us}");

        for byte in *b"abcdef" {
            rx.push(byte);
        }
        left_us = 1_000;
        assert_eq!(line.receive(&mut buffer[..2], &mut left_us), Ok(2));
        assert!(left_us > 900, "a full buffer ends the wait: {left_us}");
        assert_eq!(line.receive(&mut buffer, &mut left_us), Ok(4));
        assert!((700..900).contains(&left_us), "so does silence: {left_us}");
        assert_eq!(&buffer[..4], b"cdef");
    }

    #[test]
    fn a_line_that_does_not_move_is_no_reason_to_wait_for_ever() {
        let (mut line, _, tx, _) = line!();
        assert_eq!(line.send(b"hello"), Err(Stuck));
        assert_eq!(tx.len(), 5);
        assert_eq!(line.send(b"there is no room"), Err(Stuck));
    }

    #[test]
    fn what_has_left_is_sent() {
        static RX: ByteRing<16> = ByteRing::new();
        static TX: ByteRing<16> = ByteRing::new();
        static WAITED: AtomicU32 = AtomicU32::new(0);
        let port = Port::new(&RX, &TX, || while TX.pop().is_some() {});
        assert_eq!(BusLine::new(port, || 0, &WAITED).send(b"hello"), Ok(()));
    }
}
