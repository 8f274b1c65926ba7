//! The ways in which a bus of servos misbehaves.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::RngCore;

/// What is wrong with one servo. Everything may be set and taken back at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServoFaults {
    /// It does what it is told but says nothing.
    pub mute: bool,
    /// It neither hears nor says anything, and its motor is off: a plug came loose.
    pub unplugged: bool,
    /// So much later than it should it answers.
    pub late_us: u64,
    /// It answers with this id instead of its own.
    pub answers_as: Option<u8>,
    /// It is hotter than its limit.
    pub overheating: bool,
    /// Its supply is below its limit.
    pub undervoltage: bool,
    /// Its supply, tenths of a volt, where it is not the 12 V that it is made for. It complains of one outside of the limits in
    /// its registers.
    pub supply_dv: Option<u8>,
    /// Its load was above its limit for too long.
    pub overload: bool,
}

/// Bytes that change on the way, each with the same probability.
#[derive(Debug, Clone)]
pub struct LineNoise {
    to_servos: f64,
    to_board: f64,
    random: Pcg32,
}

impl LineNoise {
    /// Noise that damages a byte towards the servos, or towards the board, with these probabilities. The same seed damages the
    /// same bytes.
    #[must_use]
    pub fn new(to_servos: f64, to_board: f64, seed: u64) -> Self {
        Self {
            to_servos,
            to_board,
            random: Pcg32::new(seed, 0x05e2_0b05),
        }
    }

    /// No noise at all.
    #[must_use]
    pub fn none() -> Self {
        Self::new(0.0, 0.0, 0)
    }

    pub(super) fn towards_servos(&mut self, byte: u8) -> u8 {
        self.pass(byte, self.to_servos)
    }

    pub(super) fn towards_board(&mut self, byte: u8) -> u8 {
        self.pass(byte, self.to_board)
    }

    fn pass(&mut self, byte: u8, probability: f64) -> u8 {
        if probability <= 0.0 || f64::from(self.random.next_u32()) >= probability * 4_294_967_296.0
        {
            return byte;
        }
        // Any other byte, all equally likely.
        byte.wrapping_add((self.random.next_u32() % 255) as u8 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_bytes_change_as_asked_and_the_same_ones_again() {
        let damaged = |seed| -> Vec<usize> {
            let mut noise = LineNoise::new(0.1, 0.0, seed);
            (0..10_000)
                .filter(|_| noise.towards_servos(0x55) != 0x55)
                .collect()
        };
        let first = damaged(7);
        assert!((900..1100).contains(&first.len()), "{}", first.len());
        assert_eq!(first, damaged(7));
        assert_ne!(first, damaged(8));
        let mut noise = LineNoise::new(1.0, 0.0, 7);
        assert!((0..1000).all(|_| noise.towards_servos(9) != 9));
        assert!((0..1000).all(|_| noise.towards_board(9) == 9));
    }
}
