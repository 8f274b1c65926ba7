//! The way of an arm to where a person, or a recording, wants it.

use anyhow::{Result, bail};
use wink_runtime::arm::{ArmDescription, JointValues};

use crate::arm::joints;

/// Speed until the arm is where it is wanted for the first time, as a share of each joint's limit.
const SLOW: f64 = 0.2;
/// The arm is where it is wanted when each joint is nearer than what it does in this time at its full speed, seconds.
const NEAR_S: f64 = 0.05;

/// Moves targets to where they are wanted: slowly at first, and after each hold; then no faster than the joints may go. Targets
/// never leave the limits and never jump.
#[derive(Debug, Clone)]
pub struct Guide {
    limits: Vec<Limit>,
    targets: JointValues,
    aligned: bool,
}

#[derive(Debug, Clone)]
struct Limit {
    name: String,
    min: f64,
    max: f64,
    velocity: f64,
}

impl Guide {
    /// Begins where an arm is: `measured` on the wire (rad, m). A joint outside of its limits is told to go to the nearest of them.
    ///
    /// # Errors
    /// When a joint was not measured.
    pub fn new(arm: &ArmDescription, measured: &[f64]) -> Result<Self> {
        let limits = joints(arm).into_iter().map(|joint| Limit {
            name: joint.name.to_owned(),
            min: joint.min,
            max: joint.max,
            velocity: joint.velocity,
        });
        let mut guide = Self {
            limits: limits.collect(),
            targets: JointValues::default(),
            aligned: false,
        };
        guide.check(measured)?;
        let limits = guide.limits.iter().zip(measured);
        guide.targets = limits
            .map(|(limit, position)| position.clamp(limit.min, limit.max))
            .collect();
        Ok(guide)
    }

    /// Where the arm was told to be last.
    pub fn targets(&self) -> &JointValues {
        &self.targets
    }

    /// Whether the arm has been where it is wanted since it began.
    pub fn is_aligned(&self) -> bool {
        self.aligned
    }

    /// The targets of the next tick, which comes `seconds` after the one before.
    ///
    /// # Errors
    /// When a wanted position is missing or not finite; the targets then stay.
    pub fn follow(&mut self, wanted: &[f64], seconds: f64) -> Result<&JointValues> {
        self.check(wanted)?;
        let share = if self.aligned { 1.0 } else { SLOW };
        let mut near = true;
        let ways = self.limits.iter().zip(wanted);
        for (target, (limit, wanted)) in self.targets.iter_mut().zip(ways) {
            let way = wanted.clamp(limit.min, limit.max) - *target;
            near &= way.abs() <= limit.velocity * NEAR_S;
            let most = limit.velocity * share * seconds;
            *target += way.clamp(-most, most);
        }
        self.aligned |= near;
        Ok(&self.targets)
    }

    fn check(&self, positions: &[f64]) -> Result<()> {
        if positions.len() != self.limits.len() {
            bail!(
                "{} positions for {} joints",
                positions.len(),
                self.limits.len()
            );
        }
        let mut all = self.limits.iter().zip(positions);
        match all.find(|(_, position)| !position.is_finite()) {
            None => Ok(()),
            Some((limit, _)) => bail!("the position of {} is not known", limit.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wink_sim::setup::SO101;

    #[test]
    fn an_arm_goes_slowly_until_it_is_there_and_never_faster_than_its_joints() {
        let arm = SO101.arm();
        let home = arm.wire_home();
        let all = joints(&arm);
        let mut guide = Guide::new(&arm, &home).unwrap();
        let mut wanted = home;
        wanted[0] += 0.8;
        let (mut before, mut ticks) = (home, 0);
        while !guide.is_aligned() {
            let next = *guide.follow(&wanted, 0.02).unwrap();
            assert!((next[0] - before[0]).abs() <= all[0].velocity * 0.2 * 0.02 + 1e-12);
            (before, ticks) = (next, ticks + 1);
            assert!(ticks < 10_000);
        }
        assert!(ticks > 20);
        wanted[0] = 1e9;
        for _ in 0..10_000 {
            let next = *guide.follow(&wanted, 0.02).unwrap();
            assert!((next[0] - before[0]).abs() <= all[0].velocity * 0.02 + 1e-12);
            assert!(next[0] <= all[0].max);
            before = next;
        }
        assert!((before[0] - all[0].max).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_known_moves_nothing_and_is_named() {
        let arm = SO101.arm();
        let home = arm.wire_home();
        let mut guide = Guide::new(&arm, &home).unwrap();
        let at = *guide.targets();
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut wanted = home;
            wanted[2] = bad;
            let told = guide.follow(&wanted, 0.02).unwrap_err().to_string();
            assert!(told.contains("elbow_flex"), "{told}");
            assert_eq!(*guide.targets(), at);
        }
        assert!(guide.follow(&home[..3], 0.02).is_err());
        let mut lost = home;
        lost[1] = f64::NAN;
        assert!(Guide::new(&arm, &lost).is_err());
    }
}
