//! What is known of the ticks of an arm's servos.

use std::f64::consts::TAU;

use wink_firmware::servo::serial::BusServo;
use wink_firmware::servo::{TICKS_PER_TURN, TickCalibration, Transmission, dynamixel, feetech};

use super::{ArmDescription, ArmServos};

impl ArmDescription {
    /// The servo on the bus that a joint on the wire goes by: of two, the first.
    #[must_use]
    pub fn first_servo(&self, joint: usize) -> Option<&BusServo> {
        let Some(ArmServos::Bus { servos, .. }) = &self.servos else {
            return None;
        };
        servos
            .iter()
            .find(|servo| usize::from(servo.joint) == joint)
    }

    /// What the homing offset register of a joint's first servo must hold, ticks; `None` where neither the arm's file nor a
    /// calibration says.
    #[must_use]
    pub fn homing_offset(&self, joint: usize) -> Option<i32> {
        let servo = self.first_servo(joint)?;
        let Some(ArmServos::Bus { settings, .. }) = &self.servos else {
            return None;
        };
        let register = |address: u16| {
            let mut of_servo = settings.iter().filter(|(id, _)| *id == servo.id);
            let (_, setting) = of_servo.find(|(_, setting)| setting.address == address)?;
            Some(setting.value)
        };
        if servo.model.is_dynamixel() {
            Some(register(dynamixel::HOMING_OFFSET)?.cast_signed())
        } else {
            Some(feetech::homing_ticks(register(feetech::HOMING_OFFSET)? as u16).into())
        }
    }

    /// Ticks that the first servo of each joint reports, in wire order; `None` where the arm has no bus servos, or a joint has
    /// none.
    #[must_use]
    pub fn tick_calibrations(&self) -> Option<Vec<TickCalibration>> {
        (0..self.wire_joints())
            .map(|joint| {
                self.first_servo(joint).map(|servo| TickCalibration {
                    // A Dynamixel counts backwards by itself: what it reports rises with the joint.
                    reversed: servo.calibration.reversed && !servo.model.is_dynamixel(),
                    ..servo.calibration
                })
            })
            .collect()
    }

    /// Positions (rad; m of the gripper) of a joint on the wire where the range that it was calibrated over begins and ends,
    /// in the order of its servo's ticks: the first is the greater one where the servo turns against the joint. Where the
    /// arm's file has no ticks, the range is that of the limits, of the gripper from closed to open. `None` for a gripper
    /// behind a crank, whose travel is no multiple of its servo's ticks, and past the last joint.
    #[must_use]
    pub fn calibrated_range(&self, joint: usize) -> Option<[f64; 2]> {
        let calibration = self
            .tick_calibrations()
            .and_then(|all| all.get(joint).copied());
        let unit_per_rad = match calibration.map(|calibration| calibration.transmission) {
            Some(Transmission::Crank { .. }) => return None,
            Some(Transmission::Lever { length_m }) => f64::from(length_m),
            Some(Transmission::Direct) | None => 1.0,
        };
        let (ticks, limits) = match self.joints.get(joint) {
            Some(joint) => (joint.calibrated_ticks, [joint.min_rad, joint.max_rad]),
            None => {
                let gripper = self
                    .gripper
                    .as_ref()
                    .filter(|_| joint == self.joints.len())?;
                (gripper.calibrated_ticks, [gripper.closed_m, gripper.open_m])
            }
        };
        let (Some(ticks), Some(calibration)) = (ticks, calibration) else {
            return Some(limits);
        };
        let sign = if calibration.reversed { -1.0 } else { 1.0 };
        let unit_per_tick = sign * TAU / f64::from(TICKS_PER_TURN) * unit_per_rad;
        Some(ticks.map(|tick| (tick - f64::from(calibration.zero_tick)) * unit_per_tick))
    }

    /// Length of the gripper's moving jaw, metres, where it is one.
    #[must_use]
    pub fn gripper_lever_m(&self) -> Option<f64> {
        match self.gripper_transmission()? {
            Transmission::Lever { length_m } => Some(f64::from(length_m)),
            Transmission::Direct | Transmission::Crank { .. } => None,
        }
    }

    /// Whether the gripper's finger is moved by a crank.
    pub(super) fn has_crank(&self) -> bool {
        matches!(
            self.gripper_transmission(),
            Some(Transmission::Crank { .. })
        )
    }

    fn gripper_transmission(&self) -> Option<Transmission> {
        self.gripper.as_ref()?;
        Some(self.tick_calibrations()?.last()?.transmission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_joint_has_its_ticks() {
        let so101 =
            ArmDescription::from_toml(include_str!("../../../boards/arms/so101.toml")).unwrap();
        assert_eq!(so101.tick_calibrations().map(|all| all.len()), Some(6));
        let lever_m = so101.gripper_lever_m().unwrap();
        assert!((lever_m - 0.0747).abs() < 1e-6);
        let wx250s =
            ArmDescription::from_toml(include_str!("../../../boards/arms/wx250s.toml")).unwrap();
        assert_eq!(wx250s.gripper_lever_m(), None);
    }
}
