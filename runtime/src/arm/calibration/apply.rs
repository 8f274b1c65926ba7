//! From an arm's model and a calibration to the arm that a board drives.

use std::f64::consts::TAU;

use wink_firmware::servo::serial::{BusServo, Setting};
use wink_firmware::servo::{TICKS_PER_TURN, TickCalibration, dynamixel, feetech};

use super::check::Calibrated;
use super::{Calibration, CalibrationError, JointCalibration};
use crate::arm::{ArmDescription, ArmServos};

impl Calibration {
    /// The arm with this calibration: ticks and registers of its servos, and the limits that both the arm's file and the calibration
    /// allow. Where an episode starts moves into these limits.
    ///
    /// `arm` is what the arm's file says, so that a calibration that is wider than an earlier one widens the limits again, up to
    /// those of the file.
    ///
    /// # Errors
    /// As [`check`](Self::check); when no position is left; when the second servo of a joint would leave its turn.
    pub fn apply(&self, arm: &ArmDescription) -> Result<ArmDescription, CalibrationError> {
        self.check(arm)?;
        let mut applied = arm.clone();
        for part in arm.calibrated_joints()? {
            let joint = self.of(&part, arm)?;
            let zero_tick = apply_servos(&mut applied, joint, &part)?;
            apply_limits(&mut applied, joint, &part, zero_tick)?;
        }
        Ok(applied)
    }
}

/// Whether ticks fall while the joint's position rises. A Dynamixel counts backwards by itself.
fn falls(servo: &BusServo) -> bool {
    servo.calibration.reversed && !servo.model.is_dynamixel()
}

/// Ticks and registers of the servos of a joint. Returns the tick at the joint's zero.
fn apply_servos(
    arm: &mut ArmDescription,
    joint: &JointCalibration,
    part: &Calibrated<'_>,
) -> Result<f64, CalibrationError> {
    let gripper = arm
        .gripper
        .as_ref()
        .filter(|_| part.index == arm.joints.len());
    let closed_m = gripper.map(|gripper| gripper.closed_m);
    let mut zero_tick = joint.middle();
    let Some(ArmServos::Bus { servos, settings }) = &mut arm.servos else {
        return Ok(zero_tick);
    };
    let on_joint = |servo: &&mut BusServo| usize::from(servo.joint) == part.index;
    for (number, servo) in servos.iter_mut().filter(on_joint).enumerate() {
        servo.calibration.reversed ^= joint.reversed;
        let first = number == 0;
        if let Some(closed_m) = closed_m.filter(|_| first) {
            let closed_ticks = closed_m / part.unit_per_rad * f64::from(TICKS_PER_TURN) / TAU;
            zero_tick = if falls(servo) {
                f64::from(joint.range_max) + closed_ticks
            } else {
                f64::from(joint.range_min) - closed_ticks
            };
        }
        let [min, max] = if first || part.dynamixel {
            [joint.range_min, joint.range_max].map(f64::from)
        } else {
            [joint.range_max, joint.range_min].map(|tick| 2.0 * zero_tick - f64::from(tick))
        };
        if min < 0.0 || max > f64::from(JointCalibration::LAST_TICK) {
            return Err(CalibrationError::Mirror {
                joint: joint.name.clone(),
                id: servo.id,
                min,
                max,
            });
        }
        servo.calibration = TickCalibration {
            zero_tick: zero_tick as f32,
            min_tick: min.round() as u16,
            max_tick: max.round() as u16,
            ..servo.calibration
        };
        // The second servo's own offset is not known.
        let offset = first.then_some(joint.homing_offset);
        set_registers(settings, servo, offset);
    }
    Ok(zero_tick)
}

/// The registers that hold a servo's offset and range.
fn set_registers(settings: &mut Vec<(u8, Setting)>, servo: &BusServo, offset: Option<i32>) {
    let range = [servo.calibration.min_tick, servo.calibration.max_tick].map(u32::from);
    let (offset_at, range_at, bytes) = if servo.model.is_dynamixel() {
        let highest = dynamixel::MAX_POSITION;
        ((dynamixel::HOMING_OFFSET, 4), [highest + 4, highest], 4)
    } else {
        let lowest = feetech::MIN_POSITION;
        ((feetech::HOMING_OFFSET, 2), [lowest, lowest + 2], 2)
    };
    let (offset_at, offset_bytes) = offset_at;
    let replaced = [offset_at, range_at[0], range_at[1]];
    settings.retain(|(id, setting)| *id != servo.id || !replaced.contains(&setting.address));
    if let Some(offset) = offset {
        let value = if servo.model.is_dynamixel() {
            offset.cast_unsigned()
        } else {
            feetech::homing_offset(offset as i16).into()
        };
        let setting = Setting {
            address: offset_at,
            bytes: offset_bytes,
            value,
        };
        settings.push((servo.id, setting));
    }
    for (address, value) in range_at.into_iter().zip(range) {
        let setting = Setting {
            address,
            bytes,
            value,
        };
        settings.push((servo.id, setting));
    }
}

/// Limits that both allow.
fn apply_limits(
    arm: &mut ArmDescription,
    joint: &JointCalibration,
    part: &Calibrated<'_>,
    zero_tick: f64,
) -> Result<(), CalibrationError> {
    let unit_per_tick = part.unit_per_rad * TAU / f64::from(TICKS_PER_TURN);
    let ticks = Some([joint.range_min, joint.range_max].map(f64::from));
    let travel = f64::from(joint.travel()) * unit_per_tick;
    let both = |unit, calibrated: [f64; 2], model: [f64; 2]| {
        let limits = [calibrated[0].max(model[0]), calibrated[1].min(model[1])];
        if limits[0] < limits[1] {
            return Ok(limits);
        }
        Err(CalibrationError::NothingLeft {
            joint: joint.name.clone(),
            unit,
            calibrated,
            model,
        })
    };
    if let Some(described) = arm.joints.get_mut(part.index) {
        let low = (f64::from(joint.range_min) - zero_tick) * unit_per_tick;
        let model = [described.min_rad, described.max_rad];
        let [min, max] = both("rad", [low, low + travel], model)?;
        (described.min_rad, described.max_rad) = (min, max);
        described.home_rad = described.home_rad.clamp(min, max);
        described.calibrated_ticks = ticks;
    } else if let Some(gripper) = &mut arm.gripper {
        let calibrated = [gripper.closed_m, gripper.closed_m + travel];
        let [min, max] = both("m", calibrated, [gripper.min_m, gripper.max_m])?;
        (gripper.min_m, gripper.max_m) = (min, max);
        gripper.open_m = gripper.open_m.min(max);
        gripper.home_m = gripper.home_m.clamp(min, max);
        gripper.calibrated_ticks = ticks;
    }
    Ok(())
}
