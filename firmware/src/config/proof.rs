//! What a host must show before torque is switched on.

/// Setpoints that must come at rate between `arm` and torque: a host that hangs, or a line that was recorded, powers no arm.
///
/// They count when the board would follow them and they ask the arm to be near where it is measured. None of them moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofOfLife {
    /// How many, in a row.
    pub setpoints: u32,
    /// Longest time between two of them, microseconds. A longer one starts the count anew.
    pub longest_gap_us: u32,
}

impl ProofOfLife {
    /// What boards with servos ask for: ten setpoints, a tenth of a second apart at most.
    pub const BOARDS: Self = Self {
        setpoints: 10,
        longest_gap_us: 100_000,
    };

    /// So long without a good setpoint and the wish to arm has lapsed: setpoints that come later power no arm.
    pub const LAPSE_US: u64 = 1_000_000;

    pub(super) const fn makes_sense(self) -> bool {
        self.setpoints > 0 && self.longest_gap_us > 0
    }
}
