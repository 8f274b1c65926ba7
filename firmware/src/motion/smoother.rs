//! The jerk limit: each joint's goal is the mean of its last commands.
//!
//! A mean of positions lies between them, and likewise for velocity and acceleration, so every
//! limit that the commands keep the goals keep too: nothing here can overshoot. And as the
//! acceleration changes by at most `2 * acceleration` over the window, the jerk is at most that
//! divided by the window's length. The price is a delay of half the window, the same for all joints,
//! so that they stay on their common path.

use crate::config::JointLimits;

use super::Positions;

/// Most commands in the mean: 64 ms at 1 kHz.
pub const MAX_TAPS: u32 = 64;

/// Steps per rad or m in which sums are kept: exact, so that they do not drift. Room for 128 rad.
const SCALE: f32 = (1 << 24) as f32;

type Fixed = [i32; crate::MAX_JOINTS];

/// How many commands, one per control period, it takes to keep a joint's jerk limit.
pub(crate) fn taps(limits: &JointLimits, period_us: u32) -> u32 {
    let window_us = 2e6 * limits.acceleration / limits.jerk;
    let taps = libm::ceilf(window_us / period_us as f32);
    // A float cast saturates; a NaN becomes 0.
    (taps as u32).max(1)
}

/// Means over the last commands of all joints.
#[derive(Debug, Clone)]
pub(crate) struct Smoother {
    taps: usize,
    period_us: u32,
    window: [Fixed; MAX_TAPS as usize],
    oldest: usize,
    sums: [i64; crate::MAX_JOINTS],
    last: Positions,
}

impl Smoother {
    /// For an arm of these joints, at rest at 0.
    pub fn new(joints: &[JointLimits], period_us: u32) -> Self {
        let taps = joints.iter().map(|limits| taps(limits, period_us)).max();
        let taps = taps.unwrap_or(1).clamp(1, MAX_TAPS) as usize;
        Self {
            taps,
            period_us,
            window: [[0; crate::MAX_JOINTS]; MAX_TAPS as usize],
            oldest: 0,
            sums: [0; crate::MAX_JOINTS],
            last: [0.0; crate::MAX_JOINTS],
        }
    }

    /// Forgets what was; at rest at `positions`.
    pub fn rest_at(&mut self, positions: Positions) {
        let fixed = positions.map(to_fixed);
        self.window = [fixed; MAX_TAPS as usize];
        self.sums = fixed.map(|value| i64::from(value).saturating_mul(self.taps as i64));
        self.last = positions;
    }

    /// Whether any joint has a jerk limit.
    pub const fn is_active(&self) -> bool {
        self.taps > 1
    }

    /// Takes the command after `elapsed_us` and returns the goals. A long tick counts as several
    /// control periods with even steps between them.
    pub fn push(&mut self, command: Positions, elapsed_us: u64) -> Positions {
        if self.taps == 1 {
            self.last = command;
            return command;
        }
        let elapsed_us = u32::try_from(elapsed_us).unwrap_or(u32::MAX);
        let rounded_us = elapsed_us.saturating_add(self.period_us / 2);
        let periods = rounded_us.checked_div(self.period_us).unwrap_or(1);
        let periods = periods.clamp(1, MAX_TAPS);
        let from = core::mem::replace(&mut self.last, command);
        for period in 1..=periods {
            let share = period as f32 / periods as f32;
            let mut sample = command;
            if period < periods {
                for (value, from) in sample.iter_mut().zip(from) {
                    *value = from + (*value - from) * share;
                }
            }
            self.take(sample.map(to_fixed));
        }
        let factor = 1.0 / (self.taps as f32 * SCALE);
        self.sums.map(|sum| sum as f32 * factor)
    }

    fn take(&mut self, sample: Fixed) {
        let Some(slot) = self.window.get_mut(self.oldest) else {
            return;
        };
        let dropped = core::mem::replace(slot, sample);
        for ((sum, new), old) in self.sums.iter_mut().zip(sample).zip(dropped) {
            *sum = sum.saturating_add(i64::from(new).saturating_sub(i64::from(old)));
        }
        let next = self.oldest.saturating_add(1);
        self.oldest = if next >= self.taps { 0 } else { next };
    }
}

/// Rounded; a float cast saturates.
fn to_fixed(position: f32) -> i32 {
    libm::roundf(position * SCALE) as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::motion::{JointMotion, Reference};

    const LIMITS: JointLimits = JointLimits {
        min: -2.0,
        max: 2.0,
        velocity: 3.0,
        acceleration: 40.0,
        jerk: 4_000.0,
    };

    fn all(value: f32) -> Positions {
        [value; crate::MAX_JOINTS]
    }

    #[test]
    fn taps_cover_the_window() {
        let cases = [
            (f32::INFINITY, 1_000, 1),
            (4_000.0, 1_000, 20),
            (4_000.0, 10_000, 2),
            (3_999.0, 1_000, 21),
            (1e-30, 1_000, u32::MAX),
        ];
        for (jerk, period_us, expected) in cases {
            let limits = JointLimits { jerk, ..LIMITS };
            assert_eq!(taps(&limits, period_us), expected, "{jerk} {period_us}");
        }
    }

    #[test]
    fn without_a_jerk_limit_goals_are_the_commands_bit_for_bit() {
        let free = JointLimits {
            jerk: f32::INFINITY,
            ..LIMITS
        };
        let mut smoother = Smoother::new(&[free; 3], 1_000);
        smoother.rest_at(all(0.3));
        for value in [0.3, 0.300_000_1, -1.999_999_9] {
            assert_eq!(smoother.push(all(value), 1_000), all(value));
        }
    }

    #[test]
    fn a_step_becomes_a_ramp_and_rests_where_it_was_sent() {
        let mut smoother = Smoother::new(&[LIMITS], 1_000);
        smoother.rest_at(all(0.5));
        for tick in 1..=20_u8 {
            let goal = smoother.push(all(0.7), 1_000)[0];
            let expected = 0.5 + 0.2 * f32::from(tick) / 20.0;
            assert!((goal - expected).abs() < 1e-6, "tick {tick}: {goal}");
        }
        assert_eq!(
            smoother.push(all(0.7), 1_000),
            smoother.push(all(0.7), 1_000)
        );
    }

    #[test]
    fn a_long_tick_counts_as_several() {
        let mut whole = Smoother::new(&[LIMITS], 1_000);
        let mut parts = whole.clone();
        for tick in 1..=5_u8 {
            parts.push(all(0.1 * f32::from(tick)), 1_000);
        }
        let goal = whole.push(all(0.5), 5_300)[0];
        assert!((goal - parts.push(all(0.5), 1)[0]).abs() < 0.03);
        let again = whole.push(all(0.5), 10_000_000)[0];
        assert!((again - 0.5).abs() < 1e-6, "{again}");
    }

    #[test]
    fn sums_do_not_drift() {
        let mut smoother = Smoother::new(&[LIMITS], 1_000);
        for tick in 0..100_000_u32 {
            smoother.push(all(libm::sinf(tick as f32 * 0.01)), 1_000);
        }
        for _ in 0..20 {
            smoother.push(all(0.25), 1_000);
        }
        assert_eq!(smoother.push(all(0.25), 1_000), all(0.25));
    }

    proptest! {
        #[test]
        fn goals_keep_every_limit(
            start in -2.0_f32..2.0,
            taps in prop_oneof![2_u32..8, Just(20), Just(64)],
            targets in prop::collection::vec((-2.5_f32..2.5, 1_u8..80), 1..30),
        ) {
            let dt = 0.001;
            let jerk = 2.0 * LIMITS.acceleration / (taps as f32 * dt) * 1.001;
            let limits = JointLimits { jerk, ..LIMITS };
            let mut smoother = Smoother::new(&[limits], 1_000);
            prop_assert_eq!(smoother.taps, taps as usize);
            smoother.rest_at(all(start));
            let mut joint = JointMotion::at(start);
            // Doubles, since a third difference of floats says little.
            let position = |smoother: &Smoother| {
                smoother.sums[0] as f64 / f64::from(SCALE) / smoother.taps as f64
            };
            let (mut at, mut velocity, mut acceleration) = (position(&smoother), 0.0, 0.0);
            let dt64 = 0.001_f64;
            for (target, ticks) in targets {
                for _ in 0..ticks {
                    let reference = Reference { position: target, velocity: 0.0 };
                    joint.step(&limits, 1.0, (target < 2.2).then_some(reference), dt);
                    let goal = smoother.push(all(joint.position), 1_000)[0];
                    prop_assert!((limits.min - 1e-6..=limits.max + 1e-6).contains(&goal));
                    let moved = (position(&smoother) - at) / dt64;
                    let gained = (moved - velocity) / dt64;
                    let jerk = (gained - acceleration) / dt64;
                    // A command is a float: its rounding, over the window, is felt in each.
                    let rounding = 3e-7 / f64::from(taps) / dt64;
                    prop_assert!(moved.abs() <= f64::from(limits.velocity) + 3e-7 / dt64);
                    let most = f64::from(limits.acceleration) * 1.01 + 2.0 * rounding / dt64;
                    prop_assert!(gained.abs() <= most, "acceleration {gained}");
                    let most = f64::from(limits.jerk) * 1.02 + 6.0 * rounding / dt64 / dt64;
                    prop_assert!(jerk.abs() <= most, "jerk {jerk} of {most}");
                    at += moved * dt64;
                    velocity = moved;
                    acceleration = gained;
                }
            }
        }
    }
}
