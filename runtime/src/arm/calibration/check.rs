//! Whether a calibration is one of an arm, and one that can be right.

use std::f64::consts::TAU;

use wink_firmware::servo::{TICKS_PER_TURN, Transmission};

use super::{Calibration, CalibrationError, JointCalibration};
use crate::arm::{ArmDescription, ArmServos};

/// A range of so many ticks covers the servo's turn: the step from 4095 to 0 lies inside of it. What is seen of a joint that passes
/// it by hand lacks some ticks at either end.
const WHOLE_TURN: i32 = TICKS_PER_TURN as i32 * 15 / 16;
/// A joint that went through less than this share of its model's travel was not moved through it.
const LEAST_SHARE: f64 = 1.0 / 8.0;
/// Whatever the model says, fewer ticks are a hand's tremble.
const LEAST_TICKS: f64 = 16.0;
/// Greatest homing offset that a Feetech servo's register holds: eleven bits and a sign.
const MOST_FEETECH: i32 = 2_047;
/// Greatest homing offset of a Dynamixel, by ROBOTIS' e-manual.
const MOST_DYNAMIXEL: i32 = 1_044_479;

/// A joint that a calibration has an entry for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calibrated<'a> {
    /// On the wire.
    pub index: usize,
    pub name: &'a str,
    pub id: u8,
    pub dynamixel: bool,
    pub full_turn: bool,
    /// Travel of the model, radians of the servo.
    pub travel_rad: f64,
    /// Way for a radian of the servo, rad or m.
    pub unit_per_rad: f64,
}

impl ArmDescription {
    /// The joints that a calibration has an entry for, in wire order: all but a gripper behind a crank.
    pub(super) fn calibrated_joints(&self) -> Result<Vec<Calibrated<'_>>, CalibrationError> {
        let Some(ArmServos::Bus { servos, .. }) = self.servos() else {
            return Err(CalibrationError::NoTicks {
                arm: self.name().to_owned(),
            });
        };
        let mut joints = Vec::new();
        for (index, name) in self.wire_names().enumerate() {
            let Some(servo) = servos
                .iter()
                .find(|servo| usize::from(servo.joint) == index)
            else {
                continue;
            };
            let unit_per_rad = match servo.calibration.transmission {
                Transmission::Direct => 1.0,
                Transmission::Lever { length_m } => f64::from(length_m),
                Transmission::Crank { .. } => continue,
            };
            let travel = match (self.joints().get(index), self.gripper()) {
                (Some(joint), _) => joint.max_rad - joint.min_rad,
                (None, Some(gripper)) => gripper.open_m - gripper.closed_m,
                (None, None) => continue,
            };
            joints.push(Calibrated {
                index,
                name,
                id: servo.id,
                dynamixel: servo.model.is_dynamixel(),
                full_turn: self
                    .joints()
                    .get(index)
                    .is_some_and(|joint| joint.full_turn),
                travel_rad: travel / unit_per_rad,
                unit_per_rad,
            });
        }
        Ok(joints)
    }
}

impl Calibration {
    /// Whether this is a calibration of the arm, and one that can be right.
    ///
    /// # Errors
    /// Names the first joint and what is wrong with it: see [`CalibrationError`].
    pub fn check(&self, arm: &ArmDescription) -> Result<(), CalibrationError> {
        if self.arm != arm.name() {
            return Err(CalibrationError::OtherArm {
                found: self.arm.clone(),
                arm: arm.name().to_owned(),
            });
        }
        let calibrated = arm.calibrated_joints()?;
        for (index, joint) in self.joints.iter().enumerate() {
            if !calibrated.iter().any(|part| part.name == joint.name) {
                return Err(CalibrationError::Unknown {
                    joint: joint.name.escape_debug().to_string(),
                    arm: arm.name().to_owned(),
                    joints: calibrated.iter().map(|part| part.name.to_owned()).collect(),
                });
            }
            let before = &self.joints[..index];
            if before.iter().any(|other| other.name == joint.name) {
                return Err(CalibrationError::Twice {
                    joint: joint.name.clone(),
                });
            }
            if let Some(other) = before.iter().find(|other| other.servo_id == joint.servo_id) {
                return Err(CalibrationError::IdTwice {
                    id: joint.servo_id,
                    first: other.name.clone(),
                    second: joint.name.clone(),
                });
            }
        }
        for part in &calibrated {
            let joint = self.of(part, arm)?;
            if joint.servo_id != part.id {
                return Err(CalibrationError::Id {
                    joint: joint.name.clone(),
                    found: joint.servo_id,
                    expected: part.id,
                    ids: listed(
                        self.joints
                            .iter()
                            .map(|joint| (joint.name.as_str(), joint.servo_id)),
                    ),
                    arm: arm.name().to_owned(),
                    arm_ids: listed(calibrated.iter().map(|part| (part.name, part.id))),
                });
            }
            check(joint, part)?;
        }
        Ok(())
    }

    pub(super) fn of(
        &self,
        part: &Calibrated<'_>,
        arm: &ArmDescription,
    ) -> Result<&JointCalibration, CalibrationError> {
        let found = self.joints.iter().find(|joint| joint.name == part.name);
        found.ok_or_else(|| CalibrationError::Missing {
            joint: part.name.to_owned(),
            arm: arm.name().to_owned(),
        })
    }
}

impl JointCalibration {
    /// Whether this can be right for the arm's joint of this name: as [`Calibration::check`], for one joint alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, arm: &ArmDescription) -> Result<(), CalibrationError> {
        let calibrated = arm.calibrated_joints()?;
        let part = calibrated.iter().find(|part| part.name == self.name);
        let Some(part) = part else {
            return Err(CalibrationError::Unknown {
                joint: self.name.escape_debug().to_string(),
                arm: arm.name().to_owned(),
                joints: calibrated.iter().map(|part| part.name.to_owned()).collect(),
            });
        };
        check(self, part)
    }
}

fn check(joint: &JointCalibration, part: &Calibrated<'_>) -> Result<(), CalibrationError> {
    let name = joint.name.clone();
    let (min, max) = (joint.range_min, joint.range_max);
    let turn = 0..=JointCalibration::LAST_TICK;
    if !turn.contains(&min) || !turn.contains(&max) {
        return Err(CalibrationError::OutsideTurn {
            joint: name,
            min,
            max,
        });
    }
    if min >= max {
        return Err(CalibrationError::EmptyRange {
            joint: name,
            min,
            max,
        });
    }
    let most = if part.dynamixel {
        MOST_DYNAMIXEL
    } else {
        MOST_FEETECH
    };
    if joint.homing_offset.unsigned_abs() > most.unsigned_abs() {
        return Err(CalibrationError::Offset {
            joint: name,
            offset: joint.homing_offset,
            most,
        });
    }
    let ticks_per_rad = f64::from(TICKS_PER_TURN) / TAU;
    let least = (part.travel_rad * ticks_per_rad * LEAST_SHARE).max(LEAST_TICKS);
    if f64::from(joint.travel()) < least {
        return Err(CalibrationError::NotMoved {
            joint: name,
            ticks: joint.travel(),
            degrees: (f64::from(joint.travel()) / ticks_per_rad).to_degrees(),
            model_degrees: part.travel_rad.to_degrees(),
        });
    }
    if joint.travel() >= WHOLE_TURN && !part.full_turn {
        return Err(CalibrationError::Seam {
            joint: name,
            min,
            max,
        });
    }
    Ok(())
}

/// Names with their ids.
fn listed<'a>(ids: impl Iterator<Item = (&'a str, u8)>) -> String {
    let each: Vec<String> = ids.map(|(name, id)| format!("{name} {id}")).collect();
    each.join(", ")
}
