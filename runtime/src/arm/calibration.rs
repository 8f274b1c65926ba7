//! What an arm's file says of its servos' ticks.

use wink_firmware::servo::{TickCalibration, Transmission};

use super::{ArmFile, ArmServos};

impl ArmFile {
    /// Ticks of the first servo of each joint, in wire order; `None` where the arm has no bus
    /// servos, or a joint has none.
    #[must_use]
    pub fn tick_calibrations(&self) -> Option<Vec<TickCalibration>> {
        let Some(ArmServos::Bus { servos, .. }) = &self.servos else {
            return None;
        };
        (0..self.wire_joints())
            .map(|joint| {
                let first = servos
                    .iter()
                    .find(|servo| usize::from(servo.joint) == joint);
                first.map(|servo| servo.calibration)
            })
            .collect()
    }

    /// Length of the gripper's moving jaw, metres, where it is one.
    #[must_use]
    pub fn gripper_lever_m(&self) -> Option<f64> {
        match self.tick_calibrations()?.last()?.transmission {
            Transmission::Lever { length_m } => Some(f64::from(length_m)),
            Transmission::Direct | Transmission::Crank { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_joint_has_its_ticks() {
        let so101 = ArmFile::from_toml(include_str!("../../../boards/arms/so101.toml")).unwrap();
        assert_eq!(so101.tick_calibrations().map(|all| all.len()), Some(6));
        let lever_m = so101.gripper_lever_m().unwrap();
        assert!((lever_m - 0.0747).abs() < 1e-6);
        let wx250s = ArmFile::from_toml(include_str!("../../../boards/arms/wx250s.toml")).unwrap();
        assert_eq!(wx250s.gripper_lever_m(), None);
    }
}
