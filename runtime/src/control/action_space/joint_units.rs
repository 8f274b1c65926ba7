//! The units in which a policy counts an arm's joints, and what they mean for the arm's calibration.

use std::f64::consts::TAU;

use wink_firmware::servo::TICKS_PER_TURN;

use crate::arm::{ArmDescription, GRIPPER_NAME, JointValues};
use crate::control::ControlError;
use crate::policy::manifest::Unit;

/// What `LeRobot` appends to a joint's name in a vector of positions.
const POSITION_SUFFIX: &str = ".pos";

/// `LeRobot` divides a turn into one tick less than the encoder has.
const LEROBOT_TURN: f64 = (TICKS_PER_TURN - 1) as f64;

/// The joints of an arm in a policy's order and units.
#[derive(Debug, Clone, PartialEq)]
pub struct JointUnits {
    /// One for each of the policy's values.
    scales: Vec<Scale>,
}

/// position (rad, m) = zero + value * per_unit
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scale {
    /// Index of the joint on the wire.
    joint: usize,
    zero: f64,
    per_unit: f64,
}

impl JointUnits {
    /// The joints of an arm as a policy names and counts them. Names are the arm's, with or without `.pos`, and `gripper`.
    ///
    /// # Errors
    /// When the names are not those of all joints of the arm, each once, or a unit means nothing to its joint.
    pub fn new(
        arm: &ArmDescription,
        names: &[String],
        units: &[Unit],
    ) -> Result<Self, ControlError> {
        let of_arm: Vec<&str> = arm.wire_names().collect();
        let wanted: Vec<&str> = names
            .iter()
            .map(|name| name.strip_suffix(POSITION_SUFFIX).unwrap_or(name))
            .collect();
        let index = |name: &&str| of_arm.iter().position(|joint| joint == name);
        let matched: Option<Vec<usize>> = wanted.iter().map(index).collect();
        let complete = |found: &Vec<usize>| {
            found.len() == of_arm.len() && (0..of_arm.len()).all(|joint| found.contains(&joint))
        };
        let Some(joints) = matched.filter(complete) else {
            return Err(ControlError::Joints {
                policy: names.to_vec(),
                arm: arm.name().to_owned(),
                joints: of_arm.into_iter().map(str::to_owned).collect(),
            });
        };
        let scales = joints.into_iter().zip(units).zip(names);
        let scales = scales
            .map(|((joint, unit), name)| {
                scale(arm, joint, *unit).ok_or_else(|| ControlError::JointUnit {
                    name: name.clone(),
                    unit: unit.name(),
                    arm: arm.name().to_owned(),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { scales })
    }

    /// The joint on the wire, the gripper last, that a value of the policy is of; `None` past the last value.
    pub(super) fn joint(&self, number: usize) -> Option<usize> {
        self.scales.get(number).map(|scale| scale.joint)
    }

    /// Positions on the wire (rad, m) for a policy's values, which must be as many as it names.
    #[must_use]
    pub fn positions(&self, values: &[f32]) -> JointValues {
        let mut positions = JointValues::filled(0.0, self.scales.len());
        for (scale, value) in self.scales.iter().zip(values) {
            positions[scale.joint] = scale.zero + f64::from(*value) * scale.per_unit;
        }
        positions
    }

    /// Changes of positions on the wire (rad, m) for changes of a policy's values.
    #[must_use]
    pub fn changes(&self, values: &[f32]) -> JointValues {
        let mut changes = JointValues::filled(0.0, self.scales.len());
        for (scale, value) in self.scales.iter().zip(values) {
            changes[scale.joint] = f64::from(*value) * scale.per_unit;
        }
        changes
    }

    /// A policy's values for positions on the wire (rad, m): one for each of its names, in its order.
    pub fn values<'a>(&'a self, positions: &'a [f64]) -> impl Iterator<Item = f32> + 'a {
        self.scales.iter().map(|scale| {
            let position = positions.get(scale.joint).copied().unwrap_or(f64::NAN);
            ((position - scale.zero) / scale.per_unit) as f32
        })
    }

    /// A policy's values for changes of positions on the wire.
    pub fn value_changes<'a>(&'a self, changes: &'a [f64]) -> impl Iterator<Item = f32> + 'a {
        self.scales.iter().map(|scale| {
            let change = changes.get(scale.joint).copied().unwrap_or(f64::NAN);
            (change / scale.per_unit) as f32
        })
    }
}

/// What a unit means for a joint on the wire; `None` where it means nothing.
fn scale(arm: &ArmDescription, joint: usize, unit: Unit) -> Option<Scale> {
    let gripper = joint == arm.joints().len();
    let over = |[from, to]: [f64; 2], [low, high]: [f64; 2]| {
        let per_unit = (high - low) / (to - from);
        Scale {
            joint,
            zero: low - from * per_unit,
            per_unit,
        }
    };
    let range = || {
        let [first, last] = arm.calibrated_range(joint)?;
        Some([first.min(last), first.max(last)])
    };
    Some(match unit {
        Unit::Rad if !gripper => over([0.0, 1.0], [0.0, 1.0]),
        Unit::Degrees if !gripper => over([0.0, 360.0], [0.0, TAU]),
        Unit::LerobotDegrees if !gripper => {
            let [first, last] = arm.calibrated_range(joint)?;
            // These degrees follow the servo's ticks, whichever way it turns.
            let per_tick = (last - first).signum() * TAU / f64::from(TICKS_PER_TURN);
            Scale {
                joint,
                zero: (first + last) / 2.0,
                per_unit: per_tick * LEROBOT_TURN / 360.0,
            }
        }
        Unit::LerobotRange if !gripper => over([-100.0, 100.0], range()?),
        Unit::Percent if gripper => over([0.0, 100.0], range()?),
        Unit::Fraction if gripper => over([0.0, 1.0], range()?),
        Unit::M if gripper => over([0.0, 1.0], [0.0, 1.0]),
        _ => return None,
    })
}

/// Names and units of an arm's joints as `LeRobot` records them: degrees from the middle of the calibrated range, the gripper
/// from 0 (closed) to 100.
#[must_use]
pub fn lerobot_joints(arm: &ArmDescription) -> (Vec<String>, Vec<Unit>) {
    let of = |name: &str| match name {
        GRIPPER_NAME => Unit::Percent,
        _ => Unit::LerobotDegrees,
    };
    arm.wire_names()
        .map(|name| (format!("{name}{POSITION_SUFFIX}"), of(name)))
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SO-101 with the ticks of a calibration on some of its joints.
    fn calibrated() -> ArmDescription {
        let text = include_str!("../../../../boards/arms/so101.toml");
        let with = |text: &str, name: &str, servo: &str| {
            let at = text.find(&format!("name = \"{name}\"\n")).unwrap();
            let line = at + text[at..].find('\n').unwrap() + 1;
            format!("{}{servo}\n{}", &text[..line], &text[line..])
        };
        let text = with(
            text,
            "shoulder_pan",
            "servo = { zero_tick = 2050.0, min_tick = 700.0, max_tick = 3400.0 }",
        );
        let text = with(
            &text,
            "elbow_flex",
            "servo = { zero_tick = 2000.0, min_tick = 950.0, max_tick = 3150.0, reversed = true }",
        );
        ArmDescription::from_toml(&text.replace(
            "servo = { lever_m = 0.0747,",
            "servo = { zero_tick = 2113.8, min_tick = 2000.0, max_tick = 3400.0, lever_m = 0.0747,",
        ))
        .unwrap()
    }

    fn units(arm: &ArmDescription, of_joints: Unit, of_gripper: Unit) -> JointUnits {
        let (names, mut units) = lerobot_joints(arm);
        units.fill(of_joints);
        *units.last_mut().unwrap() = of_gripper;
        JointUnits::new(arm, &names, &units).unwrap()
    }

    /// As `LeRobot` computes it from a servo's tick.
    fn degrees(tick: f64, [min, max]: [f64; 2]) -> f64 {
        (tick - (min + max) / 2.0) * 360.0 / 4095.0
    }

    #[test]
    fn degrees_and_ranges_are_those_of_the_calibrations_ticks() {
        let arm = calibrated();
        let ticks = arm.tick_calibrations().unwrap();
        let degrees_of = units(&arm, Unit::LerobotDegrees, Unit::Percent);
        let range_of = units(&arm, Unit::LerobotRange, Unit::Percent);
        for (joint, range, reversed) in [(0, [700.0, 3400.0], false), (2, [950.0, 3150.0], true)] {
            for tick in [960, 1500, 2047, 2900] {
                let mut positions = arm.wire_home();
                positions[joint] = f64::from(ticks[joint].position(tick));
                let found = degrees_of.values(&positions).nth(joint).unwrap();
                let expected = degrees(f64::from(tick), range);
                assert!(
                    (f64::from(found) - expected).abs() < 1e-3,
                    "{found} {expected}"
                );
                let found = range_of.values(&positions).nth(joint).unwrap();
                let norm = (f64::from(tick) - range[0]) / (range[1] - range[0]) * 200.0 - 100.0;
                let expected = if reversed { -norm } else { norm };
                assert!(
                    (f64::from(found) - expected).abs() < 1e-3,
                    "{found} {expected}"
                );
            }
        }
        // A gripper is closed at the first tick.
        for (tick, percent) in [(2000, 0.0), (2700, 50.0), (3400, 100.0)] {
            let mut positions = arm.wire_home();
            positions[5] = f64::from(ticks[5].position(tick));
            let found = degrees_of.values(&positions).nth(5).unwrap();
            assert!((found - percent).abs() < 1e-3, "{found} {percent}");
        }
    }

    #[test]
    fn without_ticks_the_range_is_that_of_the_limits() {
        let arm = ArmDescription::so101();
        let range_of = units(&arm, Unit::LerobotRange, Unit::Percent);
        let all_low = range_of.positions(&[-100.0, -100.0, -100.0, -100.0, -100.0, 0.0]);
        let all_high = range_of.positions(&[100.0; 6]);
        for (index, joint) in arm.joints().iter().enumerate() {
            assert!((all_low[index] - joint.min_rad).abs() < 1e-9);
            assert!((all_high[index] - joint.max_rad).abs() < 1e-9);
        }
        let gripper = arm.gripper().unwrap();
        assert!((all_low[5] - gripper.closed_m).abs() < 1e-9);
        assert!((all_high[5] - gripper.open_m).abs() < 1e-9);
    }

    #[test]
    fn values_go_there_and_back_in_the_policys_order() {
        let arm = calibrated();
        let (mut names, mut units) = lerobot_joints(&arm);
        names.reverse();
        units.reverse();
        let reversed = JointUnits::new(&arm, &names, &units).unwrap();
        let values = [30.0, -20.0, 40.0, 7.5, -3.25, 12.0];
        let positions = reversed.positions(&values);
        let back: Vec<f32> = reversed.values(&positions).collect();
        for (value, back) in values.iter().zip(back) {
            assert!((value - back).abs() < 1e-4, "{value} {back}");
        }
        let mut plain = values;
        plain.reverse();
        let (names, units) = lerobot_joints(&arm);
        let same = JointUnits::new(&arm, &names, &units)
            .unwrap()
            .positions(&plain);
        assert_eq!(same, positions);
    }

    #[test]
    fn other_joints_and_units_are_refused_by_name() {
        let arm = ArmDescription::so101();
        let (names, units) = lerobot_joints(&arm);
        let mut other = names.clone();
        other[1] = "shoulder.pos".to_owned();
        let twice = [names.clone(), vec!["gripper".to_owned()]].concat();
        for wrong in [other, twice, names[..5].to_vec()] {
            let wrong_units = [units.clone(), vec![Unit::Percent]].concat();
            let told = JointUnits::new(&arm, &wrong, &wrong_units[..wrong.len()])
                .unwrap_err()
                .to_string();
            assert!(
                told.contains(&wrong.join(", "))
                    && told.contains("so101 has [shoulder_pan, shoulder_lift, elbow_flex"),
                "{told}"
            );
        }
        for (index, unit) in [(0, Unit::Percent), (1, Unit::M), (5, Unit::LerobotDegrees)] {
            let mut wrong = units.clone();
            wrong[index] = unit;
            let told = JointUnits::new(&arm, &names, &wrong)
                .unwrap_err()
                .to_string();
            assert!(
                told.contains(&names[index]) && told.contains(unit.name()),
                "{told}"
            );
        }
    }
}
