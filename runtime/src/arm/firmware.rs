//! What the firmware is told about an arm when it is built or simulated.

use sha2::{Digest, Sha256};
use wink_firmware::Config;
use wink_firmware::config::JointLimits;

use super::{ArmDescription, WIRE_JOINTS};

/// Time between telemetry lines: five looks at the arm a control step at 20 Hz.
const TELEMETRY_PERIOD_US: u64 = 10_000;

impl ArmDescription {
    /// The firmware's configuration for this arm: limits in wire order, and the
    /// [`hash`](Self::hash).
    #[must_use]
    pub fn firmware_config(&self) -> Config {
        let limits: [JointLimits; WIRE_JOINTS] =
            std::array::from_fn(|index| match self.joints().get(index) {
                Some(joint) => JointLimits {
                    min: joint.min_rad as f32,
                    max: joint.max_rad as f32,
                    velocity: joint.velocity_rad_s as f32,
                    acceleration: joint.acceleration_rad_s2 as f32,
                },
                None => JointLimits {
                    min: self.gripper().min_m as f32,
                    max: self.gripper().max_m as f32,
                    velocity: self.gripper().velocity_m_s as f32,
                    acceleration: self.gripper().acceleration_m_s2 as f32,
                },
            });
        let config = Config::new(&limits)
            .expect("a checked description holds finite limits the right way round");
        Config {
            description_hash: self.hash(),
            telemetry_period_us: TELEMETRY_PERIOD_US,
            ..config
        }
    }

    /// A number that differs between arms: host and board compare it when they connect. Comments
    /// and layout of the TOML do not change it, any value does. Never 0, which the firmware keeps
    /// for "unknown".
    #[must_use]
    pub fn hash(&self) -> u32 {
        let mut hash = Sha256::new();
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        text(self.name());
        for joint in self.joints() {
            text(&joint.name);
        }
        let mut numbers = |numbers: &[f64]| {
            numbers
                .iter()
                .for_each(|number| hash.update(number.to_le_bytes()))
        };
        for joint in self.joints() {
            numbers(joint.offset_m.as_slice());
            numbers(joint.axis.as_slice());
            numbers(&[
                joint.min_rad,
                joint.max_rad,
                joint.velocity_rad_s,
                joint.acceleration_rad_s2,
                joint.home_rad,
            ]);
        }
        numbers(self.tool().translation.vector.as_slice());
        let gripper = self.gripper();
        numbers(&[
            gripper.min_m,
            gripper.max_m,
            gripper.closed_m,
            gripper.open_m,
            gripper.home_m,
        ]);
        numbers(&[gripper.velocity_m_s, gripper.acceleration_m_s2]);
        for servo_ids in self
            .joints()
            .iter()
            .map(|joint| &joint.servo_ids)
            .chain([&gripper.servo_ids])
        {
            hash.update((servo_ids.len() as u64).to_le_bytes());
            hash.update(servo_ids);
        }
        let digest = hash.finalize();
        digest
            .first_chunk()
            .map_or(1, |bytes| u32::from_le_bytes(*bytes))
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::GRIPPER;

    #[test]
    fn the_firmware_gets_the_limits_of_all_joints() {
        let config = ArmDescription::wx250s().firmware_config();
        assert_eq!(config.joints.len(), WIRE_JOINTS);
        assert_eq!(config.joints[0].max, std::f32::consts::PI);
        assert_eq!(
            (config.joints[GRIPPER].min, config.joints[GRIPPER].max),
            (-0.01, 0.04)
        );
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn the_hash_follows_values_and_not_layout() {
        const WX250S: &str = include_str!("../../../boards/arms/wx250s.toml");
        let hash = |text: &str| ArmDescription::from_toml(text).unwrap().hash();
        let built_in = hash(WX250S);
        assert_ne!(built_in, 0);
        assert_eq!(built_in, hash(&format!("# another comment\n{WX250S}")));
        for (from, to) in [
            ("0.03865", "0.03866"),
            ("\"waist\"", "\"hip\""),
            ("[9]", "[10]"),
            ("home_m = 0.037", "home_m = 0.036"),
        ] {
            assert_ne!(built_in, hash(&WX250S.replace(from, to)), "{from} -> {to}");
        }
    }
}
