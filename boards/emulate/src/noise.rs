//! Damage on the link between host and board.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::RngCore;

/// Bytes that change on the way, each with the same probability.
#[derive(Debug, Clone)]
pub struct LinkNoise {
    to_board: f64,
    to_host: f64,
    random: Pcg32,
}

impl LinkNoise {
    /// Damages a byte towards the board, or towards the host, with these probabilities; the same seed damages the same bytes.
    #[must_use]
    pub fn new(to_board: f64, to_host: f64, seed: u64) -> Self {
        Self {
            to_board,
            to_host,
            random: Pcg32::new(seed, 0x11_4b),
        }
    }

    /// No damage.
    #[must_use]
    pub fn none() -> Self {
        Self::new(0.0, 0.0, 0)
    }

    pub(crate) fn towards_board(&mut self, bytes: &mut [u8]) {
        let share = self.to_board;
        bytes.iter_mut().for_each(|byte| self.pass(byte, share));
    }

    pub(crate) fn towards_host(&mut self, bytes: &mut [u8]) {
        let share = self.to_host;
        bytes.iter_mut().for_each(|byte| self.pass(byte, share));
    }

    fn pass(&mut self, byte: &mut u8, share: f64) {
        if share > 0.0 && f64::from(self.random.next_u32()) < share * 4_294_967_296.0 {
            // Any other byte, all equally likely.
            *byte = byte.wrapping_add((self.random.next_u32() % 255) as u8 + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_bytes_change_as_asked_on_the_side_asked() {
        let mut noise = LinkNoise::new(0.1, 0.0, 3);
        let mut bytes = [0x55; 10_000];
        noise.towards_host(&mut bytes);
        assert!(bytes.iter().all(|byte| *byte == 0x55));
        noise.towards_board(&mut bytes);
        let changed = bytes.iter().filter(|byte| **byte != 0x55).count();
        assert!((900..1100).contains(&changed), "{changed}");
    }
}
